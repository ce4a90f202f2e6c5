"""A linear net in float64: its losses, its gradients by hand, and attacks on it."""

from __future__ import annotations

import numpy as np
import scipy.special


def logits(images, kernel, bias):
    """[B, classes] from [B, ...]."""
    return np.reshape(images, [len(images), -1]).astype("float64") @ kernel + bias


def one_hot(labels, classes):
    """[B, classes] from class indices; shares are left alone."""
    labels = np.asarray(labels)
    return labels if labels.ndim == 2 else np.eye(classes)[labels]


def cross_entropy_gradient(values, shares):
    """Of Σ_images −Σ y log p, for the logits: p − y."""
    return scipy.special.softmax(values, axis=-1) - shares


def kl_gradients(reference, values):
    """Of Σ_images KL(p ‖ q), for the logits of p and of q."""
    log_p = scipy.special.log_softmax(reference, axis=-1)
    log_q = scipy.special.log_softmax(values, axis=-1)
    p, q = np.exp(log_p), np.exp(log_q)
    divergence = np.sum(p * (log_p - log_q), axis=-1, keepdims=True)
    return p * (log_p - log_q - divergence), q - p


def image_gradient(images, labels, kernel, bias):
    """Of the cross-entropy of each image, for that image."""
    upstream = cross_entropy_gradient(
        logits(images, kernel, bias), one_hot(labels, kernel.shape[1])
    )
    return np.reshape(upstream @ kernel.T, images.shape)


def updated(kernel, bias, rate, views):
    """Weights after a step of gradient descent; `views` are pairs (images, gradient of logits)."""
    for images, upstream in views:
        flat = np.reshape(images, [len(images), -1]).astype("float64")
        kernel = kernel - rate * flat.T @ upstream / len(images)
        bias = bias - rate * upstream.mean(axis=0)
    return kernel, bias


def pgd(images, labels, kernel, bias, start, epsilon, step_size, steps, tau=None):
    """PGD one image at a time; with tau an image stops at mistake number tau + 1."""
    shares = one_hot(labels, kernel.shape[1])
    results = []
    for image, share, moved in zip(images.astype("float64"), shares, start.astype("float64")):
        mistakes = 0
        for _ in range(steps):
            guess = logits(moved[np.newaxis], kernel, bias)
            mistakes += int(guess.argmax() != share.argmax())
            if tau is not None and mistakes == tau + 1:
                break
            slope = image_gradient(moved[np.newaxis], share[np.newaxis], kernel, bias)[0]
            moved = moved + step_size * np.sign(slope)
            moved = np.clip(np.clip(moved, image - epsilon, image + epsilon), 0, 1)
        results.append(moved)
    return np.stack(results)
