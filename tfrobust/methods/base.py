"""Base class of the training methods."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Mapping
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.base import Attack
from tfrobust.augment.combine import parts
from tfrobust.compat import optimizers
from tfrobust.compat.model_files import remember_inputs
from tfrobust.layers.same_draws import check_draws, same_draws
from tfrobust.layers.weight_noise import WeightNoise
from tfrobust.methods import step_checks
from tfrobust.methods.checked_calls import CheckedCalls
from tfrobust.methods.compiled_loss import loss_of_images
from tfrobust.methods.validation import check_net

Terms = dict[str, tf.Tensor]


class RobustModel(CheckedCalls):
    """Base class of methods, which train a net with `compile` and `fit` like any Keras model.

    A method defines the inputs and the losses of a step:

    - `views(images, labels)` makes the inputs; no gradient flows to the weights there;
    - `terms(views, labels)` runs the net and returns the clean logits and named losses, one
      number per image.

    The base class does the rest: loss = Σ_terms weight · mean over the images of the global
    batch, plus the net's own regularisation losses. The weights are variables, so a callback can
    change them between steps without retracing. Each term is reported in `history`.

    With `compile(jit_compile=True)` XLA compiles `terms` and its gradient; `views` stays outside.
    `compile` needs no loss: the default is cross-entropy from logits, for integer and one-hot
    labels. Another classification loss must work on logits.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits; of a method its net.
        term_weights: Weight of every term that `terms` returns, by name.
        augment: The augmentation or attack, if the method has one.
        weight_noise: σ of DAMP, in [0, 10]: while training, kernels and the scales of norms are
            multiplied by 1 + N(0, σ²), drawn anew for each step (Trinh et al., 2024). Default 0,
            none; the paper has 0.2 for ResNet-18 on CIFAR-10. Every method takes it.
        **kwargs: Keras model arguments such as `name`.

    Raises:
        ValueError: The net has several outputs, or ends in a softmax or sigmoid, or the
            augmentation mixes labels.
        TypeError: `net` is not a Keras model, or `augment` is not a layer.
    """

    #: Images that a step needs: 2 if they are compared or mixed with one another.
    smallest_batch: int = 1
    #: Whether the loss of an image depends on the others of its batch (apart from BatchNorm).
    compares_images: bool = False
    #: Whether predictions for several views of an image are compared. Inside the net, all views of
    #: an image then meet the same random numbers.
    compares_views: bool = False

    def __init__(
        self,
        net: keras.Model,
        *,
        term_weights: Mapping[str, float],
        augment: Optional[keras.layers.Layer] = None,
        weight_noise: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        net = getattr(net, "net", net)
        check_net(net)
        if self.compares_views:
            check_draws(net, type(self).__name__)
        if augment is not None:
            example = "an augmentation layer, for example tfrobust.augment.Brightness()"
            validation.check_type("augment", augment, keras.layers.Layer, example)
        mixing = [type(a).__name__ for a in parts(augment) if getattr(a, "mixes_labels", False)]
        if mixing:
            raise ValueError(
                f"augment must leave the labels true; received {mixing[0]}, which mixes images of "
                "different classes (mix images and labels in the tf.data pipeline instead)"
            )
        self.net = net
        self.augment = augment
        self.weight_noise = WeightNoise(weight_noise) if weight_noise else None
        self.term_weights = {
            name: self.add_weight(
                name=f"{name}_weight",
                shape=(),
                initializer=keras.initializers.Constant(weight),
                trainable=False,
                dtype="float32",
            )
            for name, weight in term_weights.items()
        }
        #: The initial term weights, regardless of later changes by callbacks.
        self.own_term_weights = types.MappingProxyType(dict(term_weights))
        self._loss_mean = keras.metrics.Mean(name="loss")
        self._term_means = {name: keras.metrics.Mean(name=name) for name in term_weights}
        # The net is built, so a loaded model can be restored before its first call.
        self.built = True
        remember_inputs(self, net)

    # What a method defines -----------------------------------------------------------------

    def views(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, Any]:
        """Makes the inputs of a step: clean and, if there is an augmentation, augmented images.

        Args:
            images: [B, H, W, C] in [0, 1].
            labels: [B] or [B, classes].

        Returns:
            Images by name, each [B, H, W, C], and any other random draws that `terms` needs.
        """
        if self.augment is None:
            return {"clean": images}
        # Outside training an augmentation returns its input or, if it crops, the centre crop.
        return {
            "clean": self.augment(images, training=False),
            "augmented": self.perturbed(self.augment, images, labels),
        }

    def terms(self, views: dict[str, Any], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        """Runs the net on the views.

        Args:
            views: The result of `views`.
            labels: [B] or [B, classes].

        Returns:
            The logits of the clean images, [B, classes], and the losses by name, each [B].
        """
        raise NotImplementedError

    # For the methods -----------------------------------------------------------------------

    def classification_loss(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """J0 of each image, [B] float32: the loss given to `compile`, or cross-entropy."""
        return loss_of_images(getattr(self, "loss", None))(labels, tf.cast(logits, tf.float32))

    def perturbed(self, by: Any, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Applies an augmentation, or an attack on the net, to images [B, H, W, C]."""
        if isinstance(by, Attack):
            return by.perturb(self.net, images, labels)
        return by(images, training=True)

    def forward_together(
        self, *views: tf.Tensor, drawn: Optional[dict[Any, Any]] = None
    ) -> list[tf.Tensor]:
        """Runs the net once on several views stacked into one batch.

        One batch of 2B is faster than two of B. BatchNorm then uses the statistics of all views
        together.

        Args:
            *views: Each [B, H, W, C].
            drawn: For several passes that are compared, one dictionary for all; see `same_draws`.

        Returns:
            The logits of each view, [B, classes].
        """
        with self.same_draws(tf.shape(views[0])[0], drawn):
            logits = self.net(tf.concat(views, axis=0), training=True)
        return tf.split(logits, len(views), axis=0)

    def same_draws(
        self, batch: tf.Tensor, drawn: Optional[dict[Any, Any]] = None
    ) -> contextlib.AbstractContextManager[None]:
        """Has all views of an image meet the same random numbers in the net, if they are compared.

        Args:
            batch: B, the number of images.
            drawn: As for `layers.same_draws.same_draws`. Default: for one pass.
        """
        if not self.compares_views:
            return contextlib.nullcontext()
        return same_draws(self.net, batch, {} if drawn is None else drawn)

    # What Keras calls ----------------------------------------------------------------------

    def call(self, images: tf.Tensor, training: Optional[bool] = None) -> tf.Tensor:
        """Returns the logits of the net, [B, classes]."""
        return self.net(images, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        images, labels, sample_weight = step_checks.checked(
            data, self.net, "training", self.augment
        )
        step = tf.convert_to_tensor(self.optimizer.iterations) + 1
        batch = _global_batch_size(images)
        with tf.control_dependencies([step_checks.check_of_size(batch, self.smallest_batch, step)]):
            images = tf.identity(images)
        views = self.views(images, labels)
        noise = self.weight_noise.draw(self.net) if self.weight_noise is not None else []
        forward_backward = self.maybe_jit(self._forward_backward)
        logits, terms, losses, gradients = forward_backward(
            views, labels, sample_weight, batch, noise
        )
        gradients = optimizers.unscaled_gradients(self.optimizer, gradients)
        # Gradients do not depend on the loss's value, so they must wait for the check explicitly.
        with tf.control_dependencies(step_checks.checks_of(terms, step)):
            gradients = [g if g is None else tf.identity(g) for g in gradients]
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self._loss_mean.update_state(losses)
        for name, values in terms.items():
            self._term_means[name].update_state(values)
        return self.reported(self.compute_metrics(images, labels, logits, sample_weight))

    def test_step(self, data: Any) -> dict[str, Any]:
        """Computes the classification loss, as in training, and the metrics on plain images."""
        images, labels, sample_weight = step_checks.checked(data, self.net, "evaluation")
        logits, losses = self.maybe_jit(self._forward)(images, labels, sample_weight)
        self._loss_mean.update_state(losses)
        logs = self.compute_metrics(images, labels, logits, sample_weight)
        of_training = self._term_means
        return self.reported({name: v for name, v in logs.items() if name not in of_training})

    def predict_step(self, data: Any) -> tf.Tensor:
        """Computes the logits of a batch."""
        images, *_ = step_checks.checked(data, self.net, "prediction", labelled=False)
        return super().predict_step((images,))

    @property
    def metrics(self) -> list[Any]:
        # Replaces Keras' own loss tracker, which has the same name but is not updated here.
        ours = [self._loss_mean, *self._term_means.values()]
        others = [metric for metric in super().metrics if all(metric is not one for one in ours)]
        return ours + [metric for metric in others if metric.name != "loss"]

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` returns."""
        return [metric.name for metric in self.metrics if metric.name not in self._term_means]

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        config = {"name": self.name, "net": serialize(self.net)}
        if self.augment is not None:
            config["augment"] = serialize(self.augment)
        if self.weight_noise is not None:
            config["weight_noise"] = self.weight_noise.sigma
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> RobustModel:
        config = dict(config)
        for key in ("net", "augment"):
            if isinstance(config.get(key), dict):
                config[key] = keras.saving.deserialize_keras_object(config[key], custom_objects)
        return cls(**config)

    # Inside --------------------------------------------------------------------------------

    def _forward(
        self, images: tf.Tensor, labels: tf.Tensor, sample_weight: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits and the loss of each image outside of training."""
        logits = self(images, training=False)
        losses = self.classification_loss(labels, logits)
        if sample_weight is not None:
            losses *= sample_weight
        return logits, losses + self._regularisation()

    def _regularisation(self) -> tf.Tensor:
        """The net's own losses of its last pass, a float32 number."""
        return tf.add_n([tf.zeros([]), *(tf.cast(loss, tf.float32) for loss in self.losses)])

    def _forward_backward(
        self,
        views: dict[str, Any],
        labels: tf.Tensor,
        sample_weight: Any,
        batch: tf.Tensor,
        noise: list[tf.Tensor],
    ) -> tuple[tf.Tensor, Terms, tf.Tensor, list[Any]]:
        """Forward and backward pass: clean logits, terms, loss of each image, and gradients.

        Args:
            views: The result of `views`.
            labels: [B] or [B, classes].
            sample_weight: [B], or None.
            batch: Size of the global batch.
            noise: Factors of the weights, if the method has noise on them.
        """
        with tf.GradientTape() as tape:
            noisy = self.weight_noise and self.weight_noise.applied(self.net, noise)
            with noisy or contextlib.nullcontext():
                logits, terms = self.terms(views, labels)
            per_image = tf.add_n(
                [tf.convert_to_tensor(self.term_weights[k]) * v for k, v in terms.items()]
            )
            if sample_weight is not None:
                per_image *= sample_weight
            # Gradients are summed over replicas. So every image has the weight 1 / (global batch
            # size), even if the last batch does not divide evenly, and the regularisation
            # 1 / replicas.
            regularisation = self._regularisation()
            replicas = self.distribute_strategy.num_replicas_in_sync
            loss = tf.reduce_sum(per_image) / batch
            scaled = optimizers.scaled_loss(self.optimizer, loss + regularisation / replicas)
        gradients = tape.gradient(scaled, self.trainable_variables)
        return logits, terms, per_image + regularisation, gradients


def _global_batch_size(images: tf.Tensor) -> tf.Tensor:
    size = tf.cast(tf.shape(images)[0], tf.float32)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        size = context.all_reduce(tf.distribute.ReduceOp.SUM, size)
    return tf.maximum(size, 1.0)
