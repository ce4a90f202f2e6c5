"""NoisyMix on a two-layer net in float64: the mixup, the losses and one step, image by image."""

from __future__ import annotations

import numpy as np
import scipy.special

from tests.reference import divergence


def factor(uniform, width, sparse):
    """m: 1 below `sparse`; above it uniform in 1 ± width."""
    noise = 2 * (uniform - sparse) / (1 - sparse) - 1
    return np.where(uniform < sparse, 1, 1 + width * noise)


def summand(uniform, deviation, sparse):
    """a: 0 below `sparse`; above it the normal quantile, in the middle of a step of 2⁻²³."""
    quantile = np.clip((uniform + 2.0**-24 - sparse) / (1 - sparse), 1e-12, 1 - 1e-12)
    return np.where(uniform < sparse, 0, deviation * scipy.special.ndtri(quantile))


def mixed(values, streams, partner, mixing_weight):
    """Each stream mixed within itself."""
    size = len(values) // streams
    result = np.array(values, "float64")
    for first in range(0, len(values), size):
        for i in range(size):
            own, other = values[first + i], values[first + partner[i]]
            result[first + i] = mixing_weight * own.astype("float64") + (1 - mixing_weight) * other
    return result


def mixed_gradient(upstream, streams, partner, mixing_weight):
    """Of `mixed`: each image gets its own weight, and that of the one whose partner it is."""
    size = len(upstream) // streams
    result = mixing_weight * upstream
    for first in range(0, len(upstream), size):
        for i in range(size):
            result[first + partner[i]] += (1 - mixing_weight) * upstream[first + i]
    return result


def noise(shape, streams, draws, sparse, fields):
    """m and a; `fields` are the uniform numbers of a and of m."""
    size, rest = shape[0] // streams, [1] * (len(shape) - 1)
    m, a = np.ones(shape), np.zeros(shape)
    if draws["multiplicative"] is not None:
        width = np.repeat(draws["multiplicative"], size).reshape([-1, *rest])
        m = factor(fields[1].astype("float64"), width, sparse)
    if draws["additive"] is not None:
        deviation = np.repeat(draws["additive"], size).reshape([-1, *rest])
        a = summand(fields[0].astype("float64"), deviation, sparse)
    return m, a


def jensen_shannon_gradients(views):
    """Of Σ_images JSD, for the logits of each view."""
    p = np.stack([divergence.softmax(view) for view in views])
    log_ratio = np.log(p) - np.log(np.clip(p.mean(axis=0), 1e-7, 1))
    return p * (log_ratio - np.sum(p * log_ratio, axis=-1, keepdims=True)) / len(views)


def step(weights, views, labels, draws, *, sparse, jsd_weight, rate, fields):
    """One step of gradient descent on x → relu(x·w1 + b1) → ·w2 + b2.

    Args:
        weights: w1, b1, w2, b2.
        views: Each [B, ...].
        labels: [B].
        draws: What NoisyMix drew, as NumPy.
        sparse: Share of entries without noise.
        jsd_weight: γ, or None without the divergence.
        rate: Learning rate.
        fields: From a shape to the uniform numbers of a and of m.

    Returns:
        The new weights, and the loss.
    """
    w1, b1, w2, b2 = (w.astype("float64") for w in weights)
    streams, batch = len(views), len(labels)
    partner = np.arange(batch) if draws["partner"] is None else draws["partner"]
    mixing_weight = float(draws["mixing_weight"])

    def changed(values):
        m, a = noise(values.shape, streams, draws, sparse, fields(values.shape))
        return m * mixed(values, streams, partner, mixing_weight) + a, m

    x = np.concatenate([np.reshape(view, [batch, -1]) for view in views]).astype("float64")
    m = 1.0
    if draws["point"] == 0:
        x, _ = changed(x)
    hidden = np.maximum(x @ w1 + b1, 0)
    passed = hidden
    if draws["point"] == 1:
        passed, m = changed(hidden)
    logits = np.split(passed @ w2 + b2, streams)
    shares = np.eye(w2.shape[1])[labels]
    shares = mixing_weight * shares + (1 - mixing_weight) * shares[partner]
    loss = divergence.cross_entropy(shares, logits[0])
    slopes = np.zeros([streams, *logits[0].shape])
    slopes[0] = divergence.softmax(logits[0]) - shares
    if jsd_weight is not None:
        loss = loss + jsd_weight * divergence.jensen_shannon(*logits)
        slopes += jsd_weight * jensen_shannon_gradients(logits)
    slopes = np.concatenate(slopes) / batch
    back = slopes @ w2.T
    if draws["point"] == 1:
        back = mixed_gradient(m * back, streams, partner, mixing_weight)
    back = back * (hidden > 0)
    new = (w1 - rate * x.T @ back, b1 - rate * back.sum(axis=0))
    new += (w2 - rate * passed.T @ slopes, b2 - rate * slopes.sum(axis=0))
    return new, loss.mean()
