"""What the common corruptions do to a trained net, beside what their originals do.

Run: PYTHONPATH=. python benchmarks/corruption_effect.py --net cifar10_resnet20.npz
--tfds-data-dir DIR --frost FOLDER [--images 2000] [--only fog snow ...]. Prints the accuracy of a
CIFAR-10 ResNet under each corruption and severity: made by `tfrobust.corruptions.corrupt`, and made
image by image by the reference of the tests, which needs OpenCV and scikit-image. Both are drawn
with several seeds. The difference is paired by image; its standard error stands beside it, and
what two seeds of the same corruption differ by. The reference is kept in the folder --cache, so it
is made once.
"""

from __future__ import annotations

import argparse
import multiprocessing
import pathlib
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.reference import corruptions as reference  # noqa: E402

DETERMINISTIC = (
    "brightness",
    "contrast",
    "defocus_blur",
    "gaussian_blur",
    "jpeg_compression",
    "pixelate",
    "saturate",
    "zoom_blur",
)
CHUNK = 500


def cifar10_test(folder: pathlib.Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first images uint8 and labels, in the order of the files."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    decoders = {"image": tfds.decode.SkipDecoding()}
    data = tfds.load("cifar10", split="test", data_dir=folder, download=False, decoders=decoders)
    images, labels = [], []
    for example in data.take(count):
        # Some copies are JPEG: the accurate DCT is what the usual libraries decode with.
        if tf.strings.substr(example["image"], 0, 2) == b"\xff\xd8":
            image = tf.io.decode_jpeg(example["image"], 3, dct_method="INTEGER_ACCURATE")
        else:
            image = tf.io.decode_png(example["image"], 3)
        images.append(image.numpy())
        labels.append(int(example["label"]))
    if len(images) < count:
        raise ValueError(f"--images must be at most {len(images)}; received {count}")
    return np.stack(images), np.array(labels)


def make_chunk(clean, folder, name, severity, seed, start, frost) -> pathlib.Path:
    """The file of the reference of some images; their random numbers depend on their places."""
    import cv2

    cv2.setNumThreads(1)
    images = np.array(np.load(clean, mmap_mode="r")[start : start + CHUNK])
    path = folder / f"{name}_{severity}_{seed}_{start}_{zlib.crc32(images.tobytes()):08x}.npy"
    if path.exists():
        return path
    textures = reference.frost_textures(frost, 32) if name == "frost" else None
    results = []
    for place, image in enumerate(images, start=start):
        random = np.random.default_rng([seed, severity, zlib.crc32(name.encode()), place])
        results.append(reference.reference(image, name, severity, 32, random, textures))
    part = path.with_suffix(".part.npy")
    np.save(part, np.stack(results))
    return part.replace(path)


def ours(images, name, severity, seed, frost) -> np.ndarray:
    from tfrobust.corruptions import corrupt

    chunks = []
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        places = np.arange(start, start + len(chunk))
        options = {"frost_folder": frost} if name == "frost" else {}
        chunks.append(corrupt(chunk, name, severity, seed, index=places, **options).numpy())
    return np.concatenate(chunks)


def standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", required=True, help="weights of a CIFAR ResNet, .npz")
    parser.add_argument("--tfds-data-dir", required=True, help="where cifar10 is")
    parser.add_argument("--frost", required=True, help="folder with frost1 to frost5")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--cache", default="corruption_effect", help="folder of the reference")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=sorted(reference.TABLES))
    parser.add_argument("--reference-only", action="store_true", help="fill the folder, no more")
    parser.add_argument("--out", help="file of the rows, JSON lines")
    options = parser.parse_args()

    folder = pathlib.Path(options.cache)
    folder.mkdir(parents=True, exist_ok=True)
    names = options.only or list(reference.TABLES)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=context) as pool:
        images, labels = cifar10_test(pathlib.Path(options.tfds_data_dir), options.images)
        clean = folder / f"clean_{zlib.crc32(images.tobytes()):08x}_{len(images)}.npy"
        np.save(clean, images)

        def submit(name, severity, seed):
            return [
                pool.submit(make_chunk, clean, folder, name, severity, seed, start, options.frost)
                for start in range(0, len(images), CHUNK)
            ]

        cases = [(name, severity) for name in names for severity in range(1, 6)]
        seeds = {name: 1 if name in DETERMINISTIC else options.seeds for name in names}
        references = {
            (*case, seed): submit(*case, seed) for case in cases for seed in range(seeds[case[0]])
        }
        if options.reference_only:
            for chunks in references.values():
                [chunk.result() for chunk in chunks]
            return
        rows = compare(options, images, labels, cases, seeds, references)
    if options.out:
        from tfrobust import rows as result_rows

        result_rows.write(rows, options.out)


def compare(options, images, labels, cases, seeds, references) -> list:
    import keras
    import tensorflow as tf

    from tfrobust.nets import import_torch_resnet
    from tfrobust.rows import Row

    net = import_torch_resnet(options.net)
    predict = tf.function(lambda x: tf.argmax(net(tf.cast(x, tf.float32) / 255), axis=-1))

    def correct(x):
        starts = range(0, len(x), CHUNK)
        return np.concatenate([predict(x[s : s + CHUNK]).numpy() for s in starts]) == labels

    def row(name, severity, metric, value, seed=0):
        value = float(value)
        return Row(
            net.name, "cifar10/test", name, severity, metric, value, n=len(images), seed=seed
        )

    accuracy = correct(images).mean()
    rows = [row("clean", 0, "accuracy", accuracy)]
    print(
        f"Accuracy in percent of {pathlib.Path(options.net).name} on {len(images)} test images of "
        f"CIFAR-10; clean {100 * accuracy:.2f}. The images are JPEG copies, so numbers are below "
        f"published ones. TensorFlow {tf.__version__}, Keras {keras.__version__}.\n\n"
        "| corruption | severity | ours | reference | difference | standard error | between seeds, "
        "ours | between seeds, reference |\n|---|---|---|---|---|---|---|---|"
    )
    for name, severity in cases:
        mine, theirs = [], []
        for seed in range(seeds[name]):
            mine.append(correct(ours(images, name, severity, seed, options.frost)))
            made = [np.load(chunk.result()) for chunk in references.pop((name, severity, seed))]
            theirs.append(correct(np.concatenate(made)))
            rows.append(row(name, severity, "accuracy", mine[-1].mean(), seed))
            rows.append(row(name, severity, "reference_accuracy", theirs[-1].mean(), seed))
        paired = np.mean(mine, axis=0) - np.mean(theirs, axis=0)
        error = standard_error(paired)
        rows.append(row(name, severity, "difference", paired.mean()))
        rows.append(row(name, severity, "standard_error", error))
        numbers = [np.mean(mine), np.mean(theirs), paired.mean(), error]
        cells = [f"{100 * n:{sign}.2f}" for n, sign in zip(numbers, ("", "", "+", ""))]
        for correct_ones in (mine, theirs):
            spread = [100 * each.mean() for each in correct_ones]
            cells.append(f"{max(spread) - min(spread):.2f}" if len(spread) > 1 else "")
        print(f"| {name} | {severity} | {' | '.join(cells)} |", flush=True)
    return rows


if __name__ == "__main__":
    main()
