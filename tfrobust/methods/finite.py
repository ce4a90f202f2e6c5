"""A loss that is not finite stops the training, and says which term it was."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

_MARK = "tfrobust: a term of the loss is not finite"
_FOUND = re.compile(_MARK + r": (\w+) in step\W+(\d+)")
_ADVICE = "a lower learning rate or clipped gradients may help"


def finite(name: str, values: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """The values of a term, once it is sure that they are finite.

    What is computed from the result, the change of the weights with it, does not happen otherwise.
    XLA leaves the check out; `Watch` looks there.

    Args:
        name: Of the term.
        values: [B].
        step: Number of this step.

    Returns:
        [B], the same values.
    """
    check = tf.Assert(
        tf.reduce_all(tf.math.is_finite(values)), [f"{_MARK}: {name} in step", step], summarize=1
    )
    if check is None:  # executing eagerly
        return values
    with tf.control_dependencies([check]):
        return tf.identity(values)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turns TensorFlow's error of a failed check into one sentence.

    Raises:
        FloatingPointError: A term was not finite inside the block.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = _FOUND.search(str(error))
        if not found:
            raise
        name, step = found.groups()
        raise FloatingPointError(
            f"every term of the loss must be finite; {name} is NaN or infinite in step {step}, "
            f"whose change of the weights was not made ({_ADVICE})"
        ) from error


class Watch(keras.callbacks.Callback):
    """Looks at the terms after every epoch: under `jit_compile=True` the step cannot stop itself.

    Args:
        terms: Names of the terms.

    Raises (at the end of an epoch):
        FloatingPointError: A term is not finite.
    """

    def __init__(self, terms: Iterable[str]):
        super().__init__()
        self._terms = list(terms)

    def on_epoch_end(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        bad = [name for name in self._terms if not np.isfinite((logs or {}).get(name, 0.0))]
        if bad:
            raise FloatingPointError(
                f"every term of the loss must be finite; {', '.join(bad)} became NaN or infinite "
                f"in epoch {epoch + 1} ({_ADVICE}; without jit_compile the step itself stops)"
            )
