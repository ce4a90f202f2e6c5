"""Early checks of a method's inputs: the net, the data, the callbacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.combine import alternates
from tfrobust.callbacks.alternate_augmentations import AlternateAugmentations
from tfrobust.compat.optimizers import changes_of_gradients
from tfrobust.layers.inner_layers import inner_layers
from tfrobust.layers.seeded import Seeded
from tfrobust.methods import step_checks
from tfrobust.methods.compiled_loss import loss_of_images
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


def all_class_weights(given: Mapping[int, float], net: keras.Model) -> dict[int, float]:
    """The weight of each class, 1 where none is given.

    Raises:
        ValueError: A class does not exist, or a weight is negative or not finite.
    """
    classes = net.output_shape[-1]
    weights = {int(name): float(weight) for name, weight in given.items()}
    for name, weight in weights.items():
        validation.check_whole("a class in class_weight", name, 0, classes - 1)
        validation.check_in_range(f"class_weight[{name}]", weight, 0, 1e9)
    return {index: weights.get(index, 1.0) for index in range(classes)}


def check_compile(given: Mapping[str, Any], terms: Iterable[str]) -> None:
    """Checks the arguments of `compile`.

    Args:
        given: The arguments by name.
        terms: Names of the method's terms.

    Raises:
        ValueError: A loss does not work on logits, there are weights of losses, or a metric has the
            name of a term.
    """
    loss_of_images(given.get("loss"))
    if given.get("loss_weights") is not None:
        raise ValueError(
            f"the terms of a method have weights of their own; received loss_weights="
            f"{given['loss_weights']!r} (give the method its setting, such as gamma=0.5)"
        )
    for metric in tf.nest.flatten([given.get("metrics"), given.get("weighted_metrics")]):
        name = getattr(metric, "name", getattr(metric, "__name__", metric))
        if name in terms or name == "loss":
            raise ValueError(f"a metric must not have the name of a term; received {name!r}")


def check_compiled(model: Any) -> None:
    """Checks what `compile` was given against the distribution strategy.

    Raises:
        ValueError: XLA cannot compile a layer of the net under the strategy, or the optimizer
            would clip or accumulate gradients before they are summed.
    """
    if model.distribute_strategy.num_replicas_in_sync > 1:
        changing = changes_of_gradients(model.optimizer)
        if changing:
            raise ValueError(
                f"on several devices Keras 3 applies {changing} to the gradients of each device "
                "before they are summed, which is another training than on one; leave it out"
            )
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
    if keras.backend.image_data_format() != "channels_last":
        raise ValueError(
            "tfrobust works on images [B, H, W, C]; received the global setting channels_first "
            '(keras.backend.set_image_data_format("channels_last"))'
        )
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
