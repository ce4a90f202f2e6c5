"""AugMax on a linear net, image by image in float64: Algorithm 1, and the gradients of its loss."""

from __future__ import annotations

import numpy as np
import scipy.special

from tests.reference import linear_net


def mix(image, chains, blend, scores):
    """(1 − m)·x + m·Σ softmax(q)_i·chain_i of one image, not clipped."""
    weights = scipy.special.softmax(scores)
    return (1 - blend) * image + blend * np.tensordot(weights, chains, 1)


def slopes(image, chains, label, blend, scores, kernel, bias):
    """∂L/∂m and ∂L/∂q of one image, by the chain rule through the mixed image."""
    weights = scipy.special.softmax(scores)
    mixed = mix(image, chains, blend, scores)
    slope = linear_net.image_gradient(mixed[np.newaxis], np.array([label]), kernel, bias)[0]
    for_blend = np.sum(slope * (np.tensordot(weights, chains, 1) - image))
    for_weights = np.array([np.sum(slope * blend * chain) for chain in chains])
    jacobian = np.diag(weights) - np.outer(weights, weights)
    return for_blend, jacobian @ for_weights


def algorithm_1(image, chains, label, blend, scores, kernel, bias, *, steps, k=1, size=0.1):
    """m and q of one image, line by line as the paper prints it."""
    c = 0
    for _ in range(steps):
        for_blend, for_scores = slopes(image, chains, label, blend, scores, kernel, bias)
        blend = np.clip(blend + size * np.sign(for_blend), 0, 1)
        scores = scores + size * np.sign(for_scores)
        worst = mix(image, chains, blend, scores)[np.newaxis]
        if linear_net.logits(worst, kernel, bias).argmax() != label:
            c += 1
        if c == k:
            break
    return blend, scores


def ascend(
    images,
    chains,
    labels,
    blend,
    scores,
    kernel,
    bias,
    *,
    steps,
    stop,
    look="after",
    stop_after=1,
    size=0.1,
):
    """m and q after the steps, and how often the net looked at each image."""
    blend, scores = np.array(blend, "float64"), np.array(scores, "float64")
    images, chains = images.astype("float64"), chains.astype("float64")
    seen, looks = np.zeros(len(images), int), np.zeros(len(images), int)
    done = np.zeros(len(images), bool)
    for i in range(steps):
        for b in np.flatnonzero(~done):
            looks[b] += 1
            guess = linear_net.logits(
                mix(images[b], chains[b], blend[b], scores[b])[np.newaxis], kernel, bias
            )
            if look == "before" or i > 0:
                seen[b] += guess.argmax() != labels[b]
        if stop == "image":
            done = seen >= stop_after
        elif stop == "batch":
            done[:] = np.all(seen >= stop_after)
        for b in np.flatnonzero(~done):
            up = slopes(images[b], chains[b], labels[b], blend[b], scores[b], kernel, bias)
            blend[b] = np.clip(blend[b] + size * np.sign(up[0]), 0, 1)
            scores[b] += size * np.sign(up[1])
    return blend, scores, looks


def jensen_shannon_gradients(*logits):
    """Of Σ_images JSD, for the logits of each view."""
    log_p = [scipy.special.log_softmax(view, axis=-1) for view in logits]
    log_mean = np.log(np.mean(np.exp(log_p), axis=0))
    results = []
    for one in log_p:
        upstream = (one - log_mean) / len(log_p)
        p = np.exp(one)
        results.append(p * (upstream - np.sum(p * upstream, axis=-1, keepdims=True)))
    return results
