"""Checks inside a training step: what comes in, and the terms of the loss.

A step sees every batch, wherever it comes from. The values are looked at in the graph, by one
reduction each; only a batch that does not pass is looked at again in Python, which says why.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import validation

_MARK = "tfrobust: a term of the loss is not finite"
_FOUND = re.compile(_MARK + r": (\w+) in step\W+(\d+)")
_REFUSED = "tfrobust: refused batch: "
_SAID = re.compile(r"(\w+): " + _REFUSED + "(.*)")
_KINDS = {"ValueError": ValueError, "TypeError": TypeError}


def check_batch(
    images: Any,
    labels: Any,
    net: keras.Model,
    split: str,
    augment: Optional[keras.layers.Layer] = None,
) -> None:
    """Checks images, and labels if there are any, before a net gets them.

    Args:
        images: Array or eager tensor.
        labels: Array or eager tensor, or None.
        net: The net.
        split: What to call the data in messages.
        augment: Augmentation that may crop the images to the net's shape.

    Raises:
        ValueError: Images or labels are empty, out of range, or do not fit the net.
        TypeError: The images are not floating point, or the labels are not numbers.
    """
    validation.check_images(images, f"{split} images")
    if labels is not None:
        validation.check_labels(labels, net.output_shape[-1], f"{split} labels")
    _check_size(tuple(np.shape(images)), net, split, augment)


def check_batch_size(size: int, smallest: int) -> None:
    """Checks that a batch has as many images as a method needs.

    Raises:
        ValueError: It has fewer.
    """
    if size < smallest:
        raise ValueError(
            f"a batch must have {smallest} images or more, because this method compares or mixes "
            f"the images of a batch; received batches of {size}"
        )


def checked(
    data: Any,
    net: keras.Model,
    split: str,
    augment: Optional[keras.layers.Layer] = None,
    *,
    labelled: bool = True,
) -> tuple[tf.Tensor, Any, Any]:
    """Unpacks a batch for a step; what depends on the images happens only if it passes the check.

    Args:
        data: What Keras gives to a step.
        net: The net.
        split: What to call the data in messages.
        augment: Augmentation that may crop the images to the net's shape.
        labelled: Whether there must be labels.

    Returns:
        Images float32 [B, H, W, C], labels, and sample weights [B]; the last two may be None.

    Raises:
        ValueError: The structure or shape of the batch is wrong; its values, if executing eagerly.
        TypeError: The images are not floating point, or the labels are not numbers.
    """
    images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    validation.check_pair(images, labels if labelled else images, f"the {split} data")
    labels = tf.convert_to_tensor(labels) if labelled else None
    images = tf.convert_to_tensor(images)
    validation.check_image_spec(images.shape, images.dtype, f"{split} images")
    images = tf.ensure_shape(tf.cast(images, tf.float32), [None] * 4)
    shape, wanted = tuple(images.shape), net.input_shape
    taken = shape if augment is None else tuple(augment.compute_output_shape(shape))
    good = _all_in_range(images)
    unknown = [axis for axis in (1, 2, 3) if taken[axis] is None and wanted[axis] is not None]
    for axis in unknown:
        good &= tf.equal(tf.shape(images)[axis], wanted[axis])
    if not unknown:
        _check_size(shape, net, split, augment)
    given = [images]
    if labels is not None:
        validation.check_label_type(labels.dtype, f"{split} labels")
        good &= _are_labels(labels, net.output_shape[-1])
        given.append(labels)
    if sample_weight is not None:
        sample_weight = _one_per_image(sample_weight, split)
        good &= tf.reduce_all(tf.math.is_finite(sample_weight))
        given.append(sample_weight)

    def explain(images: np.ndarray, *others: np.ndarray) -> None:
        if not len(images):  # a replica may get none
            return
        check_batch(images, others[0] if labelled else None, net, split, augment)
        if sample_weight is not None and not np.isfinite(others[-1]).all():
            raise ValueError(f"the weights of {split} images must be finite; received NaN or inf")

    with tf.control_dependencies([_passed(good, explain, given)]):
        images = tf.identity(images)
    if unknown and taken == shape:
        images = tf.ensure_shape(images, [None, *wanted[1:]])
    return images, labels, sample_weight


def check_of_size(size: tf.Tensor, smallest: int, step: tf.Tensor) -> tf.Tensor:
    """Creates an operation that fails if the first batch is too small for a method.

    Args:
        size: Number of images of the global batch.
        smallest: Number that the method needs.
        step: Number of the step; the last batch of an epoch may be smaller.
    """
    if smallest == 1:
        return tf.constant(True)
    return _passed(
        (size >= smallest) | (step > 1), lambda size: check_batch_size(int(size), smallest), [size]
    )


def checks_of(terms: Mapping[str, tf.Tensor], step: tf.Tensor) -> list[Any]:
    """Creates operations that fail if a term is not finite.

    Operations that must not run in this case depend on them. XLA removes such checks, so they must
    be created outside of compiled functions.

    Args:
        terms: Values by name, each [B].
        step: Number of the step.

    Returns:
        Operations for `tf.control_dependencies`; none while executing eagerly, where a check fails
        immediately.
    """
    found = [
        tf.Assert(
            tf.reduce_all(tf.math.is_finite(values)),
            [f"{_MARK}: {name} in step", step],
            summarize=1,
        )
        for name, values in terms.items()
    ]
    return [check for check in found if check is not None]


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Converts the errors of failed checks, and of code that was traced, into clear ones.

    Raises:
        FloatingPointError: A term was not finite inside the block.
        ValueError: A batch was refused.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        refused = _SAID.search(str(error))
        if refused:
            raise _KINDS[refused[1]](refused[2]) from None
        found = _FOUND.search(str(error))
        if not found:
            raise
        name, step = found.groups()
        raise FloatingPointError(
            f"every term of the loss must be finite; {name} is NaN or infinite in step {step}, "
            f"whose change of the weights was not made (a lower learning rate or clipped gradients "
            "may help)"
        ) from error
    except tuple(_KINDS.values()) as error:
        # AutoGraph raises another error, whose message begins with a listing of the code.
        plain: BaseException = error
        while plain.__context__ is not None and str(plain.__context__) in str(plain):
            plain = plain.__context__
        if plain is error:
            raise
        raise plain from None


def _passed(good: tf.Tensor, explain: Callable[..., None], given: list[Any]) -> tf.Tensor:
    """`good`; where it is false, `explain` is called with arrays and may raise an error."""
    if tf.executing_eagerly():
        if not good:
            explain(*(tensor.numpy() for tensor in given))
        return good

    def marked(*arrays: np.ndarray) -> np.bool_:
        try:
            explain(*arrays)
        except (ValueError, TypeError) as error:
            raise type(error)(f"{_REFUSED}{error}") from None
        return np.True_

    return tf.cond(good, lambda: good, lambda: tf.numpy_function(marked, given, tf.bool))


def _all_in_range(images: tf.Tensor) -> tf.Tensor:
    """Whether all values are in [0, 1]; NaN is not."""
    low, high = -validation.RANGE_TOLERANCE, 1 + validation.RANGE_TOLERANCE
    return tf.reduce_all((images >= low) & (images <= high))


def _are_labels(labels: tf.Tensor, classes: int) -> tf.Tensor:
    """Whether labels are class indices or rows of probabilities; False if it cannot be told."""
    if labels.shape.rank not in (1, 2):
        return tf.constant(False)
    columns = 1 if labels.shape.rank == 1 else labels.shape[1]
    numbers = tf.cast(labels, tf.float32)
    if columns == classes > 1:
        sums = tf.reduce_sum(numbers, axis=1)
        return tf.reduce_all(numbers >= 0) & tf.reduce_all(tf.abs(sums - 1) <= 1e-3)
    if columns != 1:
        return tf.constant(False)
    whole = tf.equal(numbers, tf.floor(numbers))
    return tf.reduce_all(whole & (numbers >= 0) & (numbers < classes))


def _one_per_image(sample_weight: Any, split: str) -> tf.Tensor:
    """Weights [B] or [B, 1] as [B] float32."""
    weights = tf.cast(tf.convert_to_tensor(sample_weight), tf.float32)
    if weights.shape.rank not in (1, None) and weights.shape[1:] != [1]:
        raise ValueError(
            f"the weights of {split} images must be [B], one per image; received shape "
            f"{tuple(weights.shape)}"
        )
    return tf.reshape(weights, [-1])


def _check_size(
    shape: tuple[Optional[int], ...],
    net: keras.Model,
    split: str,
    augment: Optional[keras.layers.Layer],
) -> None:
    taken = shape if augment is None else tuple(augment.compute_output_shape(shape))
    cut = "" if taken == shape else f" of {shape[1:]}, cut,"
    validation.check_fits(taken[1:], net.input_shape[1:], f"{split} images{cut}")
