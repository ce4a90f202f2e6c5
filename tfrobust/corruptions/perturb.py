"""Perturbation sequences: one image after another that differs a little, as in CIFAR-10-P."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional

import tensorflow as tf

from tfrobust import validation
from tfrobust.corruptions import fields, frame_reading, sequences, severities
from tfrobust.corruptions.batch import cut, take
from tfrobust.corruptions.perturbations import TABLES, frame_count
from tfrobust.registries import NOISE_PERTURBATIONS

#: Added before values are cut to 8 bits: a blur of a quarter of a pixel, where a sequence begins,
#: changes values by less than a thousandth, which is what corruptions add.
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
    """All frames of a perturbation sequence, for each image of a batch.

    They take as much memory as their number times the images: see `perturbation_frames` for one
    after the other, and for what each sequence is.

    Args:
        images: [B, H, W, 3]: uint8, or floating-point numbers in [0, 1].
        name: One of `PERTURBATIONS` or `HELD_OUT_PERTURBATIONS`.
        seed: Seed of what is random.
        index: Which image each one is, whole numbers [B]. Default 0, 1, ... B-1.
        table: 32, 64 or 224: the benchmark. Needed for frames of another size.
        crop: Height and width of the frames in pixels; default: those of the images.
        difficulty: 1 to 3; the noise sequences come in three strengths.
        frames: Which frames, increasing whole numbers from 0. Default: all.

    Returns:
        [B, F, H, W, 3] of the type of `images`.

    Raises:
        ValueError: As `perturbation_frames`.
        TypeError: Images are neither uint8 nor floating-point.

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
    """Yields the frames of a perturbation sequence, one batch of images each.

    With i = 0, 1, ... the number of the frame, and c the constants of the benchmark (`TABLES`):

    - Noise (Gaussian, shot, speckle): the clean image, then independent draws.
    - `motion_blur`: a blur along a line that turns, at last towards the right.
    - `zoom_blur`: the mean of the image and of i zooms by 1 + 0.004 k, k = 1 ... i.
    - `snow`: the flakes of one draw, blurred along a line that turns by 4° a frame.
    - `brightness`: c (i - 15) is added to the value of HSV.
    - `translate`: whole pixels to the right, first to the left.
    - `rotate`: by i - 15 degrees, clockwise.
    - `tilt`: about both axes by c (i - 15) degrees, seen from a distance of the diagonal. No frame
      is the clean image: the script shrinks by 1 / (1 + 1 / diagonal), in pixels.
    - `scale`: by (c₁ i + c₂) / 100.
    - `gaussian_blur`: with σ = c₁ + c₂ i.
    - `spatter`: drops of one draw that run down.
    - `shear`: by i - 15 degrees.

    The frames have 8 bits, cut off (not rounded) as in the scripts. Moved images are read
    bilinearly and are black outside, as by Pillow and, for `tilt`, by OpenCV. ImageNet-P is
    published as MP4: these are its frames before they are compressed. There the photographs are
    larger (their shorter side 256 pixels) and are cut to 224 after they were moved, so that less
    black comes into sight: give larger images and `crop=224` for that. Tiny-ImageNet-P blurs large
    photographs by motion and shrinks them afterwards, so at 64 pixels there is no `motion_blur`.

    Args:
        images: [B, H, W, 3]: uint8, or floating-point numbers in [0, 1].
        name: One of `PERTURBATIONS` or `HELD_OUT_PERTURBATIONS`.
        seed: Seed of what is random. An image's random numbers depend on (seed, its index, name,
            difficulty) alone, not on the batch it stands in.
        index: Which image each one is, whole numbers [B]. Default 0, 1, ... B-1.
        table: 32, 64 or 224: the benchmark. Needed for frames of another size.
        crop: Height and width of the frames: the middle of the images, in pixels, cut out after
            they were moved. Default: frames as large as the images.
        difficulty: 1 to 3; the noise sequences come in three strengths. (Others are made harder
            by comparing frames that are further apart.)
        frames: Which frames, increasing whole numbers from 0. Default: all.

    Yields:
        [B, H, W, 3] of the type of `images`; floating-point frames are whole multiples of 1/255.

    Raises:
        ValueError: An unknown name or table, a sequence that the table lacks, frames of a size
            without a table, a crop larger than the images, frame numbers that do not exist or do
            not increase, a difficulty above 1 without noise, or images of another number of
            channels or outside [0, 1].
        TypeError: Images are neither uint8 nor floating-point.

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
    # A generator of its own, so that what is wrong is said before the first frame is asked for.
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
