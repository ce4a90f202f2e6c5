"""Fast gradient sign method (FGSM)."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.base import Attack
from tfrobust.attacks.gradient_sign import gradient_sign


@keras.saving.register_keras_serializable(package="tfrobust")
class FGSM(Attack):
    """Fast gradient sign method (stability training, section 4.3).

        x' = clip(x + ε·sign(∇_x L), 0, 1)

    L is the cross-entropy of the net in inference mode. The stability-training paper uses the full
    loss L0 + α·D. At x' = x, where the gradient is taken, D is at its minimum 0 and has gradient 0,
    so both are the same. Values with gradient 0 do not change.

    Args:
        epsilon: ε in [0, 1]. Default 0.001, the "practical" strength of the paper's Table 1.
        seed: Unused; nothing is drawn.

    Raises:
        ValueError: `epsilon` is not in [0, 1].

    Example:

    >>> from tfrobust import nets
    >>> images = tf.fill([2, 32, 32, 3], 0.5)
    >>> moved = FGSM(0.01).perturb(nets.small_cnn(), images, tf.constant([0, 1]))
    >>> bool(tf.reduce_all(tf.abs(moved - images) < 0.010001))
    True

    Reference: Goodfellow et al., "Explaining and Harnessing Adversarial Examples", ICLR 2015.
    """

    def __init__(self, epsilon: float = 0.001, *, seed: int = 0, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.epsilon = validation.check_in_range("epsilon", epsilon, 0, 1)

    def search(
        self, net: Any, images: tf.Tensor, labels: tf.Tensor, seed: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        sign, _ = gradient_sign(net, images, labels)
        return tf.stop_gradient(tf.clip_by_value(images + self.epsilon * sign, 0.0, 1.0))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}
