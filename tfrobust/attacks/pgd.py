"""Projected gradient descent (PGD)."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.base import Attack
from tfrobust.attacks.gradient_sign import gradient_sign
from tfrobust.ops import sampling


@keras.saving.register_keras_serializable(package="tfrobust")
class PGD(Attack):
    """Projected gradient descent in the L∞ ball of radius ε around the image.

        x_0 = clip(x + U(−ε, ε)),  x_{t+1} = Π(x_t + a·sign(∇ J0(f(x_t), y)))

    Π projects onto [x − ε, x + ε] and [0, 1]; J0 is the cross-entropy of the net in inference mode.
    The result is x_n, not the best of the steps. A step takes one forward pass and one gradient
    with respect to the images. The steps are one `tf.while_loop` and can be compiled.

    Args:
        epsilon: ε in [0, 1]. Default 8/255, as in the paper for CIFAR-10.
        step_size: a in [0, 1]. Default 2/255, as in the paper.
        steps: n, 1 or more. Default 10 (the paper trains with 7 and tests with 20).
        random_start: Whether to start at a random point of the ball instead of at the image.
            Default True.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: An argument is out of range.

    Example:

    >>> from tfrobust import nets
    >>> images = tf.fill([2, 32, 32, 3], 0.5)
    >>> moved = PGD(steps=2).perturb(nets.small_cnn(), images, tf.constant([0, 1]))
    >>> bool(tf.reduce_all(tf.abs(moved - images) < 8.001 / 255))
    True

    Reference: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR
    2018.
    """

    def __init__(
        self,
        epsilon: float = 8 / 255,
        *,
        step_size: float = 2 / 255,
        steps: int = 10,
        random_start: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.epsilon = validation.check_in_range("epsilon", epsilon, 0, 1)
        self.step_size = validation.check_in_range("step_size", step_size, 0, 1)
        self.steps = validation.check_whole("steps", steps, 1, 10**6)
        self.random_start = bool(random_start)

    def search(
        self, net: Any, images: tf.Tensor, labels: tf.Tensor, seed: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        ball = self._ball(images)

        def step(moved: tf.Tensor) -> tuple[tf.Tensor]:
            sign, _ = gradient_sign(net, moved, labels)
            return (tf.clip_by_value(moved + self.step_size * sign, *ball),)

        start = (self._start(images, ball, seed),)
        (moved,) = tf.while_loop(lambda _: True, step, start, maximum_iterations=self.steps)
        return tf.stop_gradient(moved)

    def _ball(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Lower and upper bounds of every value."""
        return tf.maximum(images - self.epsilon, 0.0), tf.minimum(images + self.epsilon, 1.0)

    def _start(
        self, images: tf.Tensor, ball: tuple[tf.Tensor, tf.Tensor], seed: Optional[tf.Tensor]
    ) -> tf.Tensor:
        if not self.random_start:
            return tf.stop_gradient(images)
        seed = sampling.fold_in(self.seed_of(seed), "start")
        noise = sampling.uniform(seed, tf.shape(images), -self.epsilon, self.epsilon)
        start = tf.ensure_shape(tf.clip_by_value(images + noise, *ball), images.shape)
        return tf.stop_gradient(start)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "step_size": self.step_size,
            "steps": self.steps,
            "random_start": self.random_start,
        }
