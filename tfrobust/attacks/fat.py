"""The attack of friendly adversarial training (FAT)."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.gradient_sign import gradient_sign, is_wrong
from tfrobust.attacks.groups import fill_up
from tfrobust.attacks.pgd import PGD


@keras.saving.register_keras_serializable(package="tfrobust")
class FAT(PGD):
    """PGD with early stopping per image, soon after it is misclassified ("PGD-K-τ").

    Before each step the net classifies the current image. The image moves on after each of the
    first τ misclassifications and is frozen at number τ + 1:

    - τ = 0 stops at the first misclassified point, even if it is the start: an image that is
      misclassified from the beginning does not move;
    - τ = 1 makes one more step from the first such point, and so on;
    - τ ≥ n is PGD.

    The count never decreases when an image is classified correctly again. The attack ends after n
    steps, or when every image of the batch is frozen; the result of the last step is not checked.
    The net runs only on the images that still move.

    Args:
        epsilon: ε in [0, 1]. Default 8/255.
        step_size: Size of a step in [0, 1]. Default 2/255.
        steps: n, 1 or more. Default 10.
        tau: τ, 0 or more. Default 0, with which friendly adversarial training begins. It raises τ
            during training: `attack.tau.assign(1)`, which does not retrace.
        random_start: Whether to start at a random point of the ball instead of at the image.
            Default True.
        fixed_shapes: Whether to run the net on all images at every step. The result is the same up
            to rounding. XLA needs it. Default False.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: An argument is out of range.

    Example:

    >>> from tfrobust import nets
    >>> images = tf.fill([2, 32, 32, 3], 0.5)
    >>> moved = FAT(steps=2, tau=1).perturb(nets.small_cnn(), images, tf.constant([0, 1]))
    >>> bool(tf.reduce_all(tf.abs(moved - images) < 8.001 / 255))
    True

    Reference: Zhang et al., "Attacks Which Do Not Kill Training Make Adversarial Learning
    Stronger", ICML 2020, Algorithm 1.
    """

    def __init__(
        self,
        epsilon: float = 8 / 255,
        *,
        step_size: float = 2 / 255,
        steps: int = 10,
        tau: int = 0,
        random_start: bool = True,
        fixed_shapes: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(
            epsilon,
            step_size=step_size,
            steps=steps,
            random_start=random_start,
            seed=seed,
            **kwargs,
        )
        self._first_tau = validation.check_whole("tau", tau, 0, 10**6)
        self.tau = self.add_weight(
            name="tau",
            shape=(),
            dtype="int64",
            initializer=keras.initializers.Constant(self._first_tau),
            trainable=False,
        )
        self.fixed_shapes = bool(fixed_shapes)

    def search(
        self, net: Any, images: tf.Tensor, labels: tf.Tensor, seed: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        ball = self._ball(images)
        batch = tf.shape(images)[0]

        def step(
            rows: tf.Tensor, left: tf.Tensor, moved: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            """`rows` are the moving images; `left` is the number of mistakes that each has left."""
            looked = fill_up(rows, batch)
            sign, logits = gradient_sign(net, tf.gather(moved, looked), tf.gather(labels, looked))
            wrong = is_wrong(logits, tf.gather(labels, looked))
            left -= tf.cast(wrong[: tf.shape(rows)[0]], tf.int32)
            goes_on = left >= 0
            rows, left = tf.boolean_mask(rows, goes_on), tf.boolean_mask(left, goes_on)
            sign = tf.boolean_mask(sign[: tf.shape(goes_on)[0]], goes_on)
            bounds = (tf.gather(bound, rows) for bound in ball)
            further = tf.clip_by_value(tf.gather(moved, rows) + self.step_size * sign, *bounds)
            moved = tf.tensor_scatter_nd_update(moved, rows[:, tf.newaxis], further)
            return rows, left, moved

        def step_of_all(
            rows: tf.Tensor, left: tf.Tensor, moved: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            sign, logits = gradient_sign(net, moved, labels)
            left -= tf.cast(is_wrong(logits, labels), tf.int32)
            further = tf.clip_by_value(moved + self.step_size * sign, *ball)
            goes_on = tf.reshape(left >= 0, [-1, 1, 1, 1])  # [B] -> [B, 1, 1, 1]
            return rows, left, tf.where(goes_on, further, moved)

        left = tf.fill([batch], tf.cast(tf.convert_to_tensor(self.tau), tf.int32))
        some = images.shape[:1] if self.fixed_shapes else tf.TensorShape([None])
        *_, moved = tf.while_loop(
            lambda rows, left, moved: tf.reduce_any(left >= 0),
            step_of_all if self.fixed_shapes else step,
            (tf.range(batch), left, self._start(images, ball, seed)),
            shape_invariants=(some, some, images.shape),
            maximum_iterations=self.steps,
        )
        return tf.stop_gradient(moved)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "tau": self._first_tau,
            "fixed_shapes": self.fixed_shapes,
        }
