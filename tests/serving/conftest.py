"""A net that has learned something, and nets whose routes differ."""

import keras
import numpy as np
import pytest

from tfrobust import nets
from tfrobust.datasets.digits import digits
from tfrobust.nets.cifar_resnet import cifar_resnet


@pytest.fixture(scope="session")
def digit_parts():
    """Training data and 360 test images of the digits: (images, labels) each."""
    train, test = (digits().parts[name] for name in ("train", "test"))
    return {
        "train": (train.images, train.labels),
        "test": (test.images[:360], test.labels[:360]),
    }


@pytest.fixture(scope="session")
def trained_net(digit_parts):
    """A small CNN after a few epochs of digits; tests must not change it."""
    keras.utils.set_random_seed(0)
    net = nets.small_cnn(filters=(8, 16, 32))
    net.compile(
        keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    net.fit(*digit_parts["train"], batch_size=64, epochs=3, verbose=0)
    return net


@pytest.fixture
def make_resnet():
    """Makes a small CIFAR ResNet of 8 layers in which every weight of a norm counts."""

    def make(**options):
        keras.utils.set_random_seed(0)
        net = cifar_resnet(8, filters=(4, 8, 8), classes=5, **options)
        random = np.random.default_rng(0)
        for layer in net.layers:
            if "norm" in layer.name and layer.weights and layer.name != "normalization":
                layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
        return net

    return make
