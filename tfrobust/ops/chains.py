"""Chains of AugMix's operators: each operator runs on the images that drew it, all at once."""

from __future__ import annotations

import functools
import math
from typing import Callable

import tensorflow as tf

from tfrobust.ops import enhance, lookup, pixels, warp
from tfrobust.ops.compiled import compiled

#: The operators in the order of the released code; the first nine are the paper's, the last four
#: overlap with corruptions of the benchmarks (`all_ops`).
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

#: Operators that are worked on together. The first two are look-ups in a table.
_GROUPS = {
    "stretch": ("autocontrast",),
    "spread": ("equalize",),
    "threshold": ("posterize", "solarize"),
    "shift": ("translate_x", "translate_y"),
    "slant": ("shear_x",),
    "slope": ("shear_y",),
    "turn": ("rotate",),
    "enhancement": ("color", "contrast", "brightness", "sharpness"),
}
_GROUP_OF = [list(_GROUPS).index(g) for o in OPERATORS for g in _GROUPS if o in _GROUPS[g]]
_DONE = len(_GROUPS)  # the group of the chains that have had all their operators


def run(
    images: tf.Tensor,
    operators: tf.Tensor,
    levels: tf.Tensor,
    depths: tf.Tensor,
    *,
    all_ops: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs the chains of every image.

    With level l and image side s the operators of the released code are: posterize keeps
    4 − ⌊4l/10⌋ bits; rotate ±⌊30l/10⌋ degrees; solarize from 256 − ⌊256l/10⌋ up; shear ±0.3l/10;
    translate ±⌊(s/3)l/10⌋ pixels; color, contrast, brightness, sharpness factor 1.8l/10 + 0.1.

    Args:
        images: [B, H, W, C] in [0, 1], C from 1 to 4; rounded to 8 bits.
        operators: int32 [B, width, D], places in `OPERATORS`.
        levels: float32 [B, width, D], |l| in [0, 10]; a negative one turns the direction.
        depths: int32 [B, width]: how many of the D operators are applied.
        all_ops: Whether the last four of `OPERATORS` may occur.

    Returns:
        Words of `ops.pixels` [B · width, H, W], and int32 [B, width]: which of them is the chain.

    Raises:
        ValueError: The images have more than 4 channels, or all_ops and not 1 or 3, or their
            height or width is unknown.
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
    if height is None or width is None:
        raise ValueError(
            "AugMix's operators need images of known height and width; received images of shape "
            f"{tuple(images.shape)}"
        )
    operators = tf.convert_to_tensor(operators, tf.int32)
    traced = _traced(height, width, channels, *operators.shape[1:], all_ops)
    return traced(tf.cast(images, tf.float32), operators, levels, depths)


@functools.cache
def _traced(height, width, channels, chains, most, all_ops):
    """`_run` for one size of images and any number of them."""

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
    place = tf.range(batch * width) // width  # where the image of each chain is, now in `words`
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
    """One operator on every image, which are in the order of the groups: `counts` of each."""
    filled = _compiled_sizes(counts)
    ends = tf.cumsum(counts)
    # A group is filled up to a compiled size with the images behind it; what is computed for those
    # is thrown away. Behind the last image the first come again.
    again = [tf.tile(values, [1 + _MOST_FILLING]) for values in (rows, operator, level)]

    def of(number):
        start = ends[number] - counts[number]
        return [values[start : start + filled[number]] for values in again]

    numbers = {name: number for number, name in enumerate(_GROUPS)}
    tables = [
        _TABLES[name](words, *of(numbers[name]), channels)[: counts[numbers[name]]]
        for name in _TABLES
    ]
    looked_up = tf.concat(tables, 0)
    parts = [_look_up(words, rows, looked_up, again[0])]
    for name, function in _FUNCTIONS.items():
        if name == "enhancement" and not all_ops:
            continue
        result = function(words, *of(numbers[name]), channels)
        parts.append(result[: counts[numbers[name]]])
    parts.append(tf.gather(words, rows[ends[_DONE - 1] :]))
    return tf.concat(parts, 0)


def _look_up(words, rows, tables, again):
    """All look-ups at once: they come first in the order."""
    count = tf.shape(tables)[0]
    filled = _compiled_sizes(count)
    tables = tf.pad(tables, [[0, filled - count], [0, 0], [0, 0]])
    return lookup.look_up(words, again[:filled], tables)[:count]


#: A group is filled up by less than this many times itself: 1 to 3.
_MOST_FILLING = 3


def _compiled_sizes(counts: tf.Tensor) -> tf.Tensor:
    """The next size for each that is compiled: eighths of the next power of two, from 3 up.

    Few sizes, so that few are compiled, and from 3 images on at most a quarter more than needed.
    """
    exponents = tf.math.ceil(
        tf.math.log(tf.cast(tf.maximum(counts, 4), tf.float32)) / math.log(2.0)
    )
    eighth = tf.cast(tf.pow(2.0, tf.maximum(exponents - 3, 0)), tf.int32)
    filled = tf.maximum((counts + eighth - 1) // eighth * eighth, 3)
    return tf.where(counts > 0, filled, 0)


def _is(operator: tf.Tensor, name: str) -> tf.Tensor:
    return tf.equal(operator, _PLACE[name])


def _cut(level: tf.Tensor, most: float) -> tf.Tensor:
    """⌊|l|·most/10⌋ with the sign of l: whole degrees, pixels, bits."""
    return tf.sign(level) * tf.floor(tf.abs(level) * most / 10.0)


def _stretch(words, rows, operator, level, channels):
    return lookup.autocontrast_tables(*lookup.extremes(words, rows, channels))


def _spread(words, rows, operator, level, channels):
    return lookup.equalize_tables(lookup.histograms(words, rows, channels))


def _threshold(words, rows, operator, level, channels):
    level = tf.abs(level)
    bits = 4 - tf.cast(_cut(level, 4.0), tf.int32)
    threshold = 256 - tf.cast(_cut(level, 256.0), tf.int32)
    posterize = _is(operator, "posterize")
    return lookup.cut_bits_or_invert(words, rows, posterize, bits, threshold, channels)


def _shift(words, rows, operator, level, channels):
    _, height, width = words.shape
    along_x = _is(operator, "translate_x")
    right = tf.where(along_x, _cut(level, width / 3), 0.0)
    down = tf.where(along_x, 0.0, _cut(level, height / 3))
    return warp.translate(words, rows, tf.cast(right, tf.int32), tf.cast(down, tf.int32))


def _shears(level: tf.Tensor, lines: int) -> tf.Tensor:
    """How far each line of pixels is moved: [K, lines]."""
    return (level * 0.3 / 10.0)[:, tf.newaxis] * (tf.range(lines, dtype=tf.float32) + 0.5)


def _slant(words, rows, operator, level, channels):
    return warp.shift_rows(words, rows, _shears(level, words.shape[1]), channels)


def _slope(words, rows, operator, level, channels):
    return warp.shift_columns(words, rows, _shears(level, words.shape[2]), channels)


def _turn(words, rows, operator, level, channels):
    return warp.rotate(words, rows, _cut(level, 30.0), channels)


def _enhancement(words, rows, operator, level, channels):
    kind = operator - _PLACE["color"]
    return enhance.enhance(words, rows, kind, tf.abs(level) * 1.8 / 10.0 + 0.1, channels)


_TABLES: dict[str, Callable[..., tf.Tensor]] = {"stretch": _stretch, "spread": _spread}
_FUNCTIONS: dict[str, Callable[..., tf.Tensor]] = {
    "threshold": _threshold,
    "shift": _shift,
    "slant": _slant,
    "slope": _slope,
    "turn": _turn,
    "enhancement": _enhancement,
}


@compiled
def mix(
    images: tf.Tensor, words: tf.Tensor, place: tf.Tensor, weights: tf.Tensor, blend: tf.Tensor
) -> tf.Tensor:
    """Mixes chains into their images: (1 − m)·x + m·Σ_i w_i·chain_i.

    Args:
        images: [B, H, W, C].
        words, place: What `run` returned.
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
