"""Modification of a net's feature maps at one of its mixing points."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust.layers.inner_layers import inner_layers
from tfrobust.layers.output_hooks import output_hook

#: Default mixing points of NoisyMix: the input and the ends of the first three stages, so not the
#: last of four stages.
USUAL_POINTS = (0, 1, 2, 3)

_NAME = re.compile(r"mixing_point_(\d+)")


def mixing_layers(net: keras.Model) -> dict[int, Any]:
    """Finds the layers `mixing_point_0`, `mixing_point_1`, … of a net, nested models included.

    Args:
        net: A Keras model.

    Returns:
        Layers by the number of their point, in ascending order.

    Raises:
        ValueError: Two layers have the same one of these names.

    Example:

    >>> from tfrobust import nets
    >>> list(mixing_layers(nets.lenet()))
    [0, 1, 2]
    """
    found: dict[int, Any] = {}
    for layer in inner_layers(net):
        name = _NAME.fullmatch(layer.name)
        if name is None:
            continue
        point = int(name[1])
        if found.setdefault(point, layer) is not layer:
            raise ValueError(
                f"a net must have one layer of the name mixing_point_{point} at most; received net "
                f"{net.name!r}, which has two"
            )
    return dict(sorted(found.items()))


def usable_points(net: keras.Model, wanted: Optional[Sequence[int]] = None) -> tuple[int, ...]:
    """Determines the mixing points of a net.

    Point 0 always exists: if no layer has its name, it is the images themselves.

    Args:
        net: A Keras model.
        wanted: Numbers of points. Default: those of `USUAL_POINTS` that the net has.

    Returns:
        The numbers, without duplicates, in ascending order.

    Raises:
        ValueError: `wanted` is empty, or contains a point that the net does not have.
    """
    there = sorted({0, *mixing_layers(net)})
    if wanted is None:
        return tuple(point for point in there if point in USUAL_POINTS)
    points = list(wanted) if isinstance(wanted, (list, tuple, range)) else []
    if not points or not set(points) <= set(there) or any(isinstance(p, bool) for p in points):
        raise ValueError(
            f"mixing_points must be some of the numbers {there}, the points that net {net.name!r} "
            f"has; received {wanted!r}"
        )
    return tuple(sorted({int(point) for point in points}))


@contextlib.contextmanager
def feature_mixing(
    net: keras.Model,
    points: Sequence[int],
    chosen: tf.Tensor,
    change: Callable[[tf.Tensor], tf.Tensor],
) -> Iterator[Callable[[tf.Tensor], tf.Tensor]]:
    """Applies a function at one mixing point of a net, for calls inside the block.

    The point is a tensor, so one traced step can use a different point each time; changes at the
    other points are not computed. The block acts while TensorFlow traces, in the tracing thread:
    enter it inside the training step. Outside, as for inference and export, the net is unchanged.

    Args:
        net: A Keras model.
        points: The candidates for the point, as returned by `usable_points`.
        chosen: int32 scalar, one of `points`.
        change: Function of the values at the point, [B, ...], that returns their replacement with
            the same shape and dtype.

    Yields:
        A function to apply to the images before the net. It changes them if point 0 is chosen and
        is not a layer of the net, and otherwise returns them.

    Example:

    >>> net = keras.Sequential([keras.Input([2]), keras.layers.Flatten(name="mixing_point_1")])
    >>> images = tf.constant([[1.0, 2.0]])
    >>> with feature_mixing(net, [0, 1], tf.constant(1), lambda maps: -maps) as enter:
    ...     print(net(enter(images)).numpy())
    [[-1. -2.]]
    """
    layers = {id(layer): point for point, layer in mixing_layers(net).items() if point in points}

    def changed_at(point: int, values: tf.Tensor) -> tf.Tensor:
        if len(points) == 1:
            return change(values)
        return tf.cond(tf.equal(chosen, point), lambda: change(values), lambda: values)

    @tf.autograph.experimental.do_not_convert
    def hook(layer: Any, outputs: tf.Tensor) -> tf.Tensor:
        return changed_at(layers[id(layer)], outputs)

    def enter(images: tf.Tensor) -> tf.Tensor:
        if 0 in points and 0 not in layers.values():
            return changed_at(0, images)
        return images

    with output_hook([layer for layer in inner_layers(net) if id(layer) in layers], hook):
        yield enter
