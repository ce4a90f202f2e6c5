"""Corruption of batches, as in the common-corruption benchmarks."""

from __future__ import annotations

import functools
import math
import os
from typing import Any, Optional

import tensorflow as tf

from tfrobust import validation
from tfrobust.corruptions import severities
from tfrobust.corruptions.batch import cut, take
from tfrobust.files import PathLike
from tfrobust.ops import fields
from tfrobust.ops.compiled import compiled_if_worth
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
    """Applies one of the 19 common corruptions to images.

    Hendrycks and Dietterich 2019 (arXiv:1903.12261). The severities are those of the benchmark for
    the images' size: CIFAR-10-C for 32×32 pixels, Tiny-ImageNet-C for 64×64, ImageNet-C for
    224×224. As in the benchmark, the input is rounded to 8 bits and the result is truncated (not
    rounded) to 8 bits. The published files were made with unknown seeds, so results resemble them
    but do not equal them.

    Args:
        images: [B, H, W, 3], uint8 or floating point in [0, 1].
        name: One of `tfrobust.corruptions.CORRUPTIONS`.
        severity: 1 (weakest) to 5.
        seed: Seed of the random numbers. Those of an image depend only on (seed, its index, name,
            severity), not on its batch. Default 0.
        index: Identity of each image, such as its index in the data set, integers [B]. Default
            0, 1, ... B-1.
        table: The severities of 32, 64 or 224 pixels. Required for images of another size.
        frost_folder: Folder with the photographs `frost1` to `frost5` (.png or .jpg). By default
            they are read from the package `imagecorruptions` if it is installed; otherwise frost is
            procedural and results are not comparable (see `frost_source`).

    Returns:
        [B, H, W, 3] in the dtype of `images`; floating-point results are multiples of 1/255.

    Raises:
        ValueError: The name, severity or table is unknown, the images have a size without a table,
            do not have 3 channels, or lie outside [0, 1].
        TypeError: The images are neither uint8 nor floating point.

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
    kind = (name, int(severity), chosen, size, folder)
    arguments = batch.pixels, tf.constant(seed, tf.int32), batch.index
    enough = min(max(_NUMBERS // (3 * math.prod(size)), 2), _IMAGES)
    with compiled_if_worth(kind, tf.shape(batch.pixels)[0], enough) as worth:
        return batch.as_given((_program if worth else _function)(*kind)(*arguments))


#: Images that are worth compiling for: so many, or fewer large ones with so many numbers in all.
_IMAGES, _NUMBERS = 16, 2**20


def _function(
    name: str, severity: int, table: int, size: tuple[int, int], folder: Optional[str]
) -> Any:
    """A corruption of 8-bit images of one size and any batch size."""
    arguments = severities.parameters(name, severity, table)
    options = {"folder": folder} if name == "frost" else {}
    # A partial: TensorFlow would take closures made here for one function that is retraced, and
    # warn.
    corruption = functools.partial(CORRUPTIONS[name], **options)
    return functools.partial(_run, corruption, name, severity, arguments)


@functools.cache
def _program(
    name: str, severity: int, table: int, size: tuple[int, int], folder: Optional[str]
) -> Any:
    """The graph of it."""
    signature = [
        tf.TensorSpec([None, *size, 3], tf.uint8),
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([None], tf.int64),
    ]
    function = _function(name, severity, table, size, folder)
    return tf.function(function, input_signature=signature, autograph=False)


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
