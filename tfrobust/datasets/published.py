"""The published test sets of robustness: their names, where they come from, and their files.

Nothing is downloaded here. What is missing, cut off or of another shape is said in one sentence,
with the name that the file must have, where it was looked for, and where to get it.
"""

from __future__ import annotations

import hashlib
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Callable, Optional

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.files import PathLike
from tfrobust.registries import CORRUPTIONS

#: Where each set is published.
SOURCES = {
    "CIFAR-10-C": "https://zenodo.org/records/2535967",
    "CIFAR-100-C": "https://zenodo.org/records/3555552",
    "ImageNet-C": "https://zenodo.org/records/2235448",
    "Tiny-ImageNet-C": "https://zenodo.org/records/2536630",
    "CIFAR-10-P": "https://zenodo.org/records/2535967",
    "CIFAR-100-P": "https://github.com/hendrycks/robustness",
    "ImageNet-P": "https://zenodo.org/records/3565846",
    "CIFAR-10.1": "https://github.com/modestyachts/CIFAR-10.1",
    "ImageNet-R": "https://github.com/hendrycks/imagenet-r",
    "ImageNet-A": "https://github.com/hendrycks/natural-adv-examples",
}

#: MD5 of the archives, as one downloads them.
ARCHIVE_MD5 = {
    "CIFAR-10-C.tar": "56bf5dcef84df0e2308c6dcbcbbd8499",
    "CIFAR-100-C.tar": "11f0ed0f1191edbf9fa23466ae6021d3",
    "CIFAR-10-P.tar": "125d6775afc5846ea84584d7524dedff",
}

#: MD5 of the files in them.
FILE_MD5 = {
    "CIFAR-10-C": {
        "labels": "c439b113295ed5254878798ffe28fd54",
        "brightness": "0a81ef75e0b523c3383219c330a85d48",
        "contrast": "3c8262171c51307f916c30a3308235a8",
        "defocus_blur": "7d1322666342a0702b1957e92f6254bc",
        "elastic_transform": "9421657c6cd452429cf6ce96cc412b5f",
        "fog": "7b397314b5670f825465fbcd1f6e9ccd",
        "frost": "31f6ab3bce1d9934abfb0cc13656f141",
        "gaussian_blur": "c33370155bc9b055fb4a89113d3c559d",
        "gaussian_noise": "ecaf8b9a2399ffeda7680934c33405fd",
        "glass_blur": "7361fb4019269e02dbf6925f083e8629",
        "impulse_noise": "2090e01c83519ec51427e65116af6b1a",
        "jpeg_compression": "2b9cc4c864e0193bb64db8d7728f8187",
        "motion_blur": "fffa5f852ff7ad299cfe8a7643f090f4",
        "pixelate": "0f14f7e2db14288304e1de10df16832f",
        "saturate": "1cfae0964219c5102abbb883e538cc56",
        "shot_noise": "3a7239bb118894f013d9bf1984be7f11",
        "snow": "bb238de8555123da9c282dea23bd6e55",
        "spatter": "8a5a3903a7f8f65b59501a6093b4311e",
        "speckle_noise": "ef00b87611792b00df09c0b0237a1e30",
        "zoom_blur": "6ea8e63f1c5cdee1517533840641641b",
    },
    "CIFAR-100-C": {
        "labels": "bb4026e9ce52996b95f439544568cdb2",
        "brightness": "f22d7195aecd6abb541e27fca230c171",
        "contrast": "322bb385f1d05154ee197ca16535f71e",
        "defocus_blur": "d923e3d9c585a27f0956e2f2ad832564",
        "elastic_transform": "a0792bd6581f6810878be71acedfc65a",
        "fog": "4efc7ebd5e82b028bdbe13048e3ea564",
        "frost": "3a39c6823bdfaa0bf8b12fe7004b8117",
        "gaussian_blur": "5204ba0d557839772ef5a4196a052c3e",
        "gaussian_noise": "ecc4d366eac432bdf25c024086f5e97d",
        "glass_blur": "0bf384f38e5ccbf8dd479d9059b913e1",
        "impulse_noise": "3b3c210ddfa0b5cb918ff4537a429fef",
        "jpeg_compression": "c851b7f1324e1d2ffddeb76920576d11",
        "motion_blur": "732a7e2e54152ff97c742d4c388c5516",
        "pixelate": "96c00c60f144539e14cffb02ddbd0640",
        "saturate": "c0697e9fdd646916a61e9c312c77bf6b",
        "shot_noise": "b0a1fa6e1e465a747c1b204b1914048a",
        "snow": "0237be164583af146b7b144e73b43465",
        "spatter": "12ccf41d62564d36e1f6a6ada5022728",
        "speckle_noise": "e3f215b1a0f9fd9fd6f0d1cf94a7ce99",
        "zoom_blur": "0204613400c034a81c4830d5df81cb82",
    },
}

