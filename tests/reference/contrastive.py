"""The contrastive losses of FCL as the paper prints them [4, 5], pair by pair, in float64."""

from __future__ import annotations

import numpy as np


def distance(a, b):
    """1 − cosine; 1 where a vector is 0."""
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return 1 - (a @ b / lengths if lengths else 0.0)


def negatives(i, clean, negative, has_negative):
    """The negatives of image i: its own, where it has one, and the other images."""
    own = [] if negative is None else [negative[i]]
    if has_negative is not None and not has_negative[i]:
        own = []
    return own + [clean[j] for j in range(len(clean)) if j != i]


def softmax(clean, positive, negative=None, has_negative=None, *, temperature):
    """ℓ_xe [5]."""
    losses = []
    for i, z in enumerate(clean):
        same = np.exp((1 - distance(z, positive[i])) / temperature)
        others = [
            np.exp((1 - distance(z, n)) / temperature)
            for n in negatives(i, clean, negative, has_negative)
        ]
        losses.append(-np.log(same / (same + sum(others))))
    return np.array(losses)


def margin(clean, positive, negative=None, has_negative=None, *, gamma):
    """ℓ_margin [4]."""
    losses = []
    for i, z in enumerate(clean):
        others = [
            max(0.0, gamma - distance(z, n)) ** 2
            for n in negatives(i, clean, negative, has_negative)
        ]
        losses.append(distance(z, positive[i]) ** 2 + sum(others))
    return np.array(losses)
