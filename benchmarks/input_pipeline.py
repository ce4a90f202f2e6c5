"""How fast images come, and how long training waits for them.

Run: python benchmarks/input_pipeline.py [--rounds N] [--photos FOLDER] [--data-dir FOLDER]
[--images N] [--steps N] [--parts arrays photos wait]. In one run, rounds interleaved, medians:

arrays   `pipeline.from_arrays` on 50,000 8-bit images of 32 pixels beside bare tf.data
         (from_tensor_slices, shuffle, batch, map, prefetch), in their order and shuffled.
photos   `pipeline.from_files` with Resize-256-CentreCrop-224 on JPEG files beside bare tf.data that
         reads and decodes the same files, alone ("decode"), and with tf.image.resize in batches of
         float32: to 224 x 224 ("squash"), to a shorter side of 256 and cropped ("crop"), and the
         same with antialias=True ("smoothed"). Only the last gives the pixels of from_files. Aim:
         at least 0.9 of "crop".
wait     The share of its time that a training loop waits for `next(iterator)`: ResNet-20, plain
         training step, batches of 128, images in memory.

--photos takes a folder that is searched for .jpg and .jpeg files; without it, --images made-up
files of 500 x 375 pixels are written to a temporary folder. --data-dir is a folder of TensorFlow
Datasets with cifar10, for "wait"; without it the images are random.

Besides images/s stands the time on all cores an image: on a machine that others use as well it
says more.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from tfrobust import nets
from tfrobust.datasets import pipeline, prepared
from tfrobust.ops import image_decoding
from tfrobust.recipes.method_parts import build_method

MANY = 6000
BATCH_SIZE = 128
TUNED = {"num_parallel_calls": tf.data.AUTOTUNE}


def seconds(function: Callable[[], object]) -> tuple[float, float]:
    """Time by the clock and on all cores."""
    start, busy = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start, time.process_time() - busy


def epoch(data: Iterable) -> None:
    for _ in data:
        pass


def compare(
    cases: dict[str, tf.data.Dataset], images: int, rounds: int, units: tuple[str, ...]
) -> None:
    """Prints each data set's speed, and in parts of that of the data sets called `units`."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for data in cases.values():
        epoch(data)  # files are in the system's cache, tf.data has tuned itself once
    for _ in range(rounds):
        for name, data in cases.items():
            times[name].append(seconds(lambda data=data: epoch(data)))
    print(f"{'':24}{'images/s':>10}", *(f"{'of ' + unit:>12}" for unit in units), end="")
    print(f"{'core ms/image':>16}", *(f"{'of ' + unit:>12}" for unit in units))
    columns = []
    for part in range(2):
        median = {name: statistics.median(t[part] for t in of) for name, of in times.items()}
        columns.append((median, [{n: median[u] / t for n, t in median.items()} for u in units]))
    for name in cases:
        print(f"{name:24}{images / columns[0][0][name]:10,.0f}", end=" ")
        print(*(f"{parts[name]:12.2f}" for parts in columns[0][1]), end="")
        print(f"{1000 * columns[1][0][name] / images:16.4f}", end=" ")
        print(*(f"{parts[name]:12.2f}" for parts in columns[1][1]), flush=True)


def arrays(rounds: int) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, [50_000, 32, 32, 3], "uint8")
    labels = random.integers(0, 10, 50_000, "int32")

    def bare(shuffle):
        data = tf.data.Dataset.from_tensor_slices((images, labels))
        if shuffle:
            data = data.shuffle(len(images), seed=0)
        data = data.batch(BATCH_SIZE)
        data = data.map(lambda x, y: (tf.cast(x, tf.float32) / 255, y), **TUNED)
        return data.prefetch(tf.data.AUTOTUNE)

    def ours(**options):
        settings = pipeline.PipelineOptions(BATCH_SIZE, **options)
        return pipeline.from_arrays(images, labels, classes=10, settings=settings)

    print(f"\n{len(images):,} images of 32 x 32 in memory, batches of {BATCH_SIZE}")
    cases = {
        "bare": bare(False),
        "from_arrays": ours(),
        "shuffled": bare(True),
        "from_arrays, shuffled": ours(shuffle_seed=0),
    }
    compare(cases, len(images), rounds, ("bare", "shuffled"))


def made_up_photographs(folder: pathlib.Path, count: int) -> None:
    """Random colour gradients with noise, as JPEG files of 110 kB, the mean of ImageNet."""
    random = np.random.default_rng(0)
    for i in range(count):
        coarse = random.integers(0, 256, [24, 32, 3], "uint8")
        smooth = np.asarray(Image.fromarray(coarse).resize((500, 375), Image.BICUBIC))
        noisy = np.clip(smooth + random.normal(0, 16, smooth.shape), 0, 255).astype("uint8")
        Image.fromarray(noisy).save(folder / f"{i}.jpg", quality=90)


