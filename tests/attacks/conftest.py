"""Fixtures of the attacks' tests: a net that can be computed by hand."""

import keras
import numpy as np
import pytest


@pytest.fixture
def linear():
    """Makes a linear net of given size, and returns it with its weights in float64."""

    def make(shape=(7, 9, 3), classes=4, scale=1.0, seed=0):
        random = np.random.default_rng(seed)
        net = keras.Sequential(
            [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)]
        )
        kernel = scale * random.standard_normal([int(np.prod(shape)), classes])
        kernel, bias = kernel.astype("float32"), np.zeros(classes, "float32")
        net.set_weights([kernel, bias])
        return net, kernel.astype("float64"), bias.astype("float64")

    return make
