"""Variables that mixed precision leaves alone, and the plain ones beneath those of Keras."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from tfrobust.compat.stack import KERAS_2

#: Arguments of `add_weight` for a weight that is read as float32 under mixed precision; the two
#: generations name it differently. Without it the weight is rounded to 16 bits in the layer.
WITHOUT_AUTOCAST: Any = {"experimental_autocast" if KERAS_2 else "autocast": False}


#: What a generator of TensorFlow adds to its state when it advances by one.
ADVANCE = 256


def read_and_advance(state: Any) -> tf.Tensor:
    """Reads a count of draws and raises it, in one step that no other thread can be between.

    A read and an assignment are two operations; in `tf.data` with parallel calls many elements read
    the same count. Advancing a generator of TensorFlow is one, under a lock.

    Args:
        state: A variable that holds the state of a philox generator, int64 [3].

    Returns:
        How often it was advanced before, int64.
    """
    (variable,) = plain_variables([state])
    everywhere = isinstance(variable, tf.distribute.DistributedValues)
    with contextlib.ExitStack() as stack:
        if everywhere and not tf.distribute.has_strategy():  # or one copy alone would advance
            stack.enter_context(variable.distribute_strategy.scope())
        before = tf.random.Generator(state=variable, alg="philox").skip(1)
    return tf.convert_to_tensor(before)[0] // ADVANCE


def plain_variables(variables: Iterable[Any]) -> list[tf.Variable]:
    """The TensorFlow variables beneath the variables of a model.

    Those of Keras 3 are objects of its own, which `tf.Module` does not track: a SavedModel of it
    would lack them. Those of Keras 2 are TensorFlow's already.

    Args:
        variables: The variables of a model.
    """
    return [v if isinstance(v, tf.Variable) else v.value for v in variables]


@contextlib.contextmanager
def in_place_of(
    variables: Sequence[Any], values: Sequence[tf.Tensor], layers: Sequence[Any]
) -> Iterator[None]:
    """Layers read tensors in place of their variables, inside the block.

    Assigning to a variable would need all replicas, and would hide from a gradient that the values
    come from it. Keras has no way to say it that both generations know, so the attributes are
    exchanged, whatever they are called.

    Args:
        variables: Variables.
        values: The tensor that is read in the place of each.
        layers: The layer that holds each.
    """
    exchanged = []
    for variable, value, layer in zip(variables, values, layers):
        attributes = vars(layer)
        for name in [name for name, there in attributes.items() if there is variable]:
            attributes[name] = value
            exchanged.append((attributes, name, variable))
    try:
        yield
    finally:
        for attributes, name, variable in exchanged:
            attributes[name] = variable
