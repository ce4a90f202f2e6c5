"""XLA compilation of chains of element-wise operations and gathers."""

from __future__ import annotations

from collections.abc import Sequence
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
    return tf.function(function, signature, jit_compile=True, autograph=False)


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
    if not isinstance(size, int):
        return tf.gather(_CLASSES, tf.searchsorted(_CLASSES, [size])[0])
    if size in _exact_sizes or len(_exact_sizes) < _EXACT:
        _exact_sizes[size] = None
        return size
    return next(one for one in _CLASSES if one >= size)
