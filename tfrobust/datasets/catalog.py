"""Where each data set is on this machine, and how to get it."""

from __future__ import annotations

import os
import pathlib
from typing import Optional

from tfrobust.dataset_facts import CATALOG
from tfrobust.files import PathLike
from tfrobust.registries import DATASETS


def tfds_folder(data_dir: Optional[PathLike] = None) -> pathlib.Path:
    """The folder of TensorFlow Datasets: `data_dir`, or `TFDS_DATA_DIR`, or its default."""
    # Looked up now; TensorFlow Datasets reads the variable when it is imported.
    named = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(named).expanduser()


def own_folder(name: str, data_dir: Optional[PathLike] = None) -> pathlib.Path:
    """The folder of a data set that is read from its own files.

    Args:
        name: One of `DATASETS`.
        data_dir: That folder; by default a subfolder of `TFROBUST_DATA_DIR`, or of
            `~/tfrobust_datasets`.
    """
    if data_dir is not None:
        return pathlib.Path(data_dir).expanduser()
    root = os.environ.get("TFROBUST_DATA_DIR") or "~/tfrobust_datasets"
    return pathlib.Path(root).expanduser() / CATALOG[name].folder


def find_own_folder(name: str, data_dir: Optional[PathLike] = None) -> pathlib.Path:
    """`own_folder`, which must exist.

    Raises:
        FileNotFoundError: It does not; the message says how to get the data set.
    """
    found = own_folder(name, data_dir)
    if not found.is_dir():
        raise FileNotFoundError(f"{name} is not in {found}; {how_to_get(name)}")
    return found


def how_to_get(name: str) -> str:
    """How to get a data set, for error messages.

    Args:
        name: One of `DATASETS`, or a name in TensorFlow Datasets.
    """
    known = [one for one, entry in CATALOG.items() if name in (one, *entry.prepared)]
    get = f"`tfds build {name}` downloads it"
    if known:
        entry = CATALOG[known[0]]
        get = entry.by_hand or f"`tfrobust datasets prepare {known[0]}` downloads it ({entry.size})"
    which, variable = "TensorFlow Datasets", "TFDS_DATA_DIR"
    if known and not entry.prepared:
        which, variable = "its files", "TFROBUST_DATA_DIR"
    return (
        f"{get}; if it is elsewhere, name the folder of {which} with data_dir (--data-dir) or the "
        f"environment variable {variable}"
    )


def is_present(name: str, data_dir: Optional[PathLike] = None) -> bool:
    """Whether a data set is on this machine, judged without reading it.

    Args:
        name: One of `DATASETS`.
        data_dir: Where to look; by default where `load` looks.

    Raises:
        ValueError: There is no such data set.
    """
    if name not in DATASETS:
        DATASETS[name]  # says which there are
    entry = CATALOG[name]
    if name == "folder":
        return data_dir is not None and pathlib.Path(data_dir).is_dir()
    versions = [tfds_folder(data_dir) / one for one in entry.prepared]
    prepared = all(any(place.glob("*/dataset_info.json")) for place in versions)
    if not entry.folder or (versions and prepared):
        return prepared
    place = own_folder(name, data_dir)
    if versions:  # ImageNet as folders
        return (place / "train").is_dir()
    return place.is_dir() and any(place.iterdir())
