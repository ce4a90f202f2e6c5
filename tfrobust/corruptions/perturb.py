"""Perturbation sequences of slightly different frames, as in CIFAR-10-P."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional

import tensorflow as tf

from tfrobust import validation
from tfrobust.corruptions import frame_reading, sequences, severities
from tfrobust.corruptions.batch import cut, take
from tfrobust.corruptions.perturbations import TABLES, frame_count
from tfrobust.ops import fields
from tfrobust.registries import NOISE_PERTURBATIONS

#: Added before values are truncated to 8 bits. Smaller than the 1e-3 of corruptions, because the
#: blur of a quarter of a pixel with which a sequence begins changes values by less than that.
_ALLOWANCE = 1e-4


def perturb(
    images: Any,
    name: str,
    seed: int = 0,
    *,
    index: Any = None,
    table: Optional[int] = None,
    crop: Optional[int] = None,
    difficulty: int = 1,
    frames: Optional[Sequence[int]] = None,
) -> tf.Tensor:
    """Makes all frames of a perturbation sequence for each image of a batch.

    All frames are held in memory; `perturbation_frames` yields them one by one and describes the
    sequences.

    Args:
        images: [B, H, W, 3], uint8 or floating point in [0, 1].
        name: One of `PERTURBATIONS` or `HELD_OUT_PERTURBATIONS`.
        seed: Seed of the random numbers. Default 0.
        index: Identity of each image, integers [B]. Default 0, 1, ... B-1.
        table: The benchmark: 32, 64 or 224. Required for frames of another size.
        crop: Height and width of the frames in pixels. Default: those of the images.
        difficulty: 1 to 3, the strength of the noise sequences. Default 1.
        frames: Frame numbers, increasing integers from 0. Default: all.

    Returns:
        [B, F, H, W, 3] in the dtype of `images`.

    Raises:
        ValueError: As for `perturbation_frames`.
        TypeError: The images are neither uint8 nor floating point.

    Example:

    >>> import numpy as np
    >>> perturb(np.full([2, 32, 32, 3], 128, "uint8"), "translate").shape
    TensorShape([2, 16, 32, 32, 3])
    """
    made = perturbation_frames(
        images,
        name,
        seed,
        index=index,
        table=table,
        crop=crop,
        difficulty=difficulty,
        frames=frames,
    )
    return tf.stack(list(made), axis=1)


def perturbation_frames(
    images: Any,
    name: str,
    seed: int = 0,
    *,
    index: Any = None,
    table: Optional[int] = None,
    crop: Optional[int] = None,
    difficulty: int = 1,
    frames: Optional[Sequence[int]] = None,
) -> Iterator[tf.Tensor]:
    """Yields the frames of a perturbation sequence, one batch of images per frame.

    With frame number i = 0, 1, ... and the constants c of the benchmark (`TABLES`):

    - Noise (Gaussian, shot, speckle): the clean image, then independent draws.
    - `motion_blur`: a blur along a rotating line, which finally points to the right.
    - `zoom_blur`: the mean of the image and of i zooms by 1 + 0.004 k, k = 1 ... i.
    - `snow`: the flakes of one draw, blurred along a line that rotates by 4° per frame.
    - `brightness`: c (i - 15) is added to the value of HSV.
    - `translate`: a shift by whole pixels, first to the left, finally to the right.
    - `rotate`: a clockwise rotation by i - 15 degrees.
    - `tilt`: a rotation in space about both axes by c (i - 15) degrees, seen from a distance equal
      to the diagonal. No frame is the clean image: the script also shrinks by
      1 / (1 + 1 / diagonal), with the diagonal in pixels.
    - `scale`: a scaling by (c₁ i + c₂) / 100.
    - `gaussian_blur`: a blur with σ = c₁ + c₂ i.
    - `spatter`: drops of one draw that run down.
    - `shear`: a shear by i - 15 degrees.

    The frames have 8 bits and are truncated, not rounded, as in the scripts. Geometric sequences
    are interpolated bilinearly and black outside, as in Pillow (`tilt`: OpenCV). ImageNet-P is
    published as MP4; these are its frames before compression. Its photographs are larger (shorter
    side 256 pixels) and cropped to 224 after the transformation, so that less black is visible:
    pass larger images and `crop=224` for that. Tiny-ImageNet-P applies motion blur to large
    photographs before shrinking them, so `motion_blur` does not exist at 64 pixels.

    Args:
        images: [B, H, W, 3], uint8 or floating point in [0, 1].
        name: One of `PERTURBATIONS` or `HELD_OUT_PERTURBATIONS`.
        seed: Seed of the random numbers. Those of an image depend only on (seed, its index, name,
            difficulty), not on its batch. Default 0.
        index: Identity of each image, integers [B]. Default 0, 1, ... B-1.
        table: The benchmark: 32, 64 or 224. Required for frames of another size.
        crop: Height and width in pixels of the frames, a centre crop after the transformation.
            Default: the size of the images.
        difficulty: 1 to 3, the strength of the noise sequences. Default 1. (Other sequences are
            made harder by comparing frames that are further apart.)
        frames: Frame numbers, increasing integers from 0. Default: all.

    Yields:
        [B, H, W, 3] in the dtype of `images`; floating-point frames are multiples of 1/255.

    Raises:
        ValueError: The name or table is unknown, the table lacks the sequence, the frames have a
            size without a table, the crop is larger than the images, frame numbers do not exist or
            do not increase, the difficulty is above 1 for a sequence without noise, or the images
            do not have 3 channels or lie outside [0, 1].
        TypeError: The images are neither uint8 nor floating point.

    Example:

    >>> import numpy as np
    >>> image = np.array([9, 6, 3, 0], "uint8").reshape([1, 1, 4, 1]).repeat(3, axis=3)
    >>> for frame in perturbation_frames(image, "translate", table=32, frames=(6, 7, 9)):
    ...     print(frame[0, 0, :, 0].numpy())
    [6 3 0 0]
    [9 6 3 0]
    [0 0 9 6]
    """
    batch = take(images, index)
    size = _frame_size(tuple(batch.pixels.shape[1:3]), crop)
    table = severities.choose_table(size, table)
    count = frame_count(name, table)
    numbers = _frame_numbers(frames, count)
    validation.check_whole("seed", seed, 0, 2**31 - 1)
    validation.check_whole("difficulty", difficulty, 1, 3)
    arguments = TABLES[table][name]
    if name in NOISE_PERTURBATIONS:
        arguments = (name, arguments[difficulty - 1])
    elif difficulty > 1:
        raise ValueError(
            f"difficulty must be 1 for {name!r}: only noise ({', '.join(NOISE_PERTURBATIONS)}) has "
            "others "
            f"(compare frames that are further apart instead); received {difficulty}"
        )

    keys = fields.image_keys(seed, f"sequence:{name}", difficulty, batch.index)
    sequence = sequences.SEQUENCES[name]
    pixels = tf.cast(batch.pixels, tf.float32)
    if name not in sequences.MOVED:
        top, left = frame_reading.corner(pixels.shape[1:3], size)
        pixels = pixels[:, top : top + size[0], left : left + size[1]]
    given = sequences.Given(pixels, keys, numbers, size)
    # Not a generator function, so that errors are raised before the first frame is requested.
    return (batch.as_given(cut(frame, _ALLOWANCE)) for frame in sequence(given, *arguments))


def _frame_size(size: tuple[int, int], crop: Optional[int]) -> tuple[int, int]:
    height, width = size
    if crop is None:
        return height, width
    crop = validation.check_whole("crop", crop, 1, min(height, width))
    return crop, crop


def _frame_numbers(frames: Optional[Sequence[int]], count: int) -> list[int]:
    if frames is None:
        return list(range(count))
    numbers = [validation.check_whole("frames", number, 0, count - 1) for number in frames]
    if not numbers or any(a >= b for a, b in zip(numbers, numbers[1:])):
        raise ValueError(f"frames must be increasing whole numbers; received {list(frames)}")
    return numbers
