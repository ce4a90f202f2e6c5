"""Classification loss for mixed images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import tensorflow as tf


def mixup_loss(
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    labels: tf.Tensor,
    logits: tf.Tensor,
    partner: tf.Tensor,
    mixing_weight: Any,
    sample_weight: Optional[tf.Tensor] = None,
) -> tf.Tensor:
    """Mixup loss, λ·loss(y) + (1 − λ)·loss(y[partner]) on the logits of mixed images.

    For cross-entropy this equals mixing the labels, but it also accepts class indices and works
    with any loss. Weights belong to the labels: λ·w·loss(y) + (1 − λ)·w[partner]·loss(y[partner]).

    Args:
        loss: Function of (labels, logits) that returns [B], such as `cross_entropy`.
        labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels.
        logits: [B, classes] of λ·x + (1 − λ)·x[partner].
        partner: int32 [B], the index of each image's partner.
        mixing_weight: λ in [0, 1], scalar or [B].
        sample_weight: w, [B], of the labels. Default None, all 1.

    Returns:
        [B], in the dtype of `loss`.

    Example:

    >>> from tfrobust.losses import cross_entropy
    >>> logits = tf.math.log([[0.5, 0.5], [0.25, 0.75]])
    >>> swapped = tf.constant([1, 0])
    >>> mixup_loss(cross_entropy, tf.constant([0, 1]), logits, swapped, 0.5).numpy().round(4)
    array([0.6931, 0.837 ], dtype=float32)

    Reference: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    own, other = loss(labels, logits), loss(tf.gather(labels, partner), logits)
    mixing_weight = tf.cast(mixing_weight, own.dtype)
    if sample_weight is not None:
        sample_weight = tf.cast(sample_weight, own.dtype)
        own, other = sample_weight * own, tf.gather(sample_weight, partner) * other
    return mixing_weight * own + (1.0 - mixing_weight) * other
