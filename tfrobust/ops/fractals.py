"""Pictures of fractals, made by formula."""

from __future__ import annotations

import functools

import numpy as np

#: Number of pictures, their side in pixels, and the seed that makes them.
COUNT, SIDE, _SEED = 32, 96, 0
_POINTS, _STEPS, _SKIPPED = 2000, 60, 10


@functools.cache
def fractals() -> np.ndarray:
    """Pictures of the attractors of random iterated function systems, always the same ones.

    Each system has 2 to 6 affine maps x → A·x + b whose singular values lie between 0.3 and 0.85,
    and maps are chosen in proportion to |det A| (the chaos game; Barnsley, "Fractals Everywhere",
    1988). A pixel's brightness is the logarithm of the number of points in it, its colour the mean
    of the colours of the maps that brought them there; the ground is a smooth gradient of two
    colours.

    Returns:
        [COUNT, SIDE, SIDE, 3] uint8.
    """
    random = np.random.default_rng(_SEED)
    made = np.stack([_fractal(random) for _ in range(COUNT)])
    made.setflags(write=False)
    return made


def _fractal(random: np.random.Generator) -> np.ndarray:
    maps = random.integers(2, 7)
    turns = random.uniform(0, 2 * np.pi, [2, maps])
    stretch = random.uniform(0.3, 0.85, [maps, 2]) * random.choice([-1, 1], [maps, 2])
    cosine, sine = np.cos(turns), np.sin(turns)
    first, second = np.stack([[cosine, -sine], [sine, cosine]]).transpose(2, 3, 0, 1)
    matrices = first @ (stretch[:, :, np.newaxis] * second)  # U·diag(s)·V
    shifts = random.uniform(-1, 1, [maps, 2])
    weights = np.abs(np.linalg.det(matrices)) + 1e-3
    colours = random.random([maps, 3])
    points, colour = random.uniform(-1, 1, [_POINTS, 2]), np.zeros([_POINTS, 3])
    seen, seen_colours = [], []
    for step in range(_STEPS):
        chosen = random.choice(maps, _POINTS, p=weights / weights.sum())
        points = np.einsum("nij,nj->ni", matrices[chosen], points) + shifts[chosen]
        colour = (colour + colours[chosen]) / 2
        if step >= _SKIPPED:
            seen.append(points)
            seen_colours.append(colour)
    places, shades = np.concatenate(seen), np.concatenate(seen_colours)
    low, high = np.quantile(places, [0.01, 0.99], axis=0)
    cells = ((places - low) / np.maximum(high - low, 1e-6) * SIDE).astype(int)
    inside = ((cells >= 0) & (cells < SIDE)).all(axis=1)
    index = cells[inside] @ [SIDE, 1]
    count = np.bincount(index, minlength=SIDE**2)
    mean = np.stack(
        [np.bincount(index, shades[inside][:, c], SIDE**2) / np.maximum(count, 1) for c in range(3)]
    )
    bright = np.log1p(count) / np.log1p(count.max())
    ground = _gradient(random).reshape(-1, 3)
    picture = ground + (bright**0.5)[:, np.newaxis] * (mean.T - ground)
    return np.rint(255 * picture.reshape(SIDE, SIDE, 3)).astype("uint8")


def _gradient(random: np.random.Generator) -> np.ndarray:
    """A plane wave of low frequency between two colours."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    direction, phase = random.uniform(0, 2 * np.pi, 2)
    along = np.cos(direction) * rows + np.sin(direction) * columns
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * random.uniform(0.3, 2) * along + phase)
    ends = random.random([2, 3])
    return ends[0] + wave[..., np.newaxis] * (ends[1] - ends[0])
