"""Auto-PGD: projected gradient descent that chooses its step sizes itself."""

from __future__ import annotations

import math
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.gradient_sign import is_wrong, label_distribution, scaled_gradient
from tfrobust.attacks.pgd import PGD

#: The losses that it climbs.
LOSSES = ("ce", "dlr")
#: α and ρ, and the first step size as a multiple of ε.
_MOMENTUM, _ENOUGH, _FIRST = 0.75, 0.75, 2.0


@keras.saving.register_keras_serializable(package="tfrobust")
class APGD(PGD):
    """Auto-PGD in the L∞ ball of radius ε: APGD-CE and APGD-DLR (Croce and Hein, 2020).

        z = Π(x_t + η·sign(∇L(x_t))),  x_{t+1} = Π(x_t + α·(z − x_t) + (1 − α)·(x_t − x_{t−1}))

    η begins at 2ε, α = 0.75. At the checkpoints w_j = ⌈p_j·n⌉, p_{j+1} = p_j + max(p_j − p_{j−1} −
    0.03, 0.06) from p = 0 and 0.22, η is halved for an image, and the search goes on from its best
    point, if the loss rose in fewer than 75% of the steps since the last one, or if neither η nor
    the best loss has changed since (Algorithm 1). L is the cross-entropy, or the difference of
    logits ratio

        DLR = −(z_y − max_{i≠y} z_i) / (z_(1) − z_(3)),

    which does not change when the logits are scaled (equation 6). The result is a point that is
    misclassified, the last one that was found, or else that of the highest loss. The search ends
    when all images of the batch are misclassified.

    Args:
        loss: "ce" or "dlr". Default "ce".
        epsilon: ε in [0, 1]. Default 8/255, as in the paper for CIFAR-10.
        steps: n, 1 or more. Default 100, as in the paper.
        random_start: Whether to start at a random point of the ball instead of at the image.
            Default True.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: An argument is out of range; or, when called, DLR for fewer than 3 classes.

    Example:

    >>> from tfrobust import nets
    >>> images = tf.fill([2, 32, 32, 3], 0.5)
    >>> moved = APGD(steps=2).perturb(nets.small_cnn(), images, tf.constant([0, 1]))
    >>> bool(tf.reduce_all(tf.abs(moved - images) < 8.001 / 255))
    True

    Reference: Croce and Hein, "Reliable Evaluation of Adversarial Robustness with an Ensemble of
    Diverse Parameter-free Attacks", ICML 2020.
    """

    def __init__(
        self,
        loss: str = "ce",
        *,
        epsilon: float = 8 / 255,
        steps: int = 100,
        random_start: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(epsilon, steps=steps, random_start=random_start, seed=seed, **kwargs)
        self.loss = validation.check_choice("loss", loss, LOSSES)

    def search(
        self, net: Any, images: tf.Tensor, labels: tf.Tensor, seed: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        ball, start = self._ball(images), self._start(images, self._ball(images), seed)
        checkpoints = tf.constant(checkpoints_of(self.steps), tf.int32)
        zeros = tf.zeros([tf.shape(images)[0]])

        def step(
            t: tf.Tensor, x: tf.Tensor, before: tf.Tensor, best: dict[str, tf.Tensor],
            rate: tf.Tensor, rose: tf.Tensor, last: dict[str, tf.Tensor], adversarial: tf.Tensor,
            found: tf.Tensor,
        ) -> tuple[Any, ...]:  # fmt: skip
            loss, gradient, wrong = self._evaluated(net, x, labels)
            adversarial = tf.where(_each(wrong), x, adversarial)
            higher = (loss > best["loss"]) | (t == 0)
            best = {
                "x": tf.where(_each(higher), x, best["x"]),
                "gradient": tf.where(_each(higher), gradient, best["gradient"]),
                "loss": tf.where(higher, loss, best["loss"]),
            }
            rose += tf.cast((loss > last["step_loss"]) & (t > 0), tf.float32)
            last = {**last, "step_loss": loss}
            here = tf.reduce_any(checkpoints == t)
            period = tf.cast(t - last["at"], tf.float32)
            few = rose < _ENOUGH * period
            stuck = (rate == last["rate"]) & (best["loss"] == last["loss"])
            halved = here & (few | stuck)
            last["rate"] = tf.where(here, rate, last["rate"])
            last["loss"] = tf.where(here, best["loss"], last["loss"])
            last["at"] = tf.where(here, t, last["at"])
            rose = tf.where(here, 0.0, rose)
            rate = tf.where(halved, rate / 2, rate)
            x = tf.where(_each(halved), best["x"], x)
            gradient = tf.where(_each(halved), best["gradient"], gradient)
            moved = tf.clip_by_value(x + _each(rate) * tf.sign(gradient), *ball)
            alpha = tf.where(t == 0, 1.0, _MOMENTUM)
            mixed = x + alpha * (moved - x) + (1 - alpha) * (x - before)
            new = tf.clip_by_value(mixed, *ball)
            return t + 1, new, x, best, rate, rose, last, adversarial, found | wrong

        def more(*state: Any) -> tf.Tensor:
            return tf.reduce_any(~state[-1])

        first = {"x": start, "gradient": tf.zeros_like(start), "loss": zeros}
        last = {"rate": zeros, "loss": zeros, "step_loss": zeros, "at": tf.constant(0)}
        rate = tf.fill([tf.shape(images)[0]], _FIRST * self.epsilon)
        last["rate"] = rate
        state = (tf.constant(0), start, start, first, rate, zeros, last, start, zeros > 0)
        state = tf.while_loop(more, step, state, maximum_iterations=self.steps + 1)
        best, adversarial, found = state[3], state[-2], state[-1]
        result = tf.where(_each(found), adversarial, best["x"])
        return tf.stop_gradient(tf.ensure_shape(result, images.shape))

    def _evaluated(
        self, net: Any, x: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The loss of each image, its gradient times a positive number, and who is wrong."""
        if self.loss == "ce":
            gradient, logits = scaled_gradient(net, x, labels)
            shares = label_distribution(labels, logits.shape[-1])
            losses = tf.nn.softmax_cross_entropy_with_logits(shares, logits)
        else:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                logits = tf.cast(net(x, training=False), tf.float32)
                losses = dlr(logits, labels)
            gradient = tape.gradient(losses, x, unconnected_gradients="zero")
        return tf.stop_gradient(losses), gradient, is_wrong(logits, labels)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["step_size"]
        return {**config, "loss": self.loss}


def dlr(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The difference of logits ratio of each image, [B]: above 0 where it is wrong.

    Args:
        logits: [B, classes], of 3 classes or more.
        labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels, of which the
            largest counts.

    Raises:
        ValueError: There are fewer than 3 classes.

    Example:

    >>> dlr(tf.constant([[3.0, 1.0, 0.0], [1.0, 3.0, 0.0]]), tf.constant([0, 0])).numpy()
    array([-0.6666667,  0.6666667], dtype=float32)
    """
    classes = logits.shape[-1]
    if classes < 3:
        raise ValueError(f"DLR needs 3 classes or more; received {classes} (use the loss 'ce')")
    true = tf.one_hot(tf.argmax(label_distribution(labels, classes), axis=-1), classes) > 0
    own = tf.reduce_sum(tf.where(true, logits, 0.0), axis=-1)
    other = tf.reduce_max(tf.where(true, logits.dtype.min, logits), axis=-1)
    first, _, third = tf.unstack(tf.math.top_k(logits, 3).values, axis=-1)
    return (other - own) / (first - third + 1e-12)


def checkpoints_of(steps: int) -> list[int]:
    """The steps at which step sizes are reviewed.

    Example:

    >>> checkpoints_of(100)
    [22, 41, 57, 70, 80, 87, 93, 99]
    """
    places = [0.0, 0.22]
    while math.ceil(places[-1] * steps - 1e-9) < steps:
        places.append(places[-1] + max(places[-1] - places[-2] - 0.03, 0.06))
    return sorted({math.ceil(place * steps - 1e-9) for place in places[1:-1]} - {0})


def _each(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, [-1, 1, 1, 1])