#: What else a corruption is called.
ALIASES = {
    "frosted_glass_blur": "glass_blur",
    "frosted_glass": "glass_blur",
    "glass": "glass_blur",
    "elastic": "elastic_transform",
    "jpeg": "jpeg_compression",
    "defocus": "defocus_blur",
    "motion": "motion_blur",
    "zoom": "zoom_blur",
    "shot": "shot_noise",
    "impulse": "impulse_noise",
    "speckle": "speckle_noise",
    "pixelation": "pixelate",
    "saturation": "saturate",
}

#: Endings of files with an image.
IMAGE_ENDINGS = (".jpeg", ".jpg", ".png")


def canonical_name(name: str) -> str:
    """The project's name of a corruption, whatever another program calls it.

    Upper case, blanks and hyphens do not matter, nor does the ending `.npy`.

    Args:
        name: A name from `CORRUPTIONS` or one of its aliases, such as those of
            `tensorflow_datasets`.

    Returns:
        One of `CORRUPTIONS`.

    Raises:
        ValueError: No corruption is called so.

    Example:

    >>> canonical_name("Frosted-Glass blur"), canonical_name("elastic")
    ('glass_blur', 'elastic_transform')
    """
    plain = plain_name(name)
    plain = ALIASES.get(plain, plain)
    if plain not in CORRUPTIONS:
        CORRUPTIONS[name]  # says which there are
    return plain


def plain_name(name: str) -> str:
    """A name in lower case with underscores, without `.npy`."""
    return re.sub(r"[\s_-]+", "_", str(name).strip().removesuffix(".npy").lower())


def published_as(folder: PathLike, corruptions: Optional[Iterable[str]] = None) -> Optional[str]:
    """Which published set a folder of `.npy` files is, by the MD5 of its files.

    Sets that somebody made again have other checksums: they are no worse files, but a result on
    them must not be called a result on CIFAR-10-C. Reads every byte: 150 MB a corruption.

    Args:
        folder: With `labels.npy` and a file a corruption.
        corruptions: Which files to look at; by default all that are there.

    Returns:
        `"CIFAR-10-C"`, `"CIFAR-100-C"`, or None if a file is not one of the published ones.

    Raises:
        FileNotFoundError: A file is missing.
    """
    folder = pathlib.Path(folder)
    if corruptions is None:
        names = [name for name in CORRUPTIONS if (folder / f"{name}.npy").exists()]
    else:
        names = [canonical_name(name) for name in corruptions]
    if not names:
        raise FileNotFoundError(f"no file of a corruption, such as fog.npy, in {folder}")
    paths = {name: find_file(folder, f"{name}.npy", CIFAR_C) for name in ["labels", *names]}
    labels = _md5(paths["labels"])
    for published, checksums in FILE_MD5.items():
        if labels == checksums["labels"]:
            same = all(_md5(paths[name]) == checksums[name] for name in names)
            return published if same else None
    return None


def _md5(path: pathlib.Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


#: The sets whose files are read alike, for messages.
CIFAR_C = ("CIFAR-10-C", "CIFAR-100-C")
IMAGENET_C = ("ImageNet-C", "Tiny-ImageNet-C")


def sources(names: Sequence[str]) -> str:
    """Where to get some sets, for a message."""
    return ", ".join(f"{SOURCES[name]} ({name})" for name in names)


def find_file(folder: PathLike, name: str, sets: Sequence[str]) -> pathlib.Path:
    """The path of a file that must be there.

    Raises:
        FileNotFoundError: It is not.
    """
    path = pathlib.Path(folder) / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{name} must stand in the folder; looked for {path}; get it from {sources(sets)}"
        )
    return path


