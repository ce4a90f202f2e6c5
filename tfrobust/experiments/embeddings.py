"""Two-dimensional embeddings of image features: Figure 1 of the AugMax paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from tfrobust.attacks import PGD, AugMaxAttack
from tfrobust.augment import AugMix
from tfrobust.experiments.experiment import Run
from tfrobust.layers.embedding import Embedding
from tfrobust.reports.figures import COLOURS, legend_below, styled

_MARKERS = ("o", "^", "s", "D", "v", "P", "X")


def figure_1(run: Run, net: keras.Model, *, per_class: int = 100, classes: int = 3) -> Figure:
    """Plots features of standard, AugMix, PGD and AugMax training images in two dimensions.

    As in the paper, features are projected on the plane through the weights of the last layer for
    the classes shown (Müller et al. 2019, arXiv:1906.02629), so that positions are comparable. The
    standard view, from which the others are made, is flipped and shifted.

    Args:
        run: The run, whose training images are taken.
        net: The plainly trained net.
        per_class: Number of images per class.
        classes: Number of classes.

    Returns:
        A matplotlib figure.
    """
    data = run.training_data(run.setting.training, seed=0)
    images, labels = (np.concatenate(part) for part in zip(*data.train.as_numpy_iterator()))
    chosen = np.concatenate([np.flatnonzero(labels == c)[:per_class] for c in range(classes)])
    images, labels = tf.constant(images[chosen]), tf.constant(labels[chosen])
    ways = {
        "standard": images,
        "AugMix": AugMix()(images, training=True),
        "PGD": PGD().perturb(net, images, labels),
        "AugMax": AugMaxAttack(steps=run.setting.numbers["steps"]).perturb(net, images, labels),
    }
    embedding, features = Embedding(net), []
    for changed in ways.values():
        with embedding.recorded() as embedded:
            net(changed, training=False)
        features.append(embedded().numpy())
    templates = net.get_layer("logits").get_weights()[0].T[:classes]
    return embedding_panels(
        {way: on_plane(found, templates) for way, found in zip(ways, features)},
        labels.numpy(),
        data.class_names[:classes],
        title="Features of training images in a plainly trained net, projected (AugMax, Figure 1)",
    )


def on_plane(points: np.ndarray, through: np.ndarray) -> np.ndarray:
    """Projects points on the plane through three points.

    Args:
        points: [N, D].
        through: [3, D].

    Returns:
        [N, 2]: coordinates from the first of the three points, the first of them towards the
        second.

    Example:

    >>> corners = np.array([[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [1.0, 3.0, 1.0]])
    >>> on_plane(np.array([[0.5, 1.0, 7.0]]), corners)
    array([[0.5, 1. ]])
    """
    basis, _ = np.linalg.qr((through[1:] - through[0]).T)
    signs = np.sign(np.sum(basis * (through[1:] - through[0]).T, axis=0))
    projected: np.ndarray = (points - through[0]) @ (basis * signs)
    return projected


@styled
def embedding_panels(
    points: Mapping[str, np.ndarray],
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    title: str,
) -> Figure:
    """Draws the same images, changed in several ways, one panel each.

    Args:
        points: Panel title (what was done to the images) to their coordinates [N, 2].
        labels: Class index of each image, [N], the same in all panels.
        class_names: Names of the classes.
        title: Title of the figure.

    Returns:
        A matplotlib figure; all panels share axes. Classes differ in colour and marker.

    Raises:
        ValueError: The shapes are inconsistent.

    Example:

    >>> embedding_panels({"clean": np.zeros([2, 2])}, np.array([0, 1]), ["cat", "dog"], title="φ")
    <Figure size ... with 1 Axes>
    """
    labels = np.asarray(labels)
    for name, coordinates in points.items():
        if np.shape(coordinates) != (len(labels), 2):
            raise ValueError(
                f"points must be [N, 2] for N labels; received {np.shape(coordinates)} for "
                f"{name!r} and {len(labels)} labels"
            )
    figure = Figure(figsize=(2.7 * len(points), 3.1))
    figure.suptitle(title)
    panels = figure.subplots(1, len(points), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, coordinates) in zip(panels, points.items()):
        for i, class_name in enumerate(class_names):
            colour = COLOURS[i % len(COLOURS)]
            axes.scatter(
                *np.asarray(coordinates)[labels == i].T,
                s=12,
                marker=_MARKERS[i % len(_MARKERS)],
                facecolors="none" if i % 2 else colour,
                edgecolors=colour,
                linewidths=0.7,
                label=class_name,
            )
        axes.set(title=name, xlabel="first coordinate")
    panels[0].set_ylabel("second coordinate")
    legend_below(figure, max(len(class_names), 1))
    return figure
