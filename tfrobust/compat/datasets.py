"""What a data set is made of, which `tf.data` does not tell publicly."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf


def with_inputs(data: tf.data.Dataset) -> Iterator[tf.data.Dataset]:
    """Yields a data set and all data sets that it was made of.

    Args:
        data: A data set, such as `by_epoch(...).batch(2).prefetch(1)`.
    """
    yield data
    for one in data._inputs():
        yield from with_inputs(one)
