"""Augmentations composed of other augmentations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Augment
from tfrobust.layers.members import Members
from tfrobust.layers.seeded import counter
from tfrobust.ops import sampling


class _Composite(Members, Augment):
    """Base class of layers that hold a list of augmentations."""

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


@keras.saving.register_keras_serializable(package="tfrobust")
class Sequence(_Composite):
    """Applies augmentations one after the other (FMA paper [7]): δ_n(… δ_1(x)).

    Args:
        augments: List of augmentation layers, applied in this order.
        seed: Integer seed; the members' own seeds are unused. Default 0.

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

    def at_inference(self, images: tf.Tensor) -> tf.Tensor:
        for augment in self.augments:
            images = augment(images, training=False)
        return images

    def compute_output_shape(self, input_shape: Any) -> Any:
        for augment in self.augments:
            input_shape = augment.compute_output_shape(input_shape)
        return input_shape


@keras.saving.register_keras_serializable(package="tfrobust")
class Alternating(_Composite):
    """Alternates between several augmentations by epoch (FMA paper, section 4.3.2).

    The combined augmentation (CA) strategy alternates Combined+ and Combined− every epoch;
    alternating every batch or every few epochs did worse in the paper. The active augmentation
    depends on a variable, so switching does not retrace; `callbacks.AlternateAugmentations` sets it
    in each epoch.

    Args:
        augments: List of augmentation layers.
        period_epochs: Number of epochs between switches. Default 1, as in the paper.
        period_batches: Number of batches between switches, instead of `period_epochs`; needs no
            callback. Every draw counts as a batch. Default None.
        seed: Integer seed; the members' own seeds are unused. Default 0.

    Raises:
        ValueError: The list is empty or holds something else, a period is below 1, or both periods
            are given.

    Example:

    >>> from tfrobust.augment import Brightness
    >>> layer = Alternating([Brightness(0.25), Brightness(-0.25)])
    >>> layer.start_epoch(1)
    >>> layer(tf.fill([1, 1, 1, 3], 0.5), training=True).numpy()
    array([[[[0.25, 0.25, 0.25]]]], dtype=float32)
    """

    def __init__(
        self,
        augments: list[Augment],
        *,
        period_epochs: int = 1,
        period_batches: Optional[int] = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(augments, seed=seed, **kwargs)
        self.period_epochs = validation.check_whole("period_epochs", period_epochs, 1, 10**6)
        self.period_batches = period_batches
        if period_batches is not None:
            validation.check_whole("period_batches", period_batches, 1, 10**6)
            if period_epochs != 1:
                raise ValueError(
                    "only one of period_epochs and period_batches can be given; received "
                    f"period_epochs={period_epochs} and period_batches={period_batches}"
                )
        #: Number of the active augmentation, or of the draws with `period_batches`.
        self._phase = counter(self, "phase")
        self._mixed = False

    def start_epoch(self, epoch: int) -> None:
        """Activates the augmentation of an epoch, counted from 0."""
        super().start_epoch(epoch)
        if self.period_batches is None:
            self._phase.assign(epoch // self.period_epochs % len(self.augments))

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        # Only the active augmentation draws, in `apply`, so that a step does not pay for all of
        # them; the seed determines what it draws.
        phase = tf.identity(tf.convert_to_tensor(self._phase))
        if self.period_batches is not None and not self._mixed:
            self._phase.assign_add(tf.ones([], tf.int64))
            phase = phase // self.period_batches % len(self.augments)
        return {"phase": tf.cast(phase, tf.int32), "seed": self._own_seed(seed)}

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        if self._mixed:
            choice = tf.range(tf.shape(images)[0]) % len(self.augments)
            return _dispatch(images, choice, self.augments, draws["seed"])

        def branch(augment):
            return lambda: augment.apply(images, augment.draw(images, draws["seed"]))

        return tf.switch_case(draws["phase"], [branch(augment) for augment in self.augments])

    def get_config(self) -> dict[str, Any]:
        periods = {"period_epochs": self.period_epochs, "period_batches": self.period_batches}
        return {**super().get_config(), **periods}


@keras.saving.register_keras_serializable(package="tfrobust")
class PerImageChoice(_Composite):
    """Applies one of several augmentations to each image (IA; FMA paper, section 4.3.1).

    The paper adds a copy of the data set for each augmentation. Here every image draws one of them
    uniformly each time it is seen, which is the same on average but does not lengthen the epoch.
    Each augmentation runs only on the images that drew it.

    Args:
        augments: List of augmentation layers.
        seed: Integer seed; the members' own seeds are unused. Default 0.

    Raises:
        ValueError: The list is empty or holds something else.

    Example:

    >>> from tfrobust.augment import Brightness
    >>> layer = PerImageChoice([Brightness(0.25), Brightness(-0.25)])
    >>> result = layer(tf.fill([100, 1, 1, 3], 0.5), training=True)
    >>> sorted(set(result.numpy().ravel().tolist()))
    [0.25, 0.75]
    """

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        seed = self._own_seed(seed)
        batch = tf.shape(images)[0]
        choice = sampling.integers(sampling.fold_in(seed, 0), [batch], 0, len(self.augments))
        return {"choice": choice, "seed": sampling.fold_in(seed, 1)}

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        return _dispatch(images, draws["choice"], self.augments, draws["seed"])


@keras.saving.register_keras_serializable(package="tfrobust")
class RandomApply(Augment):
    """Applies an augmentation to each image with probability p (stability-training paper, DA).

    Args:
        augment: An augmentation layer; it runs only on the images to which it is applied.
        probability: p in [0, 1]. Default 0.5, the lower of the paper's settings (the other is 1).
        seed: Integer seed; the augmentation's own seed is unused. Default 0.

    Raises:
        ValueError: `augment` is not an augmentation layer, or the probability is not in [0, 1].

    Example:

    >>> from tfrobust.augment import Brightness
    >>> layer = RandomApply(Brightness(0.25), probability=0.5)
    >>> result = layer(tf.fill([100, 1, 1, 3], 0.5), training=True)
    >>> sorted(set(result.numpy().ravel().tolist()))
    [0.5, 0.75]
    """

    def __init__(self, augment: Augment, probability: float = 0.5, *, seed: int = 0, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        if not isinstance(augment, Augment):
            raise ValueError(
                f"RandomApply takes an augmentation layer; received {type(augment).__name__}"
            )
        self.augment = augment
        self.probability = validation.check_in_range("probability", probability, 0.0, 1.0)

    def start_epoch(self, epoch: int) -> None:
        self.augment.start_epoch(epoch)

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        seed = self._own_seed(seed)
        drawn = sampling.uniform(sampling.fold_in(seed, 0), [tf.shape(images)[0]])
        return {"applied": drawn < self.probability, "seed": sampling.fold_in(seed, 1)}

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        choice = tf.cast(tf.logical_not(draws["applied"]), tf.int32)
        return _dispatch(images, choice, [self.augment, None], draws["seed"])

    def get_config(self) -> dict[str, Any]:
        augment = keras.saving.serialize_keras_object(self.augment)
        return {**super().get_config(), "augment": augment, "probability": self.probability}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RandomApply:
        augment = keras.saving.deserialize_keras_object(config["augment"])
        return cls(**{**config, "augment": augment})


def parts(augment: Any) -> list[Any]:
    """Lists an augmentation and all augmentations nested in it.

    Args:
        augment: An augmentation layer, another layer, or None.

    Returns:
        The layers, outermost first; an empty list for None.
    """
    if augment is None:
        return []
    inside = [*getattr(augment, "augments", []), getattr(augment, "augment", None)]
    return [augment, *(found for one in inside for found in parts(one))]


def alternating(augment: Any) -> list[Alternating]:
    """Lists the alternating augmentations among an augmentation and those nested in it.

    Args:
        augment: An augmentation layer, or None.
    """
    return [part for part in parts(augment) if isinstance(part, Alternating)]


def alternates(augment: Any) -> bool:
    """Whether an augmentation is, or contains, one that alternates by epoch.

    Args:
        augment: An augmentation layer, or None.
    """
    return any(part.period_batches is None for part in alternating(augment))


@contextlib.contextmanager
def all_alternatives(augment: Any) -> Iterator[int]:
    """Makes alternating augmentations apply all their members in equal parts of each batch.

    The first image of a batch gets the first member, and so on in turn. The block acts while
    TensorFlow traces: what was traced outside still alternates.

    Args:
        augment: An augmentation layer, or None.

    Yields:
        The number of alternatives, 1 if nothing alternates.

    Example:

    >>> from tfrobust.augment import Brightness
    >>> layer = Alternating([Brightness(0.25), Brightness(-0.25)])
    >>> with all_alternatives(layer):
    ...     layer(tf.fill([4, 1, 1, 1], 0.5), training=True).numpy().ravel()
    array([0.75, 0.25, 0.75, 0.25], dtype=float32)
    """
    layers = alternating(augment)
    for layer in layers:
        layer._mixed = True
    try:
        yield max([len(layer.augments) for layer in layers], default=1)
    finally:
        for layer in layers:
            layer._mixed = False


def check_leaves_labels(name: str, augment: Augment) -> None:
    """Checks that a label stays true of an image whatever the augmentation does to it.

    Args:
        name: What the augmentation is called in the message.
        augment: An augmentation layer.

    Raises:
        ValueError: It, or one nested in it, mixes images of different labels.
    """
    mixing = [type(part).__name__ for part in parts(augment) if part.mixes_labels]
    if mixing:
        raise ValueError(
            f"{name} must be an augmentation that leaves the labels true; received {mixing[0]}"
        )


def _dispatch(
    images: tf.Tensor, choice: tf.Tensor, augments: list[Any], seed: tf.Tensor
) -> tf.Tensor:
    """Applies to each image the augmentation that it chose; None is the identity.

    The number of images per augmentation is only known here, so each draws here, from its own seed.
    """
    results, order = [], []
    for i, augment in enumerate(augments):
        rows = tf.cast(tf.where(tf.equal(choice, i))[:, 0], tf.int32)
        part = tf.ensure_shape(tf.gather(images, rows), [None, *images.shape[1:]])
        if augment is not None:
            own = sampling.fold_in(sampling.gather(seed, rows), i)
            part = augment.apply(part, augment.draw(part, own))
        results.append(part)
        order.append(rows)
    mixed = tf.gather(tf.concat(results, 0), tf.math.invert_permutation(tf.concat(order, 0)))
    return tf.ensure_shape(mixed, [*images.shape[:1], *mixed.shape[1:]])
