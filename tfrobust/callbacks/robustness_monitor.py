"""Robust accuracy after every epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Optional, Union

import keras

from tfrobust.augment.base import Augment
from tfrobust.evaluation import Evaluator
from tfrobust.rows import CLEAN, Row


class RobustnessMonitor(keras.callbacks.Callback):
    """Measures the accuracy on augmented validation images after every epoch (FMA paper, Figure 4).

    Adds `val_robust_accuracy`, the mean over the augmentations, to the logs; each accuracy is in
    `rows`. The draws are the same every epoch, so that a change is a change of the model.

    Put it before what reads the logs: TensorBoard, CSVLogger, ModelCheckpoint, EarlyStopping (these
    two with `mode="max"`), `RestoreBest`. Those that stand before it do not see the number:
    `RestoreBest` stops the training then, Keras' own at most warn. The history and KerasTuner
    (`Objective("val_robust_accuracy", "max")`), whose own callbacks come last, see it anyway.

    Args:
        data: Batched `tf.data.Dataset` of (images, labels): validation, never test.
        augmentations: Name to augmentation layer, or an `Evaluator` that has them already traced.
        model_name: Name of the model in the rows.
        dataset: Name of the data in the rows.
        seed: Seed of the draws.
        before_training: Also measure before the first epoch, as epoch 0 of `rows`.

    Attributes:
        rows: Result rows with their epoch, counted from 1.
    """

    def __init__(
        self,
        data: Any,
        augmentations: Union[Mapping[str, Augment], Evaluator],
        *,
        model_name: str = "model",
        dataset: str = "validation",
        seed: int = 0,
        before_training: bool = True,
    ):
        super().__init__()
        self.rows: list[Row] = []
        self._data = data
        if not isinstance(augmentations, Evaluator):
            augmentations = Evaluator(augmentations)
        self._evaluator: Evaluator = augmentations
        self._labels: dict[str, Any] = {"model_name": model_name, "dataset": dataset, "seed": seed}
        self._before_training = before_training

    def __deepcopy__(self, memo: Any) -> RobustnessMonitor:
        # KerasTuner copies callbacks for each trial; a tf.data pipeline cannot be copied, and need
        # not be.
        return RobustnessMonitor(
            self._data, self._evaluator, before_training=self._before_training, **self._labels
        )

    def on_train_begin(self, logs: Optional[dict[str, Any]] = None) -> None:
        if self._before_training and not self.rows:
            self._measure(0)

    def on_epoch_end(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        accuracies = self._measure(epoch + 1)
        if logs is not None:
            del accuracies[CLEAN]
            logs["val_robust_accuracy"] = sum(accuracies.values()) / len(accuracies)

    def _measure(self, epoch: int) -> dict[str, float]:
        rows = self._evaluator.rows(self.model, self._data, **self._labels)
        self.rows += [dataclasses.replace(row, epoch=epoch) for row in rows]
        return {row.corruption: row.value for row in rows}
