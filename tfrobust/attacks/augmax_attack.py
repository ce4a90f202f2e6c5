"""The inner maximisation of AugMax: the worst-case mixture of an image's AugMix chains."""

from __future__ import annotations

from typing import Any, Optional, Union

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.base import Attack
from tfrobust.attacks.gradient_sign import is_wrong, label_distribution, scaled_gradient
from tfrobust.attacks.groups import fill_up
from tfrobust.augment.augmix import AugMix
from tfrobust.losses.classification import cross_entropy
from tfrobust.ops import sampling

STOPS = ("image", "batch")
LOOKS = ("after", "before")


@keras.saving.register_keras_serializable(package="tfrobust")
class AugMaxAttack(Attack):
    """Worst-case mixture of AugMix chains (AugMax [2] to [4], Algorithm 1).

        x* = (1 − m)·x + m·Σ_i w_i·chain_i(x),  w = softmax(q)
        m ← clip(m + a·sign(∂L/∂m), 0, 1),  q ← q + a·sign(∂L/∂q),  n times

    m and every q_i start from U[0, 1) for each image. The chains are drawn once and kept; L is the
    cross-entropy of the net in inference mode, on the current route. A step takes one forward pass
    and one gradient with respect to the images, from which those of m and q follow by products with
    the chains. At m = 0 the gradient of q is 0, so an image that reaches it moves on only if m
    does.

    The net classifies the images after every step (or, with `look="before"`, before every step, so
    that one that is misclassified at its random start does not move); one that was misclassified
    `stop_after` times is fooled. `stop` decides what happens then:

    - "image": the image is frozen, and the net continues with the other images only;
    - "batch": all images move until all are fooled;
    - None: no early stopping, always n steps.

    The default is Algorithm 1 as printed. The released code is `look="before", stop="batch"`, the
    strongest and most expensive; `look="before", stop="image"` is the weakest and cheapest. On 64
    images and a trained net, 10 steps raised the mean cross-entropy from 0.68 at the start to 1.27
    with the default, 2.08 with the released code and 1.13 with the cheapest. The default costs one
    more pass than the cheapest for each image that is misclassified at its start; the released code
    costs n passes for all images of nearly every batch. The result of the last step is not checked.

    With n = 0 this is AugMix with other random weights. No gradient flows back from the result.

    Args:
        augmix: `AugMix` layer that makes the chains; its own seed is unused. Default `AugMix()`.
        steps: n, 0 or more. Default 10, as in the paper for CIFAR (5 on ImageNet).
        step_size: a in [0, 10]. Default 0.1.
        stop: "image", "batch" or None. Default "image".
        look: Whether an image is checked "after" every step (default) or "before" it.
        stop_after: Number of misclassifications after which an image is fooled, 1 or more.
            Default 1.
        target: A class, or "random" for a random other class per image. The loss of that class is
            lowered, and an image is fooled when it is classified as such. Images of the target
            class itself are attacked without a target. Default None, no target.
        level_draws: Number of draws of the operators' levels before the ascent; each image keeps
            the draw with the highest initial loss (AdvMix and AdvMax, appendix B). Default 1, no
            search.
        fixed_shapes: Whether to run the net on all images at every step even with `stop="image"`.
            The result is the same. XLA needs it: `ascend` can be compiled with it or with another
            `stop`; the chains cannot. Default False.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: An argument is out of range, or, when called, `target` is not a class of the
            net.

    Example:

    >>> from tfrobust import nets
    >>> images = tf.random.stateless_uniform([2, 32, 32, 3], [1, 2])
    >>> worst = AugMaxAttack(steps=2).perturb(nets.small_cnn(), images, tf.constant([0, 1]))
    >>> worst.shape
    TensorShape([2, 32, 32, 3])

    Reference: Wang et al., "AugMax: Adversarial Composition of Random Augmentations for Robust
    Training", NeurIPS 2021.
    """

    def __init__(
        self,
        augmix: Optional[AugMix] = None,
        *,
        steps: int = 10,
        step_size: float = 0.1,
        stop: Optional[str] = "image",
        look: str = "after",
        stop_after: int = 1,
        target: Union[int, str, None] = None,
        level_draws: int = 1,
        fixed_shapes: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        if augmix is not None and not isinstance(augmix, AugMix):
            raise ValueError(
                f"augmix must be an AugMix layer, whose chains are mixed; received "
                f"{type(augmix).__name__}"
            )
        self.augmix = AugMix() if augmix is None else augmix
        self.steps = validation.check_whole("steps", steps, 0, 10**6)
        self.step_size = validation.check_in_range("step_size", step_size, 0, 10)
        if stop is not None and stop not in STOPS:
            raise ValueError(f"stop must be one of {', '.join(STOPS)} or None; received {stop!r}")
        self.stop = stop
        self.look = validation.check_choice("look", look, LOOKS)
        self.stop_after = validation.check_whole("stop_after", stop_after, 1, 10**6)
        if isinstance(target, str) and target != "random":
            raise ValueError(f"target must be a class, 'random' or None; received {target!r}")
        if target is not None and target != "random":
            target = validation.check_whole("target", target, 0, 2**31 - 1)
        self.target = target
        self.level_draws = validation.check_whole("level_draws", level_draws, 1, 10**6)
        self.fixed_shapes = bool(fixed_shapes)

    def search(
        self, net: Any, images: tf.Tensor, labels: tf.Tensor, seed: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        images = tf.stop_gradient(images)
        seed = self.seed_of(seed)
        blend, scores = self.start(tf.shape(images)[0], sampling.fold_in(seed, "start"))
        chains = self._worst_chains(net, images, labels, blend, scores, seed)
        seed = sampling.fold_in(seed, "target")
        blend, scores = self.ascend(net, images, chains, labels, blend, scores, seed)
        worst = mix(images, chains, blend, _weights(scores))
        # The weights sum to 1 up to rounding.
        return tf.stop_gradient(tf.clip_by_value(worst, 0.0, 1.0))

    def start(self, batch: Any, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws the start of the ascent, m [B] and q [B, width], from U[0, 1).

        Args:
            batch: B.
            seed: int32[2] or [B, 2].
        """
        return (
            sampling.uniform(sampling.fold_in(seed, 0), [batch]),
            sampling.uniform(sampling.fold_in(seed, 1), [batch, self.augmix.width]),
        )

    def ascend(
        self,
        net: Any,
        images: tf.Tensor,
        chains: tf.Tensor,
        labels: tf.Tensor,
        blend: tf.Tensor,
        scores: tf.Tensor,
        seed: Any = (0, 0),
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Runs the ascent for given chains and a given start.

        Args:
            net: From images in [0, 1] to logits.
            images: [B, H, W, C] in [0, 1].
            chains: [B, width, H, W, C] in [0, 1].
            labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels.
            blend: m, [B].
            scores: q, [B, width].
            seed: int32[2] or [B, 2], for random targets.

        Returns:
            m and q after the last step.
        """
        goals, uphill = self._goals(net, labels, seed)
        batch = tf.shape(images)[0]
        grouped = self.stop == "image" and not self.fixed_shapes
        # Without early stopping, no image can reach this count.
        enough = self.stop_after if self.stop else self.steps + 1

        def step(i, rows, fooled_count, blend, scores):
            """`rows` are the active images, all of them if not grouped."""
            filled = fill_up(rows, batch) if grouped else None

            def of(values):
                return values if filled is None else tf.gather(values, filled)

            parts = [of(v) for v in (images, chains, goals, uphill, blend, scores)]
            fooled, up_blend, up_scores = (v[: tf.shape(rows)[0]] for v in _slopes(net, *parts))
            # The pass of a step also tells what the step before it has done.
            counts = tf.logical_or(self.look == "before", i > 0)
            fooled_count += tf.cast(tf.logical_and(fooled, counts), tf.int32)
            moves = fooled_count < enough
            if self.stop == "batch":
                moves = tf.fill(tf.shape(moves), tf.reduce_any(moves))
            if grouped:
                rows, fooled_count = (
                    tf.boolean_mask(rows, moves),
                    tf.boolean_mask(fooled_count, moves),
                )
                up_blend = _scatter(tf.boolean_mask(up_blend, moves), rows, batch)
                up_scores = _scatter(tf.boolean_mask(up_scores, moves), rows, batch)
            else:
                up_blend *= tf.cast(moves, tf.float32)
                up_scores *= tf.cast(moves, tf.float32)[:, tf.newaxis]
            blend = tf.clip_by_value(blend + self.step_size * up_blend, 0.0, 1.0)
            return i + 1, rows, fooled_count, blend, scores + self.step_size * up_scores

        any_number = tf.TensorShape([None] if grouped else images.shape[:1])
        *_, blend, scores = tf.while_loop(
            lambda i, rows, fooled_count, *_: tf.logical_and(
                i < self.steps, tf.reduce_any(fooled_count < enough)
            ),
            step,
            (tf.constant(0), tf.range(batch), tf.zeros([batch], tf.int32), blend, scores),
            shape_invariants=(
                tf.TensorShape([]),
                any_number,
                any_number,
                blend.shape,
                scores.shape,
            ),
            parallel_iterations=1,
        )
        return blend, scores

    def _worst_chains(self, net, images, labels, blend, scores, seed):
        """Chains [B, width, H, W, C] of the draw of levels with the highest loss."""
        draws = self.augmix.draw(images, sampling.fold_in(seed, "chains"))
        if self.level_draws == 1:
            return self.augmix.chains(images, draws)
        weights = _weights(scores)

        def look(i, worst, highest):
            # Everything is drawn again, but only the levels are used; operators and depths stay.
            again = self.augmix.draw(images, sampling.fold_in(sampling.fold_in(seed, "levels"), i))
            chains = self.augmix.chains(images, {**draws, "levels": again["levels"]})
            logits = net(mix(images, chains, blend, weights), training=False)
            loss = cross_entropy(labels, logits)
            higher = tf.logical_or(tf.equal(i, 0), loss > highest)
            worst = tf.where(tf.reshape(higher, [-1, 1, 1, 1, 1]), chains, worst)
            return i + 1, worst, tf.where(higher, loss, highest)

        shape = [images.shape[0], self.augmix.width, *images.shape[1:]]
        nothing = tf.zeros([tf.shape(images)[0], *shape[1:]])
        _, worst, _ = tf.while_loop(
            lambda i, *_: tf.logical_and(i < self.level_draws, tf.shape(images)[0] > 0),
            look,
            (tf.constant(0), nothing, tf.zeros([tf.shape(images)[0]])),
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([None, *shape[1:]]),
                tf.TensorShape([None]),
            ),
            parallel_iterations=1,
        )
        return tf.ensure_shape(worst, shape)

    def _goals(self, net, labels, seed):
        """Labels whose loss is optimised, and its direction per image, 1 for up or −1 for down."""
        if self.target is None:
            return labels, tf.ones(tf.shape(labels)[:1])
        classes = net.output_shape[-1]
        distribution = label_distribution(labels, classes)
        label = tf.argmax(distribution, axis=-1, output_type=tf.int32)
        if self.target == "random":
            away = sampling.integers(seed, tf.shape(label), 1, classes)
            target = (label + away) % classes
        else:
            if self.target >= classes:
                raise ValueError(
                    f"target must be a class of the net, from 0 to {classes - 1}; received "
                    f"{self.target}"
                )
            target = tf.fill(tf.shape(label), self.target)
        own = tf.equal(target, label)
        goals = tf.where(own[:, tf.newaxis], distribution, tf.one_hot(target, classes))
        return goals, tf.where(own, 1.0, -1.0)

    def get_config(self) -> dict[str, Any]:
        names = ("steps", "step_size", "stop", "look", "stop_after", "target", "level_draws")
        return {
            **super().get_config(),
            "augmix": keras.saving.serialize_keras_object(self.augmix),
            **{name: getattr(self, name) for name in (*names, "fixed_shapes")},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> AugMaxAttack:
        augmix = keras.saving.deserialize_keras_object(config["augmix"])
        return cls(**{**config, "augmix": augmix})


def mix(images: tf.Tensor, chains: tf.Tensor, blend: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Mixes chains with their images without clipping, (1 − m)·x + m·Σ_i w_i·chain_i.

    Args:
        images: [B, H, W, C].
        chains: [B, width, H, W, C].
        blend: m, [B].
        weights: w, [B, width], each row summing to 1.

    Returns:
        [B, H, W, C].
    """
    # Element-wise, because GPUs round the factors of matrix products to ten bits.
    total = tf.reshape(1.0 - blend, [-1, 1, 1, 1]) * images
    weights *= blend[:, tf.newaxis]
    for i in range(chains.shape[1]):
        total += tf.reshape(weights[:, i], [-1, 1, 1, 1]) * chains[:, i]
    return total


def _weights(scores: tf.Tensor) -> tf.Tensor:
    """w = softmax(q)."""
    # TensorFlow's graph optimizer loses shapes in loops and then warns about every softmax.
    return tf.nn.softmax(tf.ensure_shape(scores, scores.shape))


def _slopes(net, images, chains, goals, uphill, blend, scores):
    """Whether each image is fooled, and the signs of the gradients of m and q."""
    weights = _weights(scores)
    # A positive factor of the gradient does not change the signs.
    slope, logits = scaled_gradient(net, mix(images, chains, blend, weights), goals)
    # rise_i is the first-order change of the loss when chain i replaces the image. Then
    # ∂L/∂m = Σ w_i·rise_i, and ∂L/∂q_j = m·w_j·(rise_j − Σ w_i·rise_i).
    rise = tf.stack(
        [
            tf.reduce_sum(slope * (chains[:, i] - images), axis=[1, 2, 3])
            for i in range(chains.shape[1])
        ],
        axis=1,
    )
    rise *= uphill[:, tf.newaxis]
    mean = tf.reduce_sum(weights * rise, axis=1)
    up_scores = tf.sign(blend)[:, tf.newaxis] * tf.sign(rise - mean[:, tf.newaxis])
    wrong = is_wrong(logits, goals)
    fooled = tf.where(uphill > 0, wrong, tf.logical_not(wrong))
    return fooled, tf.sign(mean), up_scores


def _scatter(values: tf.Tensor, rows: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Scatters values of some images into a batch of zeros."""
    shape = tf.concat([[batch], tf.shape(values)[1:]], axis=0)
    return tf.scatter_nd(rows[:, tf.newaxis], values, shape)
