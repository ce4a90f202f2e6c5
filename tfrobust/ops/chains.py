"""Chains of AugMix's operators; each operator runs on all images that drew it at once."""

from __future__ import annotations

import functools
import math
from typing import Any, Callable

import tensorflow as tf

from tfrobust.ops import enhance, lookup, pixels, warp
from tfrobust.ops.compiled import compiled
from tfrobust.ops.size import height_and_width

#: The operators in the order of the released code. The first nine are the paper's; the last four
#: overlap with the benchmarks' corruptions (`all_ops`).
OPERATORS = (
    "autocontrast",
    "equalize",
    "posterize",
    "rotate",
    "solarize",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "color",
    "contrast",
    "brightness",
    "sharpness",
)
PAPER_OPERATORS = 9
_PLACE = {name: place for place, name in enumerate(OPERATORS)}

#: Operators that run in one compiled function. The first two are table look-ups.
_GROUPS = {
    "autocontrast": ("autocontrast",),
    "equalize": ("equalize",),
    "posterize_solarize": ("posterize", "solarize"),
    "translate": ("translate_x", "translate_y"),
    "shear_x": ("shear_x",),
    "shear_y": ("shear_y",),
    "rotate": ("rotate",),
    "enhance": ("color", "contrast", "brightness", "sharpness"),
}
_GROUP_OF = [list(_GROUPS).index(g) for o in OPERATORS for g in _GROUPS if o in _GROUPS[g]]
_DONE = len(_GROUPS)  # the group of chains without operators left


