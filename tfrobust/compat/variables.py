"""Variables that mixed precision leaves alone, and the plain ones beneath those of Keras."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tfrobust.compat.stack import KERAS_2

#: Arguments of `add_weight` for a weight that is read as float32 under mixed precision; the two
#: generations name it differently. Without it the weight is rounded to 16 bits in the layer.
WITHOUT_AUTOCAST: Any = {"experimental_autocast" if KERAS_2 else "autocast": False}


def plain_variables(variables: Iterable[Any]) -> list[tf.Variable]:
    """The TensorFlow variables beneath the variables of a model.

    Those of Keras 3 are objects of its own, which `tf.Module` does not track: a SavedModel of it
    would lack them. Those of Keras 2 are TensorFlow's already.

    Args:
        variables: The variables of a model.
    """
    return [v if isinstance(v, tf.Variable) else v.value for v in variables]
