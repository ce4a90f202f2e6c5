"""Utility of input entries, and sensitivity of the embedding to them (FCL)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust.layers.embedding import Embedding
from tfrobust.losses import classification
from tfrobust.nets.logits import without_softmax
from tfrobust.ops import entries, sampling

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# Loss scale, without which half-precision gradients below 6e-8 would be 0. It is a power of two, so
# undoing it is exact.
_SCALE = 1024.0

_SMALLEST_UTILITY = 1e-12


def utility(
    net: keras.Model,
    images: tf.Tensor,
    labels: tf.Tensor,
    *,
    loss: Loss = classification.cross_entropy,
) -> tf.Tensor:
    """Contextual feature utility `u = |∂ℓ(y, f(x)) / ∂x|` (FCL paper [1]).

    The utility tells how much the loss of this image changes with each entry, that is, one channel
    of one pixel. The net runs in inference mode, so an image's utility does not depend on its
    batch.

    Args:
        net: Maps images in [0, 1] to logits.
        images: [B, H, W, C].
        labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels.
        loss: Function of (labels, logits) that returns [B]. Default cross-entropy, as in the paper.

    Returns:
        [B, H, W, C] float32, ≥ 0; no gradient flows back from it.

    Example:

    >>> import numpy as np
    >>> net = keras.Sequential([keras.Input([1, 2, 1]), keras.layers.Flatten()])
    >>> utility(net, tf.zeros([1, 1, 2, 1]), tf.constant([0])).numpy().ravel()
    array([0.5, 0.5], dtype=float32)
    """
    net, images = without_softmax(net), tf.cast(images, tf.float32)
    labels = tf.convert_to_tensor(labels)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        logits = tf.cast(net(images, training=False), tf.float32)
        # The gradient of the sum with respect to an image is that of the image's own loss.
        total = _SCALE * tf.reduce_sum(loss(labels, logits))
    gradient = tape.gradient(total, images, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return tf.stop_gradient(tf.abs(tf.cast(gradient, tf.float32)) / _SCALE)


def utility_per_class(
    net: keras.Model,
    data: Iterable[Any],
    classes: int,
    *,
    loss: Loss = classification.cross_entropy,
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the mean image and the mean utility of each class (FCL paper, Figure 4).

    The paper's figure merges classes whose numbers differ by ten and shows one batch.

    Args:
        net: Maps images in [0, 1] to logits.
        data: Batches of (images, labels): images [B, H, W, C], labels [B] class indices.
        classes: Number of classes.
        loss: As in `utility`.

    Returns:
        The mean images and the mean utilities, both [classes, H, W, C] float32.

    Raises:
        ValueError: A class has no images.

    Example:

    >>> net = keras.Sequential([keras.Input([1, 2, 1]), keras.layers.Flatten()])
    >>> data = [(tf.constant([[[[0.0], [1.0]]], [[[1.0], [0.0]]]]), tf.constant([0, 1]))]
    >>> images, useful = utility_per_class(net, data, 2)
    >>> images[0].ravel(), useful[0].ravel().round(3)
    (array([0., 1.], dtype=float32), array([0.731, 0.731], dtype=float32))
    """
    utility_of_batch = tf.function(
        lambda x, y: utility(net, x, y, loss=loss), reduce_retracing=True
    )
    count = np.zeros(classes)
    sums: Any = 0.0
    for images, labels in data:
        one_hot = np.eye(classes)[np.asarray(labels)]
        count += one_hot.sum(axis=0)
        found = np.stack([np.asarray(images), utility_of_batch(images, labels)])
        sums = sums + np.einsum("bk,nbhwc->nkhwc", one_hot, found)
    missing = np.flatnonzero(count == 0).tolist()
    if missing:
        raise ValueError(f"each class needs an image or more; there is none of {missing}")
    mean_images, means = (sums / count[:, np.newaxis, np.newaxis, np.newaxis]).astype("float32")
    return mean_images, means


