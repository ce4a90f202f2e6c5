"""8-bit images as lists of pixels, whose height and width are data.

What is compiled for a list of so many pixels serves images of any height and width: a list may be
longer than its image. A pixel is an int32 word of `ops.pixels`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust.ops import pixels
from tfrobust.ops.compiled import padded_size


def as_list(maps: tf.Tensor, axis: int) -> tf.Tensor:
    """Makes maps lists of pixels: [..., H, W, ...] to [..., P, ...] with P = `padded_size(H · W)`.

    Args:
        maps: Maps, of which only the first axis may have an unknown length, besides H and W.
        axis: That of H.
    """
    before, after = maps.shape[1:axis], maps.shape[axis + 2 :]
    count = math.prod(_sides(maps, axis))
    extra = padded_size(count) - count
    lists = tf.reshape(maps, [tf.shape(maps)[0], *before, count, *after])
    if isinstance(extra, int) and extra == 0:
        return lists
    return tf.pad(lists, [[0, extra if i == axis else 0] for i in range(len(lists.shape))])


def as_maps(lists: tf.Tensor, axis: int, like: tf.Tensor, like_axis: int) -> tf.Tensor:
    """Undoes `as_list`, for maps of the height and width of others."""
    sides = _sides(like, like_axis)
    lists = lists[(slice(None),) * axis + (slice(math.prod(sides)),)]
    return tf.reshape(
        lists, [tf.shape(lists)[0], *lists.shape[1:axis], *sides, *lists.shape[axis + 1 :]]
    )


def _sides(maps: tf.Tensor, axis: int) -> list[Any]:
    known, sizes = maps.shape, tf.shape(maps)
    return [sizes[i] if known[i] is None else known[i] for i in (axis, axis + 1)]


class Grid(NamedTuple):
    """Where the pixels of a list of P lie, for use in compiled functions.

    Args:
        row: int32 [P].
        column: int32 [P].
        inside: bool [P], false behind the last pixel of the image, where row and column are 0.
        height: int32 scalar.
        width: int32 scalar.
        zero: int32 scalar, 0, which the compiler cannot know (`kept`).
        channels: Number of channels of a pixel.
    """

    row: tf.Tensor
    column: tf.Tensor
    inside: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor
    zero: tf.Tensor
    channels: int

    def sides(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Height and width, float32."""
        return tf.cast(self.height, tf.float32), tf.cast(self.width, tf.float32)

    def places(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Rows and columns, float32."""
        return tf.cast(self.row, tf.float32), tf.cast(self.column, tf.float32)

    def holds(self, row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        """Whether places lie in the image."""
        return (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)

    def read(self, words: tf.Tensor, row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        """The pixels of words [K, P] at places in the image, [K, P] or [P] each."""
        first = tf.range(tf.shape(words)[0])[:, tf.newaxis] * tf.shape(words)[1]
        return tf.gather(tf.reshape(words, [-1]), first + row * self.width + column)

    def values(self, words: tf.Tensor) -> list[tf.Tensor]:
        """The channels of words, int32 [K, P] each, from 0 to 255."""
        return pixels.from_bits(words, self.channels)

    def kept(self, *tensors: tf.Tensor) -> Any:
        """The tensors themselves, computed once for all that use them, and rounded to their type.

        Otherwise the compiler may compute them anew in each use: in one with a product that is
        rounded before it is added, in another with one that is not.
        """
        # What a loop begins with is stored. The compiler cannot know that this one never runs.
        loop = tf.while_loop(
            lambda i, *_: i < self.zero,
            lambda i, *rest: (i + 1, *(-t for t in rest)),
            [0, *tensors],
        )
        return loop[1] if len(tensors) == 1 else loop[1:]
