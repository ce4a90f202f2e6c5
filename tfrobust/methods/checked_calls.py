"""What users call of a Keras model: as Keras does it, with what is wrong told in one sentence."""

from __future__ import annotations

import inspect
from typing import Any, Optional

import keras

from tfrobust.compat.compiled_step import CompiledStep
from tfrobust.compat.distribution import DistributedModel
from tfrobust.compat.model_files import readable_weights
from tfrobust.methods import step_checks
from tfrobust.methods.validation import (
    all_class_weights,
    check_alternation,
    check_compile,
    check_compiled,
    check_training_data,
    check_validation_data,
)


class CheckedCalls(CompiledStep, DistributedModel):
    """Base class of `RobustModel`, which has a `net`, `augment` and `term_weights`."""

    net: keras.Model
    augment: Optional[keras.layers.Layer]
    term_weights: dict[str, Any]

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles like `keras.Model.compile`; the loss must work on logits, see the class."""
        given = inspect.signature(super().compile).bind(*args, **kwargs).arguments
        check_compile(given, self.term_weights)
        super().compile(*args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was, which Keras leaves to classes that check `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if hasattr(self.optimizer, "build"):  # not Keras 2's legacy optimizers
            self.optimizer.build(self.trainable_variables)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains like `keras.Model.fit`, after checking images and labels."""
        batch_size = args[0] if args else kwargs.get("batch_size")  # Keras' third argument
        check_training_data(x, y, batch_size, self)
        check_validation_data(kwargs.get("validation_data"), self.net)
        check_alternation(self.augment, kwargs.get("callbacks"))
        check_compiled(self)
        if kwargs.get("class_weight") is not None:
            kwargs["class_weight"] = all_class_weights(kwargs["class_weight"], self.net)
        with step_checks.explained():
            return super().fit(x, y, *args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Measures like `keras.Model.evaluate`; images and labels are checked."""
        with step_checks.explained():
            return super().evaluate(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Predicts like `keras.Model.predict`; images are checked."""
        with step_checks.explained():
            return super().predict(*args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Trains like `keras.Model.train_on_batch`; the batch is checked."""
        with step_checks.explained():
            return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Measures like `keras.Model.test_on_batch`; the batch is checked."""
        with step_checks.explained():
            return super().test_on_batch(*args, **kwargs)

    def predict_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Predicts like `keras.Model.predict_on_batch`; the images are checked."""
        with step_checks.explained():
            return super().predict_on_batch(*args, **kwargs)

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        """Loads like `keras.Model.load_weights`, in Keras 2 from files of Keras 3 too."""
        with readable_weights(filepath, self) as readable:
            return super().load_weights(readable, *args, **kwargs)

    def export(self, *args: Any, **kwargs: Any) -> Any:
        """Exports the net like `keras.Model.export`; `serving.export` writes more signatures."""
        return self.net.export(*args, **kwargs)
