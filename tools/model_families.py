"""Adapts models of several families, trains, restores and exports them; prints the table of MODELS.

    python tools/model_families.py [NAME ...]

All have random weights and take small images. The columns are what docs/MODELS.md says of them.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfrobust import augment, methods, nets, saving, serving
from tfrobust.nets.input_adapter import taken_by

CLASSES = 4


def application(name: str, side: int) -> Callable[[], Any]:
    """Makes a model of `keras.applications`, with its softmax."""
    build = getattr(keras.applications, name)
    return lambda: build(weights=None, input_shape=(side, side, 3), classes=CLASSES)


#: What makes the model, and the pixels that it takes, where nothing in it says so.
FAMILIES: dict[str, tuple[Callable[[], Any], Any]] = {
    "small_cnn": (lambda: nets.small_cnn(classes=CLASSES), None),
    "resnet_20": (lambda: nets.resnet_20(classes=CLASSES), None),
    "wrn_28_2": (lambda: nets.wrn_28_2(classes=CLASSES), None),
    "MobileNetV2": (application("MobileNetV2", 64), "minus_1_to_1"),
    "ResNet50": (application("ResNet50", 64), "caffe"),
    "EfficientNetV2B0": (application("EfficientNetV2B0", 64), None),
    "DenseNet121": (application("DenseNet121", 64), "imagenet"),
    "ConvNeXtTiny": (application("ConvNeXtTiny", 64), None),
}


def row(name: str) -> list[str]:
    """Runs one family and returns its line of the table."""
    keras.utils.set_random_seed(0)
    build, input_range = FAMILIES[name]
    model = build()
    how = "said by its layers" if input_range is None else "given"
    input_range = input_range or nets.find_input_range(model).name
    shape = model.input_shape[1:]
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, [8, *shape], "uint8")
    images, labels = np.float32(pixels / 255), np.arange(8) % CLASSES
    convert = nets.INPUT_RANGES[input_range].convert
    before = np.asarray(model(np.float32(convert(images)), training=False))
    net = nets.adapt(model, input_range=input_range)
    after = np.asarray(net(images, training=False))
    has_softmax = np.allclose(before.sum(axis=1), 1, atol=1e-3)
    start = np.abs(before - (tf.nn.softmax(after) if has_softmax else after)).max()
    method = methods.AugmentationTraining(net, augment=augment.Brightness())
    method.compile(keras.optimizers.SGD(1e-3))
    method.fit(images, labels, batch_size=4, epochs=1, verbose=0)  # two steps
    with tempfile.TemporaryDirectory() as folder:
        saving.save_model(method, pathlib.Path(folder, "model.keras"))
        loaded = saving.load_model(pathlib.Path(folder, "model.keras"))
        restored = nets.restore(loaded)
        inputs = np.float32(taken_by(loaded.net, images))
        values = np.asarray(restored(inputs, training=False))
        logits = np.asarray(loaded.net(images, training=False))
        expected = np.asarray(tf.nn.softmax(logits)) if has_softmax else logits
        back = np.abs(values - expected).max()
        serving.export(loaded, pathlib.Path(folder, "saved"))
        serve = tf.saved_model.load(f"{folder}/saved").signatures["serving_bytes"]
        files = tf.constant([tf.io.encode_png(one).numpy() for one in pixels])
        served = serve(images=files)["probabilities"]
        of_bytes = np.abs(served - tf.nn.softmax(logits)).max()
    same = [layer.name for layer in restored.layers] == [layer.name for layer in model.layers]
    side = "x".join(map(str, shape[:2]))
    numbers = [f"{number:.0e}" for number in (start, back, of_bytes)]
    return [name, side, f"`{input_range}`, {how}", *numbers, "yes" if same else "no"]


def main(names: list[str]) -> None:
    """Prints the table."""
    columns = ["model", "images", "input range", "adapted", "restored", "bytes", "same layers"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name in names or FAMILIES:
        print(f"| {' | '.join(row(name))} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
