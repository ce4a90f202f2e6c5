"""Natural distribution shifts: CIFAR-10.1, ImageNet-R and ImageNet-A."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.datasets import folders, pipeline, published
from tfrobust.datasets.source import Files
from tfrobust.files import PathLike
from tfrobust.ops import image_decoding

_CIFAR10_1_SIZES = {"v4": 2021, "v6": 2000}


def cifar10_1(folder: PathLike, version: str = "v6") -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10.1 from its `.npy` files: test images collected anew in the way of CIFAR-10.

    Recht et al. 2018 (arXiv:1806.00451).

    Args:
        folder: With `cifar10.1_v6_data.npy` and `cifar10.1_v6_labels.npy`.
        version: `"v6"` (2,000 images, class-balanced), which its authors recommend, or `"v4"`
            (2,021).

    Returns:
        uint8 [N, 32, 32, 3] memory-mapped and read-only, int32 labels [N].

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: An unknown version; a file is truncated or has another shape or type.
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
    (antialiased bilinear, rounded to 8 bits as in Pillow), then the centre is cropped.

    Args:
        folder: With a subfolder for each of the 200 classes.
        batch_size: Images per batch.
        resize: Length of the shorter side in pixels.
        crop: Height and width of the crop in pixels.

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

    Hendrycks et al. 2021 (arXiv:1907.07174). Read in the same way as `imagenet_r`.

    Args:
        folder: With a subfolder for each of the 200 classes.
        batch_size: Images per batch.
        resize: Length of the shorter side in pixels.
        crop: Height and width of the crop in pixels.

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
    """The image files that `imagenet_r` and `imagenet_a` read.

    Args:
        folder: With a subfolder for each of the 200 classes.
        name: "ImageNet-R" or "ImageNet-A", for error messages.
        resize: Length of the shorter side in pixels.
        crop: Height and width of the crop in pixels.
    """
    folders.check_crop(resize, crop)
    place = published.find_folder(folder, (), (), (name,))
    read = image_decoding.decode_resize_and_crop(resize, crop)
    return published.class_files(place, None, (200,), read)
