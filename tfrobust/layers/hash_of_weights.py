"""Hash of a net's weights."""

from __future__ import annotations

import keras

from tfrobust.files import Digest


def hash_of_weights(net: keras.Model) -> str:
    """Computes the first 16 digits of the SHA-256 of all current weights.

    The hash depends on shapes and dtypes but not on names, so a saved and loaded net has the same.

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
