"""Which weights a net has, as a short text."""

from __future__ import annotations

import keras

from tfrobust.files import Digest


def hash_of_weights(net: keras.Model) -> str:
    """The first 16 digits of the SHA-256 of all weights, as they are now.

    Shapes and types count, names do not: a net that was saved and loaded has the same hash.

    Args:
        net: A Keras model.

    Returns:
        16 hexadecimal digits.

    Example:

    >>> ones = keras.Sequential([keras.Input([2]), keras.layers.Dense(1, "relu", False, "ones")])
    >>> hash_of_weights(ones)
    '840ed065660fc982'
    """
    digest = Digest()
    for value in net.get_weights():
        digest.add(f"{value.shape} {value.dtype}", value)
    return digest.hex(16)
