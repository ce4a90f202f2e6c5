"""The direction in which every value of an image raises the loss."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def gradient_sign(net: Any, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """sign(∇_x J0(f(x), y)), J0 the cross-entropy of each image.

    Args:
        net: From images in [0, 1] to logits.
        images: [B, H, W, C].
        labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels.

    Returns:
        The signs, −1, 0 or 1, of the shape and type of the images; and the logits, [B, classes]
        float32.

    Example:

    >>> import keras
    >>> net = keras.Sequential([keras.Input([1, 1, 2]), keras.layers.Flatten()])
    >>> sign, logits = gradient_sign(net, tf.fill([1, 1, 1, 2], 0.5), tf.constant([0]))
    >>> sign.numpy()
    array([[[[-1.,  1.]]]], dtype=float32)
    """
    gradient, logits = scaled_gradient(net, images, labels)
    return tf.sign(gradient), logits


def scaled_gradient(net: Any, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """∇_x J0(f(x), y), times a positive number for each image.

    The net runs in inference mode, on the route that is on, and the derivative is taken with
    respect to the images alone. The gradient of the logits, p − y, is scaled to a largest entry of
    1: so an image that the net is sure of does not lose its direction, in float16 least of all.

    Args:
        net: From images in [0, 1] to logits.
        images: [B, H, W, C].
        labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels.

    Returns:
        The gradient, of the shape and type of the images, 0 where the images have no influence; and
        the logits, [B, classes] float32.
    """
    images = tf.stop_gradient(images)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        outputs = net(images, training=False)
    logits = tf.cast(outputs, tf.float32)
    upstream = tf.cast(_logits_gradient(logits, labels), outputs.dtype)
    gradient = tape.gradient(
        outputs, images, output_gradients=upstream, unconnected_gradients="zero"
    )
    return gradient, tf.stop_gradient(logits)


def label_distribution(labels: tf.Tensor, classes: int) -> tf.Tensor:
    """Labels of any form as [B, classes] float32."""
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank == 2 and (labels.shape[-1] != 1 or classes == 1):
        return tf.cast(labels, tf.float32)
    return tf.one_hot(tf.cast(tf.reshape(labels, [-1]), tf.int32), classes)


def is_wrong(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Whether the most likely class is not the label's (of soft labels, the largest). bool [B]."""
    shares = label_distribution(labels, logits.shape[-1])
    return tf.not_equal(tf.argmax(logits, axis=-1), tf.argmax(shares, axis=-1))


def _logits_gradient(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """p − y times a positive number: each image's largest entry is ±1 (0 where all are 0)."""
    shares = label_distribution(labels, logits.shape[-1])
    # Where the net is sure of the label's class, its p − 1 and all other p are rounded to 0. With
    # one class for a label the p of the others, divided by their sum, point the same way.
    certain = shares >= 1.0
    others = tf.nn.softmax(tf.where(certain, logits.dtype.min, logits))
    p = tf.where(tf.reduce_any(certain, axis=-1, keepdims=True), others, tf.nn.softmax(logits))
    gradient = p - shares
    return tf.math.divide_no_nan(gradient, tf.reduce_max(tf.abs(gradient), axis=-1, keepdims=True))
