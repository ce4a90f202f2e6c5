"""Stops the training with a clear message when a term of the loss is not finite."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

_MARK = "tfrobust: a term of the loss is not finite"
_FOUND = re.compile(_MARK + r": (\w+) in step\W+(\d+)")


def checks_of(terms: Mapping[str, tf.Tensor], step: tf.Tensor) -> list[Any]:
    """Creates operations that fail if a term is not finite.

    Operations that must not run in this case depend on them. XLA removes such checks, so they must
    be created outside of compiled functions.

    Args:
        terms: Values by name, each [B].
        step: Number of the step.

    Returns:
        Operations for `tf.control_dependencies`; none while executing eagerly, where a check fails
        immediately.
    """
    found = [
        tf.Assert(
            tf.reduce_all(tf.math.is_finite(values)),
            [f"{_MARK}: {name} in step", step],
            summarize=1,
        )
        for name, values in terms.items()
    ]
    return [check for check in found if check is not None]


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Converts TensorFlow's error for a failed check into a clear one.

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
            f"whose change of the weights was not made (a lower learning rate or clipped gradients "
            "may help)"
        ) from error
