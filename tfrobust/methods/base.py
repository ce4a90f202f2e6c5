"""The training step that all methods share."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.base import Attack
from tfrobust.augment.combine import parts
from tfrobust.losses import classification
from tfrobust.methods import nan_guard
from tfrobust.methods.compiled_step import CompiledStep
from tfrobust.methods.distribution import DistributedModel
from tfrobust.methods.validation import (
    check_alternation,
    check_batch_size,
    check_compiled,
    check_data,
    check_net,
)

Terms = dict[str, tf.Tensor]


class RobustModel(CompiledStep, DistributedModel):
    """A net and a way to train it: `compile`, `fit`, `evaluate`, `predict` and `save` as ever.

    A method says what a step looks at and what it is charged for:

    - `views(images, labels)` makes the inputs of the step; no gradient reaches the weights there;
    - `terms(views, labels)` runs the net and returns the clean logits and named losses, one
      number an image.

    The base class does the rest: loss = Σ_terms weight · mean over the images of the global
    batch, plus the net's own regularisation losses. The weights are variables, so that a callback
    may change them between steps without tracing again, and each term is in `history`.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits.
        term_weights: Name of every term that `terms` returns to its weight.
        augment: The augmentation or attack, where the method has one.
        **kwargs: `name` and the like, as for every Keras model.

    With `compile(jit_compile=True)` XLA compiles `terms` and its gradient; `views` stays outside.

    `compile` takes no loss: cross-entropy from logits is the default, for integer and one-hot
    labels. Another classification loss is accepted if it works on logits.

    Raises:
        ValueError: The net has several outputs, or ends in a softmax or sigmoid; or the
            augmentation mixes labels.
        TypeError: `net` is no Keras model, or `augment` is not a layer.
    """

    #: Images that a step needs: 2 where they are compared or mixed with one another.
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
        #: The weights that the method was made with, whatever a callback has changed since.
        self.own_term_weights = types.MappingProxyType(dict(term_weights))
        self._loss_mean = keras.metrics.Mean(name="loss")
        self._term_means = {name: keras.metrics.Mean(name=name) for name in term_weights}
        # The net has its weights: a loaded model can be restored before its first call.
        self.built = True

    # What a method defines -----------------------------------------------------------------

    def views(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, Any]:
        """Makes the images that the step looks at: clean, and augmented where there is a way.

        Args:
            images: [B, H, W, C] in [0, 1].
            labels: [B] or [B, classes].

        Returns:
            Name to images, each [B, H, W, C]; and whatever else is random and `terms` needs.
        """
        if self.augment is None:
            return {"clean": images}
        # Outside training an augmentation returns its input; one that crops, the centre of it.
        return {
            "clean": self.augment(images, training=False),
            "augmented": self.perturbed(self.augment, images, labels),
        }

    def terms(self, views: dict[str, Any], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        """Runs the net on the views.

        Args:
            views: What `views` returned.
            labels: [B] or [B, classes].

        Returns:
            The logits of the clean images, [B, classes], and the losses: name to [B].
        """
        raise NotImplementedError

    # For the methods -----------------------------------------------------------------------

    def classification_loss(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """J0 for each image: the loss given to `compile`, or cross-entropy. [B] float32."""
        return self._per_image_loss()(labels, tf.cast(logits, tf.float32))

    def perturbed(self, by: Any, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The images changed by an augmentation, or by an attack on the net. [B, H, W, C]."""
        if isinstance(by, Attack):
            return by.perturb(self.net, images, labels)
        return by(images, training=True)

    def forward_together(self, *views: tf.Tensor) -> list[tf.Tensor]:
        """Runs the net once on several views stacked into one batch.

        One batch of 2B is faster than two of B. BatchNorm then normalises with the statistics of
        all views together.

        Args:
            *views: Each [B, H, W, C].

        Returns:
            Logits of each view, [B, classes].
        """
        logits = self.net(tf.concat(views, axis=0), training=True)
        return tf.split(logits, len(views), axis=0)

    # What Keras calls ----------------------------------------------------------------------

    def call(self, images: tf.Tensor, training: Optional[bool] = None) -> tf.Tensor:
        """Logits of the plain net, [B, classes]."""
        return self.net(images, training=training)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.fit`; images and labels are checked before the first step."""
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
        # Gradients do not depend on the value of the loss: they are made to wait for its check.
        with tf.control_dependencies(nan_guard.checks_of(terms, step)):
            gradients = [g if g is None else tf.identity(g) for g in gradients]
        self._apply(gradients)
        self._loss_mean.update_state(losses)
        for name, values in terms.items():
            self._term_means[name].update_state(values)
        return self.reported(self.compute_metrics(images, labels, logits, sample_weight))

    def test_step(self, data: Any) -> dict[str, Any]:
        """The classification loss and the metrics on the images as they are."""
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        validation.check_image_spec(images.shape, images.dtype)
        logits = self.maybe_jit(self)(images, training=False)
        self._loss_mean.update_state(self.classification_loss(labels, logits), sample_weight)
        logs = self.compute_metrics(images, labels, logits, sample_weight)
        of_training = self._term_means
        return self.reported({name: v for name, v in logs.items() if name not in of_training})

    @property
    def metrics(self) -> list[Any]:
        # Keras has a loss tracker of its own; ours goes by the same name and is the one fed here.
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
        """The net forth and back: clean logits, terms, loss of each image, and gradients.

        Args:
            views: What `views` returned.
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
            # Gradients of the replicas are summed. So every image counts 1 / (size of the global
            # batch), also where the last batch does not divide evenly, and what does not belong
            # to images counts 1 / replicas.
            regularisation = tf.add_n(
                [tf.zeros([]), *(tf.cast(r, tf.float32) for r in self.losses)]
            )
            replicas = self.distribute_strategy.num_replicas_in_sync
            loss = tf.reduce_sum(per_image) / batch
            scaled = self._scale_loss(loss + regularisation / replicas)
        gradients = tape.gradient(scaled, self.trainable_variables)
        return logits, terms, per_image + regularisation, gradients

    def _per_image_loss(self) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        if not getattr(self, "loss", None):
            return classification.cross_entropy
        loss = keras.losses.get(self.loss)
        if isinstance(loss, keras.losses.Loss):
            from_logits = loss.get_config().get("from_logits", True)
            loss = loss.call
        else:  # a function named by a string computes from probabilities
            from_logits = "crossentropy" not in getattr(loss, "__name__", "")
        if not from_logits:
            raise ValueError(
                f"the loss must work on logits; received {self.loss!r}, which expects "
                "probabilities (leave the loss out, or give from_logits=True)"
            )
        return loss

    def _scale_loss(self, loss: tf.Tensor) -> tf.Tensor:
        # Mixed float16: Keras 3 optimizers scale by themselves, Keras 2 wraps them.
        for name in ("scale_loss", "get_scaled_loss"):
            if hasattr(self.optimizer, name):
                loss = getattr(self.optimizer, name)(loss)
        return loss

    def _apply(self, gradients: list[Any]) -> None:
        unscale = getattr(self.optimizer, "get_unscaled_gradients", lambda value: value)
        self.optimizer.apply_gradients(zip(unscale(gradients), self.trainable_variables))


def _global_batch_size(images: tf.Tensor) -> tf.Tensor:
    size = tf.cast(tf.shape(images)[0], tf.float32)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        size = context.all_reduce(tf.distribute.ReduceOp.SUM, size)
    return tf.maximum(size, 1.0)
