"""Finds the values that a model takes for pixels."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust.layers.feature_taps import recorded_inputs
from tfrobust.layers.inner_layers import every_layer
from tfrobust.layers.output_hooks import input_hook
from tfrobust.layers.route import route
from tfrobust.nets.input_ranges import INPUT_RANGES

#: Images of the data that are tried at most, and at a time.
MOST_IMAGES, _BATCH = 256, 32

#: Side of the images on which a model for any size is tried.
_ANY_SIZE = 96

#: How much closer than the others the statistics of the images must be to those of the norm, and
#: how close.
_CLOSER, _CLOSE = 3.0, 1.0


class Found(NamedTuple):
    """An input range, and how it was found.

    Args:
        name: Name in `INPUT_RANGES`, or (scale, offset).
        how: What told it, in words.
    """

    name: Any
    how: str


class Trial(NamedTuple):
    """How a model takes images in one of the ranges.

    Args:
        right: Whether each image is classified correctly, [B]; None if there are no labels.
        distance: Squared distance between the statistics of the images at the first batch norm and
            those stored there, median over the channels; None without a trained batch norm.
    """

    right: Optional[np.ndarray]
    distance: Optional[float]


def range_of_layers(model: keras.Model, image_shape: Sequence[Optional[int]]) -> Optional[Found]:
    """The range that the preprocessing inside a model is made for.

    The model is given grey images; what its first layer with a kernel receives tells which pixels
    become numbers of the usual size. So it does not matter what the preprocessing consists of:
    Rescaling, Normalization, a trained batch norm or functions.

    Args:
        model: A built model.
        image_shape: (height, width, channels) of its images.

    Returns:
        The range, or None if the pixels arrive unchanged or in a way that tells nothing.
    """
    kernels = [layer for layer in every_layer(model) if _has_kernel(layer)]
    if not kernels:
        return None
    sides = [side or _ANY_SIZE for side in image_shape]
    greys = np.ones([3, *sides], "float32") * np.array([0, 1, 2], "float32").reshape([3, 1, 1, 1])
    with recorded_inputs(kernels) as seen:
        model(greys, training=False)
    black, one, two = np.median(np.reshape(np.asarray(seen[0], "float64"), [3, -1]), axis=1)
    scale = one - black
    if not np.isclose(two - one, scale, rtol=1e-3, atol=1e-9) or abs(scale) < 1e-9:
        return None  # not linear, as after a rounding or an image that is normalised by itself
    name = _range_of_scaling(scale, -black / scale)
    return None if name is None else Found(name, "its own preprocessing layers")


def _range_of_scaling(scale: float, zero: float) -> Optional[str]:
    """The range of pixels such that scale · (pixel − zero) is of the usual size.

    Nets receive about [0, 1] to [-6, 6], or 255 times as much. The pixel that becomes zero is the
    lower end of the range or the mean of the images, which is above 0 in [0, 1] and below it in
    [-1, 1].
    """
    if abs(scale - 1) < 0.02 and abs(zero) < 0.02:
        return None
    if -1 <= zero <= 255 and (1 / 300 < scale < 0.08 or (0.8 < scale < 1.25 and zero > 1)):
        return "0_to_255"
    if 0.02 < zero <= 1 and (0.8 < scale < 25 or 200 < scale < 300):
        return "0_to_1"
    if abs(zero) <= 0.02 and 200 < scale < 300:
        return "0_to_1"
    if -1.1 < zero < -0.02 and (0.4 < scale < 10 or 100 < scale < 150):
        return "minus_1_to_1"
    return None


def _has_kernel(layer: Any) -> bool:
    names = ("kernel", "depthwise_kernel")
    return any(getattr(layer, name, None) is not None for name in names)


def try_ranges(
    model: keras.Model,
    images: np.ndarray,
    labels: Optional[np.ndarray],
    outputs: Optional[Sequence[int]] = None,
) -> dict[str, Trial]:
    """Gives a model the same images in each of the usual ranges.

    Args:
        model: A classifier as it was, before it was adapted.
        images: [B, H, W, C] in [0, 1].
        labels: Class indices [B], or None.
        outputs: Outputs of the model that are the classes of the data. Default: all.

    Returns:
        Name of the range to the trial.
    """
    trials = {}
    for name, kind in INPUT_RANGES.items():
        if kind.channels not in (None, images.shape[-1]):
            continue
        with route("clean"):
            trials[name] = _try(model, np.asarray(kind.convert(images), "float32"), labels, outputs)
    return trials


def _try(model: Any, images: np.ndarray, labels: Any, outputs: Any) -> Trial:
    norms = [
        layer
        for layer in every_layer(model)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.built and _is_trained(layer)
    ]
    right: list[np.ndarray] = []
    sums: list[tuple[int, np.ndarray, np.ndarray]] = []
    first = None
    for start in range(0, len(images), _BATCH):
        with _recorded(norms) as seen:
            values = np.asarray(model(images[start : start + _BATCH], training=False), "float32")
        if seen:
            first, given = seen[0]
            sums.append(_moments(first, given))
        if labels is not None:
            values = values if outputs is None else values[:, list(outputs)]
            right.append(values.argmax(axis=1) == labels[start : start + _BATCH])
    return Trial(
        np.concatenate(right) if right else None,
        None if first is None else _distance(first, sums),
    )


@contextlib.contextmanager
def _recorded(layers: list[Any]) -> Iterator[list[tuple[Any, Any]]]:
    """Records (layer, input) of the calls inside the block."""
    seen: list[tuple[Any, Any]] = []
    with input_hook(layers, lambda layer, given: seen.append((layer, given))):
        yield seen


def _is_trained(norm: Any) -> bool:
    mean, variance = (np.asarray(v) for v in (norm.moving_mean, norm.moving_variance))
    return not (np.all(mean == 0) and np.all(variance == 1))


def _moments(norm: Any, given: Any) -> tuple[int, np.ndarray, np.ndarray]:
    """Number, sum and sum of squares of the inputs of a batch norm, by channel."""
    values = np.asarray(tf.cast(given, tf.float32), "float64")
    axis = norm.axis if isinstance(norm.axis, int) else norm.axis[0]
    values = np.moveaxis(values, axis, -1).reshape([-1, values.shape[axis]])
    return len(values), values.sum(axis=0), np.square(values).sum(axis=0)


def _distance(norm: Any, sums: Any) -> float:
    count, total, squares = (sum(part) for part in zip(*sums))
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0)
    stored_mean, stored = (
        np.asarray(tf.convert_to_tensor(v), "float64")
        for v in (norm.moving_mean, norm.moving_variance)
    )
    both = np.maximum(stored + variance, 1e-12)
    shift = np.square(mean - stored_mean) / both
    spread = np.square(np.log(np.maximum(variance, 1e-12) / np.maximum(stored, 1e-12)) / 2)
    return float(np.median(shift + spread))


def clear_winner(trials: Mapping[str, Trial], classes: int) -> Optional[Found]:
    """The range that a model was clearly trained on, or None.

    By accuracy, a range wins if it is above chance and better than each other one by more than
    two standard errors of the difference. Otherwise the first batch norm decides.

    Args:
        trials: What `try_ranges` returned.
        classes: Number of classes of the data.
    """
    if all(trial.right is not None for trial in trials.values()):
        right = {name: np.asarray(trial.right) for name, trial in trials.items()}
        best = max(right, key=lambda name: right[name].mean())
        count, chance = len(right[best]), 1 / classes
        above = chance + 3 * math.sqrt(chance * (1 - chance) / count)
        if right[best].mean() > above and all(
            _is_better(right[best], others) for name, others in right.items() if name != best
        ):
            accuracy = f"{right[best].mean():.1%} of {count} images right"
            return Found(best, f"its accuracy, {accuracy}")
    distances = {n: t.distance for n, t in trials.items() if t.distance is not None}
    if len(distances) < 2:
        return None
    best, second = sorted(distances, key=lambda name: distances[name])[:2]
    if distances[best] < _CLOSE and distances[second] > _CLOSER * distances[best]:
        return Found(best, "the statistics of its first batch norm")
    return None


def _is_better(right: np.ndarray, others: np.ndarray) -> bool:
    gained, lost = np.sum(right & ~others), np.sum(~right & others)
    return bool(gained - lost > 2 * math.sqrt(gained + lost))


def table(trials: Mapping[str, Trial]) -> str:
    """The trials as lines of text."""
    lines = []
    for name, trial in trials.items():
        cells = []
        if trial.right is not None:
            cells.append(f"{np.mean(trial.right):.1%} of {len(trial.right)} images right")
        if trial.distance is not None:
            cells.append(f"distance {trial.distance:.3g} at the first batch norm")
        lines.append(f"  {name}: {', '.join(cells) or 'nothing to compare'}")
    return "\n".join(lines)
