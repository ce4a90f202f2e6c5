"""Seeds for random changes of training images."""

from __future__ import annotations

import tensorflow as tf

from tfrobust.epochs import by_epoch
from tfrobust.ops import sampling

_ENDLESS = 2**62


def element_seeds(seed: int) -> tf.data.Dataset:
    """A seed for each element of an epoch, int32[2], without end.

    Each epoch has other seeds; they depend only on `seed`, the epoch and the element's place in it.

    Args:
        seed: Integer seed.
    """

    def seeds(epoch: tf.Tensor) -> tf.data.Dataset:
        of_epoch = sampling.seed_pair(seed, epoch)
        return tf.data.Dataset.range(_ENDLESS).map(lambda i: sampling.fold_in(of_epoch, i))

    return by_epoch(seeds, _ENDLESS)
