"""Early checks of a method's inputs: the net, the data, the callbacks."""

from __future__ import annotations

from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.combine import alternates
from tfrobust.callbacks.alternate_augmentations import AlternateAugmentations
from tfrobust.layers.inner_layers import inner_layers
from tfrobust.layers.seeded import Seeded
from tfrobust.methods import step_checks
from tfrobust.nets.classifier import check_classifier, returns_probabilities

_ARRAYS = (np.ndarray, tf.Tensor)


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
    """Checks that a net is a classifier of images that ends in logits.

    Raises:
        TypeError: The net is not a Keras model.
        ValueError: It is no classifier, or ends in probabilities.
    """
    check_classifier(net)
    if returns_probabilities(net):
        raise ValueError(
            f"net must end in logits; received net {net.name!r}, which ends in a softmax (use "
            "activation=None in its last layer, or tfrobust.nets.to_logits(net).model)"
        )


def check_training_data(x: Any, y: Any, batch_size: Optional[int], model: Any) -> None:
    """Checks arrays as a whole; other data are not read here, for some can be read only once.

    Raises:
        ValueError: Images or labels are empty, out of range, do not fit the net, or are too few
            for a batch of the method.
        TypeError: The images are not floating point, or the labels are not numbers.
    """
    if isinstance(x, tf.data.Dataset) and x.cardinality() == 0:
        raise ValueError("the training data are empty: the data set gives no batch")
    if isinstance(x, _ARRAYS):
        _check_arrays(x, y, model.net, "training", model.augment)
        batch = min(len(x), batch_size or 32)  # Keras' default
        step_checks.check_batch_size(batch, model.smallest_batch)


def check_validation_data(data: Any, net: keras.Model) -> None:
    """Checks arrays as a whole, and the first batch of what can be read again, before training.

    Raises:
        ValueError: As for `check_training_data`.
        TypeError: As for `check_training_data`.
    """
    if isinstance(data, (tuple, list)):
        if isinstance(data[0], _ARRAYS):
            _check_arrays(data[0], data[1], net, "validation")
        return
    first = None
    if isinstance(data, tf.data.Dataset):
        first = next(iter(data.take(1)), None)
        if first is None:
            raise ValueError("the validation data are empty: the data set gives no batch")
    elif isinstance(data, keras.utils.Sequence):  # PyDataset in Keras 3
        first = data[0]
    if first is not None:
        step_checks.checked(first, net, "validation")


def _check_arrays(x: Any, y: Any, net: Any, split: str, augment: Any = None) -> None:
    if len(x) == 0:
        raise ValueError(f"the {split} data are empty: received shape {tuple(x.shape)}")
    validation.check_pair(x, y, f"the {split} data")
    step_checks.check_batch(x, y, net, split, augment)
