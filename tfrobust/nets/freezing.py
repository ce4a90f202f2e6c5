"""Which layers of a net are trained."""

from __future__ import annotations

import math

import keras


def tune_first(net: keras.Model, share: float) -> None:
    layers = [layer for layer in net.layers if layer.weights]
    for layer in layers[math.ceil(share * len(layers)) :]:
        layer.trainable = False
