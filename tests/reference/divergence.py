"""Cross-entropy and Kullback–Leibler divergence in float64, by SciPy's special functions."""

from __future__ import annotations

import numpy as np
import scipy.special


def softmax(logits):
    """[B, classes] probabilities."""
    return scipy.special.softmax(np.asarray(logits, "float64"), axis=-1)


def cross_entropy(shares, logits):
    """−Σ y log p; `shares` is [B, classes]."""
    log_p = scipy.special.log_softmax(np.asarray(logits, "float64"), axis=-1)
    return -np.sum(np.asarray(shares, "float64") * log_p, axis=-1)


def kl_divergence(reference_logits, logits):
    """Σ p log(p / q)."""
    return scipy.special.rel_entr(softmax(reference_logits), softmax(logits)).sum(axis=-1)


def symmetric_kl_divergence(reference_logits, logits):
    """½ (KL(p ‖ q) + KL(q ‖ p))."""
    return (kl_divergence(reference_logits, logits) + kl_divergence(logits, reference_logits)) / 2


def jensen_shannon(*logits):
    """Mean of KL(p_i ‖ M), M the mean of the predictions, cut to [1e-7, 1]."""
    p = np.stack([softmax(view) for view in logits])
    mean = np.clip(p.mean(axis=0), 1e-7, 1)
    return np.mean([scipy.special.rel_entr(one, mean).sum(axis=-1) for one in p], axis=0)
