"""Changing the feature maps of a net at one of its mixing points."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust.layers.embedding import inner_layers
from tfrobust.layers.output_hooks import output_hook

#: Where NoisyMix mixes: the input, and the ends of the first three stages. The last stage of nets
#: of four is left out.
USUAL_POINTS = (0, 1, 2, 3)

_NAME = re.compile(r"mixing_point_(\d+)")


def mixing_layers(net: keras.Model) -> dict[int, Any]:
    """The layers named `mixing_point_0`, `mixing_point_1`, … of a net, nested models included.

    Args:
        net: A Keras model.

    Returns:
        Number of the point to the layer, in rising order.

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
    """The numbers of the points where a net can be mixed.

    Point 0 is always there: where no layer has its name, it is the images themselves.

    Args:
        net: A Keras model.
        wanted: Numbers of points; None takes those of `USUAL_POINTS` that the net has.

    Returns:
        The numbers, each once, in rising order.

    Raises:
        ValueError: `wanted` is empty, or has a point that the net does not have.
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
    """Changes what passes one mixing point of a net, while the block runs.

    The point is a tensor, so that one traced step can change another point every time; what is not
    chosen is not computed. The block acts while TensorFlow traces, in the thread that traces: enter
    it inside the training step. Outside of it, so for inference and export, nothing is changed.

    Args:
        net: A Keras model.
        points: The points that can be chosen, as `usable_points` returns them.
        chosen: int32 scalar, one of `points`.
        change: From what a point passes on, [B, ...], to what is used instead; same shape and type.

    Yields:
        What the images have to go through before the net: it changes them if point 0 is chosen and
        is no layer of the net, and returns them as they are otherwise.

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
