"""Callback that plots images and predictions during training."""

from __future__ import annotations

import copy
import pathlib
from collections.abc import Sequence
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import files, validation
from tfrobust.augment.base import Augment
from tfrobust.evaluation.predictor import Predictor
from tfrobust.ops import sampling
from tfrobust.reports import figures
from tfrobust.rows import CLEAN


class ImageLogger(keras.callbacks.Callback):
    """Plots a few images, clean and augmented, with the model's predictions during training.

    One row per image, its label on the left; below each picture the predicted class and its
    probability, bold and red if it is wrong. The draws are the same each time, so that any change
    is due to the model (or the augmentation: `Alternating` shows the current one). The random state
    of the training is not affected.

    Args:
        images: [N, H, W, C] float32 in [0, 1], as for the model; about five.
        folder: Folder for `epoch_0001.png` and so on, each written atomically.
        augmentation: Layer, or None (the default) for the model's `augment`. Without one, and for
            attacks, only clean images are shown.
        labels: [N] class indices; None (the default) shows none.
        class_names: Name of each class. Default: its index.
        every: Interval in epochs. Default 1.
        draws: Number of draws of the augmentation. Default 2.
        seed: Seed of the draws.
        log_dir: TensorBoard log folder, to show the pictures there too. Default: none.

    Raises:
        ValueError: Images are outside [0, 1], labels or names do not match, or a number is out of
            range.
        TypeError: Images are integers, or `augmentation` is not an augmentation layer.
    """

    def __init__(
        self,
        images: Any,
        folder: files.PathLike,
        augmentation: Optional[Augment] = None,
        *,
        labels: Any = None,
        class_names: Optional[Sequence[str]] = None,
        every: int = 1,
        draws: int = 2,
        seed: int = 0,
        log_dir: Optional[files.PathLike] = None,
    ):
        super().__init__()
        validation.check_images(images)
        if augmentation is not None and not isinstance(augmentation, Augment):
            raise TypeError(
                "augmentation must be a layer of tfrobust.augment; received "
                f"{type(augmentation).__name__}"
            )
        self._images, self._augmentation = np.asarray(images, "float32"), augmentation
        self._labels = None if labels is None else np.asarray(labels)
        if self._labels is not None:
            if self._labels.shape != (len(self._images),):
                raise ValueError(
                    f"labels must be one class index per image, [{len(self._images)}]; received "
                    f"shape {self._labels.shape}"
                )
            count = 2**31 - 1 if class_names is None else len(class_names)
            validation.check_labels(self._labels, count)
        self._names = None if class_names is None else list(class_names)
        self._folder, self._log_dir = pathlib.Path(folder), log_dir
        self._every = validation.check_whole("every", every, 1, 2**31 - 1)
        self._draws = validation.check_whole("draws", draws, 1, 100)
        self._seed = validation.check_whole("seed", seed, 0, 2**31 - 1)
        self._predictor: Any = None

    def __deepcopy__(self, memo: Any) -> ImageLogger:
        # KerasTuner copies callbacks for each trial; the copies share images and folder.
        return copy.copy(self)

    def on_train_begin(self, logs: Optional[dict[str, Any]] = None) -> None:
        self._predictor = Predictor(self.model)

    def on_epoch_end(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        if (epoch + 1) % self._every == 0:
            self.draw(epoch + 1)

    def draw(self, epoch: int) -> None:
        """Plots the images now, as those of an epoch counted from 1."""
        picture = figures.encoded(self._figure(epoch), "png")
        with files.replacing(self._folder / f"epoch_{epoch:04d}.png") as path:
            path.write_bytes(picture)
        if self._log_dir is not None:
            writer = tf.summary.create_file_writer(str(self._log_dir), filename_suffix=".pictures")
            with writer.as_default():
                tf.summary.image("pictures", tf.io.decode_png(picture, 3)[tf.newaxis], step=epoch)
            writer.close()

    def _views(self) -> list[tuple[str, tf.Tensor]]:
        """Name and images of each column."""
        own = self._augmentation or getattr(self.model, "augment", None)
        # A method with several perturbations has a list of them.
        layers = [own] if isinstance(own, Augment) else getattr(own, "augments", [])
        layers = [layer for layer in layers if isinstance(layer, Augment)]
        clean = tf.constant(self._images)
        views = [(CLEAN, layers[0](clean, training=False) if layers else clean)]
        for layer in layers:
            for _ in range(self._draws):
                seed = sampling.seed_pair(self._seed, len(views))
                views.append((type(layer).__name__, layer.apply(clean, layer.draw(clean, seed))))
        return views

    def _figure(self, epoch: int) -> Any:
        columns, views = zip(*self._views())
        answers = [self._predictor.answers(view) for view in views]
        classes, uncertainties = (np.stack(part, axis=1) for part in zip(*answers))
        pictures = np.stack([view.numpy() for view in views], axis=1)
        figure = figures.augmentation_grid(pictures, columns, title=f"Epoch {epoch}")
        width, height = figure.get_size_inches()
        figure.set_size_inches(width + 0.3, height + 0.25 * len(classes))
        for i, axes in enumerate(figure.axes):
            row, column = divmod(i, len(views))
            predicted, uncertainty = classes[row, column], uncertainties[row, column]
            label = None if self._labels is None else self._labels[row]
            wrong = label is not None and predicted != label
            text = f"{self._name(predicted)} {100 * (1 - uncertainty):.0f}%"
            style: dict[str, Any] = {"color": "#B00000", "weight": "bold"} if wrong else {}
            axes.set_xlabel(text, fontsize=min(8.0, 79 / (0.6 * len(text))), **style)
            if column == 0 and label is not None:
                axes.set_ylabel(self._name(label), fontsize=8.0)
        return figure

    def _name(self, index: int) -> str:
        names = self._names
        return str(int(index)) if names is None or index >= len(names) else names[index]
