"""The route of a forward pass through the dual norms."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from tfrobust import validation

#: The two batch norms of a dual norm: for clean images and all inference, and for adversarial
#: images.
ROUTES = ("clean", "auxiliary")

# Per thread: MirroredStrategy traces every replica in its own thread.
_chosen = threading.local()


@contextlib.contextmanager
def route(name: str) -> Iterator[None]:
    """Selects the batch norm of every dual norm for forward passes inside the block.

    Outside all blocks, as for inference and export, the route is "clean". Blocks may be nested; the
    previous route is restored at the end of each.

    The route is chosen while TensorFlow traces, in the tracing thread: enter the block inside the
    training step, next to the call of the net. A `tf.function` keeps the route with which it was
    traced, even if it is called again in a block with the other route. For the same reason, a block
    around `strategy.run` or `fit` does not reach the replicas. If layers are recomputed for the
    gradient (`tf.recompute_grad`), the block must include the gradient.

    Args:
        name: "clean" or "auxiliary".

    Raises:
        ValueError: The route is unknown.

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
    """Returns the route of this thread, "clean" or "auxiliary"."""
    return getattr(_chosen, "name", ROUTES[0])
