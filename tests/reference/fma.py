"""The FMA loss as the paper prints it [6], with the normalised maps formed."""

from __future__ import annotations

import numpy as np


def feature_map_augmentation(clean_maps, augmented_maps):
    """[B]; a map that is 0 everywhere on the clean image adds nothing."""
    losses = np.zeros(len(clean_maps[0]))
    for clean, augmented in zip(clean_maps, augmented_maps):
        clean, augmented = np.asarray(clean, "float64"), np.asarray(augmented, "float64")
        for b in range(len(losses)):
            mean = clean[b].mean()
            if mean == 0:
                continue
            normalised = (clean[b] - augmented[b]) / mean
            losses[b] += np.linalg.norm(normalised.ravel()) ** 2 / normalised.size
    return losses / len(clean_maps)
