"""Which batch norm of the dual norms a forward pass goes through."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from tfrobust import validation

#: The two batch norms of a dual norm: one for clean images, and for everything at inference; one
#: for adversarial images.
ROUTES = ("clean", "auxiliary")

# Per thread: MirroredStrategy traces every replica in a thread of its own.
_chosen = threading.local()


@contextlib.contextmanager
def route(name: str) -> Iterator[None]:
    """Sends what is computed in the block through one of the batch norms of every dual norm.

    Outside all blocks, and so for inference and export, the route is "clean". Blocks may be nested;
    the route before comes back at the end of each.

    The route is chosen while TensorFlow traces, in the thread that traces: enter the block inside
    the training step, next to the call of the net. A `tf.function` traced in one route keeps it:
    calling it again in a block of the other route runs the old trace. For the same reason a block
    around `strategy.run` or `fit` does not reach the replicas. Where layers are computed again for
    the gradient (`tf.recompute_grad`), the block must hold the gradient too.

    Args:
        name: "clean" or "auxiliary".

    Raises:
        ValueError: There is no such route.

    Example:

    >>> with route("auxiliary"):
    ...     print(current_route())
    auxiliary
    >>> current_route()
    'clean'
    """
    validation.check_choice("route", name, ROUTES)
    before = current_route()
    _chosen.name = name
    try:
        yield
    finally:
        _chosen.name = before


def current_route() -> str:
    """The route of this thread: "clean" or "auxiliary"."""
    return getattr(_chosen, "name", ROUTES[0])
