"""Chains of AugMix's operators."""

from __future__ import annotations

import functools
from typing import Any, Callable

import tensorflow as tf

from tfrobust.ops import enhance, lookup, pixels, warp
from tfrobust.ops.compiled import compiled, is_plain
from tfrobust.ops.flat_images import Grid, as_list, as_maps

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

#: What is computed from the level of an operator.
_NUMBERS = ("bits", "threshold", "right", "down", "slope", "cosine", "sine", "factor")


def run(
    images: tf.Tensor,
    operators: tf.Tensor,
    levels: tf.Tensor,
    depths: tf.Tensor,
    *,
    all_ops: bool = False,
    arguments: bool = False,
) -> tf.Tensor:
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
        arguments: Whether `levels` are the operators' arguments themselves: bits that stay,
            degrees, the smallest value that is inverted, pixels per line, pixels, a factor. Default
            False.

    Returns:
        Words of `ops.pixels`, [B, width, H, W].

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
    operators = tf.convert_to_tensor(operators, tf.int32)
    pixel_lists = as_list(tf.cast(images, tf.float32), 1)
    inputs = pixel_lists, tf.shape(images)[1:3], operators, levels, depths
    if is_plain():
        words = _run(*inputs, all_ops=all_ops, arguments=arguments)
    else:
        count, shape = pixel_lists.shape[1], operators.shape[1:]
        words = _traced(count, channels, *shape, all_ops, arguments)(*inputs)
    return as_maps(words, 2, images, 1)


@functools.lru_cache(maxsize=32)
def _traced(count, channels, chains, most, all_ops, arguments):
    """`_run` traced for lists of so many pixels and any batch size."""

    def of_any_number(shape, dtype=tf.float32):
        return tf.TensorSpec([None, *shape], dtype)

    signature = [
        of_any_number([count, channels]),
        tf.TensorSpec([2], tf.int32),
        of_any_number([chains, most], tf.int32),
        of_any_number([chains, most]),
        of_any_number([chains], tf.int32),
    ]
    run_any_number = functools.partial(_run, all_ops=all_ops, arguments=arguments)
    return tf.function(run_any_number, autograph=False, input_signature=signature)