def run(
    images: tf.Tensor,
    operators: tf.Tensor,
    levels: tf.Tensor,
    depths: tf.Tensor,
    *,
    all_ops: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs the chains of every image.

    The operators are those of the released code. At level l and image side s, posterize keeps
    4 − ⌊4l/10⌋ bits; rotate turns by ±⌊30l/10⌋ degrees; solarize inverts from 256 − ⌊256l/10⌋ up;
    shear uses ±0.3l/10; translate shifts by ±⌊(s/3)l/10⌋ pixels; color, contrast, brightness and
    sharpness use the factor 1.8l/10 + 0.1.

    Args:
        images: [B, H, W, C] in [0, 1], C from 1 to 4; rounded to 8 bits.
        operators: int32 [B, width, D], indices into `OPERATORS`.
        levels: float32 [B, width, D], |l| in [0, 10]; the sign gives the direction.
        depths: int32 [B, width], how many of the D operators are applied.
        all_ops: Whether the last four of `OPERATORS` may occur. Default False, as in the paper.

    Returns:
        Words of `ops.pixels` [B · width, H, W], and int32 [B, width], the index of each chain in
        them.

    Raises:
        ValueError: The images have more than 4 channels (with `all_ops`: not 1 or 3).
    """
    channels = images.shape[-1]
    if channels not in range(1, pixels.MOST_CHANNELS + 1):
        raise ValueError(
            f"AugMix's operators need images of 1 to {pixels.MOST_CHANNELS} channels; received "
            f"{channels} channels"
        )
    if all_ops and channels not in (1, 3):
        raise ValueError(f"color needs images of 1 or 3 channels; received {channels} channels")
    height, width = images.shape[1:3]
    operators = tf.convert_to_tensor(operators, tf.int32)
    traced = _traced(height, width, channels, *operators.shape[1:], all_ops)
    return traced(tf.cast(images, tf.float32), operators, levels, depths)


@functools.cache
def _traced(height, width, channels, chains, most, all_ops):
    """`_run` traced for one image size and any batch size."""

    def of_any_number(shape, dtype=tf.float32):
        return tf.TensorSpec([None, *shape], dtype)

    signature = [
        of_any_number([height, width, channels]),
        of_any_number([chains, most], tf.int32),
        of_any_number([chains, most]),
        of_any_number([chains], tf.int32),
    ]
    run_any_number = functools.partial(_run, all_ops=all_ops)
    return tf.function(run_any_number, autograph=False, input_signature=signature)


def _run(images, operators, levels, depths, *, all_ops):
    channels = images.shape[-1]
    width, most = operators.shape[1:]
    words = pixels.pack(images)  # [B, H, W]
    batch = tf.shape(images)[0]
    operators = tf.reshape(operators, [-1, most])
    levels = tf.reshape(levels, [-1, most])
    depths = tf.reshape(depths, [-1])
    place = tf.range(batch * width) // width  # index in `words` of the image of each chain
    for step in range(most):
        group = tf.where(step < depths, tf.gather(_GROUP_OF, operators[:, step]), _DONE)
        order = tf.argsort(group, stable=True)
        counts = tf.math.bincount(group, minlength=_DONE + 1, maxlength=_DONE + 1)
        words = _step(
            words,
            tf.gather(place, order),
            tf.gather(operators[:, step], order),
            tf.gather(levels[:, step], order),
            counts,
            channels,
            all_ops,
        )
        place = tf.math.invert_permutation(order)
    return words, tf.reshape(place, [batch, width])


def _step(words, rows, operator, level, counts, channels, all_ops):
    """Applies one operator to every image; images are sorted by group, `counts` in each."""
    padded_size = _padded_sizes(counts)
    ends = tf.cumsum(counts)
    # A group is padded to a compiled size with the images that follow it, whose results are
    # discarded. After the last image, the list starts again.
    cyclic = [tf.tile(values, [1 + _MAX_PADDING]) for values in (rows, operator, level)]

    def of(number):
        start = ends[number] - counts[number]
        return [values[start : start + padded_size[number]] for values in cyclic]

    numbers = {name: number for number, name in enumerate(_GROUPS)}
    tables = [
        _TABLES[name](words, *of(numbers[name]), channels)[: counts[numbers[name]]]
        for name in _TABLES
    ]
    looked_up = tf.concat(tables, 0)
    parts = [_look_up(words, rows, looked_up, cyclic[0])]
    for name, function in _FUNCTIONS.items():
        if name == "enhance" and not all_ops:
            continue
        result = function(words, *of(numbers[name]), channels)
        parts.append(result[: counts[numbers[name]]])
    parts.append(tf.gather(words, rows[ends[_DONE - 1] :]))
    return tf.concat(parts, 0)


def _look_up(words, rows, tables, cyclic):
    """Applies all look-up tables at once; their groups come first in the order."""
    count = tf.shape(tables)[0]
    padded_size = _padded_sizes(count)
    tables = tf.pad(tables, [[0, padded_size - count], [0, 0], [0, 0]])
    return lookup.look_up(words, cyclic[:padded_size], tables)[:count]


#: Padding is less than this many times the size of a group: the worst case is 1 to 3.
_MAX_PADDING = 3


def _padded_sizes(counts: tf.Tensor) -> tf.Tensor:
    """Rounds group sizes up to multiples of an eighth of the next power of two, at least 3.

    This keeps the number of compiled sizes small; from 3 images on, at most a quarter is padding.
    """
    exponents = tf.math.ceil(
        tf.math.log(tf.cast(tf.maximum(counts, 4), tf.float32)) / math.log(2.0)
    )
    eighth = tf.cast(tf.pow(2.0, tf.maximum(exponents - 3, 0)), tf.int32)
    padded_size = tf.maximum((counts + eighth - 1) // eighth * eighth, 3)
    return tf.where(counts > 0, padded_size, 0)


def _is(operator: tf.Tensor, name: str) -> tf.Tensor:
    return tf.equal(operator, _PLACE[name])


def _scaled_level(level: tf.Tensor, most: Any) -> tf.Tensor:
    """⌊|l|·most/10⌋ with the sign of l, in whole degrees, pixels or bits."""
    return tf.sign(level) * tf.floor(tf.abs(level) * most / 10.0)


def _autocontrast(words, rows, operator, level, channels):
    return lookup.autocontrast_tables(*lookup.extremes(words, rows, channels))


def _equalize(words, rows, operator, level, channels):
    return lookup.equalize_tables(lookup.histograms(words, rows, channels))


def _posterize_or_solarize(words, rows, operator, level, channels):
    level = tf.abs(level)
    bits = 4 - tf.cast(_scaled_level(level, 4.0), tf.int32)
    threshold = 256 - tf.cast(_scaled_level(level, 256.0), tf.int32)
    posterize = _is(operator, "posterize")
    return lookup.cut_bits_or_invert(words, rows, posterize, bits, threshold, channels)


def _translate(words, rows, operator, level, channels):
    height, width = (tf.cast(side, tf.float32) for side in height_and_width(words))
    along_x = _is(operator, "translate_x")
    right = tf.where(along_x, _scaled_level(level, width / 3), 0.0)
    down = tf.where(along_x, 0.0, _scaled_level(level, height / 3))
    return warp.translate(words, rows, tf.cast(right, tf.int32), tf.cast(down, tf.int32))


def _shears(level: tf.Tensor, lines: Any) -> tf.Tensor:
    """Shift of each line of pixels, [K, lines]."""
    return (level * 0.3 / 10.0)[:, tf.newaxis] * (tf.cast(tf.range(lines), tf.float32) + 0.5)


def _shear_x(words, rows, operator, level, channels):
    return warp.shift_rows(words, rows, _shears(level, height_and_width(words)[0]), channels)


def _shear_y(words, rows, operator, level, channels):
    return warp.shift_columns(words, rows, _shears(level, height_and_width(words)[1]), channels)


def _rotate(words, rows, operator, level, channels):
    return warp.rotate(words, rows, _scaled_level(level, 30.0), channels)


def _enhance(words, rows, operator, level, channels):
    kind = operator - _PLACE["color"]
    return enhance.enhance(words, rows, kind, tf.abs(level) * 1.8 / 10.0 + 0.1, channels)


_TABLES: dict[str, Callable[..., tf.Tensor]] = {
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
_FUNCTIONS: dict[str, Callable[..., tf.Tensor]] = {
    "posterize_solarize": _posterize_or_solarize,
    "translate": _translate,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "rotate": _rotate,
    "enhance": _enhance,
}


@compiled
def mix(
    images: tf.Tensor, words: tf.Tensor, place: tf.Tensor, weights: tf.Tensor, blend: tf.Tensor
) -> tf.Tensor:
    """Mixes the chains with their images: (1 − m)·x + m·Σ_i w_i·chain_i.

    Args:
        images: [B, H, W, C].
        words: Words of all chains, the first result of `run`.
        place: Index of each chain in `words`, the second result of `run`.
        weights: w, [B, width], each row summing to 1.
        blend: m, [B].

    Returns:
        [B, H, W, C].
    """
    channels = images.shape[-1]
    weights = weights * blend[:, tf.newaxis] / 255.0
    total = tf.reshape(1.0 - blend, [-1, 1, 1, 1]) * images
    for i in range(place.shape[1]):
        chain = pixels.values(tf.gather(words, place[:, i]), channels)
        total += tf.reshape(weights[:, i], [-1, 1, 1, 1]) * tf.cast(chain, tf.float32)
    return tf.clip_by_value(total, 0.0, 1.0)
