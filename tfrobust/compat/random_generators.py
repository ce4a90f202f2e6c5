"""The generators from which Keras' layers, such as Dropout, draw random numbers."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.compat.stack import KERAS_2


def use_saved_generators() -> None:
    """Makes layers created from now on draw from generators whose state can be saved.

    Layers of Keras 2 draw from TensorFlow's global seed by default, and a restored training would
    go on with other numbers. Those of Keras 3 always have a generator.
    """
    if KERAS_2:
        keras.backend.experimental.enable_tf_random_generator()


def generator_states(model: keras.Model) -> list[Any]:
    """The states of the generators that are not among the variables of a model.

    Keras 2 keeps them in a private attribute of each layer, so that a checkpoint of all variables
    lacks them. Keras 3 counts them among the variables.

    Args:
        model: The model.
    """
    states = []
    for layer in model.submodules if KERAS_2 else ():
        made = getattr(layer, "_random_generator", None)
        generator = getattr(made, "_generator", None)
        if isinstance(generator, tf.random.Generator):
            states.append(generator.state)
    return states