def _run(images, size, operators, levels, depths, *, all_ops, arguments):
    channels = images.shape[-1]
    width, most = operators.shape[1:]
    many, together = _sizes_of_loops()
    number = len(OPERATORS) if all_ops else PAPER_OPERATORS
    applied = tf.range(most) < depths[..., tf.newaxis]
    operators = tf.reshape(tf.where(applied, operators, number), [-1, most])
    numbers = _given(levels) if arguments else _numbers(levels, size)
    numbers = tf.reshape(numbers, [-1, most, len(_NUMBERS)])
    words = tf.repeat(pixels.pack(images), width, axis=0)  # [B · width, P]

    # Shards of one size, the last one filled up with chains without operators.
    count = images.shape[1] or tf.shape(images)[1]
    rows = tf.maximum(many // count, 1) if tf.is_tensor(count) else max(many // count, 1)
    chains = tf.shape(words)[0]
    extra = -chains % rows
    words = tf.cond(extra > 0, lambda: tf.pad(words, [[0, extra], [0, 0]]), lambda: words)
    numbers = tf.pad(numbers, [[0, extra], [0, 0], [0, 0]])
    operators = tf.pad(operators, [[0, extra], [0, 0]], constant_values=number)
    by_step = tf.transpose(tf.reshape(operators, [-1, rows, most]), [0, 2, 1])
    having = tf.reduce_sum(tf.one_hot(by_step, number, dtype=tf.int32), 2)
    shards = [
        tf.reshape(words, [-1, rows, count]),
        tf.reshape(numbers, [-1, rows, most, len(_NUMBERS)]),
        tf.argsort(by_step, stable=True),
        tf.cumsum(having, axis=-1),
    ]
    place = tf.range(count)
    inside = place < size[0] * size[1]
    place = tf.where(inside, place, 0)
    row, column = place // size[1], place % size[1]
    grid = Grid(row, column, inside, size[0], size[1], size[0] * 0, channels)
    words = tf.map_fn(
        lambda shard: _shard(*shard, grid, together),
        shards,
        fn_output_signature=tf.TensorSpec([None if tf.is_tensor(rows) else rows, images.shape[1]]),
    )
    words = tf.reshape(words, [-1, count])[:chains]
    return tf.reshape(words, [-1, width, count])


def _sizes_of_loops() -> tuple[int, int]:
    """Pixels of a shard, and how many of its chains an operator takes at once.

    A core is fastest with the pixels of one image in its cache, a GPU with many images.
    """
    return (2**22, 64) if tf.config.list_logical_devices("GPU") else (2**17, 1)


@compiled
def _shard(words, numbers, order, ends, grid, together):
    """Runs the chains of a shard: in each step, one operator after the other on its chains.

    Args:
        words: [S, P] words.
        numbers: [S, D, 8], the `_NUMBERS` of each operator.
        order: int32 [D, S]; for each step, the chains in the order of their operators.
        ends: int32 [D, O]; for each step and operator, how many chains have it or one before it.
        grid: The `Grid` of the pixels.
        together: How many chains an operator takes at once.

    Returns:
        [S, P] words.
    """
    last = tf.shape(words)[0] - 1

    def load(i, bits, step):
        # What an operator needs is loaded before its turn, because the compiler would fuse the
        # loading with the operator, and load again for every pixel.
        chosen = tf.gather(order[step], tf.minimum(i + tf.range(together), last))
        return chosen, tf.gather(bits, chosen), tf.gather(numbers, chosen)[:, step]

    def all_operators(step, bits):
        state = (0, bits, *load(0, bits, step))
        for place in range(ends.shape[1]):
            end = ends[step, place]

            def one(i, bits, chosen, pixels_, numbers_, place=place, end=end):
                named = dict(zip(_NUMBERS, tf.split(numbers_, len(_NUMBERS), axis=1)))
                result = _FUNCTIONS[place](pixels_, named, grid)
                # Chains behind the end belong to another operator: nothing is written for them.
                chosen = tf.where(i + tf.range(together) < end, chosen, last + 1)
                bits = tf.tensor_scatter_nd_update(bits, chosen[:, tf.newaxis], result)
                i = tf.minimum(i + together, end)
                return (i, bits, *load(i, bits, step))

            state = tf.while_loop(lambda i, *_, end=end: i < end, one, state)
        return step + 1, state[1]

    words = tf.bitcast(words, tf.int32)
    _, words = tf.while_loop(lambda step, _: step < order.shape[0], all_operators, [0, words])
    return tf.bitcast(words, tf.float32)


#: In the order of `OPERATORS`.
_FUNCTIONS: tuple[Callable[..., tf.Tensor], ...] = (
    lambda words, n, grid: lookup.autocontrast(words, grid),
    lambda words, n, grid: lookup.equalize(words, grid),
    lambda words, n, grid: lookup.posterize(words, n["bits"], grid),
    lambda words, n, grid: warp.rotate(words, n["cosine"], n["sine"], grid),
    lambda words, n, grid: lookup.solarize(words, n["threshold"], grid),
    lambda words, n, grid: warp.shear_x(words, n["slope"], grid),
    lambda words, n, grid: warp.shear_y(words, n["slope"], grid),
    lambda words, n, grid: warp.translate(words, n["right"], 0, grid),
    lambda words, n, grid: warp.translate(words, 0, n["down"], grid),
    lambda words, n, grid: enhance.color(words, n["factor"], grid),
    lambda words, n, grid: enhance.contrast(words, n["factor"], grid),
    lambda words, n, grid: enhance.brightness(words, n["factor"], grid),
    lambda words, n, grid: enhance.sharpness(words, n["factor"], grid),
)


def _numbers(levels: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The `_NUMBERS` of every level, float32 [..., 8]."""
    # Not compiled: sines and rounded products are to be TensorFlow's own.
    sides = tf.cast(size, tf.float32)

    def whole(most: Any) -> tf.Tensor:
        """⌊|l|·most/10⌋ with the sign of l, in whole degrees, pixels or bits."""
        return tf.sign(levels) * tf.floor(tf.abs(levels) * most / 10.0)

    return tf.stack(
        [
            4 - tf.abs(whole(4.0)),
            256 - tf.abs(whole(256.0)),
            whole(sides[1] / 3),
            whole(sides[0] / 3),
            levels * 0.3 / 10.0,
            *_turn(whole(30.0)),
            tf.abs(levels) * 1.8 / 10.0 + 0.1,
        ],
        axis=-1,
    )


def _given(arguments: tf.Tensor) -> tf.Tensor:
    """The `_NUMBERS` of arguments, of which an operator reads its own, float32 [..., 8]."""
    same = [arguments] * len(_NUMBERS)
    cosine = _NUMBERS.index("cosine")
    same[cosine : cosine + 2] = _turn(arguments)
    return tf.stack(same, axis=-1)


def _turn(degrees: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    radians = degrees * (3.141592653589793 / 180.0)
    return tf.cos(radians), tf.sin(radians)


def mix(images: tf.Tensor, words: tf.Tensor, weights: tf.Tensor, blend: tf.Tensor) -> tf.Tensor:
    """Mixes the chains with their images: (1 − m)·x + m·Σ_i w_i·chain_i.

    Args:
        images: [B, H, W, C].
        words: Words of the chains, [B, width, H, W], as from `run`.
        weights: w, [B, width], each row summing to 1.
        blend: m, [B].

    Returns:
        [B, H, W, C].
    """
    mixed = _mix(as_list(images, 1), as_list(words, 2), weights, blend)
    return as_maps(mixed, 1, images, 1)


@compiled
def _mix(images: tf.Tensor, words: tf.Tensor, weights: tf.Tensor, blend: tf.Tensor) -> tf.Tensor:
    channels = images.shape[-1]
    weights = weights * blend[:, tf.newaxis] * pixels.LEVEL
    total = tf.reshape(1.0 - blend, [-1, 1, 1]) * images
    for i in range(words.shape[1]):
        chain = pixels.values(words[:, i], channels)
        total += tf.reshape(weights[:, i], [-1, 1, 1]) * tf.cast(chain, tf.float32)
    return tf.clip_by_value(total, 0.0, 1.0)


def unpack(words: tf.Tensor, channels: int) -> tf.Tensor:
    """Unpacks the words of `run` into [B, width, H, W, C] in [0, 1], multiples of 1/255."""
    return as_maps(pixels.unpack(as_list(words, 2), channels), 2, words, 2)
