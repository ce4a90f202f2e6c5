"""Measurement of robust accuracy during training."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Optional, Union

import keras
import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.compat.averaged_weights import weights_of_evaluation
from tfrobust.evaluation import passes
from tfrobust.evaluation.benchmark import Conditions, Evaluator
from tfrobust.evaluation.conditions import corrupted
from tfrobust.rows import CLEAN, Row


class RobustnessMonitor(keras.callbacks.Callback):
    """Measures the accuracy on corrupted validation images after every epoch (FMA, Figure 4).

    It adds `val_robust_accuracy`, the mean over the conditions, to the logs; `rows` holds the
    individual accuracies. The draws are the same in every epoch, so that differences are due to the
    model. With Keras' `SwapEMAWeights`, the averaged weights are measured, as for `val_accuracy`.

    Place it before the callbacks that read the logs: TensorBoard, CSVLogger, ModelCheckpoint and
    EarlyStopping (both with `mode="max"`), and `RestoreBest`. Callbacks before it do not see the
    number: `RestoreBest` raises an error, those of Keras at most warn. The history and KerasTuner
    (`Objective("val_robust_accuracy", "max")`), whose own callbacks come last, always see it.

    Args:
        data: As in `tfrobust.evaluation.benchmark`, but not what `load` returns: validation data,
            never test data.
        conditions: Conditions from `tfrobust.evaluation.corrupted` and similar functions,
            augmentation layers by name, or an `Evaluator`, whose graphs are reused. Default: the
            four corruptions that the benchmark holds out for validation, at severity 3; selection
            by the test corruptions would make them training data.
        images: Approximate number of images, the same in every epoch: every k-th batch, or every
            k-th image of arrays. Default: all.
        model_name: Name of the model in the rows.
        dataset: Name of the data in the rows.
        seed: Seed of the draws.
        before_training: Whether to measure before the first epoch as well, as epoch 0 of `rows`.

    Attributes:
        rows: Result rows with their epoch, counted from 1.

    Raises:
        TypeError: `data` is of another kind.
        ValueError: There are no conditions, the data do not end, or `images` is not a whole number
            above 0.
    """

    def __init__(
        self,
        data: Any,
        conditions: Union[Conditions, Evaluator, None] = None,
        *,
        images: Optional[int] = None,
        model_name: str = "model",
        dataset: str = "validation",
        seed: int = 0,
        before_training: bool = True,
    ):
        super().__init__()
        self.rows: list[Row] = []
        if images is not None:
            data = _subsample(data, validation.check_whole("images", images, 1, 2**31 - 1))
        self._data = passes.batches_of(data)
        if conditions is None:
            conditions = corrupted("held_out", severities=[3])
        if not isinstance(conditions, Evaluator):
            conditions = Evaluator(conditions)
        if not conditions.conditions:
            raise ValueError(
                "RobustnessMonitor needs one condition or more, whose mean it reports; "
                "received none"
            )
        self._evaluator: Evaluator = conditions
        self._labels: dict[str, Any] = {"model_name": model_name, "dataset": dataset, "seed": seed}
        self._before_training = before_training

    def __deepcopy__(self, memo: Any) -> RobustnessMonitor:
        # KerasTuner copies callbacks for each trial, but a tf.data pipeline cannot be copied.
        return RobustnessMonitor(
            self._data, self._evaluator, before_training=self._before_training, **self._labels
        )

    def get_state(self) -> dict[str, Any]:
        """Returns the state that a `Checkpoint` saves: the rows."""
        return {"rows": [json.loads(row.to_json()) for row in self.rows]}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores the state.

        Args:
            state: What `get_state` returned.
        """
        self.rows = [Row(**row) for row in state["rows"]]

    def on_train_begin(self, logs: Optional[dict[str, Any]] = None) -> None:
        if self._before_training and not self.rows:
            self._measure(0)

    def on_epoch_end(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        with weights_of_evaluation(self):
            accuracies = self._measure(epoch + 1)
        if logs is not None:
            del accuracies[CLEAN]
            logs["val_robust_accuracy"] = sum(accuracies.values()) / len(accuracies)

    def robust_accuracy(self, model: keras.Model) -> float:
        """Measures a model as at the end of an epoch, without adding to the logs or to `rows`.

        Args:
            model: The model.

        Returns:
            Mean accuracy over the conditions.
        """
        rows = self._evaluator.rows(model, self._data, **self._labels)
        return float(np.mean([row.value for row in rows if row.corruption != CLEAN]))

    def _measure(self, epoch: int) -> dict[str, float]:
        rows = self._evaluator.rows(self.model, self._data, **self._labels)
        self.rows += [dataclasses.replace(row, epoch=epoch) for row in rows]
        return {row.corruption: row.value for row in rows}


def _subsample(data: Any, images: int) -> Any:
    """Takes about so many images, spread over the data, which may be sorted."""
    if not isinstance(data, tf.data.Dataset):
        return passes.batches_of(data).about(images)
    batches = int(data.cardinality())
    size = len(keras.utils.unpack_x_y_sample_weight(next(iter(data.take(1))))[0])
    wanted = max(images // size, 1)
    if batches < 0:  # their number is unknown, or there is no end
        return data.take(wanted)
    return data.shard(max(batches // wanted, 1), 0)
