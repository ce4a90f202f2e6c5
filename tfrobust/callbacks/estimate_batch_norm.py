"""Estimation of the moving statistics of batch norm anew, after training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.gradient_sign import is_wrong
from tfrobust.augment.combine import all_alternatives, alternating
from tfrobust.compat.random_generators import generator_states
from tfrobust.compat.stack import KERAS_2
from tfrobust.layers.inner_layers import every_layer
from tfrobust.layers.output_hooks import input_hook
from tfrobust.nets.batch_norm_adaptation import moments_of
from tfrobust.ops import sampling


class EstimateBatchNorm(keras.callbacks.Callback):
    """Estimates the moving statistics of batch norm anew at the end of training.

    Moving statistics are an average over the last steps. After a training that alternates between
    augmentations they are those of the last one alone, and the net is wrong on images of the
    others. Here mean and variance are computed over all images of several batches (as in PyTorch's
    `update_bn` for averaged weights, Izmailov et al., 2018; estimating them on other data helps
    against corruptions, too: Schneider et al., 2020).

    The net runs as in a training step, on the views of the method, so that each route of dual norms
    gets its own images. Augmentations that alternate give all their alternatives in equal parts of
    each batch, with as many clean images as of each of them if the method trains on clean and
    augmented images. Crops and flips belong into `data`: without them the black borders of crops
    are missing, and the estimate is worse than none.

    The estimate is kept if the score on validation images is not lower than before. Frozen norms
    and all other weights, random generators and counters stay as they are.

    Place it after `RestoreBest`. It works on one device; under a strategy of several, call
    `estimate` with a copy of the model on one device, as `trainer.train_to` does.

    Args:
        data: Training data, a batched `tf.data.Dataset` as for `fit`.
        validation_data: Batched validation images and labels for the default score: the mean
            accuracy on clean images and, if the augmentation alternates, on images that it changed.
        score: Function from a model to its score, higher is better, to use instead, such as
            `RobustnessMonitor.robust_accuracy`.
        images: Number of training images, rounded up to whole batches; at most one pass over
            `data`. Default 10,000.

    Attributes:
        before: Score with the moving statistics of the training; None at first, and if the model
            has no batch norm that is not frozen.
        after: Score with the estimate.

    Raises:
        ValueError: `images` is out of range, or, at the start of training, the model is on several
            devices.

    Example:

    >>> # model.fit(data.train, validation_data=data.validation, epochs=30, callbacks=[
    >>> #     AlternateAugmentations(), EstimateBatchNorm(data.train, data.validation)])

    References: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
    Generalization", UAI 2018. Schneider et al., "Improving robustness against common corruptions by
    covariate shift adaptation", NeurIPS 2020.
    """

    def __init__(
        self,
        data: tf.data.Dataset,
        validation_data: tf.data.Dataset,
        *,
        score: Optional[Callable[[keras.Model], float]] = None,
        images: int = 10_000,
    ):
        super().__init__()
        self.images = validation.check_whole("images", images, 1, 2**31 - 1)
        self.before: Optional[float] = None
        self.after: Optional[float] = None
        self._data, self._validation_data = data, validation_data
        self._own_score = score
        self._score = score or (lambda model: _accuracy(model, validation_data))

    def __deepcopy__(self, memo: Any) -> EstimateBatchNorm:
        # KerasTuner copies callbacks for each trial, but a tf.data pipeline cannot be copied.
        return EstimateBatchNorm(
            self._data, self._validation_data, score=self._own_score, images=self.images
        )

    def on_train_begin(self, logs: Optional[dict[str, Any]] = None) -> None:
        replicas = self.model.distribute_strategy.num_replicas_in_sync
        if replicas > 1:
            raise ValueError(
                "EstimateBatchNorm needs a model on one device; received one on "
                f"{replicas} (tfrobust.trainer.train_to estimates on a copy)"
            )

    def on_train_end(self, logs: Optional[dict[str, Any]] = None) -> None:
        self.estimate(self.model)

    def estimate(self, model: keras.Model) -> bool:
        """Estimates the statistics of a model now.

        Args:
            model: The model, which must be built.

        Returns:
            Whether the estimate was kept.
        """
        norms = [x for x in every_layer(model) if _has_moving_statistics(x)]
        if not norms:
            return False
        self.before = float(self._score(model))
        estimates = _estimates(model, norms, self._data, self.images)
        kept = [(variable, variable.numpy()) for variable, _ in estimates]
        for variable, value in estimates:
            variable.assign(value)
        self.after = float(self._score(model))
        better = self.after >= self.before
        if not better:
            for variable, value in kept:
                variable.assign(value)
        return better


def _has_moving_statistics(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization) and layer.trainable


class _Moments:
    """Mean and variance of all inputs of a batch norm."""

    def __init__(self, norm: Any):
        self._norm = norm
        # Sums of squares lose digits in float32. Variables can be changed in a branch of tf.cond.
        shape = norm.moving_mean.shape
        self._count = tf.Variable(tf.zeros([], tf.float64), trainable=False)
        self._sum = tf.Variable(tf.zeros(shape, tf.float64), trainable=False)
        self._squares = tf.Variable(tf.zeros(shape, tf.float64), trainable=False)

    def add(self, inputs: tf.Tensor) -> None:
        mean, variance = (
            tf.cast(tf.reshape(value, self._sum.shape), tf.float64)
            for value in moments_of(self._norm, inputs)
        )
        count = tf.cast(tf.size(inputs) / tf.size(mean), tf.float64)
        self._count.assign_add(count)
        self._sum.assign_add(count * mean)
        self._squares.assign_add(count * (variance + tf.square(mean)))

    def estimates(self) -> Iterable[tuple[Any, np.ndarray]]:
        """The moving statistics and their values; none if nothing was added."""
        count = self._count.numpy()
        if count:
            mean = self._sum.numpy() / count
            variance = self._squares.numpy() / count - mean**2
            for variable, value in (
                (self._norm.moving_mean, mean),
                (self._norm.moving_variance, np.maximum(variance, 0)),
            ):
                yield variable, value.astype(variable.numpy().dtype)


def _estimates(
    model: keras.Model, norms: list[Any], data: tf.data.Dataset, images: int
) -> list[tuple[Any, np.ndarray]]:
    """Runs the model on training images; pairs of a moving statistic and its value."""
    moments = {id(norm): _Moments(norm) for norm in norms}

    @_traced(data)
    def run(*batch: Any) -> None:
        hook = input_hook(norms, lambda norm, inputs: moments[id(norm)].add(inputs))
        with hook, all_alternatives(getattr(model, "augment", None)) as alternatives:
            _training_pass(model, batch, alternatives)

    states = [v for v in model.variables if not v.trainable] + generator_states(model)
    before = [tf.identity(tf.convert_to_tensor(state)) for state in states]
    seen = 0
    try:
        for batch in data:
            run(*batch)
            seen += len(batch[0])
            if seen >= images:
                break
    finally:
        for state, value in zip(states, before):
            state.assign(value)
    return [pair for norm in norms for pair in moments[id(norm)].estimates()]


def _training_pass(model: Any, batch: Any, alternatives: int) -> None:
    """Runs a model as a training step does, but without a gradient."""
    images, labels, _ = keras.utils.unpack_x_y_sample_weight(batch)
    if not hasattr(model, "terms"):
        model(images, training=True)
        return
    views = model.views(images, labels)
    if alternatives > 1 and set(views) == {"clean", "augmented"}:
        # As many clean images as of each alternative.
        parts = [views["clean"][::alternatives], views["augmented"]]
        model.net(tf.concat(parts, axis=0), training=True)
    else:
        model.terms(views, labels)


def _accuracy(model: Any, data: tf.data.Dataset) -> float:
    """Accuracy on clean images, and on those that an alternating augmentation changed."""
    augment = getattr(model, "augment", None)

    @_traced(data)
    def wrong(*batch: Any) -> tf.Tensor:
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(batch)
        versions = [images if augment is None else augment(images, training=False)]
        with all_alternatives(augment):
            for layer in alternating(augment):
                seed = sampling.seed_pair(layer.seed)
                versions.append(layer.apply(versions[0], layer.draw(versions[0], seed)))
        return tf.stack([is_wrong(model(v, training=False), labels) for v in versions])

    return 1 - float(np.concatenate([wrong(*batch).numpy().ravel() for batch in data]).mean())


def _traced(data: tf.data.Dataset) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a graph for the batches of a data set, also for a smaller last one."""
    # Keras 2 converts Python's `if` and `while` in the layers that it calls, Keras 3 does not.
    return tf.function(input_signature=data.element_spec, autograph=KERAS_2)