def photos(folder: pathlib.Path, rounds: int) -> None:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    # So many that an epoch is longer than its start: few files are read several times.
    names = [str(path) for path in paths] * -(-MANY // len(paths))
    labels = np.zeros(len(names), "int32")
    files = tf.data.Dataset.from_tensor_slices((names, labels))

    def decode(path):
        return tf.io.decode_jpeg(tf.io.read_file(path), 3, dct_method="INTEGER_ACCURATE")

    def squash(path):
        return tf.image.resize(decode(path), [224, 224]) / 255

    def crop(path, smoothed=False):
        image = decode(path)
        size = tf.shape(image)[:2]
        size = 256 * size // tf.reduce_min(size)
        image = tf.image.resize(image, size, antialias=smoothed) / 255
        top, left = tf.unstack((size - 224) // 2)
        return tf.ensure_shape(image[top : top + 224, left : left + 224], [224, 224, 3])

    def bare(read):
        data = files.map(lambda path, label: (read(path), label), **TUNED)
        return data.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)

    def ours(**options):
        read = image_decoding.decode_resize_and_crop(256, 224)
        settings = pipeline.PipelineOptions(BATCH_SIZE, cache=False, **options)
        return pipeline.from_files(names, labels, read, settings=settings)

    sizes = statistics.mean(path.stat().st_size for path in paths)
    shapes = {Image.open(path).size for path in paths}
    print(f"\n{len(names)} JPEG files of {sizes / 1000:.0f} kB, such as {min(shapes)}")
    cases = {
        # One pixel of each: images of several sizes make no batch.
        "decode": bare(lambda path: decode(path)[:1, :1]),
        "squash": bare(squash),
        "crop": bare(crop),
        "smoothed": bare(lambda path: crop(path, smoothed=True)),
        "from_files": ours(),
        "from_files, shuffled": ours(shuffle_seed=0),
        "from_files, skip": ours(on_error="skip"),
    }
    compare(cases, len(names), rounds, ("decode", "crop", "smoothed"))


def wait(data_dir: str | None, rounds: int, steps: int) -> None:
    if data_dir is None:
        random = np.random.default_rng(0)
        images = random.integers(0, 256, [50_000, 32, 32, 3], "uint8")
        labels = random.integers(0, 10, 50_000, "int32")
    else:
        found, _ = prepared.read("cifar10", "train", data_dir)
        images, labels = found.images, found.labels
    settings = pipeline.PipelineOptions(BATCH_SIZE, shuffle_seed=0)
    data = pipeline.from_arrays(images, labels, classes=10, settings=settings)
    model = build_method("baseline", nets.resnet_20(), None, {})
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), jit_compile=False)
    step = tf.function(lambda x, y: model.train_step((x, y))["loss"])
    shares, waits, totals = [], [], []
    for round_ in range(rounds + 1):
        iterator = iter(data.repeat())
        images, labels = next(iterator)  # fills the shuffling buffer: once an epoch
        step(images, labels)
        waited, start = 0.0, time.perf_counter()
        for _ in range(steps):
            before = time.perf_counter()
            images, labels = next(iterator)
            waited += time.perf_counter() - before
            step(images, labels).numpy()
        total = time.perf_counter() - start
        if round_:
            shares.append(waited / total)
            waits.append(1000 * waited / steps)
            totals.append(1000 * total / steps)
    kind = "random images" if data_dir is None else "CIFAR-10"
    print(f"\nResNet-20, {kind}, batches of {BATCH_SIZE}, {steps} steps, median of {rounds} rounds")
    share, least, most = (100 * f(shares) for f in (statistics.median, min, max))
    print(
        f"a step {statistics.median(totals):.1f} ms, of it waiting {statistics.median(waits):.2f} "
        f"ms: {share:.2f}% (from {least:.2f} to {most:.2f}%)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--photos", type=pathlib.Path)
    parser.add_argument("--data-dir")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--parts", nargs="+", default=["arrays", "photos", "wait"])
    options = parser.parse_args()
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}")
    if "arrays" in options.parts:
        arrays(options.rounds)
    if "photos" in options.parts:
        with tempfile.TemporaryDirectory() as made_up:
            folder = options.photos or pathlib.Path(made_up)
            if options.photos is None:
                made_up_photographs(folder, options.images)
            photos(folder, options.rounds)
    if "wait" in options.parts:
        wait(options.data_dir, options.rounds, options.steps)


if __name__ == "__main__":
    main()
