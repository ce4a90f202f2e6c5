"""CutMix."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust.augment.mixup import Mixup
from tfrobust.ops import random_boxes, sampling
from tfrobust.ops.size import height_and_width


@keras.saving.register_keras_serializable(package="tfrobust")
class CutMix(Mixup):
    """Replaces a box of each image by that of another image of its batch (Yun et al., 2019).

        x̃ = M ⊙ x + (1 − M) ⊙ x[π],  ỹ = λ·y + (1 − λ)·y[π]

    λ ~ Beta(α, α) gives the box its size, √(1 − λ) of the height and of the width; its centre is
    uniform and it is clipped at the border, after which λ is the fraction of the image that stays
    (equations 1 and 2, and the released code). π is a random permutation of the batch. Labels must
    be mixed with the same draws:

        draws = layer.draw(images)
        images, labels = layer.apply(images, draws), layer.mix_labels(labels, draws)

    Under a distribution strategy, images are mixed within each replica.

    Args:
        alpha: α in (0, 100]. Default 1.0, as in the paper: λ is uniform.
        per_image: Whether each image has its own λ and box. Default False, one for the batch, as in
            the released code.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `alpha` is out of range.

    Example: a box of half of the width.

    >>> layer = CutMix()
    >>> box = {"top": [0.0], "left": [1.0], "height": [1.0], "width": [1.0]}
    >>> draws = {"partner": tf.constant([1, 0]), "mixing_weight": tf.constant([0.5, 0.5]), **box}
    >>> layer.apply(tf.constant([0.0, 0.0, 1.0, 1.0], shape=[2, 1, 2, 1]), draws).numpy().ravel()
    array([0., 1., 1., 0.], dtype=float32)

    Reference: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features", ICCV 2019.
    """

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        """Draws partners and boxes.

        Returns:
            "partner", int32 [B]; "mixing_weight", λ, [B], the fraction of an image that stays;
            "top", "left", "height", "width" of the box in pixels, [B].
        """
        seed, batch = self._batch_seed(seed), tf.shape(images)[0]
        draws = self._draw_pairs(batch, seed)
        count = batch if self.per_image else 1
        corners, ends = [], []
        for number, side in enumerate(height_and_width(images)):
            side = tf.cast(side, tf.float32)
            drawn = sampling.uniform(sampling.fold_in(seed, 2 + number), [count])
            centre = tf.broadcast_to(tf.floor(side * drawn), [batch])
            half = tf.floor(tf.floor(side * tf.sqrt(1 - draws["mixing_weight"])) / 2)
            corners.append(tf.maximum(centre - half, 0.0))
            ends.append(tf.minimum(centre + half, side))
        high, wide = (end - corner for end, corner in zip(ends, corners))
        area = tf.cast(tf.reduce_prod(tf.shape(images)[1:3]), tf.float32)
        box = {"top": corners[0], "left": corners[1], "height": high, "width": wide}
        return {**draws, **box, "mixing_weight": 1 - high * wide / area}

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        inside = random_boxes.inside(
            [draws[name] for name in ("top", "left", "height", "width")], *height_and_width(images)
        )
        return tf.where(inside, tf.gather(images, draws["partner"]), images)
