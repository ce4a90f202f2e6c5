"""Which published set a folder of files is."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable
from typing import Optional

from tfrobust.dataset_facts import FILE_MD5
from tfrobust.datasets import published
from tfrobust.files import Digest, PathLike
from tfrobust.registries import CORRUPTIONS


def published_as(folder: PathLike, corruptions: Optional[Iterable[str]] = None) -> Optional[str]:
    """Which published set a folder of `.npy` files is, by the MD5 of its files.

    Sets that somebody made again have other checksums: they are no worse files, but a result on
    them must not be called a result on CIFAR-10-C. Reads every byte: 150 MB per corruption.

    Args:
        folder: With `labels.npy` and one file per corruption.
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
        names = [published.canonical_name(name) for name in corruptions]
    if not names:
        raise FileNotFoundError(f"no file of a corruption, such as fog.npy, in {folder}")
    paths = {
        name: published.find_file(folder, f"{name}.npy", published.CIFAR_C)
        for name in ["labels", *names]
    }
    labels = Digest("md5").add(paths["labels"]).hex()
    for published_name, checksums in FILE_MD5.items():
        if labels == checksums["labels"]:
            same = all(Digest("md5").add(paths[name]).hex() == checksums[name] for name in names)
            return published_name if same else None
    return None
