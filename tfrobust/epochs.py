"""Data sets whose order and random changes are a function of the epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional, Union

import numpy as np
import tensorflow as tf

from tfrobust.compat.datasets import with_inputs

#: Key of the epoch. Not a tensor: workers are set up before the first operation.
_KEY = np.int64(0)


class _Epoch:
    """The epoch of the next pass over a data set: counted, or set from outside."""

    def __init__(self) -> None:
        # Not a variable: in the scope of a strategy that would be one on each of its devices.
        self._table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, 0)
        self.first = 0

    def set(self, epoch: int) -> None:
        self._table.insert(_KEY, tf.constant(self.first + epoch, tf.int64))

    def begin(self) -> tf.Tensor:
        epoch = self._table.lookup(_KEY)
        self._table.insert(_KEY, epoch + 1)
        return epoch


def by_epoch(
    make: Callable[[tf.Tensor], tf.data.Dataset], count: Optional[int] = None
) -> tf.data.Dataset:
    """A data set that is made anew for each epoch.

    The epoch is counted from 0 by the passes that were begun, that is of which an element was read,
    unless `start_epoch` sets it. How often an iterator is made does not matter.

    Args:
        make: Makes the data of an epoch, given its number, int64, in a graph.
        count: Number of elements in an epoch, or None if it is unknown.

    Returns:
        The data set; also what is made of it can be given to `start_epoch`.

    Example:

    >>> data = by_epoch(lambda epoch: tf.data.Dataset.range(10 * epoch, 10 * epoch + 2))
    >>> [[int(element) for element in data] for _ in range(2)]
    [[0, 1], [10, 11]]
    >>> start_epoch(data, 5)
    >>> [int(element) for element in data]
    [50, 51]
    """
    epoch = _Epoch()
    data = tf.data.Dataset.from_tensors(0).map(lambda _: epoch.begin()).flat_map(make)
    if count is not None:
        data = data.apply(tf.data.experimental.assert_cardinality(count))
    data.epoch = epoch
    return data


def start_epoch(data: tf.data.Dataset, epoch: int) -> None:
    """Sets the epoch of the next pass over a data set.

    Args:
        data: A data set of `by_epoch`, or one made of such; others do not change.
        epoch: Its number, counted from 0.
    """
    for part in with_inputs(data):
        if hasattr(part, "epoch"):
            part.epoch.set(epoch)


def number_epochs_from(data: tf.data.Dataset, first: int) -> None:
    """Numbers the epochs of a data set anew: for another training, with orders of its own.

    Args:
        data: As for `start_epoch`.
        first: The epoch that is epoch 0 from now on.
    """
    for part in with_inputs(data):
        if hasattr(part, "epoch"):
            part.epoch.first = first
    start_epoch(data, 0)


def shuffled(
    data: Union[tf.data.Dataset, Callable[[Any], tf.data.Dataset]], size: int, seed: int
) -> tf.data.Dataset:
    """Shuffles in a buffer; the order is a function of the seed and the epoch alone.

    Args:
        data: A data set; or a function that makes it of the number of the epoch, which it may use
            as the seed of an order of its own.
        size: Number of elements in the buffer.
        seed: Integer seed.

    Returns:
        The data set in another order in each epoch; see `by_epoch`.
    """

    def order(epoch: tf.Tensor) -> tf.data.Dataset:
        # The seed of this graph alone, so that the order does not depend on the program's. It
        # must not be 0, which TensorFlow compares in Python with the seed of the operation.
        tf.compat.v1.set_random_seed(1 + seed % (2**31 - 2))
        elements = data(epoch) if callable(data) else data
        return elements.shuffle(size, seed=epoch, reshuffle_each_iteration=False)

    count = -1 if callable(data) else int(data.cardinality())
    return by_epoch(order, count if count >= 0 else None)
