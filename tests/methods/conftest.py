"""A net whose training step tests can compute by hand."""

import keras
import numpy as np
import pytest

from tfrobust import saving


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


@pytest.fixture
def goes_on_after_loading(images, labels, tmp_path):
    """Saves and loads a model, has `look` look at it, trains both on, and compares them."""

    def check(straight, look=lambda loaded: None):
        saving.save_model(straight, tmp_path / "model.keras")
        loaded = saving.load_model(tmp_path / "model.keras")
        look(loaded)
        results = []
        for model in (straight, loaded):
            model.run_eagerly = True
            model.fit(images, labels, batch_size=8, shuffle=False, verbose=0)
            results.append(model.net.get_weights())
        for a, b in zip(*results):
            np.testing.assert_array_equal(a, b)
        return loaded

    return check
