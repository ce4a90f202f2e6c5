"""Gradients of the cross-entropy with respect to images."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def gradient_sign(net: Any, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes sign(∇_x J0(f(x), y)), where J0 is the cross-entropy of each image.

    Args:
        net: Maps images in [0, 1] to logits.
        images: [B, H, W, C].
        labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels.

    Returns:
        The signs, −1, 0 or 1, in the shape and dtype of the images, and the logits, [B, classes]
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
    """Computes ∇_x J0(f(x), y), times a positive number for each image.

    The net runs in inference mode, on the current route, and only the images get a gradient. The
    gradient of the logits, p − y, is scaled to a largest entry of 1, so that the direction is not
    lost for confidently classified images, especially in float16.

    Args:
        net: Maps images in [0, 1] to logits.
        images: [B, H, W, C].
        labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels.

    Returns:
        The gradient in the shape and dtype of the images, 0 where they have no influence, and the
        logits, [B, classes] float32.
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


def has_no_gradient(net: Any, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Whether the gradient of each image is exactly zero, so that no attack can follow it.

    Args:
        net: Maps images in [0, 1] to logits.
        images: [B, H, W, C].
        labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels.

    Returns:
        bool [B].
    """
    gradient, _ = scaled_gradient(net, images, labels)
    return tf.reduce_all(gradient == 0, axis=[1, 2, 3])


def label_distribution(labels: tf.Tensor, classes: int) -> tf.Tensor:
    """Converts labels of any format to [B, classes] float32."""
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank == 2 and (labels.shape[-1] != 1 or classes == 1):
        return tf.cast(labels, tf.float32)
    return tf.one_hot(tf.cast(tf.reshape(labels, [-1]), tf.int32), classes)


def is_wrong(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Whether each image is misclassified, bool [B]; the largest soft label is the true class."""
    distribution = label_distribution(labels, logits.shape[-1])
    return tf.not_equal(tf.argmax(logits, axis=-1), tf.argmax(distribution, axis=-1))


def _logits_gradient(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """p − y, scaled to a largest absolute entry of 1 for each image (0 if all are 0)."""
    distribution = label_distribution(labels, logits.shape[-1])
    # If the net is certain of the true class, p − 1 and all other p round to 0. For a hard label,
    # the softmax over the other classes points in the same direction.
    certain = distribution >= 1.0
    others = tf.nn.softmax(tf.where(certain, logits.dtype.min, logits))
    p = tf.where(tf.reduce_any(certain, axis=-1, keepdims=True), others, tf.nn.softmax(logits))
    gradient = p - distribution
    return tf.math.divide_no_nan(gradient, tf.reduce_max(tf.abs(gradient), axis=-1, keepdims=True))
