"""Test sets of other photographs and pictures: CIFAR-10.1, ImageNet-R and ImageNet-A."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.datasets import folders, pipeline, published
from tfrobust.datasets.source import Files
from tfrobust.files import PathLike
from tfrobust.ops import image_decoding

_CIFAR10_1_SIZES = {"v4": 2021, "v6": 2000}

# fmt: off
#: The 200 of ImageNet's 1,000 classes that ImageNet-R has, in the order of its labels: sorted
#: WordNet names are sorted indices. Take these logits before the softmax.
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

#: The 200 of ImageNet's 1,000 classes that ImageNet-A has, in the order of its labels.
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


def cifar10_1(folder: PathLike, version: str = "v6") -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10.1 from its `.npy` files: new test images collected as those of CIFAR-10 were.

    Recht et al. 2018 (arXiv:1806.00451).

    Args:
        folder: With `cifar10.1_v6_data.npy` and `cifar10.1_v6_labels.npy`.
        version: `"v6"` (2,000 images, as many of each class), which its authors recommend, or
            `"v4"` (2,021).

    Returns:
        uint8 [N, 32, 32, 3] memory-mapped and read-only, int32 labels [N].

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: An unknown version; a file is not whole, or of another shape or type.
    """
    validation.check_choice("version", version, tuple(_CIFAR10_1_SIZES))
    count, sets = _CIFAR10_1_SIZES[version], ("CIFAR-10.1",)
    paths = [
        published.find_file(folder, f"cifar10.1_{version}_{part}.npy", sets)
        for part in ("data", "labels")
    ]
    images = published.open_array(paths[0], np.uint8, f"[{count}, 32, 32, 3]", sets)
    labels = published.open_labels(paths[1], sets)
    if len(labels) != count or labels.max() > 9:
        raise ValueError(
            f"{paths[1]} must hold {count} class indices from 0 to 9; it holds {len(labels)} up to "
            f"{labels.max()}"
        )
    return images, labels


def imagenet_r(
    folder: PathLike, *, batch_size: int = 128, resize: int = 256, crop: int = 224
) -> tf.data.Dataset:
    """ImageNet-R: paintings, toys, sketches and other renditions of 200 of ImageNet's classes.

    Hendrycks et al. 2021 (arXiv:2006.16241). Read from `wnid/*.jpg`. The shorter side is resized
    (bilinear, antialiased, rounded to 8 bits as in Pillow), then the centre is cut out.

    Args:
        folder: With a subfolder for each of the 200 classes.
        batch_size: Images a batch.
        resize: Pixels of the shorter side.
        crop: Pixels of both sides of the result.

    Returns:
        Batched (images float32 [B, crop, crop, 3] in [0, 1], labels int32 [B] from 0 to 199). Label
        i is class `IMAGENET_R_CLASSES[i]` of ImageNet.

    Raises:
        FileNotFoundError: The folder or a class's folder is missing or empty.
        ValueError: There are not 200 classes; `crop` exceeds `resize`.
    """
    settings = pipeline.PipelineOptions(batch_size=batch_size, cache=False)
    return pictures(folder, "ImageNet-R", resize, crop).batches(200, settings)


def imagenet_a(
    folder: PathLike, *, batch_size: int = 128, resize: int = 256, crop: int = 224
) -> tf.data.Dataset:
    """ImageNet-A: photographs of 200 of ImageNet's classes that a ResNet-50 gets wrong.

    Hendrycks et al. 2021 (arXiv:1907.07174). Read as `imagenet_r` is.

    Args:
        folder: With a subfolder for each of the 200 classes.
        batch_size: Images a batch.
        resize: Pixels of the shorter side.
        crop: Pixels of both sides of the result.

    Returns:
        Batched (images float32 [B, crop, crop, 3] in [0, 1], labels int32 [B] from 0 to 199). Label
        i is class `IMAGENET_A_CLASSES[i]` of ImageNet.

    Raises:
        FileNotFoundError: The folder or a class's folder is missing or empty.
        ValueError: There are not 200 classes; `crop` exceeds `resize`.
    """
    settings = pipeline.PipelineOptions(batch_size=batch_size, cache=False)
    return pictures(folder, "ImageNet-A", resize, crop).batches(200, settings)


def pictures(folder: PathLike, name: str, resize: int = 256, crop: int = 224) -> Files:
    """The files that `imagenet_r` and `imagenet_a` read.

    Args:
        folder: With a subfolder for each of the 200 classes.
        name: "ImageNet-R" or "ImageNet-A", for messages.
        resize: Pixels of the shorter side.
        crop: Pixels of both sides of the result.
    """
    folders.check_crop(resize, crop)
    place = published.find_folder(folder, (), (), (name,))
    classes = published.class_folders(place, None, (200,))
    paths, labels = published.image_files(classes)
    return Files(paths, labels, image_decoding.decode_resize_and_crop(resize, crop))
