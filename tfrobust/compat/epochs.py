"""How `fit` goes through a data set."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf


class _FirstSeen(keras.Model):
    """Tells the first number of each batch; nothing is trained."""

    def train_step(self, data: Any) -> dict[str, Any]:
        return {"seen": data[0][0]}


@functools.cache
def iterators_an_epoch() -> int:
    """How many iterators of a data set `fit` makes an epoch: one in Keras 2, two in Keras 3.

    Each iterator draws the next order of a data set that is shuffled anew in each epoch, whether it
    is read or not. A resumed training that counts one an epoch has another order with Keras 3. No
    version documents the number, so a shuffled data set is given to `fit`, and what comes is looked
    up.
    """
    count = 10_000  # so many that the first number tells one order from another
    data = tf.data.Dataset.range(count).shuffle(count, seed=0).batch(count)
    orders = [next(iter(data))[0].numpy() for _ in range(8)]
    data = tf.data.Dataset.range(count).shuffle(count, seed=0).batch(count)
    data = data.map(lambda numbers: (numbers, numbers))
    model = _FirstSeen()
    model.built = True
    model.compile()
    seen = model.fit(data, epochs=2, verbose=0, shuffle=False).history["seen"]
    first, second = (orders.index(number) for number in seen)
    return second - first
