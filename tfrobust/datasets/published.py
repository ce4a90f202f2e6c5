"""The published robustness test sets: names, sources and files.

Nothing is downloaded here. A file that is missing, truncated or of another shape is reported in one
sentence, with its name, where it was looked for and where to get it.
"""

from __future__ import annotations

import pathlib
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from tfrobust.dataset_facts import BY_TITLE
from tfrobust.datasets.reading import Read
from tfrobust.datasets.source import Files
from tfrobust.files import PathLike
from tfrobust.ops import image_decoding
from tfrobust.registries import CORRUPTIONS

#: Other names of corruptions.
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

#: Exceptions of opening a `.npy` file that is truncated or none at all.
NOT_WHOLE = (ValueError, OSError, SyntaxError)

#: File name endings of images.
IMAGE_ENDINGS = (".jpeg", ".jpg", ".jfif", ".png", ".bmp", ".gif")
#: Pictures that TensorFlow does not decode: they are named, not left out without a word.
OTHER_ENDINGS = (".webp", ".tif", ".tiff", ".heic", ".avif", ".jp2")


def canonical_name(name: str) -> str:
    """The name of a corruption in this package, from any of its other names.

    Case, spaces, hyphens and the ending `.npy` do not matter.

    Args:
        name: A name from `CORRUPTIONS` or an alias, such as those of TensorFlow Datasets.

    Returns:
        One of `CORRUPTIONS`.

    Raises:
        ValueError: There is no corruption of that name.

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
    """A name in lower case, with underscores and without `.npy`."""
    return re.sub(r"[\s_-]+", "_", str(name).strip().removesuffix(".npy").lower())


#: Sets in the same format, for error messages.
CIFAR_C = ("CIFAR-10-C", "CIFAR-100-C")
IMAGENET_C = ("ImageNet-C", "Tiny-ImageNet-C")


def sources(names: Sequence[str]) -> str:
    """Where to get some sets, for error messages."""
    return ", ".join(f"{BY_TITLE[name].source} ({name})" for name in names)


def find_file(folder: PathLike, name: str, sets: Sequence[str]) -> pathlib.Path:
    """The path of a file, which must exist.

    Raises:
        FileNotFoundError: It does not.
    """
    path = pathlib.Path(folder) / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{name} must stand in the folder; looked for {path}; get it from {sources(sets)}"
        )
    return path


def open_array(path: pathlib.Path, dtype: Any, shape: str, sets: Sequence[str]) -> np.ndarray:
    """Open a `.npy` file as a memory-mapped array.

    Args:
        path: The file.
        dtype: Type that its numbers must have, as a NumPy type (`np.uint8`, `np.integer`).
        shape: Its shape, such as `"[N, 32, 32, 3]"`, with letters for any number.
        sets: The sets that it may belong to, for error messages.

    Returns:
        A memory-mapped, read-only array.

    Raises:
        ValueError: It is not a `.npy` file, truncated, or has another type or shape. Python objects
            are never loaded.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except NOT_WHOLE as error:
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
    """Labels from a `.npy` file, int32 [N], which must not be negative."""
    labels = np.array(open_array(path, np.integer, "[N]", sets))
    if labels.min() < 0:
        raise ValueError(f"{path} must hold class indices from 0; it holds {labels.min()}")
    return labels.astype("int32")


def find_folder(
    folder: PathLike, names: Sequence[str], groups: Sequence[str], sets: Sequence[str]
) -> pathlib.Path:
    """The subfolder `names[0]/names[1]/...`, possibly below a group such as `noise/`.

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
        folder: With one subfolder per class.
        wnids: Names of the classes in the order of the labels; None takes all subfolders, sorted.
        counts: Numbers of classes allowed without `wnids`: with one missing, all labels after it
            would be wrong.

    Raises:
        FileNotFoundError: There is no subfolder at all, or none for a class.
        ValueError: The number of subfolders is not in `counts`.
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
    """The images in some folders, sorted by name, and the index of the folder of each.

    Raises:
        FileNotFoundError: A folder holds no image.
    """
    paths: list[str] = []
    labels: list[int] = []
    others: list[pathlib.Path] = []
    for label, folder in enumerate(folders):
        there = list(folder.iterdir())
        names = natural_order(p.name for p in there if is_image(p))
        others += [p for p in there if p.suffix.lower() in OTHER_ENDINGS]
        if not names:
            raise FileNotFoundError(
                f"{folder} must hold images ({', '.join(IMAGE_ENDINGS)}); it holds none"
            )
        paths.extend(str(folder / name) for name in names)
        labels.extend([label] * len(names))
    if others:
        warnings.warn(
            f"{len(others)} pictures are left out, because TensorFlow does not decode their kind, "
            f"such as {others[0]} (convert them to JPEG or PNG)",
            RuntimeWarning,
            stacklevel=2,
        )
    return paths, np.array(labels, "int32")


def class_files(
    folder: pathlib.Path,
    wnids: Optional[Sequence[str]],
    counts: Sequence[int] = (),
    read: Optional[Read] = None,
) -> Files:
    """The images in the folder of each class: see `class_folders`.

    Args:
        folder: With one subfolder per class.
        wnids: As for `class_folders`.
        counts: As for `class_folders`.
        read: Turns the contents of a file into an image; by default all must have the size of the
            first.
    """
    paths, labels = image_files(class_folders(folder, wnids, counts))
    return Files(paths, labels, read or same_size(paths[0]))


def is_image(path: pathlib.Path) -> bool:
    """Whether a file name has the ending of an image and is not hidden."""
    return path.suffix.lower() in IMAGE_ENDINGS and not path.name.startswith(".")


def natural_order(names: Iterable[str]) -> list[str]:
    """Names in natural order: 10 after 9."""

    def key(name):
        parts = re.split(r"(\d+)", name)
        return [int(part) if part.isdigit() else part for part in parts]

    return sorted(names, key=key)


def same_size(path: str) -> Read:
    """A function that decodes the contents of a file to an image of the same size as `path`."""
    height, width = image_decoding.decode(tf.io.read_file(path)).shape[:2]
    exact = image_decoding.exact_size(height, width)
    return lambda contents: exact(image_decoding.decode(contents))
