"""Divergences between predictions for the same image."""

from __future__ import annotations

import tensorflow as tf


def kl_divergence(reference_logits: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """KL divergence, KL(p ‖ q) = Σ_j p_j (log p_j − log q_j) (stability training [5]).

    The paper prints a minus sign in front of the sum. That is a misprint, because the divergence is
    never negative. Gradients flow through both arguments.

    Args:
        reference_logits: [B, classes]; p, the prediction on the undistorted image.
        logits: [B, classes]; q, the prediction on the distorted image.

    Returns:
        [B] float32, ≥ 0, in nats. Computed in float32 from log-softmax, so the result is finite
        even for saturated predictions.

    Example:

    >>> kl_divergence(tf.math.log([[0.5, 0.5]]), tf.math.log([[0.25, 0.75]])).numpy().round(4)
    array([0.1438], dtype=float32)
    """
    log_p = tf.nn.log_softmax(tf.cast(reference_logits, tf.float32))
    log_q = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=-1)


def symmetric_kl_divergence(reference_logits: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Symmetric Kullback–Leibler divergence, ½ (KL(p ‖ q) + KL(q ‖ p)) (stability training [6]).

    Use it for distortions where neither image is the reference, such as rotations and crops.

    Args:
        reference_logits: [B, classes].
        logits: [B, classes].

    Returns:
        [B] float32, ≥ 0, in nats.

    Example:

    >>> p, q = tf.math.log([[0.5, 0.5]]), tf.math.log([[0.25, 0.75]])
    >>> symmetric_kl_divergence(p, q).numpy().round(4)
    array([0.1373], dtype=float32)
    """
    log_p = tf.nn.log_softmax(tf.cast(reference_logits, tf.float32))
    log_q = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    # Σ p(log p − log q) + Σ q(log q − log p) = Σ (p − q)(log p − log q)
    return 0.5 * tf.reduce_sum((tf.exp(log_p) - tf.exp(log_q)) * (log_p - log_q), axis=-1)


def jensen_shannon(*logits: tf.Tensor) -> tf.Tensor:
    """Jensen–Shannon divergence of several predictions (AugMix and NoisyMix, n = 3).

        JSD(p_1, …, p_n) = 1/n Σ_i KL(p_i ‖ M),  M = 1/n Σ_i p_i

    It ranges from 0, when all predictions are equal, to log n, when no two share a class. M is
    clipped to [1e-7, 1] before the logarithm, as in the AugMix authors' code. Gradients flow
    through every prediction and through M.

    Args:
        *logits: Two or more tensors [B, classes].

    Returns:
        [B] float32, ≥ 0 up to rounding, in nats. Computed in float32 from log-softmax, so the
        result is finite even for saturated predictions.

    Raises:
        ValueError: Fewer than two predictions are given.

    Example:

    >>> p, q = tf.math.log([[0.5, 0.5]]), tf.math.log([[0.25, 0.75]])
    >>> jensen_shannon(p, q).numpy().round(4)
    array([0.0338], dtype=float32)

    Reference: Hendrycks et al., "AugMix: A Simple Data Processing Method to Improve Robustness and
    Uncertainty", ICLR 2020.
    """
    if len(logits) < 2:
        raise ValueError(
            f"the Jensen–Shannon divergence compares 2 predictions or more; received {len(logits)}"
        )
    log_p = tf.nn.log_softmax([tf.cast(view, tf.float32) for view in logits])  # [n, B, classes]
    p = tf.exp(log_p)
    mean = tf.clip_by_value(tf.reduce_mean(p, axis=0), 1e-7, 1.0)
    return tf.reduce_mean(tf.reduce_sum(p * (log_p - tf.math.log(mean)), axis=-1), axis=0)
