"""AugMix."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Augment
from tfrobust.ops import chains, sampling
from tfrobust.ops.compiled import compiled_if_worth

#: Images that plain operations make views of in about the time that compiling takes.
_COMPILED_FROM = 128


@keras.saving.register_keras_serializable(package="tfrobust")
class AugMix(Augment):
    """Mixes chains of random 8-bit operators into the image (AugMix paper, Algorithm 1).

        x_augmix = (1 − m)·x + m·Σ_i w_i·chain_i(x),  w ~ Dirichlet(α, …, α),  m ~ Beta(α, α)

    Every image draws its own depths, operators, levels and weights. The operators are Pillow's, on
    images rounded to 8 bits: autocontrast, equalize, posterize, rotate, solarize, shear_x, shear_y,
    translate_x, translate_y; uncovered areas are black. Each operator draws its level from
    U(0.1, severity); for the ranges see `ops.chains`. No gradient flows through the chains; it
    reaches x through (1 − m)·x.

    Args:
        severity: Upper end of the levels, from 0.1 to 10. Default 3, the paper's for CIFAR (1 for
            ImageNet).
        width: Number of chains. Default 3, as in the paper.
        depth: Number of operators in a chain, an integer from 1 to 10, or a (low, high) pair to
            draw from for each chain. Default (1, 3), as in the paper.
        alpha: α of the Dirichlet and Beta distributions, in [0.001, 100]. Default 1, as in the
            paper.
        all_ops: Whether color, contrast, brightness and sharpness are drawn too. Default False,
            because they overlap with corruptions of the benchmarks.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: An argument is out of range, or, when called, the images have more than 4
            channels.

    Example:

    >>> layer = AugMix()
    >>> images = tf.random.stateless_uniform([2, 32, 32, 3], [1, 2])
    >>> layer(images, training=True).shape
    TensorShape([2, 32, 32, 3])
    >>> layer.chains(images, layer.draw(images)).shape  # what AugMax mixes
    TensorShape([2, 3, 32, 32, 3])

    Reference: Hendrycks et al., "AugMix: A Simple Data Processing Method to Improve Robustness and
    Uncertainty", ICLR 2020.
    """

    def __init__(
        self,
        severity: float = 3.0,
        *,
        width: int = 3,
        depth: Any = (1, 3),
        alpha: float = 1.0,
        all_ops: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.severity = validation.check_in_range("severity", severity, 0.1, 10.0)
        self.width = validation.check_whole("width", width, 1, 100)
        ends = tuple(depth) if isinstance(depth, (tuple, list)) else (depth, depth)
        if len(ends) != 2:
            raise ValueError(
                f"depth must be a whole number or a (low, high) pair; received {depth!r}"
            )
        low, high = (validation.check_whole("depth", end, 1, 10) for end in ends)
        if low > high:
            raise ValueError(
                f"depth must be a (low, high) pair with low <= high; received {depth!r}"
            )
        self.depth = (low, high)
        self.alpha = validation.check_in_range("alpha", alpha, 1e-3, 100.0)
        self.all_ops = bool(all_ops)

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        """Draws depths, operators, levels and weights for each image.

        Returns:
            "operators", int32 [B, width, largest depth], indices into `ops.chains.OPERATORS`;
            "levels", float32 of that shape, in ±[0.1, severity), where the sign is the direction of
            operators that have one; "depths", int32 [B, width], the number of operators applied;
            "weights", w, [B, width]; "mix", m, [B].
        """
        seed = self._own_seed(seed)
        seeds = [sampling.fold_in(seed, i) for i in range(6)]
        batch = tf.shape(images)[0]
        low, high = self.depth
        shape = [batch, self.width, high]
        count = len(chains.OPERATORS) if self.all_ops else chains.PAPER_OPERATORS
        levels = sampling.uniform(seeds[1], shape, 0.1, self.severity)
        negative = sampling.uniform(seeds[2], shape) < 0.5
        return {
            "operators": sampling.integers(seeds[0], shape, 0, count),
            "levels": tf.where(negative, -levels, levels),
            "depths": sampling.integers(seeds[3], [batch, self.width], low, high + 1),
            "weights": sampling.dirichlet(seeds[4], [batch, self.width], self.alpha),
            "mix": sampling.beta(seeds[5], [batch], self.alpha, self.alpha),
        }

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        with self._compiled_if_worth(images, draws):
            words = self._chain_words(images, draws)
        # Always compiled, because versions of the compiler round these sums differently.
        mixed = chains.mix(images, words, draws["weights"], draws["mix"])
        return tf.ensure_shape(mixed, images.shape)

    def chains(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        """Computes the chains without mixing them; `attacks.augmax_attack.mix` does that.

        Args:
            images: [B, H, W, C] in [0, 1].
            draws: The result of `draw`.

        Returns:
            [B, width, H, W, C] in [0, 1], multiples of 1/255.
        """
        with self._compiled_if_worth(images, draws):
            return chains.unpack(self._chain_words(images, draws), images.shape[-1])

    def _compiled_if_worth(self, images: tf.Tensor, draws: dict[str, Any]) -> Any:
        kind = ("augmix", self.all_ops, *images.shape[1:], *draws["operators"].shape[1:])
        return compiled_if_worth(kind, tf.shape(images)[0], _COMPILED_FROM)

    def _chain_words(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        return chains.run(
            images, draws["operators"], draws["levels"], draws["depths"], all_ops=self.all_ops
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "severity": self.severity,
            "width": self.width,
            "depth": self.depth,
            "alpha": self.alpha,
            "all_ops": self.all_ops,
        }
