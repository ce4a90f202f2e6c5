"""Facts about the data sets: size, source, licence, checksums, class names.

The names are those of `registries.DATASETS`. Only the standard library is imported here.
"""

from __future__ import annotations

import dataclasses
from typing import Optional


@dataclasses.dataclass(frozen=True)
class Download:
    """A file to download.

    Args:
        url: Its address.
        md5: Its published MD5; None if there is none.
        unpack: Whether it is an archive, zip or tar.
    """

    url: str
    md5: Optional[str] = None
    unpack: bool = True


@dataclasses.dataclass(frozen=True)
class Entry:
    """A data set.

    Args:
        images: Number of images.
        size: Size of the download.
        source: Where it is published.
        licence: Its licence or terms; "none stated" if its authors name none.
        prepared: Names of the data sets in TensorFlow Datasets that it is read from.
        folder: Name of its folder, for a data set with its own files.
        downloads: Files that are downloaded into that folder.
        by_hand: What to do if it cannot be downloaded without agreeing to terms.
        title: Its published name, if that is not the name in `DATASETS`.
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


_CIFAR10_1 = "https://github.com/modestyachts/CIFAR-10.1"
_ROBUSTNESS = "https://github.com/hendrycks/robustness"
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

_DIGITS = Entry(
    "1,797 in 3 colourings",
    "comes with scikit-learn",
    "https://archive.ics.uci.edu/dataset/80",
    "CC BY 4.0",
)
_MNIST = Entry(
    "60,000 + 10,000", "11 MB", "http://yann.lecun.com/exdb/mnist", "CC BY-SA 3.0", ("mnist",)
)
_CIFAR_10 = Entry(
    "50,000 + 10,000",
    "163 MB",
    "https://www.cs.toronto.edu/~kriz/cifar.html",
    "none stated",
    ("cifar10",),
)
_TINY_IMAGENET = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"


def _zenodo(
    images: str, size: str, record: int, title: str, md5: Optional[str] = None, by_hand: str = ""
) -> Entry:
    """A set on Zenodo: one archive, or several to be unpacked by hand."""
    source = f"https://zenodo.org/records/{record}"
    archive = Download(f"{source}/files/{title}.tar", md5)
    return Entry(
        images,
        size,
        source,
        "CC BY 4.0",
        folder=title,
        downloads=() if by_hand else (archive,),
        by_hand=by_hand.format(source=source),
        title=title,
    )


def _berkeley(images: str, size: str, source: str, title: str, md5: str) -> Entry:
    folder = title.lower()
    url = f"https://people.eecs.berkeley.edu/~hendrycks/{folder}.tar"
    downloads = (Download(url, md5),)
    return Entry(images, size, source, "MIT", folder=folder, downloads=downloads, title=title)


#: All data sets of `DATASETS`.
CATALOG = {
    "digits": _DIGITS,
    "corner_digits": dataclasses.replace(_DIGITS, images="about 6,800 made of 1,797"),
    "mnist": _MNIST,
    "corner_mnist": dataclasses.replace(
        _MNIST, images="about 50,000 + 15,000 + 15,000 made of MNIST"
    ),
    "cifar10": _CIFAR_10,
    "cifar100": dataclasses.replace(_CIFAR_10, size="161 MB", prepared=("cifar100",)),
    "tiny_imagenet": Entry(
        "100,000 + 10,000",
        "237 MB",
        _TINY_IMAGENET,
        _IMAGENET_TERMS,
        folder="tiny-imagenet-200",
        downloads=(Download(_TINY_IMAGENET, "90528d7ca1a48142e341f4ef8d21d0de"),),
    ),
    "imagenet": _IMAGENET,
    "imagenet200": dataclasses.replace(_IMAGENET, images="200 classes of ImageNet"),
    "tifs": dataclasses.replace(_IMAGENET, images="90,000 + 10,000 + 10,000 of ImageNet"),
    "folder": Entry("your own", "-", "your own", "your own"),
    "cifar10_1": Entry(
        "2,000 (v6) or 2,021 (v4)",
        "12 MB",
        _CIFAR10_1,
        "MIT",
        folder="CIFAR-10.1",
        downloads=tuple(
            Download(f"{_CIFAR10_1}/raw/master/datasets/cifar10.1_{part}.npy", unpack=False)
            for part in ("v4_data", "v4_labels", "v6_data", "v6_labels")
        ),
        title="CIFAR-10.1",
    ),
    "cifar10_c": _zenodo(
        "10,000 x 19 corruptions x 5",
        "2.9 GB",
        2535967,
        "CIFAR-10-C",
        "56bf5dcef84df0e2308c6dcbcbbd8499",
    ),
    "cifar100_c": _zenodo(
        "10,000 x 19 corruptions x 5",
        "2.9 GB",
        3555552,
        "CIFAR-100-C",
        "11f0ed0f1191edbf9fa23466ae6021d3",
    ),
    "tiny_imagenet_c": _zenodo(
        "10,000 x 15 corruptions x 5", "not stated", 2536630, "Tiny-ImageNet-C"
    ),
    "imagenet_c": _zenodo(
        "50,000 x 19 corruptions x 5",
        "75 GB",
        2235448,
        "ImageNet-C",
        by_hand="download noise.tar, blur.tar, weather.tar, digital.tar and extra.tar from {source}"
        " and unpack them there",
    ),
    "cifar10_p": _zenodo(
        "10,000 x 14 sequences",
        "18 GB unpacked",
        2535967,
        "CIFAR-10-P",
        "125d6775afc5846ea84584d7524dedff",
    ),
    "cifar100_p": Entry(
        "10,000 x 14 sequences",
        "18 GB unpacked",
        _ROBUSTNESS,
        "Apache 2.0",
        folder="CIFAR-100-P",
        by_hand=f"make it with the script of {_ROBUSTNESS}",
        title="CIFAR-100-P",
    ),
    "imagenet_p": _zenodo(
        "50,000 x 14 sequences",
        "not stated",
        3565846,
        "ImageNet-P",
        by_hand="download its archives from {source}, unpack them there, and the videos into "
        "frames (see tfrobust.datasets.imagenet_p)",
    ),
    "imagenet_r": _berkeley(
        "30,000",
        "2.2 GB",
        "https://github.com/hendrycks/imagenet-r",
        "ImageNet-R",
        "a61312130a589d0ca1a8fca1f2bd3337",
    ),
    "imagenet_a": _berkeley(
        "7,500",
        "0.7 GB",
        "https://github.com/hendrycks/natural-adv-examples",
        "ImageNet-A",
        "c3e55429088dc681f30d81f4726b6595",
    ),
}

#: Published names to entries.
BY_TITLE = {entry.title: entry for entry in CATALOG.values() if entry.title}

#: MD5 of the files of the published corrupted sets, by name without `.npy`.
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

# fmt: off
CIFAR_10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)

CIFAR_100_CLASSES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup",
    "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house",
    "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man",
    "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
    "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy",
    "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal",
    "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar",
    "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman",
    "worm",
)

#: WordNet names of the classes of Tiny ImageNet, sorted, which is the order of the labels.
TINY_IMAGENET_CLASSES = (
    "n01443537", "n01629819", "n01641577", "n01644900", "n01698640", "n01742172", "n01768244",
    "n01770393", "n01774384", "n01774750", "n01784675", "n01855672", "n01882714", "n01910747",
    "n01917289", "n01944390", "n01945685", "n01950731", "n01983481", "n01984695", "n02002724",
    "n02056570", "n02058221", "n02074367", "n02085620", "n02094433", "n02099601", "n02099712",
    "n02106662", "n02113799", "n02123045", "n02123394", "n02124075", "n02125311", "n02129165",
    "n02132136", "n02165456", "n02190166", "n02206856", "n02226429", "n02231487", "n02233338",
    "n02236044", "n02268443", "n02279972", "n02281406", "n02321529", "n02364673", "n02395406",
    "n02403003", "n02410509", "n02415577", "n02423022", "n02437312", "n02480495", "n02481823",
    "n02486410", "n02504458", "n02509815", "n02666196", "n02669723", "n02699494", "n02730930",
    "n02769748", "n02788148", "n02791270", "n02793495", "n02795169", "n02802426", "n02808440",
    "n02814533", "n02814860", "n02815834", "n02823428", "n02837789", "n02841315", "n02843684",
    "n02883205", "n02892201", "n02906734", "n02909870", "n02917067", "n02927161", "n02948072",
    "n02950826", "n02963159", "n02977058", "n02988304", "n02999410", "n03014705", "n03026506",
    "n03042490", "n03085013", "n03089624", "n03100240", "n03126707", "n03160309", "n03179701",
    "n03201208", "n03250847", "n03255030", "n03355925", "n03388043", "n03393912", "n03400231",
    "n03404251", "n03424325", "n03444034", "n03447447", "n03544143", "n03584254", "n03599486",
    "n03617480", "n03637318", "n03649909", "n03662601", "n03670208", "n03706229", "n03733131",
    "n03763968", "n03770439", "n03796401", "n03804744", "n03814639", "n03837869", "n03838899",
    "n03854065", "n03891332", "n03902125", "n03930313", "n03937543", "n03970156", "n03976657",
    "n03977966", "n03980874", "n03983396", "n03992509", "n04008634", "n04023962", "n04067472",
    "n04070727", "n04074963", "n04099969", "n04118538", "n04133789", "n04146614", "n04149813",
    "n04179913", "n04251144", "n04254777", "n04259630", "n04265275", "n04275548", "n04285008",
    "n04311004", "n04328186", "n04356056", "n04366367", "n04371430", "n04376876", "n04398044",
    "n04399382", "n04417672", "n04456115", "n04465501", "n04486054", "n04487081", "n04501370",
    "n04507155", "n04532106", "n04532670", "n04540053", "n04560804", "n04562935", "n04596742",
    "n04597913", "n06596364", "n07579787", "n07583066", "n07614500", "n07615774", "n07695742",
    "n07711569", "n07715103", "n07720875", "n07734744", "n07747607", "n07749582", "n07753592",
    "n07768694", "n07871810", "n07873807", "n07875152", "n07920052", "n09193705", "n09246464",
    "n09256479", "n09332890", "n09428293", "n12267677",
)

#: The 200 of ImageNet's 1,000 classes that are in ImageNet-R, in the order of its labels: sorted by
#: WordNet name, and so by index. Take these logits before the softmax.
IMAGENET_R_CLASSES = (
    1, 2, 4, 6, 8, 9, 11, 13, 22, 23, 26, 29, 31, 39, 47, 63, 71, 76, 79, 84, 90, 94, 96, 97, 99,
    100, 105, 107, 113, 122, 125, 130, 132, 144, 145, 147, 148, 150, 151, 155, 160, 161, 162, 163,
    171, 172, 178, 187, 195, 199, 203, 207, 208, 219, 231, 232, 234, 235, 242, 245, 247, 250, 251,
    254, 259, 260, 263, 265, 267, 269, 276, 277, 281, 288, 289, 291, 292, 293, 296, 299, 301, 308,
    309, 310, 311, 314, 315, 319, 323, 327, 330, 334, 335, 337, 338, 340, 341, 344, 347, 353, 355,
    361, 362, 365, 366, 367, 368, 372, 388, 390, 393, 397, 401, 407, 413, 414, 425, 428, 430, 435,
    437, 441, 447, 448, 457, 462, 463, 469, 470, 471, 472, 476, 483, 487, 515, 546, 555, 558, 570,
    579, 583, 587, 593, 594, 596, 609, 613, 617, 621, 629, 637, 657, 658, 701, 717, 724, 763, 768,
    774, 776, 779, 780, 787, 805, 812, 815, 820, 824, 833, 847, 852, 866, 875, 883, 889, 895, 907,
    928, 931, 932, 933, 934, 936, 937, 943, 945, 947, 948, 949, 951, 953, 954, 957, 963, 965, 967,
    980, 981, 983, 988,
)

#: The 200 of ImageNet's 1,000 classes that are in ImageNet-A, in the order of its labels.
IMAGENET_A_CLASSES = (
    6, 11, 13, 15, 17, 22, 23, 27, 30, 37, 39, 42, 47, 50, 57, 70, 71, 76, 79, 89, 90, 94, 96, 97,
    99, 105, 107, 108, 110, 113, 124, 125, 130, 132, 143, 144, 150, 151, 207, 234, 235, 254, 277,
    283, 287, 291, 295, 298, 301, 306, 307, 308, 309, 310, 311, 313, 314, 315, 317, 319, 323, 324,
    326, 327, 330, 334, 335, 336, 347, 361, 363, 372, 378, 386, 397, 400, 401, 402, 404, 407, 411,
    416, 417, 420, 425, 428, 430, 437, 438, 445, 456, 457, 461, 462, 470, 472, 483, 486, 488, 492,
    496, 514, 516, 528, 530, 539, 542, 543, 549, 552, 557, 561, 562, 569, 572, 573, 575, 579, 589,
    606, 607, 609, 614, 626, 627, 640, 641, 642, 643, 658, 668, 677, 682, 684, 687, 701, 704, 719,
    736, 746, 749, 752, 758, 763, 765, 768, 773, 774, 776, 779, 780, 786, 792, 797, 802, 803, 804,
    813, 815, 820, 823, 831, 833, 835, 839, 845, 847, 850, 859, 862, 870, 879, 880, 888, 890, 897,
    900, 907, 913, 924, 932, 933, 934, 937, 943, 945, 947, 951, 954, 956, 957, 959, 971, 972, 980,
    981, 984, 986, 987, 988,
)
# fmt: on
