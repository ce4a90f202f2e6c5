"""NoisyMix on a two-dimensional toy problem (NoisyMix paper, appendix A)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Optional

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfrobust import datasets, nets
from tfrobust.augment import GaussianNoise
from tfrobust.datasets.pipeline import PipelineOptions
from tfrobust.datasets.source import Arrays
from tfrobust.evaluation.condition import Condition
from tfrobust.experiments.boundaries import decision_boundaries
from tfrobust.experiments.experiment import Experiment, ExperimentConfig, ModelSpec, Run, Training
from tfrobust.experiments.settings import EVALUATION_BATCH
from tfrobust.experiments.tables import PaperTable, accuracy, by_seed, paper_table
from tfrobust.methods.noisymix import ABLATION
from tfrobust.rows import CLEAN

#: Outer shape: a five-pointed star, tips at radius 1, notches at radius 0.6. [10, 2].
STAR = np.stack(
    [
        radius * np.array([np.cos(angle), np.sin(angle)])
        for radius, angle in zip((1.0, 0.6) * 5, np.pi * (0.5 + np.arange(10) / 5))
    ]
)
#: Scale of the inner shape relative to the outer one.
FACTOR = 0.5
#: Standard deviation of the noise in each coordinate.
NOISE = 0.2
#: Start and end of the band, in multiples of the star.
BAND = (2 / 3, 5 / 6)
#: Range of both axes that is mapped to [0, 1].
WINDOW = (-2.0, 2.0)
CLASS_NAMES = ("inner", "outer")


def toy_points(seed: int, count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Noisy points inside and outside a star-shaped band.

    The paper gives the number of points, the scale factor, the noise and "a concave polygon-shaped
    buffer band", but no more. Here half of the points lie on the outline of `STAR` and half on that
    of its copy scaled by `FACTOR`, uniformly along it; then N(0, `NOISE`²) is added to each
    coordinate. The band is the middle third of the gap between the two outlines. Points inside it
    are of class 0, points outside it of class 1, and points on it of either with probability ½. 16%
    of the points are on the band, so that no classifier exceeds 92% on average.

    Args:
        seed: Integer seed.
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
    """Scale at which the outline of `STAR` passes through each point: [N, 2] to [N]."""
    # A point in the wedge between neighbouring vertices a and b is s·a + t·b with s, t ≥ 0, and
    # lies on their edge of the star scaled by s + t.
    sizes = np.zeros(len(points))
    for a, b in zip(STAR, np.roll(STAR, -1, axis=0)):
        parts = points @ np.linalg.inv(np.stack([a, b]))
        sizes = np.where((parts >= -1e-12).all(axis=1), parts.sum(axis=1), sizes)
    return sizes


def as_images(points: np.ndarray) -> np.ndarray:
    """Points as one-pixel images with two channels, `WINDOW` mapped to [0, 1]. [N, 1, 1, 2]."""
    low, high = WINDOW
    return ((points - low) / (high - low)).astype("float32")[:, np.newaxis, np.newaxis, :]


def net_of_images(hidden: Sequence[int]) -> keras.Model:
    """`nets.mlp` after a layer that maps such images back to points.

    The noise levels of NoisyMix thus apply to coordinates, which are of about the same size as
    pixels normalised to [−1, 1].

    Args:
        hidden: Number of units of each hidden layer.
    """
    low, high = WINDOW
    images = keras.Input((1, 1, 2), name="images")
    x = layers.Rescaling(high - low, offset=low, name="normalization")(images)
    x = layers.Flatten(name="points")(x)
    return keras.Model(images, nets.mlp(hidden=hidden)(x), name="mlp_of_images")


class PointsRun(Run):
    """A run on `toy_points`, drawn for each seed; half for training and half for testing."""

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
            validation=None,  # type: ignore[arg-type]  # there is no model selection
            test=batches("test"),
            class_names=CLASS_NAMES,
            image_shape=(1, 1, 2),
            sizes={"train": half, "test": len(points) - half},
        )


class ToyProblem(Experiment):
    """NoisyMix paper, appendix A, Figure 4: six training schemes on a toy problem.

    Command: `tfrobust reproduce noisymix_toy`. The full setting has five seeds, for points and
    training; the small one is the same.

    The paper, one seed: Baseline 86.8, Noise injection 86.8, Manifold Mixup 87.4, NFM 87.6,
    Manifold Mixup + JSD 88.0, NoisyMix 88.8.

    Its `numbers`: `hidden`, the units of the hidden layer; `sigma`, see below; and the γ
    (`jsd_weight`), α and noise of the schemes that have them, by default those of the paper's
    other experiments, where inputs have thousands of coordinates: on two of them, γ = 12 and noise
    of up to 1.5 leave the net undecided (`--set jsd_weight=1 --set additive=0.1`).

    Our choices, where the paper (or our text of it) leaves them open: the shape of the data
    (`toy_points`), 100 hidden units, learning rate 0.01 and batch size 50. The paper uses no
    augmentation here; but then the three views of the JSD are equal unless noise is injected, and
    Manifold Mixup + JSD would be Manifold Mixup. So the two views of the schemes with the JSD are
    the point plus Gaussian noise with standard deviation `sigma` in the plane: half of the noise of
    the data.

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
        numbers={
            "hidden": (100,), "sigma": NOISE / 2, "jsd_weight": 12.0, "alpha": 1.0,
            "additive": 0.5, "multiplicative": 0.5, "sparse": 0.65,
        },
    )  # fmt: skip
    small = full
    quick = full.replace(seeds=(0,), training=Training(5, 50, plan="noisymix_toy"))
    #: The paper's name of a scheme to its entry in `ABLATION`.
    schemes: ClassVar[dict[str, str]] = {
        "Baseline": "baseline",
        "Noise injection": "noise",
        "Manifold Mixup": "manifold_mixup",
        "NFM": "nfm",
        "Manifold Mixup + JSD": "augmix_manifold_mixup_jsd",
        "NoisyMix": "noisymix",
    }

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        numbers = dict(run.setting.numbers)
        del numbers["hidden"]
        sigma = numbers.pop("sigma") / (WINDOW[1] - WINDOW[0])
        common = {"augment": GaussianNoise(sigma, seed=seed), **numbers, "seed": seed}
        return [
            ModelSpec(name, "noisymix", {**common, **ABLATION[entry]})
            for name, entry in self.schemes.items()
        ]

    def conditions(self, run: Run) -> list[Condition]:
        return []

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        notes = ("The paper's numbers are of one seed, and of other points.",)
        columns = [accuracy("Test accuracy", CLEAN)]
        title, printed = "NoisyMix, Figure 4", "noisymix_figure4"
        return [paper_table(title, columns, printed, digits=1, notes=notes)]

    def pictures(self, run: Run) -> dict[str, Any]:
        seed = run.setting.seeds[0]
        found = by_seed(self.measured(run))[seed]
        images = as_images(_grid(_GRID_SIZE))
        logits = [run.model(name, seed)(images, training=False) for name in found]
        points, labels = toy_points(seed)
        half = len(points) // 2
        figure = decision_boundaries(
            np.reshape([tf.nn.softmax(x)[:, 1] for x in logits], [-1, _GRID_SIZE, _GRID_SIZE]),
            points[:half],
            labels[:half],
            limits=_PLOT_RANGE,
            titles=[
                f"{name} ({100 * numbers[CLEAN, 0.0, 'accuracy']:.1f}%)"
                for name, numbers in found.items()
            ],
            classes=CLASS_NAMES,
            outlines=[size * STAR for size in BAND],
            title="Training points, the band (dashed) and the decision boundary; test accuracy",
        )
        return {"figure_4.png": figure}

    def net(
        self, run: Run, line: ModelSpec, seed: int, data: datasets.Data, schedule: Training
    ) -> keras.Model:
        return net_of_images(run.setting.numbers["hidden"])


#: Plotted range of both axes, and the number of grid points along each.
_PLOT_RANGE, _GRID_SIZE = (-1.6, 1.6), 161


def _grid(values: int) -> np.ndarray:
    """Points of a square grid over the plotted range, row by row from below. [values², 2]."""
    coordinates = np.linspace(*_PLOT_RANGE, values)
    x, y = np.meshgrid(coordinates, coordinates)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _on_outline(polygon: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Samples points uniformly along the outline of a polygon. [count, 2]."""
    edges = np.roll(polygon, -1, axis=0) - polygon
    lengths = np.linalg.norm(edges, axis=1)
    edge = random.choice(len(polygon), count, p=lengths / lengths.sum())
    return polygon[edge] + random.random([count, 1]) * edges[edge]
