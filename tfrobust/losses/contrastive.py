"""Contrastive losses: pull an embedding towards its positive, push it from its negatives (FCL)."""

from __future__ import annotations

from typing import Any, Optional

import tensorflow as tf

# Vectors no longer than this are treated as 0: they have no direction.
_SMALLEST_NORM = 1e-6
# Logit of a masked negative: far below all others, but finite, to keep gradients finite.
_MASKED = -1e30


def softmax_contrastive(
    clean: tf.Tensor,
    positive: tf.Tensor,
    negative: Optional[tf.Tensor] = None,
    *,
    has_negative: Optional[tf.Tensor] = None,
    temperature: float,
) -> tf.Tensor:
    """Softmax cross-entropy contrastive loss (FCL paper [5]).

        ℓ_xe = −log( e^{s(z, z⁺)/τ} / (e^{s(z, z⁺)/τ} + Σ_n e^{s(z, n)/τ}) )

    s = 1 − dist is the cosine similarity. The negatives n of an image are its own z⁻ and the clean
    embeddings z_j of the other images in the batch (under a distribution strategy, of the same
    replica). Gradients flow through all embeddings.

    Args:
        clean: [B, D]; z.
        positive: [B, D]; z⁺.
        negative: [B, D]; z⁻. If None, the other images are the only negatives, as in CL+Gaussian.
        has_negative: [B] mask; where it is 0 (or False), the image's z⁻ is ignored. If None, none
            is.
        temperature: τ > 0.

    Returns:
        [B] float32, ≥ 0, in nats; 0 for an image without negatives. An all-zero embedding has no
        direction: its cosines are 0 and it receives no gradient.

    Example:

    >>> z, near, far = tf.constant([[2.0, 0.0]]), tf.constant([[5.0, 0.0]]), tf.constant([[0.0, 1]])
    >>> softmax_contrastive(z, near, far, temperature=1.0).numpy().round(4)  # log(1 + 1/e)
    array([0.3133], dtype=float32)
    """
    to_positive, to_others, to_negative = _cosines(clean, positive, negative)
    size = tf.shape(to_positive)[0]
    # The diagonal, z_i compared with itself, is not a negative; it holds the positive instead.
    logits = _with_diagonal(to_others, to_positive) / temperature  # [B, B]
    own = tf.fill([size], _MASKED) if to_negative is None else to_negative / temperature
    if has_negative is not None:
        own = tf.where(tf.cast(has_negative, tf.bool), own, tf.fill([size], _MASKED))
    logits = tf.concat([logits, own[:, tf.newaxis]], axis=1)  # [B, B + 1], even if B is 0
    return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(size), logits)


def margin_contrastive(
    clean: tf.Tensor,
    positive: tf.Tensor,
    negative: Optional[tf.Tensor] = None,
    *,
    has_negative: Optional[tf.Tensor] = None,
    margin: float,
) -> tf.Tensor:
    """Margin contrastive loss (FCL paper [4]).

        ℓ_margin = dist(z, z⁺)² + Σ_n max(0, γ − dist(z, n))²

    dist = 1 − cosine similarity, in [0, 2]. The negatives are the same as in `softmax_contrastive`;
    their sum grows with the batch size.

    Args:
        clean: [B, D]; z.
        positive: [B, D]; z⁺.
        negative: [B, D]; z⁻. If None, the other images are the only negatives.
        has_negative: [B] mask; where it is 0 (or False), the image's z⁻ is ignored. If None, none
            is.
        margin: γ in [0, 2].

    Returns:
        [B] float32, ≥ 0. An all-zero embedding is at distance 1 from every other.

    Example:

    >>> z, near, far = tf.constant([[2.0, 0.0]]), tf.constant([[0.0, 5.0]]), tf.constant([[1.0, 0]])
    >>> margin_contrastive(z, near, far, margin=0.5).numpy()  # 1² + 0.5²
    array([1.25], dtype=float32)
    """
    to_positive, to_others, to_negative = _cosines(clean, positive, negative)
    loss = tf.square(1.0 - to_positive)
    too_near = tf.square(tf.nn.relu(margin - 1.0 + to_others))  # γ − (1 − s)
    loss += tf.reduce_sum(_with_diagonal(too_near, tf.zeros_like(to_positive)), axis=1)
    if to_negative is not None:
        own = tf.square(tf.nn.relu(margin - 1.0 + to_negative))
        loss += own if has_negative is None else own * tf.cast(has_negative, tf.float32)
    return loss


def _cosines(clean: Any, positive: Any, negative: Any) -> tuple[Any, Any, Any]:
    """Cosines of each z with its z⁺ [B], with every z_j [B, B], and with its z⁻ ([B] or None)."""
    clean, positive = _unit_vectors(clean), _unit_vectors(positive)
    others = tf.matmul(clean, clean, transpose_b=True)
    own = None if negative is None else tf.reduce_sum(clean * _unit_vectors(negative), axis=1)
    return tf.reduce_sum(clean * positive, axis=1), others, own


def _with_diagonal(matrix: tf.Tensor, diagonal: tf.Tensor) -> tf.Tensor:
    """Replaces the diagonal of a [B, B] matrix by [B] values."""
    # XLA cannot compile the gradient of `tf.linalg.set_diag` if B is unknown while tracing.
    on_it = tf.eye(tf.shape(diagonal)[0], dtype=tf.bool)
    return tf.where(on_it, diagonal[:, tf.newaxis], matrix)


def _unit_vectors(embeddings: Any) -> tf.Tensor:
    """Scales the rows to length 1; rows without a direction become 0."""
    embeddings = tf.cast(embeddings, tf.float32)
    square = tf.reduce_sum(tf.square(embeddings), axis=1, keepdims=True)
    alive = square > _SMALLEST_NORM**2
    # The inner tf.where is needed too: the gradient of the branch not taken must be finite.
    inverse = tf.math.rsqrt(tf.where(alive, square, tf.ones_like(square)))
    return embeddings * tf.where(alive, inverse, tf.zeros_like(square))