def open_array(path: pathlib.Path, dtype: Any, shape: str, sets: Sequence[str]) -> np.ndarray:
    """A `.npy` file, read as its values are used.

    Args:
        path: The file.
        dtype: Kind of number that it must hold, as a NumPy type (`np.uint8`, `np.integer`).
        shape: What its shape must be, such as `"[N, 32, 32, 3]"`: numbers, or letters for any.
        sets: Where it comes from.

    Returns:
        A memory-mapped array.

    Raises:
        ValueError: It is no such file, or not whole, or holds something else. Python objects are
            never loaded.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, SyntaxError) as error:
        raise ValueError(
            f"{path} must be a whole .npy file of plain numbers; reading it failed: {error} (a "
            f"broken download? get it again from {sources(sets)})"
        ) from error
    wanted = shape.strip("[]").split(", ")
    fits = len(wanted) == array.ndim and all(
        not want.isdigit() or int(want) == size for want, size in zip(wanted, array.shape)
    )
    if not (fits and np.issubdtype(array.dtype, dtype)) or 0 in array.shape:
        raise ValueError(
            f"{path} must hold {np.dtype(dtype).name if dtype is np.uint8 else 'whole numbers'} "
            f"of shape {shape}; it holds {array.dtype.name} of shape {list(array.shape)}"
        )
    return array


def open_labels(path: pathlib.Path, sets: Sequence[str]) -> np.ndarray:
    """Labels from a `.npy` file, int32 [N]."""
    labels = np.array(open_array(path, np.integer, "[N]", sets))
    if labels.min() < 0:
        raise ValueError(f"{path} must hold class indices from 0; it holds {labels.min()}")
    return labels.astype("int32")


def find_folder(
    folder: PathLike, names: Sequence[str], groups: Sequence[str], sets: Sequence[str]
) -> pathlib.Path:
    """The subfolder `names[0]/names[1]/...`, also below a group such as `noise/`.

    Raises:
        FileNotFoundError: There is none.
    """
    folder = pathlib.Path(folder)
    places = [folder.joinpath(*names), *(folder.joinpath(group, *names) for group in groups)]
    for place in places:
        if place.is_dir():
            return place
    within = f", also below {', '.join(groups)}" if groups else ""
    raise FileNotFoundError(
        f"{places[0]} must be a folder; there is none{within}; get it from {sources(sets)}"
    )


def class_folders(
    folder: pathlib.Path, wnids: Optional[Sequence[str]], counts: Sequence[int]
) -> list[pathlib.Path]:
    """The folder of each class, in the order of the labels.

    Args:
        folder: With a subfolder a class.
        wnids: The names of all classes in the order of the labels; None takes the sorted names.
        counts: How many classes there must be then: with one missing, all later labels would be
            wrong.

    Raises:
        FileNotFoundError: There is no subfolder, or not one of a class.
        ValueError: There are subfolders of another number.
    """
    found = sorted(place.name for place in folder.iterdir() if place.is_dir())
    if not found:
        raise FileNotFoundError(f"{folder} must hold a folder for each class; it holds none")
    if wnids is None:
        if len(found) not in counts:
            raise ValueError(
                f"{folder} must hold a folder for each of {' or '.join(map(str, counts))} classes; "
                f"it holds {len(found)} (with wnids=... a part of the classes can be named)"
            )
        wnids = found
    if missing := sorted(set(wnids) - set(found)):
        raise FileNotFoundError(
            f"{folder} must hold a folder for each class; {len(missing)} are missing, such as "
            f"{missing[0]}"
        )
    return [folder / wnid for wnid in wnids]


def image_files(folders: Sequence[pathlib.Path]) -> tuple[list[str], np.ndarray]:
    """The images in folders, sorted by name, and the number of the folder of each.

    Raises:
        FileNotFoundError: A folder holds no image.
    """
    paths: list[str] = []
    labels: list[int] = []
    for label, folder in enumerate(folders):
        names = natural_order(p.name for p in folder.iterdir() if is_image(p))
        if not names:
            raise FileNotFoundError(
                f"{folder} must hold images ({', '.join(IMAGE_ENDINGS)}); it holds none"
            )
        paths.extend(str(folder / name) for name in names)
        labels.extend([label] * len(names))
    return paths, np.array(labels, "int32")


def is_image(path: pathlib.Path) -> bool:
    """Whether the ending of a name is that of an image."""
    return path.suffix.lower() in IMAGE_ENDINGS


def natural_order(names: Iterable[str]) -> list[str]:
    """Names sorted so that 10 comes after 9."""

    def key(name):
        parts = re.split(r"(\d+)", name)
        return [int(part) if part.isdigit() else part for part in parts]

    return sorted(names, key=key)


def decode(path: tf.Tensor) -> tf.Tensor:
    """The image in a file, uint8 [H, W, 3], as Pillow decodes it."""
    # Of a PNG the operation makes no JPEG: it looks at the content.
    return tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")


def to_float(images: tf.Tensor) -> tf.Tensor:
    """8 bits to float32 in [0, 1]."""
    return tf.cast(images, tf.float32) / 255


def same_size(path: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function that decodes images, all of which have the size of the one in `path`."""
    shape = decode(tf.constant(path)).shape
    size = f"{shape[0]}x{shape[1]}"

    def read(other):
        image = decode(other)
        right = tf.debugging.assert_equal(
            tf.shape(image), shape, f"all images must have the size of {path}, {size} pixels"
        )
        with tf.control_dependencies([right]):
            return to_float(tf.ensure_shape(image, shape))

    return read


def batches(
    paths: Sequence[str],
    labels: np.ndarray,
    read: Callable[[tf.Tensor], tf.Tensor],
    batch_size: int,
) -> tf.data.Dataset:
    """Batches of (images, labels) from files, in their order.

    Args:
        paths: Of the images.
        labels: [N] int32.
        read: Path to image float32 [H, W, 3], always the same size.
        batch_size: Images a batch; the last batch may be smaller.
    """
    checks.check_whole("batch_size", batch_size, 1, 2**31 - 1)
    data = tf.data.Dataset.from_tensor_slices((list(paths), labels))
    data = data.map(lambda path, label: (read(path), label), num_parallel_calls=tf.data.AUTOTUNE)
    return data.batch(batch_size).prefetch(tf.data.AUTOTUNE)
