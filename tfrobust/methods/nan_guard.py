"""A loss that is not finite stops the training, and says which term it was."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

_MARK = "tfrobust: a term of the loss is not finite"
_FOUND = re.compile(_MARK + r": (\w+) in step\W+(\d+)")


def checks_of(terms: Mapping[str, tf.Tensor], step: tf.Tensor) -> list[Any]:
    """Operations that fail where a term is not finite; what must not happen then waits for them.

    XLA leaves such operations out: they are not to be made inside of what it compiles.

    Args:
        terms: Name to values, [B].
        step: Number of this step.

    Returns:
        Operations for `tf.control_dependencies`; none while executing eagerly, where the failure is
        at once.
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
            f"whose change of the weights was not made (a lower learning rate or clipped gradients "
            "may help)"
        ) from error