def noise_by_utility(
    images: tf.Tensor, useful: tf.Tensor, k: int, sigma: Any, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Adds noise to the entries of lowest and to those of highest utility (FCL, definition 3).

    Args:
        images: [B, H, W, C] in [0, 1].
        useful: [B, H, W, C], the result of `utility`.
        k: Number of entries that get noise N(0, σ²), from 1 to all of an image.
        sigma: σ ≥ 0, scalar or [B].
        seed: int32[2]; the same seed gives the same noise.

    Returns:
        The images with noise on the k least useful entries, and those with noise on the k most
        useful, both [B, H, W, C] and clipped to [0, 1]; and bool [B], whether the largest utility
        is at least 10⁻¹²: below that, the ranking is meaningless (section 4.1).

    Example:

    >>> image, useful = tf.fill([1, 1, 3, 1], 0.5), tf.constant([[[[0.2], [0.0], [0.7]]]])
    >>> low, high, known = noise_by_utility(image, useful, 1, 0.1, tf.constant([0, 1]))
    >>> (low.numpy() != 0.5).ravel(), (high.numpy() != 0.5).ravel(), known.numpy()
    (array([False,  True, False]), array([False, False,  True]), array([ True]))
    """
    low, high = entries.lowest_and_highest_entries(useful, k)
    return (
        entries.gaussian_noise_at(images, low, sigma, sampling.fold_in(seed, 0)),
        entries.gaussian_noise_at(images, high, sigma, sampling.fold_in(seed, 1)),
        tf.reduce_max(useful, axis=[1, 2, 3]) >= _SMALLEST_UTILITY,
    )


def sensitivity(
    net: keras.Model, images: tf.Tensor, *, embedding_layer: Optional[str] = None
) -> tf.Tensor:
    """Contextual feature sensitivity s_j = ‖∂φ(x) / ∂x_j‖ (FCL paper [2]).

    The sensitivity tells how far the embedding moves with each entry: the norm is over the D
    coordinates of φ. It does not depend on the label. It takes one backward pass per coordinate,
    with the memory of one. The net runs in inference mode.

    Args:
        net: Maps images in [0, 1] to logits.
        images: [B, H, W, C].
        embedding_layer: Name of the layer whose output is φ. Default: the penultimate layer, see
            `tfrobust.layers.embedding`.

    Returns:
        [B, H, W, C] float32, ≥ 0; no gradient flows back from it.

    Raises:
        ValueError: The net has no such layer.

    Example:

    >>> layers = [keras.layers.Flatten(), keras.layers.Dense(2, kernel_initializer="ones")]
    >>> net = keras.Sequential([keras.Input([1, 2, 1]), *layers, keras.layers.Dense(3)])
    >>> sensitivity(net, tf.zeros([1, 1, 2, 1])).numpy().ravel().round(4)
    array([1.4142, 1.4142], dtype=float32)
    """
    return _sensitivity(net, tf.cast(images, tf.float32), Embedding(net, embedding_layer))


def _sensitivity(net: Any, images: tf.Tensor, embedding: Embedding) -> tf.Tensor:
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(images)
        with embedding.recorded() as embedded:
            net(images, training=False)
        coordinates = tf.transpose(embedded())  # [D, B]

    def add_one(index: tf.Tensor, squares: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        one_hot = tf.one_hot(index, tf.shape(coordinates)[0])[:, tf.newaxis]  # [D, 1]
        gradient = tape.gradient(
            coordinates,
            images,
            output_gradients=one_hot * tf.ones_like(coordinates),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return index + 1, squares + tf.square(tf.cast(gradient, tf.float32))

    _, squares = tf.while_loop(
        lambda index, _: index < tf.shape(coordinates)[0],
        add_one,
        [tf.constant(0), tf.zeros(tf.shape(images))],
        shape_invariants=[tf.TensorShape([]), images.shape],
    )
    return tf.stop_gradient(tf.sqrt(squares))
