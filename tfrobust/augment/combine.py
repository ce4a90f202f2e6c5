"""Augmentations made of augmentations."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import checks
from tfrobust.augment.base import Augment, _counter
from tfrobust.ops import sampling


class _Composite(Augment):
    """Holds other augmentations and gives each a seed of its own."""

    def __init__(self, augments: list[Augment], *, seed: int = 0, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        is_list = isinstance(augments, (list, tuple)) and len(augments) > 0
        if not is_list or not all(isinstance(augment, Augment) for augment in augments):
            kinds = [type(a).__name__ for a in augments] if is_list else augments
            raise ValueError(
                f"{type(self).__name__} takes a list of one or more augmentation layers; received "
                f"{kinds!r}"
            )
        self.augments = list(augments)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {**super().get_config(), "augments": [serialize(a) for a in self.augments]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> _Composite:
        deserialize = keras.saving.deserialize_keras_object
        return cls(**{**config, "augments": [deserialize(a) for a in config["augments"]]})


@keras.saving.register_keras_serializable(package="tfrobust")
class Sequence(_Composite):
    """Applies augmentations one after the other (FMA paper [7]): δ_n(… δ_1(x)).

    Args:
        augments: List of augmentation layers; the first is applied first.
        seed: Whole number; the layers' own seeds are not used inside a sequence.

    Raises:
        ValueError: The list is empty or holds something else.

    Example:

    >>> from tfrobust.augment import Brightness
    >>> twice = Sequence([Brightness(0.25), Brightness(-0.5)])
    >>> twice(tf.fill([1, 1, 1, 3], 0.5), training=True).numpy()
    array([[[[0.25, 0.25, 0.25]]]], dtype=float32)
    """

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        seed = self._own_seed(seed)
        return {
            str(i): augment.draw(images, sampling.fold_in(seed, i))
            for i, augment in enumerate(self.augments)
        }

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        for i, augment in enumerate(self.augments):
            images = augment.apply(images, draws[str(i)])
        return images


@keras.saving.register_keras_serializable(package="tfrobust")
class Alternating(_Composite):
    """Applies one of several augmentations, the next one each period (FMA paper, section 4.3.2).

    The combined augmentation (CA) strategy alternates Combined+ and Combined− every epoch; every
    batch, and every several epochs, did worse in the paper. Which one is on is a variable that
    `callbacks.AlternateAugmentations` sets, so that nothing is traced again.

    Args:
        augments: List of augmentation layers.
        period_epochs: Epochs that each stays on. Default 1, as in the paper.
        seed: Whole number; the layers' own seeds are not used inside.

    Raises:
        ValueError: The list is empty or holds something else, or the period is below 1.

    Example:

    >>> from tfrobust.augment import Brightness
    >>> layer = Alternating([Brightness(0.25), Brightness(-0.25)])
    >>> layer.start_epoch(1)
    >>> layer(tf.fill([1, 1, 1, 3], 0.5), training=True).numpy()
    array([[[[0.25, 0.25, 0.25]]]], dtype=float32)
    """

    def __init__(
        self, augments: list[Augment], *, period_epochs: int = 1, seed: int = 0, **kwargs: Any
    ):
        super().__init__(augments, seed=seed, **kwargs)
        self.period_epochs = checks.check_whole("period_epochs", period_epochs, 1, 10**6)
        self._phase = _counter(self, "phase")

    def start_epoch(self, epoch: int) -> None:
        """Turns to the augmentation of an epoch, counted from 0."""
        self._phase.assign(epoch // self.period_epochs % len(self.augments))

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        # Only the augmentation that is on may draw, or every step would pay for all of them; what
        # it draws is settled by its seed.
        return {
            "phase": tf.cast(tf.convert_to_tensor(self._phase), tf.int32),
            "seed": self._own_seed(seed),
        }

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        def branch(augment):
            return lambda: augment.apply(images, augment.draw(images, draws["seed"]))

        return tf.switch_case(draws["phase"], [branch(augment) for augment in self.augments])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "period_epochs": self.period_epochs}
