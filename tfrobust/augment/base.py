"""Base classes of augmentation layers."""

from __future__ import annotations

from typing import Any, ClassVar, Optional, Union

import tensorflow as tf

from tfrobust import validation
from tfrobust.compat.graphs import keep_nan
from tfrobust.layers.seeded import Seeded
from tfrobust.ops import sampling

Strength = Union[float, tuple[float, float]]


class Augment(Seeded):
    """Base class of augmentations, which change a batch of images at random in two steps.

    `draw(images)` draws all random numbers and `apply(images, draws)` is deterministic; calling the
    layer combines the two. Outside training the layer returns its input.

    In `tf.data` with parallel calls every element has a draw of its own, but which one is left to
    chance. With the number of the element as `seed` each run has the same images:
    `data.enumerate().map(lambda i, images: layer(images, training=True, seed=i))`.

    Args:
        seed: Integer from 0 to 2³¹ − 1. Default 0. Layers of the same class and seed draw the same
            numbers; layers of different classes do not. Under a distribution strategy each replica
            draws its own.
        **kwargs: Keras layer arguments such as `name`.
    """

    #: Whether labels must be mixed along with the images; see `Mixup`.
    mixes_labels: ClassVar[bool] = False

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        """Draws the random parameters for one batch.

        Args:
            images: [B, H, W, C]; only the shape matters.
            seed: int32[2], or int32[B, 2] with one for each image, whose draws then depend on that
                seed alone (`ops.sampling.image_seeds`); or a whole number n, for what the layer
                draws after n draws. Default None: the layer's next seed, which counts as a draw.

        Returns:
            Per-image parameters, each [B], and seeds for noise fields, each of the shape of `seed`.
        """
        raise NotImplementedError

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        """Changes the images deterministically, with given draws.

        Args:
            images: [B, H, W, C] in [0, 1].
            draws: The result of `draw`.

        Returns:
            [B, H, W, C] in [0, 1].
        """
        raise NotImplementedError

    def call(
        self, images: tf.Tensor, training: Optional[bool] = None, seed: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        """Returns the augmented batch while training, otherwise the batch itself.

        Args:
            images: [B, H, W, C] in [0, 1].
            training: Whether to augment. Default: as the model does that calls the layer; outside
                a model, whether a seed is given.
            seed: As for `draw`.

        Returns:
            [B, H, W, C] in [0, 1].
        """
        if training is None:
            training = seed is not None
        if not training:
            return self.at_inference(images)
        validation.check_image_spec(images.shape, images.dtype, f"images given to {self.name}")
        return keep_nan(images, self.apply(images, self.draw(images, seed)))

    def at_inference(self, images: tf.Tensor) -> tf.Tensor:
        """What the layer returns outside training: the images, unless it changes their size."""
        return images

    def start_epoch(self, epoch: int) -> None:
        """Tells the layer that an epoch, counted from 0, begins; most ignore it."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def _own_seed(self, seed: Optional[tf.Tensor]) -> tf.Tensor:
        """The seed of a draw: the caller's or the next one, made specific to the class."""
        return sampling.fold_in(self.seed_of(seed), type(self).__name__)


class StrengthAugment(Augment):
    """Base class of augmentations with a strength, one number that makes them weaker or stronger.

    A subclass sets the class attributes, passes the strength to `__init__` and implements
    `distort`. The strength is fixed, or drawn uniformly for each image from a (low, high) pair.
    """

    #: Name of the strength as a constructor argument and in the draws.
    parameter: ClassVar[str]
    #: Strength at which the layer is the identity; None if there is none.
    identity: ClassVar[Optional[float]] = 0.0
    #: Weakest strength, for layers without an identity.
    weakest: ClassVar[Optional[float]] = None
    #: Smallest and largest allowed strength.
    limits: ClassVar[tuple[float, float]]

    def __init__(self, strength: Strength, *, seed: int = 0, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        ends = tuple(strength) if isinstance(strength, (tuple, list)) else (strength, strength)
        if len(ends) != 2:
            raise ValueError(
                f"{self.parameter} must be a number or a (low, high) pair; received {strength!r}"
            )
        low, high = ends
        low = validation.check_in_range(self.parameter, low, *self.limits)
        high = validation.check_in_range(self.parameter, high, *self.limits)
        if low > high:
            raise ValueError(
                f"{self.parameter} must be a (low, high) pair with low <= high; "
                f"received ({low:g}, {high:g})"
            )
        self.strength: Strength = (low, high) if isinstance(strength, (tuple, list)) else low

    @classmethod
    def weak_and_strong(cls) -> tuple[float, float]:
        """Returns the weakest and the strongest strength; of two strong ends, the upper one."""
        weak = cls.weakest if cls.identity is None else cls.identity
        assert weak is not None, "a class without identity names its weakest strength"
        low, high = cls.limits
        return weak, (low if weak >= high else high)

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        seed = self._own_seed(seed)
        batch = tf.shape(images)[0]
        if isinstance(self.strength, tuple):
            strengths = sampling.uniform(sampling.fold_in(seed, 0), [batch], *self.strength)
        else:
            strengths = tf.fill([batch], tf.constant(self.strength, tf.float32))
        return {self.parameter: strengths, "seed": sampling.fold_in(seed, 1)}

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        return self.distort(images, draws[self.parameter], draws["seed"])

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Changes each image by its strength.

        Args:
            images: [B, H, W, C] in [0, 1].
            strengths: [B].
            seed: int32[2] or [B, 2], for augmentations that draw more random numbers, by
                `ops.sampling`.

        Returns:
            [B, H, W, C] in [0, 1].
        """
        raise NotImplementedError

    def with_strength(self, strength: Strength) -> StrengthAugment:
        """Returns a copy of this layer with another strength."""
        config = {**self.get_config(), self.parameter: strength}
        return type(self)(**config)  # not from_config, where Keras would wrap a ValueError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), self.parameter: self.strength}
