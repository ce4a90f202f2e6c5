"""What is known of each data set before it is read: size, source, licence, checksums.

The names are those of `registries.DATASETS`. Nothing is imported here but the standard library.
"""

from __future__ import annotations

import dataclasses
from typing import Optional


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
        title: What its authors call it, where that is not the name in `DATASETS`.
    """

    images: str
    size: str
    source: str
    licence: str
    prepared: tuple[str, ...] = ()
    folder: str = ""
    downloads: tuple[Download, ...] = ()
    by_hand: str = ""
    title: str = ""


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
        title="CIFAR-10.1",
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
        title="CIFAR-10-C",
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
        title="CIFAR-100-C",
    ),
    "tiny_imagenet_c": Entry(
        "10,000 x 15 corruptions x 5",
        "not stated",
        f"{_ZENODO}2536630",
        "CC BY 4.0",
        folder="Tiny-ImageNet-C",
        downloads=(Download(f"{_ZENODO}2536630/files/Tiny-ImageNet-C.tar"),),
        title="Tiny-ImageNet-C",
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
        title="ImageNet-C",
    ),
    "cifar10_p": Entry(
        "10,000 x 14 sequences",
        "18 GB unpacked",
        f"{_ZENODO}2535967",
        "CC BY 4.0",
        folder="CIFAR-10-P",
        downloads=(
            Download(f"{_ZENODO}2535967/files/CIFAR-10-P.tar", "125d6775afc5846ea84584d7524dedff"),
        ),
        title="CIFAR-10-P",
    ),
    "cifar100_p": Entry(
        "10,000 x 14 sequences",
        "18 GB unpacked",
        "https://github.com/hendrycks/robustness",
        "Apache 2.0",
        folder="CIFAR-100-P",
        by_hand="make it with the script of https://github.com/hendrycks/robustness",
        title="CIFAR-100-P",
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
        title="ImageNet-P",
    ),
    "imagenet_r": Entry(
        "30,000",
        "2.2 GB",
        "https://github.com/hendrycks/imagenet-r",
        "MIT",
        folder="imagenet-r",
        downloads=(Download(f"{_BERKELEY}imagenet-r.tar", "a61312130a589d0ca1a8fca1f2bd3337"),),
        title="ImageNet-R",
    ),
    "imagenet_a": Entry(
        "7,500",
        "0.7 GB",
        "https://github.com/hendrycks/natural-adv-examples",
        "MIT",
        folder="imagenet-a",
        downloads=(Download(f"{_BERKELEY}imagenet-a.tar", "c3e55429088dc681f30d81f4726b6595"),),
        title="ImageNet-A",
    ),
}

#: What the authors call a set to its entry.
BY_TITLE = {entry.title: entry for entry in CATALOG.values() if entry.title}

#: MD5 of the files of the published sets of corrupted images, without `.npy`.
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
