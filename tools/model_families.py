"""Adapts models of several families, trains, restores and exports them; prints the table of MODELS.

    python tools/model_families.py [NAME ...]

All have random weights and take small images. The columns are what docs/MODELS.md says of them.
"""

from __future__ import annotations

import importlib.util
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfrobust import augment, methods, nets, saving, serving
from tfrobust.nets.input_adapter import convert, taken_by

CLASSES = 4


def application(name: str, side: int) -> Callable[[], Any]:
    """Makes a model of `keras.applications`, with its softmax."""
    build = getattr(keras.applications, name)
    return lambda: build(weights=None, input_shape=(side, side, 3), classes=CLASSES)


def hub(name: str, **backbone: Any) -> Callable[[], Any]:
    """Makes a classifier of keras-hub, with a preprocessor that takes pixels from 0 to 255."""

    def build() -> Any:
        models = importlib.import_module("keras_hub").models
        layers = importlib.import_module("keras_hub").layers
        converter = getattr(layers, f"{name}ImageConverter")([64, 64], scale=1 / 127.5, offset=-1.0)
        preprocessor = getattr(models, f"{name}ImageClassifierPreprocessor")(converter)
        return getattr(models, f"{name}ImageClassifier")(
            getattr(models, f"{name}Backbone")(image_shape=(64, 64, 3), **backbone),
            num_classes=CLASSES,
            preprocessor=preprocessor,
        )

    return build


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
if importlib.util.find_spec("keras_hub"):
    vit = {"patch_size": 16, "num_layers": 2, "num_heads": 2, "hidden_dim": 32, "mlp_dim": 64}
    FAMILIES["keras-hub ViT"] = hub("ViT", **vit), None
    resnet = {"input_conv_filters": [64], "input_conv_kernel_sizes": [3]}
    resnet |= {"stackwise_num_filters": [64, 128], "stackwise_num_blocks": [1, 1]}
    resnet |= {"stackwise_num_strides": [1, 2], "block_type": "basic_block"}
    FAMILIES["keras-hub ResNet"] = hub("ResNet", **resnet), None


def keras_reads_its_file(model: keras.Model) -> bool:
    """False for ConvNeXt in Keras 2.15."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "model.keras")
        model.save(file)
        try:
            keras.models.load_model(file)
        except TypeError:
            return False
    return True


def row(name: str) -> list[str]:
    """Runs one family and returns its line of the table."""
    keras.utils.set_random_seed(0)
    build, input_range = FAMILIES[name]
    model = build()
    how = "says the model" if input_range is None else "given"
    input_range = input_range or nets.find_input_range(model).name
    shape = model.input_shape[1:]
    side = "x".join(map(str, shape[:2]))
    if not keras_reads_its_file(model):
        return [name, side, "Keras cannot read the file that it writes", "", "", "", ""]
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, [8, *shape], "uint8")
    images, labels = np.float32(pixels / 255), np.arange(8) % CLASSES
    before = np.asarray(model(np.float32(convert(images, input_range)), training=False))
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
    # keras-hub names inputs anew each time.
    same = [x.name for x in restored.layers[1:]] == [x.name for x in model.layers[1:]]
    numbers = [f"{number:.0e}" for number in (start, back, of_bytes)]
    if not isinstance(input_range, str):
        input_range = "scale {}, offset {}".format(*input_range)
    return [name, side, f"`{input_range}`, {how}", *numbers, "yes" if same else "no"]


def main(names: list[str]) -> None:
    """Prints the table."""
    columns = ["model", "images", "input range", "adapted", "restored", "bytes", "same layers"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name in names or FAMILIES:
        print(f"| {' | '.join(row(name))} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
