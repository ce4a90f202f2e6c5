"""NoisyMix on points of the plane (NoisyMix paper, appendix A)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Optional

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfrobust import datasets, nets, reports
from tfrobust.augment import GaussianNoise
from tfrobust.datasets.pipeline import PipelineOptions
from tfrobust.datasets.source import Arrays
from tfrobust.evaluation.condition import Condition
from tfrobust.experiments.experiment import (
    EVALUATION_BATCH,
    Experiment,
    ExperimentConfig,
    ModelSpec,
    Run,
    Training,
)
from tfrobust.experiments.tables import PaperTable, accuracy, by_seed
from tfrobust.methods.noisymix import ABLATION
from tfrobust.rows import CLEAN

#: The outer shape: a star of five tips at radius 1, its notches at radius 0.6. [10, 2].
STAR = np.stack(
    [
        radius * np.array([np.cos(angle), np.sin(angle)])
        for radius, angle in zip((1.0, 0.6) * 5, np.pi * (0.5 + np.arange(10) / 5))
    ]
)
#: The inner shape is the outer one times this.
FACTOR = 0.5
#: Standard deviation of the noise on both coordinates.
NOISE = 0.2
#: Where the band begins and ends, in multiples of the star.
BAND = (2 / 3, 5 / 6)
#: The part of the plane that becomes [0, 1], along both axes.
WINDOW = (-2.0, 2.0)
CLASS_NAMES = ("inner", "outer")


def toy_points(seed: int, count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Noisy points inside and outside of a star-shaped band.

    The paper gives the number of points, the scale factor, the noise and "a concave polygon-shaped
    buffer band", no more. Here half of the points lie on the outline of `STAR` and half on that of
    its copy scaled by `FACTOR`, uniformly along it; then N(0, `NOISE`²) is added to each
    coordinate. The band is the middle third of the gap between the two outlines. A point inside of
    it is of class 0, one outside of it of class 1, and one on it of either with probability ½. 16%
    of the points are on the band, so that no classifier is right on more than 92% on average.

    Args:
        seed: Whole number.
        count: Number of points, even. Default 500, the paper's.

    Returns:
        Points float64 [count, 2], within `WINDOW`, in random order, and labels int32 [count].
    """
    random = np.random.default_rng(seed)
    outlines = _on_outline(STAR, count, random)
    outlines[: count // 2] *= FACTOR
    points = np.clip(outlines + random.normal(0, NOISE, [count, 2]), *WINDOW)
    size = star_size(points)
    on_band = (size >= BAND[0]) & (size <= BAND[1])
    labels = np.where(on_band, random.integers(0, 2, count), size > BAND[1]).astype("int32")
    order = random.permutation(count)
    return points[order], labels[order]


def star_size(points: np.ndarray) -> np.ndarray:
    """How large `STAR` has to be for its outline to go through a point: [N, 2] to [N]."""
    # In the wedge between two neighbouring vertices a and b a point is s·a + t·b with s, t ≥ 0, and
    # lies on their edge of the star of size s + t.
    sizes = np.zeros(len(points))
    for a, b in zip(STAR, np.roll(STAR, -1, axis=0)):
        parts = points @ np.linalg.inv(np.stack([a, b]))
        sizes = np.where((parts >= -1e-12).all(axis=1), parts.sum(axis=1), sizes)
    return sizes


def as_images(points: np.ndarray) -> np.ndarray:
    """Points as images of one pixel with two channels, `WINDOW` as [0, 1]. [N, 1, 1, 2]."""
    low, high = WINDOW
    return ((points - low) / (high - low)).astype("float32")[:, np.newaxis, np.newaxis, :]


def net_of_images(hidden: Sequence[int]) -> keras.Model:
    """`nets.mlp` behind the way from such images back to points.

    The noise levels of NoisyMix are so in the units of the plane, where the points are about as
    large as pixels normalised to [−1, 1].

    Args:
        hidden: Units of each hidden layer.
    """
    low, high = WINDOW
    images = keras.Input((1, 1, 2), name="images")
    x = layers.Rescaling(high - low, offset=low, name="normalization")(images)
    x = layers.Flatten(name="points")(x)
    return keras.Model(images, nets.mlp(hidden=hidden)(x), name="mlp_of_images")


class PointsRun(Run):
    """A run on `toy_points`, drawn anew for each seed, half for training and half for test."""

    def data(
        self, training: Optional[Training] = None, seed: int = 0, **options: Any
    ) -> datasets.Data:
        points, labels = toy_points(seed)
        half = len(points) // 2
        images = as_images(points)
        size = EVALUATION_BATCH if training is None else training.batch_size
        parts = {"train": slice(half), "test": slice(half, None)}

        def batches(split: str) -> tf.data.Dataset:
            arrays = Arrays(images[parts[split]], labels[parts[split]])
            order = seed if split == "train" else None
            return arrays.batches(len(CLASS_NAMES), PipelineOptions(size, shuffle_seed=order))

        return datasets.Data(
            name="toy",
            train=batches("train"),
            validation=None,  # type: ignore[arg-type]  # nothing is chosen
            test=batches("test"),
            class_names=CLASS_NAMES,
            image_shape=(1, 1, 2),
            sizes={"train": half, "test": len(points) - half},
        )


class ToyProblem(Experiment):
    """NoisyMix paper, appendix A, Figure 4: six schemes on points of the plane.

    Command: `tfrobust reproduce noisymix_toy`. The full setting is five seeds, of the points and of
    the training; the small one is the same.

    The paper, one seed: Baseline 86.8, Noise injection 86.8, Manifold Mixup 87.4, NFM 87.6,
    Manifold Mixup + JSD 88.0, NoisyMix 88.8.

    Numbers of its own: `hidden`, the units of the hidden layer, and `sigma`, see below.

    What is ours: the shape of the data (`toy_points`), 100 hidden units, learning rate 0.01 and 50
    points a step, all of which the paper leaves open or our text of it lost. The paper uses no
    augmentation here; but then the three views of the JSD are equal wherever no noise is injected,
    and Manifold Mixup + JSD would be Manifold Mixup. So the two views of the schemes with the JSD
    are the point plus Gaussian noise, `sigma` in the units of the plane: half of the noise of the
    data. γ, α and the noise levels are those of the paper's other experiments.

    Ours, 2026-11-21, commit 6a9be48d4f, five seeds: Baseline 90.9, Noise injection 90.6, Manifold
    Mixup 88.4, NFM 88.8, Manifold Mixup + JSD 85.9, NoisyMix 73.4; minutes on one CPU core.
    """

    paper = "NoisyMix"
    shows = "Appendix A, Figure 4"
    runs = PointsRun
    full = ExperimentConfig(
        seeds=tuple(range(5)),
        dataset="toy",
        flips_and_crops=False,
        net="mlp",
        training=Training(100, 50, plan="noisymix_toy"),
        numbers={"hidden": (100,), "sigma": NOISE / 2},
    )
    small = full
    quick = full.replace(seeds=(0,), training=Training(5, 50, plan="noisymix_toy"))
    #: The paper's name of a scheme to its entry in `ABLATION` and the printed accuracy.
    schemes: ClassVar[dict[str, tuple[str, float]]] = {
        "Baseline": ("baseline", 86.8),
        "Noise injection": ("noise", 86.8),
        "Manifold Mixup": ("manifold_mixup", 87.4),
        "NFM": ("nfm", 87.6),
        "Manifold Mixup + JSD": ("augmix_manifold_mixup_jsd", 88.0),
        "NoisyMix": ("noisymix", 88.8),
    }

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        low, high = WINDOW
        sigma = run.setting.numbers["sigma"] / (high - low)
        return [
            ModelSpec(
                name,
                "noisymix",
                {"augment": GaussianNoise(sigma, seed=seed), **ABLATION[entry], "seed": seed},
            )
            for name, (entry, _) in self.schemes.items()
        ]

    def conditions(self, run: Run) -> list[Condition]:
        return []

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        printed = {name: (number,) for name, (_, number) in self.schemes.items()}
        notes = ("The paper's numbers are of one seed, and of other points.",)
        column = accuracy("Test accuracy", CLEAN)
        return [PaperTable("NoisyMix, Figure 4", [column], printed, digits=1, notes=notes)]

    def pictures(self, run: Run) -> dict[str, Any]:
        seed = run.setting.seeds[0]
        found = by_seed(self.measured(run))[seed]
        images = as_images(_grid(_GRID))
        probabilities, titles = [], []
        for name, numbers in found.items():
            logits = run.model(name, seed)(images, training=False)
            probabilities.append(tf.nn.softmax(logits)[:, 1].numpy().reshape(_GRID, _GRID))
            titles.append(f"{name} ({100 * numbers[CLEAN, 0.0, 'accuracy']:.1f}%)")
        points, labels = toy_points(seed)
        half = len(points) // 2
        figure = reports.decision_boundaries(
            np.stack(probabilities),
            points[:half],
            labels[:half],
            limits=_SHOWN,
            titles=titles,
            classes=CLASS_NAMES,
            outlines=[size * STAR for size in BAND],
            title="Training points, the band (dashed) and the decision boundary; test accuracy",
        )
        return {"figure_4.png": figure}

    def _net(
        self, run: Run, line: ModelSpec, seed: int, data: datasets.Data, numbers: Training
    ) -> keras.Model:
        return net_of_images(run.setting.numbers["hidden"])


#: What the picture shows of the plane, and the values along each axis.
_SHOWN, _GRID = (-1.6, 1.6), 161


def _grid(values: int) -> np.ndarray:
    """Points of a square grid over what is shown, row by row from below. [values², 2]."""
    places = np.linspace(*_SHOWN, values)
    x, y = np.meshgrid(places, places)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _on_outline(polygon: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Points that are uniform along the outline of a polygon. [count, 2]."""
    edges = np.roll(polygon, -1, axis=0) - polygon
    lengths = np.linalg.norm(edges, axis=1)
    edge = random.choice(len(polygon), count, p=lengths / lengths.sum())
    return polygon[edge] + random.random([count, 1]) * edges[edge]
