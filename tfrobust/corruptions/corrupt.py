"""Corrupting a batch of images as the common-corruption benchmarks do."""

from __future__ import annotations

import functools
import os
from typing import Any, Optional

import tensorflow as tf

from tfrobust import validation
from tfrobust.corruptions import fields, severities
from tfrobust.corruptions.batch import cut, take
from tfrobust.files import PathLike
from tfrobust.registries import CORRUPTIONS


def corrupt(
    images: Any,
    name: str,
    severity: int,
    seed: int = 0,
    *,
    index: Any = None,
    table: Optional[int] = None,
    frost_folder: Optional[PathLike] = None,
) -> tf.Tensor:
    """Corrupts images by one of the 19 common corruptions.

    Hendrycks and Dietterich 2019 (arXiv:1903.12261). The severities are those of the benchmark of
    the images' size: CIFAR-10-C for 32×32 pixels, Tiny-ImageNet-C for 64×64, ImageNet-C for
    224×224. The benchmark works on 8-bit images: the input is rounded to 8 bits, and the result
    is cut (not rounded) to 8 bits, as there. The files published with it come from random numbers
    without a known seed, so results are like them, not equal to them.

    Args:
        images: [B, H, W, 3]: uint8, or floating-point numbers in [0, 1].
        name: One of `tfrobust.corruptions.CORRUPTIONS`.
        severity: 1 (weakest) to 5.
        seed: Seed of what is random. An image's random numbers depend on (seed, its index, name,
            severity) alone, not on the batch it stands in.
        index: Which image each one is, such as its place in the data set, whole numbers [B].
            Default 0, 1, ... B-1.
        table: 32, 64 or 224: the severities to take. Needed for images of another size.
        frost_folder: Folder with the photographs `frost1` to `frost5` (.png or .jpg); by default
            they are taken from the package `imagecorruptions` if that is installed, and are made
            by a formula otherwise, which is not comparable (see `frost_source`).

    Returns:
        [B, H, W, 3] of the type of `images`; floating-point results are whole multiples of 1/255.

    Raises:
        ValueError: An unknown name, severity or table, images of a size without a table, of
            another number of channels, or outside [0, 1].
        TypeError: Images are neither uint8 nor floating-point.

    Example:

    >>> import numpy as np
    >>> photographs = np.full([2, 32, 32, 3], 128, "uint8")
    >>> corrupt(photographs, "contrast", severity=5).dtype
    tf.uint8
    """
    batch = take(images, index)
    size = tuple(batch.pixels.shape[1:3])
    chosen = severities.choose_table(size, table)
    severities.parameters(name, severity, chosen)
    validation.check_whole("seed", seed, 0, 2**31 - 1)
    folder = os.fspath(frost_folder) if name == "frost" and frost_folder is not None else None
    function = _function(name, int(severity), chosen, size, folder)
    return batch.as_given(function(batch.pixels, tf.constant(seed, tf.int32), batch.index))


@functools.cache
def _function(
    name: str, severity: int, table: int, size: tuple[int, int], folder: Optional[str]
) -> Any:
    """The corruption of 8-bit images of one size as a graph for any number of them."""
    arguments = severities.parameters(name, severity, table)
    options = {"folder": folder} if name == "frost" else {}
    corruption = functools.partial(CORRUPTIONS[name], **options)
    signature = [
        tf.TensorSpec([None, *size, 3], tf.uint8),
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([None], tf.int64),
    ]
    # A partial, because TensorFlow takes closures of one place for a function that is traced
    # again and again, and warns.
    run = functools.partial(_run, corruption, name, severity, arguments)
    return tf.function(run, input_signature=signature, autograph=False)


def _run(
    corruption: Any,
    name: str,
    severity: int,
    arguments: tuple[Any, ...],
    images: tf.Tensor,
    seed: tf.Tensor,
    index: tf.Tensor,
) -> tf.Tensor:
    keys = fields.image_keys(seed, name, severity, index)
    return cut(corruption(tf.cast(images, tf.float32), keys, *arguments))
