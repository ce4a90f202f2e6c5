"""What is known of each data set before it is read: size, source, licence, where it stands."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Optional

from tfrobust.files import PathLike
from tfrobust.registries import DATASETS


@dataclasses.dataclass(frozen=True)
class Download:
    """A file to fetch.

    Args:
        url: Where it is.
        md5: Its MD5 as published; None where none is.
        unpack: Whether it is an archive.
    """

    url: str
    md5: Optional[str] = None
    unpack: bool = True


@dataclasses.dataclass(frozen=True)
class Entry:
    """A data set.

    Args:
        images: How many there are.
        size: What there is to download.
        source: Where it is published.
        licence: Its licence or terms; "none stated" where its authors name none.
        prepared: Names in TensorFlow Datasets that it is read from.
        folder: Name of its folder below that of all data sets, for one with files of its own.
        downloads: What is fetched into that folder.
        by_hand: What to do where nothing can be fetched without agreeing to terms.
    """

    images: str
    size: str
    source: str
    licence: str
    prepared: tuple[str, ...] = ()
    folder: str = ""
    downloads: tuple[Download, ...] = ()
    by_hand: str = ""


_ZENODO = "https://zenodo.org/records/"
_BERKELEY = "https://people.eecs.berkeley.edu/~hendrycks/"
_CIFAR10_1 = "https://github.com/modestyachts/CIFAR-10.1/raw/master/datasets/"
_IMAGENET_TERMS = "ImageNet's terms: research, not commerce"
_IMAGENET_BY_HAND = (
    "register at https://image-net.org, download ILSVRC2012_img_train.tar and "
    "ILSVRC2012_img_val.tar; then put them into <TFDS folder>/downloads/manual and run `tfds build "
    "imagenet2012`, or unpack them as train/<wnid>/*.JPEG and val/<wnid>/*.JPEG"
)
_IMAGENET = Entry(
    "1,281,167 + 50,000",
    "150 GB",
    "https://image-net.org",
    _IMAGENET_TERMS,
    prepared=("imagenet2012",),
    folder="imagenet",
    by_hand=_IMAGENET_BY_HAND,
)

#: Every data set of `DATASETS`.
CATALOG = {
    "digits": Entry(
        "1,797 in 3 colourings",
        "comes with scikit-learn",
        "https://archive.ics.uci.edu/dataset/80",
        "CC BY 4.0",
    ),
    "corner_digits": Entry(
        "about 6,800 made of 1,797",
        "comes with scikit-learn",
        "https://archive.ics.uci.edu/dataset/80",
        "CC BY 4.0",
    ),
    "mnist": Entry(
        "60,000 + 10,000",
        "11 MB",
        "http://yann.lecun.com/exdb/mnist",
        "CC BY-SA 3.0",
        prepared=("mnist",),
    ),
    "corner_mnist": Entry(
        "about 50,000 + 15,000 + 15,000 made of MNIST",
        "11 MB",
        "http://yann.lecun.com/exdb/mnist",
        "CC BY-SA 3.0",
        prepared=("mnist",),
    ),
    "cifar10": Entry(
        "50,000 + 10,000",
        "163 MB",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "none stated",
        prepared=("cifar10",),
    ),
    "cifar100": Entry(
        "50,000 + 10,000",
        "161 MB",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "none stated",
        prepared=("cifar100",),
    ),
    "tiny_imagenet": Entry(
        "100,000 + 10,000",
        "237 MB",
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        _IMAGENET_TERMS,
        folder="tiny-imagenet-200",
        downloads=(
            Download(
                "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
                "90528d7ca1a48142e341f4ef8d21d0de",
            ),
        ),
    ),
    "imagenet": _IMAGENET,
    "imagenet200": dataclasses.replace(_IMAGENET, images="200 classes of ImageNet"),
    "tifs": dataclasses.replace(_IMAGENET, images="90,000 + 10,000 + 10,000 of ImageNet"),
    "folder": Entry("your own", "-", "your own", "your own"),
    "cifar10_1": Entry(
        "2,000 (v6) or 2,021 (v4)",
        "12 MB",
        "https://github.com/modestyachts/CIFAR-10.1",
        "MIT",
        folder="CIFAR-10.1",
        downloads=tuple(
            Download(f"{_CIFAR10_1}cifar10.1_{version}_{part}.npy", unpack=False)
            for version in ("v4", "v6")
            for part in ("data", "labels")
        ),
    ),
    "cifar10_c": Entry(
        "10,000 x 19 corruptions x 5",
        "2.9 GB",
        f"{_ZENODO}2535967",
        "CC BY 4.0",
        folder="CIFAR-10-C",
        downloads=(
            Download(f"{_ZENODO}2535967/files/CIFAR-10-C.tar", "56bf5dcef84df0e2308c6dcbcbbd8499"),
        ),
    ),
    "cifar100_c": Entry(
        "10,000 x 19 corruptions x 5",
        "2.9 GB",
        f"{_ZENODO}3555552",
        "CC BY 4.0",
        folder="CIFAR-100-C",
        downloads=(
            Download(f"{_ZENODO}3555552/files/CIFAR-100-C.tar", "11f0ed0f1191edbf9fa23466ae6021d3"),
        ),
    ),
    "tiny_imagenet_c": Entry(
        "10,000 x 15 corruptions x 5",
        "not stated",
        f"{_ZENODO}2536630",
        "CC BY 4.0",
        folder="Tiny-ImageNet-C",
        downloads=(Download(f"{_ZENODO}2536630/files/Tiny-ImageNet-C.tar"),),
    ),
    "imagenet_c": Entry(
        "50,000 x 19 corruptions x 5",
        "75 GB",
        f"{_ZENODO}2235448",
        "CC BY 4.0",
        folder="ImageNet-C",
        by_hand=(
            f"download noise.tar, blur.tar, weather.tar, digital.tar and extra.tar from {_ZENODO}"
            "2235448 and unpack them there"
        ),
    ),
    "cifar10_p": Entry(
        "10,000 x 14 sequences",
        "18 GB unpacked",
        f"{_ZENODO}2535967",
        "CC BY 4.0",
        folder="CIFAR-10-P",
        downloads=(Download(f"{_ZENODO}2535967/files/CIFAR-10-P.tar"),),
    ),
    "cifar100_p": Entry(
        "10,000 x 14 sequences",
        "18 GB unpacked",
        "https://github.com/hendrycks/robustness",
        "Apache 2.0",
        folder="CIFAR-100-P",
        by_hand="make it with the script of https://github.com/hendrycks/robustness",
    ),
    "imagenet_p": Entry(
        "50,000 x 14 sequences",
        "not stated",
        f"{_ZENODO}3565846",
        "CC BY 4.0",
        folder="ImageNet-P",
        by_hand=(
            f"download its archives from {_ZENODO}3565846, unpack them there, and the films into "
            "frames (see tfrobust.datasets.imagenet_p)"
        ),
    ),
    "imagenet_r": Entry(
        "30,000",
        "2.2 GB",
        "https://github.com/hendrycks/imagenet-r",
        "MIT",
        folder="imagenet-r",
        downloads=(Download(f"{_BERKELEY}imagenet-r.tar", "a61312130a589d0ca1a8fca1f2bd3337"),),
    ),
    "imagenet_a": Entry(
        "7,500",
        "0.7 GB",
        "https://github.com/hendrycks/natural-adv-examples",
        "MIT",
        folder="imagenet-a",
        downloads=(Download(f"{_BERKELEY}imagenet-a.tar", "c3e55429088dc681f30d81f4726b6595"),),
    ),
}


def tfds_folder(data_dir: Optional[PathLike] = None) -> pathlib.Path:
    """The folder of TensorFlow Datasets: `data_dir`, or `TFDS_DATA_DIR`, or its default."""
    # Looked up now; TensorFlow Datasets reads the variable when it is imported.
    named = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(named).expanduser()


def own_folder(name: str, data_dir: Optional[PathLike] = None) -> pathlib.Path:
    """The folder with the files of a data set that has its own.

    Args:
        name: One of `DATASETS`.
        data_dir: That folder; by default one below `TFROBUST_DATA_DIR`, or below
            `~/tfrobust_datasets`.
    """
    if data_dir is not None:
        return pathlib.Path(data_dir).expanduser()
    root = os.environ.get("TFROBUST_DATA_DIR") or "~/tfrobust_datasets"
    return pathlib.Path(root).expanduser() / CATALOG[name].folder


def find_own_folder(name: str, data_dir: Optional[PathLike] = None) -> pathlib.Path:
    """The folder with the files of a data set, which must be there.

    Raises:
        FileNotFoundError: It is not; the message says how to get it.
    """
    found = own_folder(name, data_dir)
    if not found.is_dir():
        raise FileNotFoundError(f"{name} is not in {found}; {how_to_get(name)}")
    return found


def how_to_get(name: str) -> str:
    """What to do to have a data set, for a message."""
    entry = CATALOG[name]
    get = entry.by_hand or f"`tfrobust datasets prepare {name}` downloads it ({entry.size})"
    which = "TensorFlow Datasets" if entry.prepared else "its files"
    variable = "TFDS_DATA_DIR" if entry.prepared else "TFROBUST_DATA_DIR"
    return (
        f"{get}; if it is elsewhere, name the folder of {which} with data_dir (--data-dir) or the "
        f"environment variable {variable}"
    )


def is_present(name: str, data_dir: Optional[PathLike] = None) -> bool:
    """Whether a data set is on this machine, as far as can be seen without reading it.

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
    if not entry.prepared and not entry.folder:
        return True
    if entry.prepared:
        versions = [tfds_folder(data_dir) / one for one in entry.prepared]
        if all(any(place.glob("*/dataset_info.json")) for place in versions):
            return True
    return bool(entry.folder) and _has_files(own_folder(name, data_dir), entry)


def _has_files(folder: pathlib.Path, entry: Entry) -> bool:
    if entry.prepared:  # ImageNet as folders
        return (folder / "train").is_dir()
    return folder.is_dir() and any(folder.iterdir())
