"""Optimizers: loss scaling in mixed float16, and all of their variables."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrobust.compat.stack import KERAS_2


def scaled_loss(optimizer: Any, loss: tf.Tensor) -> tf.Tensor:
    """The loss to differentiate, scaled where the optimizer does so (mixed float16).

    The method is `scale_loss` of any optimizer in Keras 3, and `get_scaled_loss` of a wrapper in
    Keras 2. Without it small float16 gradients are rounded to zero.

    Args:
        optimizer: The compiled optimizer.
        loss: The loss.
    """
    for name in ("scale_loss", "get_scaled_loss"):
        if hasattr(optimizer, name):
            loss = getattr(optimizer, name)(loss)
    return loss


def unscaled_gradients(optimizer: Any, gradients: list[Any]) -> list[Any]:
    """The gradients to apply, which Keras 2 does not unscale by itself, as Keras 3 does.

    Without it a step in mixed float16 with Keras 2 is thousands of times too large.

    Args:
        optimizer: The compiled optimizer.
        gradients: The gradients of the scaled loss.
    """
    if hasattr(optimizer, "get_unscaled_gradients"):
        gradients = optimizer.get_unscaled_gradients(gradients)
    return gradients


def optimizer_variables(optimizer: Any) -> list[Any]:
    """All variables on which the next step of an optimizer depends.

    Keras 2 counts among them neither the learning rate nor the scale of the loss, and keeps both in
    private attributes. Without them a restored training goes on with those of its start.

    Args:
        optimizer: A built optimizer.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    more = [getattr(inner, "_learning_rate", None)]
    if hasattr(optimizer, "dynamic_counter"):
        scale = getattr(optimizer, "_loss_scale", None)
        more += [getattr(scale, "current_loss_scale", None), optimizer.dynamic_counter]
    return [*optimizer.variables, *(v for v in more if isinstance(v, tf.Variable))]


def changes_of_gradients(optimizer: Any) -> str:
    """Arguments by which an optimizer of Keras 3 changes the gradients of each device alone.

    In Keras 2 `apply_gradients` sums over the devices first. Without this, a training on several
    devices is silently another than on one.

    Args:
        optimizer: The compiled optimizer.
    """
    names = ("clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps")
    return "" if KERAS_2 else " and ".join(n for n in names if getattr(optimizer, n, None))
