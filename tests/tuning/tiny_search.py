"""A search that trains in seconds; as a script it takes the folder."""

import sys

import keras
import numpy as np
import tensorflow as tf

from tfrobust import augment, methods, tuning

SPACE = [tuning.Range("gamma", 0.01, 1, 4, "log")]
EPOCHS = 2


def load():
    """96 images of 8×8 with a bright row that tells their class."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 96)
    images = 0.5 * random.random([96, 8, 8, 3], dtype="float32")
    images[np.arange(96), 2 * labels] += 0.3
    data = tf.data.Dataset.from_tensor_slices((images, labels.astype("int32")))
    # Part of this order comes from TensorFlow's global seed.
    return data.take(64).shuffle(64, seed=1).batch(16), data.skip(64).batch(16)


def build(values):
    """Feature map augmentation on a net of two layers, compiled."""
    net = keras.Sequential(
        [
            keras.Input([8, 8, 3]),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    model = methods.FeatureMapAugmentation(net, augment=augment.GaussianNoise(0.1), **values)
    # Eight steps take less than tracing one.
    model.compile(keras.optimizers.SGD(0.1), metrics=["accuracy"], run_eagerly=True)
    return model


def search(folder, space=SPACE, build=build, **kwargs):
    """Four values of γ, two epochs each."""
    settings = {"epochs": EPOCHS, "conditions": {"GN": augment.GaussianNoise(0.2)}, **kwargs}
    return tuning.search(build, load, space, folder, **settings)


if __name__ == "__main__":
    search(sys.argv[1], say=lambda line: print(line, flush=True))
