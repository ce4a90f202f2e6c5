"""Base class of the training methods."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.base import Attack
from tfrobust.augment.combine import parts
from tfrobust.compat import optimizers
from tfrobust.compat.compiled_step import CompiledStep
from tfrobust.compat.distribution import DistributedModel
from tfrobust.losses import classification
from tfrobust.methods import nan_guard
from tfrobust.methods.validation import (
    check_alternation,
    check_batch_size,
    check_compiled,
    check_data,
    check_net,
)

Terms = dict[str, tf.Tensor]


class RobustModel(CompiledStep, DistributedModel):
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

    def __init__(
        self,
        net: keras.Model,
        *,
        term_weights: Mapping[str, float],
        augment: Optional[keras.layers.Layer] = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        net = getattr(net, "net", net)
        check_net(net)
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
        return self._per_image_loss()(labels, tf.cast(logits, tf.float32))

    def perturbed(self, by: Any, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Applies an augmentation, or an attack on the net, to images [B, H, W, C]."""
        if isinstance(by, Attack):
            return by.perturb(self.net, images, labels)
        return by(images, training=True)

    def forward_together(self, *views: tf.Tensor) -> list[tf.Tensor]:
        """Runs the net once on several views stacked into one batch.

        One batch of 2B is faster than two of B. BatchNorm then uses the statistics of all views
        together.

        Args:
            *views: Each [B, H, W, C].

        Returns:
            The logits of each view, [B, classes].
        """
        logits = self.net(tf.concat(views, axis=0), training=True)
        return tf.split(logits, len(views), axis=0)

    # What Keras calls ----------------------------------------------------------------------

    def call(self, images: tf.Tensor, training: Optional[bool] = None) -> tf.Tensor:
        """Returns the logits of the net, [B, classes]."""
        return self.net(images, training=training)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains like `keras.Model.fit`, after checking images and labels."""
        check_data(x, y, self.net, "training", self.augment)
        batch_size = args[0] if args else kwargs.get("batch_size")  # Keras' third argument
        check_batch_size(x, batch_size, self.smallest_batch)
        held_out = kwargs.get("validation_data")
        if isinstance(held_out, (tuple, list)):
            check_data(held_out[0], held_out[1], self.net, "validation")
        elif held_out is not None:
            check_data(held_out, None, self.net, "validation")
        check_alternation(self.augment, kwargs.get("callbacks"))
        check_compiled(self)
        with nan_guard.explained():
            return super().fit(x, y, *args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        validation.check_image_spec(images.shape, images.dtype)
        views = self.views(images, labels)
        forward_backward = self.maybe_jit(self._forward_backward)
        logits, terms, losses, gradients = forward_backward(
            views, labels, sample_weight, _global_batch_size(images)
        )
        step = tf.convert_to_tensor(self.optimizer.iterations) + 1
        # Gradients do not depend on the loss's value, so they must wait for the check explicitly.
        with tf.control_dependencies(nan_guard.checks_of(terms, step)):
            gradients = [g if g is None else tf.identity(g) for g in gradients]
        gradients = optimizers.unscaled_gradients(self.optimizer, gradients)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self._loss_mean.update_state(losses)
        for name, values in terms.items():
            self._term_means[name].update_state(values)
        return self.reported(self.compute_metrics(images, labels, logits, sample_weight))

    def test_step(self, data: Any) -> dict[str, Any]:
        """Computes the classification loss and the metrics on unperturbed images."""
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        validation.check_image_spec(images.shape, images.dtype)
        logits = self.maybe_jit(self)(images, training=False)
        self._loss_mean.update_state(self.classification_loss(labels, logits), sample_weight)
        logs = self.compute_metrics(images, labels, logits, sample_weight)
        of_training = self._term_means
        return self.reported({name: v for name, v in logs.items() if name not in of_training})

    @property
    def metrics(self) -> list[Any]:
        # Replaces Keras' own loss tracker, which has the same name but is not updated here.
        ours = [self._loss_mean, *self._term_means.values()]
        names = {metric.name for metric in ours}
        return ours + [metric for metric in super().metrics if metric.name not in names]

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        config = {"name": self.name, "net": serialize(self.net)}
        if self.augment is not None:
            config["augment"] = serialize(self.augment)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> RobustModel:
        config = dict(config)
        for key in ("net", "augment"):
            if isinstance(config.get(key), dict):
                config[key] = keras.saving.deserialize_keras_object(config[key], custom_objects)
        return cls(**config)

    # Inside --------------------------------------------------------------------------------

    def _forward_backward(
        self, views: dict[str, Any], labels: tf.Tensor, sample_weight: Any, batch: tf.Tensor
    ) -> tuple[tf.Tensor, Terms, tf.Tensor, list[Any]]:
        """Forward and backward pass: clean logits, terms, loss of each image, and gradients.

        Args:
            views: The result of `views`.
            labels: [B] or [B, classes].
            sample_weight: [B], or None.
            batch: Size of the global batch.
        """
        with tf.GradientTape() as tape:
            logits, terms = self.terms(views, labels)
            per_image = tf.add_n(
                [tf.convert_to_tensor(self.term_weights[k]) * v for k, v in terms.items()]
            )
            if sample_weight is not None:
                per_image *= tf.reshape(tf.cast(sample_weight, tf.float32), [-1])
            # Gradients are summed over replicas. So every image has the weight 1 / (global batch
            # size), even if the last batch does not divide evenly, and the regularisation
            # 1 / replicas.
            regularisation = tf.add_n(
                [tf.zeros([]), *(tf.cast(r, tf.float32) for r in self.losses)]
            )
            replicas = self.distribute_strategy.num_replicas_in_sync
            loss = tf.reduce_sum(per_image) / batch
            scaled = optimizers.scaled_loss(self.optimizer, loss + regularisation / replicas)
        gradients = tape.gradient(scaled, self.trainable_variables)
        return logits, terms, per_image + regularisation, gradients

    def _per_image_loss(self) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        if not getattr(self, "loss", None):
            return classification.cross_entropy
        loss = keras.losses.get(self.loss)
        if isinstance(loss, keras.losses.Loss):
            from_logits = loss.get_config().get("from_logits", True)
            loss = loss.call
        else:  # a function found by its name expects probabilities
            from_logits = "crossentropy" not in getattr(loss, "__name__", "")
        if not from_logits:
            raise ValueError(
                f"the loss must work on logits; received {self.loss!r}, which expects "
                "probabilities (leave the loss out, or give from_logits=True)"
            )
        return loss


def _global_batch_size(images: tf.Tensor) -> tf.Tensor:
    size = tf.cast(tf.shape(images)[0], tf.float32)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        size = context.all_reduce(tf.distribute.ReduceOp.SUM, size)
    return tf.maximum(size, 1.0)
