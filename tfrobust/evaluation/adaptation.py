"""Measuring a model whose batch norm is adapted to each condition, and the guard before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union

import numpy as np

from tfrobust import validation
from tfrobust.evaluation.condition import Batch, Condition
from tfrobust.evaluation.conditions import corrupted
from tfrobust.evaluation.metrics import class_indices
from tfrobust.evaluation.paired import difference_of_means
from tfrobust.evaluation.passes import as_float32, numbered
from tfrobust.evaluation.predictor import Model, Predictor
from tfrobust.nets.batch_norm_adaptation import BatchNormAdapter
from tfrobust.registries import HELD_OUT_CORRUPTIONS
from tfrobust.rows import CLEAN

#: Weights of the training's statistics that the guard tries; with 1 nothing changes.
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)

#: Severity of the held-out corruptions, as where settings are tuned on them; and validation images
#: that are used at most, unless more are to be adapted to.
_SEVERITY, _MOST, _BATCH = 3, 1000, 250


@dataclasses.dataclass(frozen=True)
class Prior:
    """What `find_prior` found on the validation images.

    Args:
        weight: Weight of the training's statistics; 1 where adapting gains nothing.
        gain: Accuracy with it minus that without adapting, mean over the streams.
        low: Lower end of the 95% interval of the gain of the best weight below 1.
        accuracies: Weight to stream to accuracy.
        images: Number of images adapted to.
        n: Number of images measured.
    """

    weight: float
    gain: float
    low: float
    accuracies: Mapping[float, Mapping[str, float]]
    images: int
    n: int

    @property
    def words(self) -> str:
        """The result in one sentence."""
        on = f"on {self.n:,} validation images under held-out corruptions"
        images = f"{self.images} image{'' if self.images == 1 else 's'}"
        if self.weight == 1:
            return f"adapting to {images} gains nothing {on}: nothing is changed"
        return (
            f"adapting to {images}, training's statistics with weight "
            f"{self.weight:g}: {100 * self.gain:+.1f} points {on}"
        )


def find_prior(model: Union[Model, Predictor], data: Any, images: int, *, seed: int = 0) -> Prior:
    """Finds how much of the training's statistics to keep when adapting to unlabelled images.

    The streams are those that a model may meet: clean images, each of the four held-out corruptions
    alone at severity 3, all of these mixed, and the mixture with the images to adapt to from as few
    classes as possible. Adapting to images that are mixed or alike can make a model worse, so the
    weight has to do best over all streams. It is 1, which changes nothing, unless the gain is above
    0 with 95% confidence (paired bootstrap over the images).

    Args:
        model: A Keras model with batch norm, or its `Predictor`.
        data: Validation images, RGB in [0, 1], and labels; batched.
        images: Number of images to adapt to, at most as many as there are.
        seed: Seed of the corruptions.

    Returns:
        The weight and what was measured. The model is as before.

    Raises:
        ValueError: The model has no batch norm, or there are too few images.
    """
    predictor = model if isinstance(model, Predictor) else Predictor(model)
    adapter = _adapter(predictor)
    pictures, labels = _sample(data, images)
    spread = _spread(len(labels), images)
    streams = {
        name: (pixels, np.sort(np.argsort(labels, kind="stable")[:images]) if alike else spread)
        for name, (pixels, alike) in _streams(pictures, predictor, seed).items()
    }
    right: dict[float, np.ndarray] = {}
    for weight in WEIGHTS:
        found = []
        for pixels, places in streams.values():
            adapter.adapt(_floats(pixels[places]), weight)
            answers = [
                predictor.answers(_floats(pixels[start : start + _BATCH]))[0].numpy()
                for start in range(0, len(pixels), _BATCH)
            ]
            found.append(np.concatenate(answers) == labels)
        right[weight] = np.array(found)
    adapter.reset()
    best = max(WEIGHTS[:-1], key=lambda weight: right[weight].mean())
    gain = difference_of_means(right[best].mean(0), right[1.0].mean(0), seed=seed)
    kept = gain.low > 0
    return Prior(
        weight=best if kept else 1.0,
        gain=gain.difference if kept else 0.0,
        low=gain.low,
        accuracies={w: dict(zip(streams, r.mean(1).tolist())) for w, r in right.items()},
        images=images,
        n=len(labels),
    )


class Adapted(Predictor):
    """A Keras model whose batch norm is adapted to each condition before it is measured there.

    It adapts to images of the condition that are spread evenly over the data, without their labels.
    The model's own statistics are back after `reset`.

    Args:
        model: A Keras model with batch norm.
        prior: What `find_prior` found.
        **options: As for `Predictor`.
    """

    def __init__(self, model: Model, prior: Prior, **options: Any):
        super().__init__(model, **options)
        self._prior, self._adapter = prior, _adapter(self)
        self._source = self._hash()
        self._count, self._chosen = 0, None  # type: int, Optional[Batch]

    @property
    def provenance(self) -> dict[str, Any]:
        adapted = {"images": self._prior.images, "weight": self._prior.weight}
        # Not the hash of the weights: numbers of an adapted model are not those of its file.
        own = {"model": f"{self._source} adapted", "output": self.output}
        return {**own, "adapt_batch_norm": adapted}

    def begin(
        self, condition: Condition, batches: Any, seed: int, index: Optional[np.ndarray] = None
    ) -> None:
        if hasattr(condition, "attack"):
            raise ValueError(
                f"batch norm is adapted to given images, and {condition.name} makes them from the "
                "model's gradients; measure attacks without adapting"
            )
        data = condition.data(batches)
        if data is not batches:
            chosen = self._choose(numbered(data))
        else:
            self._chosen = self._chosen or self._choose(numbered(data, index), data)
            chosen = self._chosen
        self._adapter.adapt(condition.change(chosen, self, seed), self._prior.weight)

    def _choose(self, batches: Iterable[Batch], counted: Any = None) -> Batch:
        """The images to adapt to; `counted` are the same data, to count them at first."""
        if counted is not None:
            self._count = sum(len(batch[1]) for batch in counted)
            _check_enough(self._prior.images, self._count)
        wanted, seen, found = _spread(self._count, self._prior.images), 0, []
        for batch in batches:
            places = wanted[(wanted >= seen) & (wanted < seen + len(batch.labels))] - seen
            seen += len(batch.labels)
            found.append([np.asarray(x)[places] for x in (batch.images, batch.labels, batch.index)])
        images, labels, numbers = (np.concatenate(part) for part in zip(*found))
        return Batch(images, labels, numbers, len(numbers))

    def reset(self) -> None:
        """Gives the model its own statistics back."""
        self._adapter.reset()


def _adapter(predictor: Predictor) -> BatchNormAdapter:
    if predictor.net is None:
        raise ValueError(
            "batch norm can be adapted in a Keras model or .keras file; received "
            f"{predictor.name}, which is a SavedModel or a function"
        )
    return BatchNormAdapter(predictor.net)


def _sample(data: Any, images: int) -> tuple[Any, np.ndarray]:
    """Pictures in 8 bits and their classes, spread evenly over the data."""
    validation.check_whole("images", images, 1, 2**31 - 1)
    labels = np.concatenate([class_indices(np.asarray(batch[1])) for batch in data])
    _check_enough(images, len(labels))
    wanted = _spread(len(labels), min(len(labels), max(_MOST, images)))
    parts, seen = [], 0
    for batch in data:
        places = wanted[(wanted >= seen) & (wanted < seen + len(batch[1]))] - seen
        parts.append(np.asarray(as_float32(batch[0]))[places])
        seen += len(batch[1])
    return np.concatenate(parts), labels[wanted]


def _streams(
    images: np.ndarray, predictor: Predictor, seed: int
) -> dict[str, tuple[np.ndarray, bool]]:
    """Name to pictures, and whether those to adapt to are to be as alike as possible."""
    changed = [_pixels(images)]
    for condition in corrupted("held_out", severities=[_SEVERITY]):
        condition.check(predictor, images.shape[1:])
        parts = []
        for start in range(0, len(images), _BATCH):
            some = images[start : start + _BATCH]
            index = np.arange(start, start + len(some))
            batch = Batch(some, index, index, len(some))
            parts.append(_pixels(condition.change(batch, predictor, seed)))
        changed.append(np.concatenate(parts))
    kind = np.arange(len(images)) % len(changed)
    mixed = np.choose(kind[:, np.newaxis, np.newaxis, np.newaxis], changed)
    names = (CLEAN, *HELD_OUT_CORRUPTIONS)
    streams = {name: (pixels, False) for name, pixels in zip(names, changed)}
    return {**streams, "mixed": (mixed, False), "mixed, few classes": (mixed, True)}


def _spread(count: int, wanted: int) -> np.ndarray:
    """`wanted` different places of `count`, evenly spread."""
    return np.arange(wanted) * count // wanted


def _pixels(images: Any) -> np.ndarray:
    return np.rint(np.clip(images, 0, 1) * np.float32(255)).astype("uint8")


def _floats(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype("float32") / 255


def _check_enough(images: int, count: int) -> None:
    if count < images:
        raise ValueError(
            f"the number of images to adapt to must be at most that of the data, {count}; received "
            f"{images}"
        )
