"""What is measured: a Keras model, a model file, a SavedModel or a function, all seen alike."""

from __future__ import annotations

import functools
import os
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import keras
import numpy as np
import tensorflow as tf

from tfrobust import saving, validation
from tfrobust.attacks.gradient_sign import has_no_gradient
from tfrobust.compat.layers import is_graph
from tfrobust.evaluation import runnable
from tfrobust.layers.hash_of_weights import hash_of_weights
from tfrobust.nets.classifier import check_classifier
from tfrobust.nets.input_adapter import convert
from tfrobust.nets.logits import are_probabilities, cut_softmax, to_logits

Model = Union[keras.Model, str, "os.PathLike[str]", Callable[[tf.Tensor], tf.Tensor]]

#: Number of images on which it is tried whether a net returns logits, and whether its loss has a
#: gradient; and the fraction of images without one that is worth a warning.
_TRIED, _FOLLOWED, _MANY = 8, 256, 0.1


class Predictor:
    """A classifier that is traced once and says of each image its class and how sure it is.

    Whether it returns logits or probabilities is seen from its first batch: probabilities are 0 or
    more and sum to 1.

    Args:
        model: A Keras model (a tfrobust method counts as its net), a `.keras`, `.tflite` or `.onnx`
            file (the latter with channels last or, as PyTorch writes them, first), the folder of a
            SavedModel (of `tfrobust.serving.export` or any other with one image input; also of a
            folder of numbered versions, the newest of them), a function in a Python file
            ("predict.py:classify"), or a function from images [B, H, W, C], float32 in [0, 1], to
            logits or probabilities [B, classes]. A function that TensorFlow cannot trace is called
            with NumPy arrays, or else eager tensors.
        name: Its name in tables. Default: the model's own, or that of the file or folder.
        classes: Which of the outputs count, as whole numbers in their new order: such as the 200
            classes of ImageNet-R of a net for 1,000. They are chosen before the softmax. Default:
            all.
        input_range: What it takes for pixels, a name in `nets.INPUT_RANGES`, if it is no Keras
            model (`nets.adapt` is for those). Default: what it says, else "0_to_1".
        input_size: (height, width) that the images are resized to for the model. Default: their
            own.

    Attributes:
        net: The Keras model, whatever it returns; None for anything else. What needs gradients
            uses `logits`.
        stated_range: What a file that is no Keras model says that it takes for pixels; None if it
            says nothing.
        output: "logits" or "probabilities"; None before the first batch.
        class_count: Number of classes; 0 before the first batch.
        image_shape: (height, width, channels) that it takes; None where any will do.

    Raises:
        FileNotFoundError: There is no such file or folder.
        TypeError: `model` is none of these.
        ValueError: It is not a classifier of images, or `classes` are not outputs of it.
    """

    def __init__(
        self,
        model: Model,
        *,
        name: Optional[str] = None,
        classes: Optional[Sequence[int]] = None,
        input_range: Any = None,
        input_size: Optional[Sequence[int]] = None,
    ):
        self.net: Optional[keras.Model] = None
        self.output: Optional[str] = None
        self.class_count = 0
        self.image_shape: tuple[Optional[int], ...] = (None, None, None)
        self.stated_range: Any = None
        self._function: Callable[[Any], Any]
        self._prepare: Callable[[Any], Any] = lambda images: images
        self._is_function = self._of_arrays = False
        self._some_images: Any = None
        self._gradients_seen = self._gradients_lost = 0
        size = validation.check_size("input_size", input_size)
        if isinstance(model, (str, os.PathLike)):
            path = pathlib.Path(model)
            own_name = path.parent.name if path.stem == "model" else path.stem
            if path.suffix == ".keras":
                self._use_net(saving.load_model(path), size)
            else:
                own_name = path.name.rpartition(":")[2] if ":" in path.name else own_name
                self._use(runnable.opened(path))
        elif isinstance(model, keras.Model):
            own_name = model.name
            self._use_net(model, size)
        elif callable(model):
            own_name = getattr(model, "__name__", type(model).__name__)
            self._use(runnable.Runnable(model, lambda: "unknown", of_arrays=False))
        else:
            raise TypeError(
                "model must be a Keras model, a file or folder of one, or a function of images; "
                f"received {type(model).__name__}"
            )
        if self._is_function and size is not None:
            self.image_shape = (None, None, self.image_shape[-1])
        taken = input_range or self.stated_range or "0_to_1"
        if self._is_function:
            self._prepare = functools.partial(_prepared, size=size, input_range=taken)
        self._given = {"input_range": input_range, "input_size": size and list(size)}
        self.name = name or own_name
        self.classes = _check_classes(classes)
        # Of classes that a softmax over all of them rounds to 0, none could be told from another.
        cut = None if self.classes is None or self.net is None else cut_softmax(self.net)
        self._softmax_removed = cut is not None
        if cut is not None:
            self._function = lambda images: cut(images, training=False)
        # Partial, for TensorFlow takes methods of several models for one that is traced again.
        compute, answer = (functools.partial(one) for one in (self._compute, self._answers_of))
        self._forward = tf.function(compute, reduce_retracing=True)
        # Without AutoGraph, which the model may need and this does not, errors stay readable.
        self._answers = tf.function(answer, reduce_retracing=True, autograph=False)

    @property
    def provenance(self) -> dict[str, Any]:
        """For result rows: a hash of the weights as they are now, and what the model returns."""
        given = {name: value for name, value in self._given.items() if value is not None}
        return {"model": self._hash(), "output": self.output, **given}

    @functools.cached_property
    def logits(self) -> keras.Model:
        """A Keras model from images to logits of the classes of the data, on the net's weights.

        Attacks, and all else that needs gradients, work on it: the softmax of the net is taken away
        (`tfrobust.nets.to_logits`), and of its outputs those that `classes` chose are left.

        Raises:
            ValueError: It is no Keras model.
        """
        if self.net is None:
            raise ValueError(
                f"gradients need a Keras model or .keras file; received {self.name}, which is none"
            )
        net, classes = to_logits(self.net, self._some_images).model, self.classes
        if classes is None:
            return net
        known = self.image_shape[-1] is not None or self._some_images is None
        inputs = keras.Input(self.image_shape if known else self._some_images.shape[1:])
        chosen = keras.layers.Lambda(lambda outputs: tf.gather(outputs, classes, axis=1))
        return keras.Model(inputs, chosen(net(inputs)), name=net.name)

    def begin(self, condition: Any, batches: Any, seed: int, index: Any = None) -> None:
        """Is told that the images of a condition follow, for models that prepare for them.

        Args:
            condition: The condition.
            batches: The clean data.
            seed: Seed of the condition's draws.
            index: Index of each image, if it is not its place in the data.
        """

    def answers(self, images: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The class of each image, and the uncertainty that is left: 1 − its probability.

        Doubts keep apart what probabilities near 1 do not.

        Args:
            images: [B, H, W, C] float32 in [0, 1]; B is 1 or more.

        Returns:
            int32 [B], and float32 [B] in [0, 1], NaN where an output is not finite.

        Raises:
            ValueError: It returns logits for some images and probabilities for others.
        """
        images = tf.cast(images, tf.float32)
        if self.output is None:
            self._some_images = images[:_TRIED]
            self._check_outputs()
        classes, uncertainties, is_probability = self._answers(images)
        output = "probabilities" if is_probability else "logits"
        self.output = self.output or output
        if output != self.output and not np.isnan(uncertainties).any():
            raise ValueError(
                "a model must return logits for all images, or probabilities for all; "
                f"{self.name} returned {self.output} at first, and {output} now"
            )
        return classes, uncertainties

    def warn_of_lost_gradients(self, images: Any, labels: Any) -> None:
        """Warns if the loss of many of the first images has no gradient that attacks could follow.

        Args:
            images: A batch that is to be attacked, [B, H, W, C] float32 in [0, 1].
            labels: Its labels.
        """
        if self._gradients_seen >= _FOLLOWED:
            return
        lost = self._lose_gradients(tf.convert_to_tensor(images), tf.convert_to_tensor(labels))
        self._gradients_lost += int(np.count_nonzero(lost))
        self._gradients_seen += len(images)
        if self._gradients_lost > _MANY * self._gradients_seen:
            warnings.warn(
                f"the loss of {self.name} has a gradient of exactly 0 for {self._gradients_lost} "
                f"of {self._gradients_seen} images, so that attacks that follow it cannot change "
                "them, and the model looks more robust than it is (probabilities of exactly 0 and "
                "1, or rounding inside the model, lose it; give a model of logits)",
                RuntimeWarning,
                stacklevel=2,
            )
            self._gradients_seen = _FOLLOWED  # said once

    # Inside --------------------------------------------------------------------------------

    @functools.cached_property
    def _lose_gradients(self) -> Any:
        return tf.function(functools.partial(has_no_gradient, self.logits), reduce_retracing=True)

    def _compute(self, images: tf.Tensor) -> Any:
        return self._function(self._prepare(images))

    def _use(self, given: runnable.Runnable) -> None:
        self._function, self._hash, self._is_function = given.run, given.digest, True
        self.image_shape, self.stated_range = given.image_shape, given.input_range
        self._of_arrays = given.of_arrays

    def _use_net(self, model: keras.Model, size: Optional[tuple[int, int]]) -> None:
        net = getattr(model, "net", model)
        if is_graph(net):  # others do not know their shapes
            check_classifier(net)
        if size is not None:
            net = _with_resizing(net, size)
        self._function = lambda images: net(images, training=False)
        self.net, self._hash = net, lambda: hash_of_weights(net)
        shape = getattr(net, "input_shape", None)
        if isinstance(shape, tuple) and len(shape) == 4:
            self.image_shape = tuple(shape[1:])

    def _check_outputs(self) -> None:
        images = self._some_images
        given = tf.TensorSpec([None, *images.shape[1:]], tf.float32)
        try:
            if self._is_function and self._of_arrays:
                raise TypeError("it needs the numbers")
            shape = self._forward.get_concrete_function(given).output_shapes
        except Exception:  # whatever a function raises that looks for the numbers in a tensor
            if not self._is_function:
                raise
            self._function = _on_numbers(self._function, self._prepare(images[:1]))
            self._forward = tf.function(self._compute, autograph=False, reduce_retracing=True)
            shape = self._forward.get_concrete_function(given).output_shapes
        if not isinstance(shape, tf.TensorShape) or shape.rank != 2 or shape[1] in (None, 1):
            raise ValueError(
                "a model must return one number for each of 2 classes or more, [batch, classes]; "
                f"{self.name} returns {shape}"
            )
        self.class_count = shape[1] if self.classes is None else len(self.classes)
        if self.classes is not None and max(self.classes) >= shape[1]:
            raise ValueError(
                f"classes must be outputs of the model, from 0 to {shape[1] - 1}; received "
                f"{max(self.classes)}"
            )

    def _answers_of(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        outputs = tf.cast(self._forward(images), tf.float32)
        # Seen before classes are chosen: those of some classes do not sum to 1.
        is_probability = are_probabilities(outputs)
        if self.classes is not None:
            outputs = tf.gather(outputs, self.classes, axis=1)
        chosen = tf.argmax(outputs, axis=1, output_type=tf.int32)
        largest = tf.reduce_max(outputs, axis=1, keepdims=True)
        shares = tf.where(is_probability, outputs, tf.exp(outputs - largest))
        others = shares * (1 - tf.one_hot(chosen, tf.shape(shares)[1]))
        uncertainty = tf.reduce_sum(others, axis=1) / tf.reduce_sum(shares, axis=1)
        finite = tf.reduce_all(tf.math.is_finite(outputs), axis=1)
        uncertainty = tf.where(
            finite, uncertainty, tf.fill(tf.shape(uncertainty), np.float32(np.nan))
        )
        return chosen, uncertainty, is_probability | self._softmax_removed


def _on_numbers(function: Any, image: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function that needs the numbers in a tensor, such as one of NumPy, as one operation."""
    given: Callable[[Any], Any] = np.asarray
    try:
        outputs = function(given(image))
    except Exception:  # it may ask for TensorFlow's tensors
        given = tf.convert_to_tensor
        outputs = function(given(image))
    shape = [None, *np.shape(outputs)[1:]]

    def call(images: tf.Tensor) -> tf.Tensor:
        def on_array(array: np.ndarray) -> np.ndarray:
            return np.asarray(function(given(array)), "float32")

        return tf.ensure_shape(tf.numpy_function(on_array, [images], tf.float32), shape)

    return call


def _check_classes(classes: Optional[Sequence[int]]) -> Optional[np.ndarray]:
    if classes is None:
        return None
    chosen = np.asarray(classes)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or len(set(chosen.tolist())) < 2:
        raise ValueError(f"classes must be 2 or more different whole numbers; received {classes!r}")
    if len(set(chosen.tolist())) != len(chosen) or chosen.min() < 0:
        raise ValueError("classes must be different outputs of the model, counted from 0")
    return chosen.astype("int32")


def _prepared(images: tf.Tensor, size: Optional[tuple[int, int]], input_range: Any) -> tf.Tensor:
    """Images as a model takes them that is no Keras model."""
    if size is not None:
        images = tf.clip_by_value(tf.image.resize(images, size, antialias=True), 0.0, 1.0)
    return tf.cast(convert(images, input_range), tf.float32)


def _with_resizing(net: keras.Model, size: tuple[int, int]) -> keras.Model:
    """The net for images of any size, which are made that large first."""
    inputs = keras.Input([None, None, net.input_shape[-1]])
    resized = keras.layers.Lambda(
        lambda images: tf.clip_by_value(tf.image.resize(images, size, antialias=True), 0.0, 1.0)
    )
    return keras.Model(inputs, net(resized(inputs)), name=net.name)
