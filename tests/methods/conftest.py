"""A net whose training step tests can compute by hand."""

import keras
import numpy as np
import pytest


@pytest.fixture
def linear_net_of():
    """Makes a linear net for images of 4×4×3 and four classes; always the same weights."""

    def make(scale=0.2):
        net = keras.Sequential(
            [keras.Input([4, 4, 3]), keras.layers.Flatten(), keras.layers.Dense(4)]
        )
        random = np.random.default_rng(0)
        net.set_weights([scale * random.standard_normal([48, 4]), 0.1 * np.arange(4.0)])
        return net

    return make
