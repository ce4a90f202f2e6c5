"""Early checks of a method's inputs: the net, the data, the callbacks."""

from __future__ import annotations

from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.combine import alternates
from tfrobust.callbacks.alternate_augmentations import AlternateAugmentations
from tfrobust.layers.embedding import inner_layers
from tfrobust.layers.outputs import final_activation
from tfrobust.layers.seeded import Seeded


def callback_list(callbacks: Any) -> list[Any]:
    """Normalises the callbacks given to `fit`: one, several, none, or a `CallbackList`."""
    given = getattr(callbacks, "callbacks", callbacks) or []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def check_alternation(augment: Optional[keras.layers.Layer], callbacks: Any) -> None:
    """Checks that a callback tells an alternating augmentation of the epochs.

    Raises:
        ValueError: There is no such callback.
    """
    if not alternates(augment):
        return
    given = callback_list(callbacks)
    if not any(isinstance(callback, AlternateAugmentations) for callback in given):
        raise ValueError(
            "an Alternating augmentation stays on its first choice unless fit is given "
            "callbacks=[tfrobust.callbacks.AlternateAugmentations()]; received callbacks "
            f"{[type(callback).__name__ for callback in given]}"
        )


def check_batch_size(x: Any, batch_size: Optional[int], smallest: int) -> None:
    """Checks that batches have at least as many images as a method needs.

    The last batch of an epoch may be smaller.

    Raises:
        ValueError: The first batch has fewer images.
    """
    if isinstance(x, tf.data.Dataset):
        first = next(iter(x.take(1)))
        size = len(keras.utils.unpack_x_y_sample_weight(first)[0])
    elif isinstance(x, (np.ndarray, tf.Tensor)):
        size = min(len(x), batch_size or 32)  # Keras' default
    else:
        return
    if size < smallest:
        raise ValueError(
            f"a batch must have {smallest} images or more, because this method compares or mixes "
            f"the images of a batch; received batches of {size}"
        )


def check_compiled(model: Any) -> None:
    """Checks that XLA can compile the net under the model's distribution strategy.

    Raises:
        ValueError: The net has a layer with operations across replicas.
    """
    with model.distribute_strategy.scope():
        if not (model.jit_compile and tf.distribute.has_strategy()):
            return
    for layer in inner_layers(model.net):
        if isinstance(layer, Seeded) or getattr(layer, "synchronized", False):
            raise ValueError(
                "under a distribution strategy XLA cannot compile a layer that all devices work on "
                "together, such as an augmentation or a synchronised batch norm in the net; "
                f"received jit_compile=True and layer {layer.name!r} (give "
                "compile(jit_compile=False))"
            )


def check_net(net: Any) -> None:
    """Checks that a net is a built Keras model that ends in logits.

    Raises:
        TypeError: The net is not a Keras model.
        ValueError: The net is not built, has other outputs, or ends in probabilities.
    """
    validation.check_net(net)
    shape = net.output_shape
    if isinstance(shape, (list, dict)) or len(shape) != 2:
        raise ValueError(
            f"net must have one output of shape [batch, classes]; received output shape {shape}"
        )
    if shape[-1] == 1:
        raise ValueError(
            f"net must have 2 classes or more, one logit each; received output shape {shape}"
        )
    activation = final_activation(net)
    if activation in ("softmax", "sigmoid"):
        raise ValueError(
            f"net must end in logits; received net {net.name!r}, which ends in {activation} (use "
            "activation=None in its last layer)"
        )


def check_data(
    x: Any, y: Any, net: keras.Model, split: str, augment: Optional[keras.layers.Layer] = None
) -> None:
    """Checks data that can be read without consuming it: whole arrays, one batch of a pipeline.

    An augmentation may crop the images to the net's shape.

    Raises:
        ValueError: Images or labels are empty, out of range, or do not fit the net.
        TypeError: The images are not floating point.
    """
    classes = net.output_shape[-1]
    if isinstance(x, tf.data.Dataset):
        first = next(iter(x.take(1)), None)
        if first is None:
            raise ValueError(f"the {split} data are empty: the data set gives no batch")
        x, y, _ = keras.utils.unpack_x_y_sample_weight(first)
        if y is None:
            raise ValueError(f"the {split} data set must give (images, labels); it gives one part")
    elif not isinstance(x, (np.ndarray, tf.Tensor)):
        return  # a generator would lose its first batch
    elif len(x) == 0:
        raise ValueError(f"the {split} data are empty: received shape {tuple(x.shape)}")
    validation.check_images(x, f"{split} images")
    validation.check_labels(y, classes, f"{split} labels")
    shape = x.shape if augment is None else augment.compute_output_shape(tuple(x.shape))
    cut = "" if tuple(shape) == tuple(x.shape) else f" of {tuple(x.shape[1:])}, cut,"
    validation.check_fits(tuple(shape[1:]), net.input_shape[1:], f"{split} images{cut}")
