"""XLA compilation of chains of element-wise operations and gathers."""

from __future__ import annotations

import collections
import contextlib
import contextvars
import functools
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Callable, Optional

import tensorflow as tf


def compiled(
    function: Callable[..., Any], signature: Optional[Sequence[tf.TensorSpec]] = None
) -> Callable[..., Any]:
    """Compiles a pure tensor function with XLA into one loop over the pixels.

    For chains of element-wise operations and for gathers this is several times faster on the CPU.
    On a GPU it also keeps int32 tensors on the device, which TensorFlow's own kernels would compute
    on the host. Random numbers, convolutions and matrix products gain nothing and stay outside. So
    do small per-image parameters, which the compiler would recompute for every pixel.

    The batch size may be unknown while tracing; each batch size is compiled once.

    Args:
        function: Takes and returns tensors; images have a known height and width.
        signature: What it takes, to trace it once for all shapes. Default: it is traced for each
            shape.

    Returns:
        A function of the same signature.
    """
    program = tf.function(function, signature, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        return (function if _plain.get() else program)(*arguments, **named)

    return call


_plain = contextvars.ContextVar("_plain", default=False)


def is_plain() -> bool:
    """Whether compiled functions are plain operations now."""
    return _plain.get()


#: Most kinds of work that `compiled_if_worth` lets be compiled and kept.
_MOST_KINDS = 256
#: How much work of each kind was done so far, and which kinds are compiled.
_done: collections.Counter[Hashable] = collections.Counter()
_kept: set[Hashable] = set()


_at_once = contextvars.ContextVar("_at_once", default=False)


@contextlib.contextmanager
def compiled_at_once() -> Iterator[None]:
    """Within it, `compiled_if_worth` compiles: for the many images of a data set, of one size."""
    token = _at_once.set(True)
    try:
        yield
    finally:
        _at_once.reset(token)


@contextlib.contextmanager
def compiled_if_worth(kind: Hashable, amount: Any, enough: int) -> Iterator[bool]:
    """Within it, compiled functions are plain operations until there is enough to do for them.

    What is compiled takes long in the first call and stays in memory, often for a single image of
    its size. So the first calls run one operation after the other, which gives the same bytes
    (`multiply_add`), until that has taken about as long as compiling.

    In a graph, which will run again and again, and on a GPU, where plain operations on integers go
    back to the host, all is compiled at once.

    Args:
        kind: What is done, to images of what size.
        amount: How much of it now.
        enough: How much of it in all is worth compiling.

    Yields:
        Whether functions are compiled.
    """
    worth = kind in _kept or _at_once.get() or not tf.executing_eagerly()
    worth = worth or bool(tf.config.list_logical_devices("GPU"))
    if not worth:
        _done[kind] += int(amount)
        worth = _done[kind] >= enough and len(_kept) < _MOST_KINDS
        if worth:
            _kept.add(kind)
            del _done[kind]
    token = _plain.set(not worth)
    try:
        yield worth
    finally:
        _plain.reset(token)


def multiply_add(factor: Any, values: Any, summand: Any) -> tf.Tensor:
    """factor · values + summand in float32, rounded once.

    So does the compiler wherever a product goes into a sum, on processors that can. This is for
    functions that are to give the same bytes when they are not compiled.
    """
    if not tf.executing_eagerly():
        return factor * values + summand
    factor, values, summand = (tf.cast(x, tf.float64) for x in (factor, values, summand))
    return tf.cast(factor * values + summand, tf.float32)


def sum_of_products(pairs: Iterable[tuple[Any, Any]]) -> tf.Tensor:
    """The sum of products, in order, each but the second rounded only with its sum."""
    first, *rest = pairs
    if not rest:
        return first[0] * first[1]
    total = multiply_add(*first, rest[0][0] * rest[0][1])
    for factor, values in rest[1:]:
        total = multiply_add(factor, values, total)
    return total


#: Sizes that are compiled as they come; later ones are padded to one of `_CLASSES`.
_EXACT = 4
#: Powers of two, one and a half of them, and the usual photograph of 224×224 pixels.
_CLASSES = tuple(sorted({224**2, *(n << k for k in range(30) for n in (2, 3))}))
_exact_sizes: dict[int, None] = {}


def padded_size(size: Any) -> Any:
    """The size to pad something to that a function is compiled for at every size.

    What is compiled stays in memory for as long as the process lives. So the first few sizes are
    compiled as they are, which is fastest, and all others as one of few classes, at most a half
    larger. A function that is padded must give the same result at any size.

    Args:
        size: An int, or an int32 scalar if it is not known while tracing.

    Returns:
        `size` or more, of the same kind.
    """
    if _plain.get():
        return size
    if not isinstance(size, int):
        return tf.gather(_CLASSES, tf.searchsorted(_CLASSES, [size])[0])
    if size in _exact_sizes or len(_exact_sizes) < _EXACT:
        _exact_sizes[size] = None
        return size
    return next(one for one in _CLASSES if one >= size)
