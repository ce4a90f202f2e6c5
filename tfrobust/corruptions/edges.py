"""OpenCV's edge detection and distance transform for batches, used by spatter.

Edges are stored as bits, 32 rows of pixels per word: this makes it cheap to follow them from pixel
to pixel and to find the nearest one above and below.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from tfrobust.ops.compiled import compiled

#: Thresholds of the edge detector for |gx| + |gy|.
_WEAK, _STRONG = 50, 150
#: Tangents of 22.5 and 67.5 degrees in steps of 2⁻¹⁵, as in OpenCV.
_TANGENTS, _TANGENT_STEPS = (13573, 13573 + 2**16), 2**15
#: Lengths of a straight, a diagonal and a knight's step.
_STRAIGHT, _DIAGONAL, _KNIGHT = 1.0, 1.4, 2.1969
#: Largest distance in pixels; larger ones are clipped.
FARTHEST = 20
#: Rows of pixels per word.
_BITS = 32


def find_edges(liquid: tf.Tensor) -> tf.Tensor:
    """Detects edges of 8-bit maps, as `cv2.Canny` does with the thresholds 50 and 150.

    Args:
        liquid: uint8 [B, H, W].

    Returns:
        One bit per pixel, 32 rows per word: int32 [B, ⌈H / 32⌉, W].
    """
    weak, strong = _words(_crests(_zero_padded(_gradients(widened(liquid, "edge")))))
    return _connected(weak, strong)


def find_distances(edges: tf.Tensor, height: int) -> tf.Tensor:
    """Distance to the nearest edge, as `cv2.distanceTransform` with a 5×5 mask, clipped at 20.

    The length of the shortest path of straight, diagonal and knight's steps is a norm with a
    polygonal unit ball, that is, the maximum of four linear functions. So it suffices to know the
    nearest edge in each column, and the distance is the minimum over 41 columns.

    Args:
        edges: Bits from `find_edges`.
        height: H.

    Returns:
        float32 [B, H, W + 2], with one column of reflect-101 padding on each side.
    """
    return _min_distance(_gaps(edges, height))


@compiled
def widened(maps: tf.Tensor, border: str) -> tf.Tensor:
    """Pads maps by one pixel, repeating the edge ("edge") or the pixel next to it ("reflect")."""
    inside = 0 if border == "edge" else 1
    for axis in (1, 2):
        side = maps.shape[axis]
        inside = min(inside, side - 1)
        before, after = (tf.gather(maps, [i], axis=axis) for i in (inside, side - 1 - inside))
        maps = tf.concat([before, maps, after], axis)
    return maps


def shifted(maps: tf.Tensor, down: int, right: int) -> tf.Tensor:
    """Neighbours of all pixels in one direction, from padded maps."""
    height, width = maps.shape[1] - 2, maps.shape[2] - 2
    return maps[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]


@compiled
def _gradients(widened: tf.Tensor) -> tf.Tensor:
    """4 (|gx| + |gy|) + direction: 0 along x, 1 along y, 2 down right, 3 up right.

    Returns:
        int16 [B, H, W].
    """
    values = tf.cast(widened, tf.int16)
    gx, gy = (
        shifted(values, *b) - shifted(values, *a) for a, b in (((0, -1), (0, 1)), ((-1, 0), (1, 0)))
    )
    gx, gy = gx * 2, gy * 2
    for down in (-1, 1):
        gx += shifted(values, down, 1) - shifted(values, down, -1)
        gy += shifted(values, 1, down) - shifted(values, -1, down)
    x, y = tf.abs(gx), tf.abs(gy)
    # Float32 gives the correct result for every possible pair of gradients.
    low, high = (tf.cast(x, tf.float32) * tangent for tangent in _TANGENTS)
    steps = tf.cast(y, tf.float32) * _TANGENT_STEPS
    diagonal = tf.where((gx < 0) == (gy < 0), 2, 3)
    direction = tf.where(steps < low, 0, tf.where(steps > high, 1, diagonal))
    return (x + y) * 4 + tf.cast(direction, tf.int16)


@compiled
def _zero_padded(gradients: tf.Tensor) -> tf.Tensor:
    """Pads with 0; separate, because it would slow the loop of the gradients tenfold."""
    return tf.pad(gradients, [[0, 0], [1, 1], [1, 1]])


@compiled
def _crests(packed: tf.Tensor) -> tf.Tensor:
    """Maxima of the gradient along its direction, 1 weak, 3 strong; uint8 [B, 32·n, W]."""

    def along(*values: tf.Tensor) -> tf.Tensor:
        a, b, c, d = values
        return tf.where(
            direction < 2, tf.where(direction == 0, a, b), tf.where(direction == 2, c, d)
        )

    here = shifted(packed, 0, 0)
    direction = tf.bitwise.bitwise_and(here, 3)
    places = ((0, -1), (-1, 0), (-1, -1), (-1, 1))
    before = along(*(shifted(packed, *place) for place in places))
    after = along(*(shifted(packed, -down, -right) for down, right in places))
    here, before, after = (tf.bitwise.right_shift(value, 2) for value in (here, before, after))
    # Of two equal neighbours along an axis the first counts, along a diagonal neither.
    largest = (here > before) & ((here > after) | ((here == after) & (direction < 2)))
    crest = tf.where(largest & (here > _WEAK), tf.where(here > _STRONG, 3, 1), 0)
    rows = packed.shape[1] - 2
    return tf.pad(tf.cast(crest, tf.uint8), [[0, 0], [0, -rows % _BITS], [0, 0]])


@compiled
def _words(crests: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Packs the weak and the strong crests into bits, int32 [B, n, W] each."""
    height, width = crests.shape[1:]
    crests = tf.cast(tf.reshape(crests, [-1, height // _BITS, _BITS, width]), tf.int32)
    rows = tf.range(_BITS)[:, tf.newaxis]
    masks = tf.bitwise.bitwise_and(crests, 1), tf.bitwise.right_shift(crests, 1)
    weak, strong = (tf.reduce_sum(tf.bitwise.left_shift(mask, rows), axis=2) for mask in masks)
    return weak, strong


@compiled
def _connected(weak: tf.Tensor, strong: tf.Tensor) -> tf.Tensor:
    """The strong crests, and the weak ones connected to them."""

    def grown(edges: tf.Tensor) -> tf.Tensor:
        above = tf.pad(edges, [[0, 0], [1, 0], [0, 0]])[:, :-1]
        below = tf.pad(edges, [[0, 0], [0, 1], [0, 0]])[:, 1:]
        columns = [edges, _shift_up(edges, below, 1), _shift_down(edges, above, 1)]
        column = tf.pad(_or(*columns), [[0, 0], [0, 0], [1, 1]])
        around = _or(column[..., :-2], column[..., 1:-1], column[..., 2:])
        return _or(edges, tf.bitwise.bitwise_and(around, weak))

    def grows(before: tf.Tensor, edges: tf.Tensor) -> tf.Tensor:
        return tf.reduce_any(before != edges)

    def step(before: tf.Tensor, edges: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return edges, grown(edges)

    return tf.while_loop(grows, step, (tf.zeros_like(strong), strong))[1]


def _or(*words: tf.Tensor) -> tf.Tensor:
    result = words[0]
    for word in words[1:]:
        result = tf.bitwise.bitwise_or(result, word)
    return result


def _shift_up(words: tf.Tensor, below: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Shifts columns of bits up by 0 to 31 rows; the first row is the lowest bit."""
    # In two steps, because a shift by 32 is undefined.
    entering = tf.bitwise.left_shift(tf.bitwise.left_shift(below, 1), _BITS - 1 - rows)
    return _or(_logical_shift(words, rows), entering)


def _shift_down(words: tf.Tensor, above: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    entering = _logical_shift(_logical_shift(above, 1), _BITS - 1 - rows)
    return _or(tf.bitwise.left_shift(words, rows), entering)


def _logical_shift(words: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    unsigned = tf.bitcast(words, tf.uint32)
    return tf.bitcast(tf.bitwise.right_shift(unsigned, tf.cast(bits, tf.uint32)), tf.int32)


@compiled
def _gaps(edges: tf.Tensor, height: int) -> tf.Tensor:
    """Number of rows to the nearest edge above or below, at most 21: [B, H, W + 2 · 21]."""
    margin = FARTHEST + 1
    width = edges.shape[2]
    mirrored = min(margin, width - 1)
    edges = tf.gather(edges, np.pad(np.arange(width), mirrored, mode="reflect"), axis=2)
    edges = tf.pad(edges, [[0, 0], [0, 0], [margin - mirrored] * 2])
    above = tf.pad(edges, [[0, 0], [1, 0], [0, 0]])[:, :-1, tf.newaxis]
    below = tf.pad(edges, [[0, 0], [0, 1], [0, 0]])[:, 1:, tf.newaxis]
    edges = edges[:, :, tf.newaxis]
    rows = tf.range(_BITS)[:, tf.newaxis]
    # The row itself is the lowest bit of `ahead`, which extends downwards, and bit 21 of `behind`,
    # which extends upwards. An extra bit ends the search.
    ahead = _or(_shift_up(edges, below, rows), tf.constant(1 << margin))
    behind = _shift_down(edges, above, _BITS - 1 - rows)
    behind = _or(_logical_shift(behind, _BITS - 1 - margin), tf.constant(1))
    down = _highest_bit(tf.bitwise.bitwise_and(ahead, -ahead))
    gaps = tf.minimum(down, margin - _highest_bit(behind))
    gaps = tf.reshape(gaps, [-1, edges.shape[1] * _BITS, edges.shape[3]])
    return tf.cast(gaps[:, :height], tf.float32)


def _highest_bit(words: tf.Tensor) -> tf.Tensor:
    """Index of the highest bit, for words below 2²⁴ or with a single bit: the float32 exponent."""
    exponent = tf.bitwise.right_shift(tf.bitcast(tf.cast(words, tf.float32), tf.int32), 23)
    return tf.bitwise.bitwise_and(exponent, 255) - 127


@compiled
def _min_distance(gaps: tf.Tensor) -> tf.Tensor:
    width = gaps.shape[2] - 2 * FARTHEST
    knight, diagonal = _KNIGHT - _DIAGONAL, 2 * _DIAGONAL - _KNIGHT
    slopes = ((_STRAIGHT, _KNIGHT - 2 * _STRAIGHT), (knight, diagonal))
    minimum = tf.constant(float(FARTHEST), tf.float32)
    for column in range(FARTHEST + 1):
        left, right = FARTHEST - column, FARTHEST + column
        gap = tf.minimum(gaps[..., left : left + width], gaps[..., right : right + width])
        lines = [a * gap + b * column for pair in slopes for a, b in (pair, pair[::-1])]
        minimum = tf.minimum(minimum, functools.reduce(tf.maximum, lines))
    return minimum
