"""Accuracy of any Keras model on clean and on augmented images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.augment import presets
from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.evaluation import metrics
from tfrobust.ops import sampling
from tfrobust.rows import CLEAN, Row


def benchmark(
    model: keras.Model,
    data: Any,
    *,
    augmentations: Optional[Mapping[str, Augment]] = None,
    model_name: Optional[str] = None,
    dataset: str = "data",
    seed: int = 0,
) -> list[Row]:
    """Accuracy on clean images, under each augmentation, and under the combinations.

    The columns of the FMA paper's Table 3: clean, the seven of Table 1, Combined+ and Combined−.
    Every model that is given the same data in the same batches and the same seed sees the same
    augmented images.

    Args:
        model: Any Keras model from images in [0, 1] to logits or probabilities.
        data: Batched `tf.data.Dataset` of (images, labels), or a pair of arrays.
        augmentations: Name to augmentation layer. Default: Table 1 and its combinations, the
            CIFAR-10 column for images of up to 96 pixels, the ImageNet one above.
        model_name: Name of the model in the rows. Default: the model's own.
        dataset: Name of the data in the rows, such as "digits/test".
        seed: Seed of the draws.

    Returns:
        One row for clean and one for each augmentation, metric "accuracy".

    Raises:
        ValueError: Images outside [0, 1] or not finite, labels out of range, no data.
        TypeError: Integer images.

    Example:

    >>> from tfrobust import nets
    >>> rows = benchmark(nets.small_cnn(), (np.full([4, 32, 32, 3], 0.5, "float32"), [0, 1, 2, 3]))
    >>> [row.corruption for row in rows]
    ['clean', 'B+', 'B-', 'GB', 'GN', 'SAP', 'S+', 'S-', 'Combined+', 'Combined-']
    """
    data = _batches(data)
    if augmentations is None:
        augmentations = default_augmentations(data.element_spec[0].shape[1:3])
    return Evaluator(augmentations).rows(
        model, data, model_name=model_name or model.name, dataset=dataset, seed=seed
    )


class Evaluator:
    """Measures models under augmentations; for measuring often, as each graph is traced once.

    It keeps the models that it has measured until it is dropped itself.

    Args:
        augmentations: Name to augmentation layer.
    """

    def __init__(self, augmentations: Mapping[str, Augment]):
        self.augmentations = dict(augmentations)
        self._traced: dict[Any, tuple[Callable[..., tf.Tensor], Any]] = {}

    def rows(
        self,
        model: keras.Model,
        data: Any,
        *,
        model_name: str,
        dataset: str = "data",
        seed: int = 0,
    ) -> list[Row]:
        """One row for clean images and one for each augmentation; see `benchmark`."""
        logits: dict[str, list[np.ndarray]] = {name: [] for name in (CLEAN, *self.augmentations)}
        all_labels = []
        for index, (images, labels) in enumerate(_batches(data)):
            checks.check_images(images)
            clean = self._logits(model, images)
            checks.check_labels(labels, clean.shape[1])
            all_labels.append(np.asarray(labels))
            logits[CLEAN].append(clean)
            for name in self.augmentations:
                augmented = self._augmented(name, images, evaluation_seed(seed, name, index))
                logits[name].append(self._logits(model, augmented))
        if not all_labels:
            raise ValueError("the evaluation data are empty: the data set gives no batch")
        labels = np.concatenate(all_labels)
        return [
            Row(
                model=model_name,
                dataset=dataset,
                corruption=name,
                severity=_severity(self.augmentations.get(name)),
                metric="accuracy",
                value=metrics.accuracy(labels, np.concatenate(logits[name])),
                n=len(labels),
                seed=seed,
            )
            for name in (CLEAN, *self.augmentations)
        ]

    def _logits(self, model: keras.Model, images: tf.Tensor) -> np.ndarray:
        def predict(images: tf.Tensor) -> tf.Tensor:
            return tf.cast(model(images, training=False), tf.float32)

        logits: np.ndarray = self._call(id(model), predict, images).numpy()
        return logits

    def _augmented(self, name: str, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        layer = self.augmentations[name]

        def augment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            return layer.apply(images, layer.draw(images, seed))

        return self._call(name, augment, images, seed)

    def _call(
        self, key: Any, function: Callable[..., tf.Tensor], images: tf.Tensor, *more: tf.Tensor
    ) -> tf.Tensor:
        """Calls a function as a graph that is good for any number of images."""
        size = tuple(images.shape[1:])
        if (key, size) not in self._traced:
            signature = [tf.TensorSpec([None, *size], tf.float32)]
            signature += [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in more]
            concrete = tf.function(function).get_concrete_function(*signature)
            # The function is kept beside its graph, which does not keep it: it holds the model,
            # and were the model freed, another one could get its id and be taken for it.
            self._traced[key, size] = concrete, function
        concrete, _ = self._traced[key, size]
        return concrete(tf.cast(images, tf.float32), *more)


def default_augmentations(image_size: Any) -> dict[str, Augment]:
    """Table 1 and its combinations, in the column that fits the size of the images."""
    sides = [side for side in image_size if side is not None]
    column = "imagenet200" if sides and max(sides) > 96 else "cifar10"
    individual = presets.table_1(column)
    return {**individual, **presets.combinations(individual)}


def evaluation_seed(seed: int, name: str, batch: int) -> tf.Tensor:
    """Seed of one augmentation on one batch: the same for every model and strength."""
    return sampling.fold_in(sampling.seed_pair(seed, batch), name)


def _severity(augment: Optional[Augment]) -> Optional[float]:
    if augment is None:
        return 0.0
    # A strength drawn from a range, and a combination, have no one number.
    strength = augment.strength if isinstance(augment, StrengthAugment) else None
    return strength if isinstance(strength, float) else None


def _batches(data: Any) -> Any:
    if isinstance(data, tf.data.Dataset):
        return data
    images, labels = data
    checks.check_images(images)
    if len(images) != len(labels):
        raise ValueError(
            f"images and labels must be as many; received {len(images)} and {len(labels)}"
        )
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(256)
