"""What every augmentation layer is: draw, then apply."""

from __future__ import annotations

from typing import Any, ClassVar, Optional, Union

import tensorflow as tf

from tfrobust import validation
from tfrobust.layers.seeded import Seeded
from tfrobust.ops import sampling

Strength = Union[float, tuple[float, float]]


class Augment(Seeded):
    """A random change of a batch of images, made in two steps.

    `draw(images)` draws everything that is random; `apply(images, draws)` is deterministic, and
    calling the layer joins the two. Outside training the layer returns its input.

    Args:
        seed: Whole number from 0 to 2³¹ − 1. Two layers of one kind and seed draw the same
            numbers; layers of different kinds do not. Under a distribution strategy every replica
            draws its own.
        **kwargs: `name` and the like, as for every Keras layer.
    """

    #: Whether labels must be mixed along with the images; see `Mixup`.
    mixes_labels: ClassVar[bool] = False

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        """Draws the random parameters of one batch.

        Args:
            images: [B, H, W, C]; only its shape counts.
            seed: int32[2]; None takes the layer's next one, and counts it.

        Returns:
            Per-image parameters, each [B], and seeds for noise fields, each int32[2].
        """
        raise NotImplementedError

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        """Changes the images as `draws` says; the same draws give the same images.

        Args:
            images: [B, H, W, C] in [0, 1].
            draws: What `draw` returned.

        Returns:
            [B, H, W, C] in [0, 1].
        """
        raise NotImplementedError

    def call(self, images: tf.Tensor, training: Optional[bool] = None) -> tf.Tensor:
        """The augmented batch while training, the batch itself otherwise."""
        if not training:
            return images
        validation.check_image_spec(images.shape, images.dtype, f"images given to {self.name}")
        return self.apply(images, self.draw(images))

    def start_epoch(self, epoch: int) -> None:
        """Tells the layer which epoch, counted from 0, begins; most do not care."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def _own_seed(self, seed: Optional[tf.Tensor]) -> tf.Tensor:
        """The seed of one draw: the caller's or the next, told apart by the kind of layer."""
        if seed is None:
            seed = self.next_seed()
        return sampling.fold_in(seed, type(self).__name__)


class StrengthAugment(Augment):
    """An augmentation that one number makes weaker or stronger.

    A subclass names its number and the strengths at which it does nothing and most; it passes the
    number to `__init__` and implements `distort`. The number is fixed, or drawn for each image
    uniformly from a (low, high) pair.
    """

    #: Name of the constructor argument and of the entry of the draws.
    parameter: ClassVar[str]
    #: Value at which nothing is changed; None where there is none.
    identity: ClassVar[Optional[float]] = 0.0
    #: Value at which least is changed, where there is no identity.
    weakest: ClassVar[Optional[float]] = None
    #: Smallest and largest value that makes sense.
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
        """The strengths at which least and most is changed; where both ends do much, the upper."""
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
        """Changes each image with its strength.

        Args:
            images: [B, H, W, C] in [0, 1].
            strengths: [B].
            seed: int32[2], for augmentations that need more random numbers than one per image.

        Returns:
            [B, H, W, C] in [0, 1].
        """
        raise NotImplementedError

    def with_strength(self, strength: Strength) -> StrengthAugment:
        """A copy of this layer with another strength."""
        config = {**self.get_config(), self.parameter: strength}
        return type(self)(**config)  # not from_config: Keras would wrap a ValueError there

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), self.parameter: self.strength}
