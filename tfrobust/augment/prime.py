"""PRIME."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Augment
from tfrobust.ops import prime, sampling
from tfrobust.ops.compiled import padded_size
from tfrobust.ops.size import height_and_width

#: The primitives, in the order of their numbers.
PRIMITIVES = ("spectral", "spatial", "colour")
#: What is drawn for each of them.
_PARAMETERS = ("sigma", "frequencies", "modes", "heat", "temperature")


@keras.saving.register_keras_serializable(package="tfrobust")
class Prime(Augment):
    """Mixes chains of three primitives of maximum entropy into the image (PRIME).

        x_prime = (1 − m)·x + m·Σ_i w_i·chain_i(x),  w ~ Dirichlet(1, …, 1),  m ~ Beta(1, 1)

    Each chain has 1 to `depth` of the primitives, drawn anew for each image:

    - spectral: a filter of `kernel_size`, the identity plus N(0, σ²) on every weight, σ uniform up
      to `sigma`;
    - spatial: a diffeomorphism, a displacement of random smooth modes (`ops.prime.displacement`),
      cut off at up to `cut` modes, as strong as possible without folds;
    - colour: v + Σ_k c_k·sin(π·k·v), c_k ~ N(0, T), up to `colours` frequencies, T uniform up to
      `temperature`, for each channel its own.

    No gradient flows through the chains; it reaches x through (1 − m)·x. In the released code the
    images of a batch share σ, T and the cuts; here each has its own. Modes finer than the pixels
    are left out: `cut` is at most the shorter side less 1. Colours are rounded to 8 bits first.

    Args:
        width: Number of chains. Default 3, as in the paper.
        depth: Largest number of primitives in a chain, from 1 to 10. Default 3, as in the paper.
        kernel_size: Odd, from 1 to 31. Default 3, as in the paper.
        sigma: σ at most, in [0, 100]. Default 4, as in the paper.
        cut: Modes at most, from 3 to 1000. Default 100, the paper's for CIFAR (500 for ImageNet).
        colours: Frequencies at most, from 1 to 1000. Default 100, the paper's for CIFAR.
        temperature: T at most, in [0, 10]. Default 0.01, the paper's for CIFAR.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: An argument is out of range.

    Example:

    >>> layer = Prime()
    >>> images = tf.random.stateless_uniform([2, 32, 32, 3], [1, 2])
    >>> layer(images, training=True).shape
    TensorShape([2, 32, 32, 3])

    Reference: Modas et al., "PRIME: A Few Primitives Can Boost Robustness to Common Corruptions",
    ECCV 2022. Distributions: github.com/amodas/PRIME-augmentations.
    """

    def __init__(
        self,
        *,
        width: int = 3,
        depth: int = 3,
        kernel_size: int = 3,
        sigma: float = 4.0,
        cut: int = 100,
        colours: int = 100,
        temperature: float = 0.01,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.width = validation.check_whole("width", width, 1, 100)
        self.depth = validation.check_whole("depth", depth, 1, 10)
        self.kernel_size = validation.check_whole("kernel_size", kernel_size, 1, 31)
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd; received {kernel_size}")
        self.sigma = validation.check_in_range("sigma", sigma, 0, 100)
        self.cut = validation.check_whole("cut", cut, 3, 1000)
        self.colours = validation.check_whole("colours", colours, 1, 1000)
        self.temperature = validation.check_in_range("temperature", temperature, 0, 10)

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        """Draws the primitives of each chain and their parameters.

        Returns:
            "depths", int32 [B, width]; "primitives", int32 [B, width, depth], indices into
            `PRIMITIVES`; "sigma", "modes" and "heat" (the spatial cut and its temperature, as a
            fraction of the range), "frequencies" and "temperature", [B, width, depth]; "seed" of
            the fields; "weights", w, [B, width]; "mix", m, [B].
        """
        seed = self._own_seed(seed)
        seeds = [sampling.fold_in(seed, i) for i in range(11)]
        batch, height, width, _ = tf.unstack(tf.shape(images))
        shape = [batch, self.width, self.depth]

        def uniform(number: int, low: Any = 0.0, high: Any = 1.0) -> tf.Tensor:
            return sampling.uniform(seeds[number], shape, low, high)

        # As there: first the largest cut is uniform from 3, then the cut from 2 to it, both ends
        # being likely: the arcsine distribution, Beta(½, ½), is sin² of a uniform angle.
        most = tf.cast(self._modes(height, width), tf.float32)
        largest = tf.floor(uniform(4, 3.0, most + 1))
        angles = [tf.sin(uniform(i) * (3.141592653589793 / 2)) ** 2 for i in (5, 6)]
        return {
            "depths": sampling.integers(seeds[0], shape[:2], 1, self.depth + 1),
            "primitives": sampling.integers(seeds[1], shape, 0, len(PRIMITIVES)),
            "sigma": uniform(2, 0.0, self.sigma),
            "frequencies": tf.floor(uniform(3, 1.0, self.colours + 1)),
            "modes": tf.minimum(tf.floor(2 + angles[0] * (largest - 1)), largest),
            "heat": angles[1],
            "temperature": uniform(7, 0.0, self.temperature),
            "seed": seeds[8],
            "weights": sampling.dirichlet(seeds[9], shape[:2], 1.0),
            "mix": sampling.uniform(seeds[10], [batch]),
        }

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        images = tf.convert_to_tensor(images)
        made, place = self._run(images, draws)
        mixed = prime.mix_chains(
            images, tf.stop_gradient(made), place, draws["weights"], draws["mix"]
        )
        return tf.ensure_shape(mixed, images.shape)

    def chains(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        """Computes the chains without mixing them.

        Args:
            images: [B, H, W, C] in [0, 1].
            draws: The result of `draw`.

        Returns:
            [B, width, H, W, C] in [0, 1].
        """
        made, place = self._run(tf.convert_to_tensor(images), draws)
        return tf.gather(made, place)

    def _run(self, images: tf.Tensor, draws: dict[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        """All chains as one batch, and the place of each in it, int32 [B, width]."""
        batch, place = tf.shape(images)[0], tf.range(tf.shape(images)[0] * self.width) // self.width
        for step in range(self.depth):
            drawn = {name: tf.reshape(draws[name][:, :, step], [-1]) for name in _PARAMETERS}
            there = tf.reshape(step < draws["depths"], [-1])
            primitive = tf.reshape(draws["primitives"][:, :, step], [-1])
            drawn["seed"] = sampling.fold_in(draws["seed"], step)
            if sampling.is_per_image(draws["seed"]):
                numbers = [chain * self.depth + step for chain in range(self.width)]
                seeds = [sampling.fold_in(draws["seed"], number) for number in numbers]
                drawn["seed"] = tf.reshape(tf.stack(seeds, axis=1), [-1, 2])
            images, place = self._step(images, place, tf.where(there, primitive, -1), drawn)
        return images, tf.reshape(place, [batch, self.width])

    def _step(
        self, images: tf.Tensor, place: tf.Tensor, primitive: tf.Tensor, drawn: dict[str, Any]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Applies its primitive to each chain, to those of one primitive at once.

        `place` is where in `images` each chain is, before and after.
        """
        results, rows = [], []
        for number, name in enumerate(("", *PRIMITIVES)):
            chosen = tf.cast(tf.where(primitive == number - 1)[:, 0], tf.int32)
            rows.append(chosen)
            count = tf.shape(chosen)[0]
            if name:
                # Padded, so that there are few sizes to be compiled.
                extra = tf.where(count > 0, padded_size(count) - count, 0)
                chosen = tf.pad(chosen, [[0, extra]])
            some = tf.gather(images, tf.gather(place, chosen))
            if name:
                own = {k: tf.gather(v, chosen) for k, v in drawn.items() if k != "seed"}
                own["seed"] = sampling.gather(drawn["seed"], chosen)
                some = getattr(self, f"_{name}")(some, own)[:count]
            results.append(some)
        return tf.concat(results, 0), tf.math.invert_permutation(tf.concat(rows, 0))

    def _spectral(self, images: tf.Tensor, drawn: dict[str, Any]) -> tf.Tensor:
        size = self.kernel_size
        noise = sampling.normal(drawn["seed"], [tf.shape(images)[0], size, size])
        identity = tf.reshape(tf.one_hot(size * size // 2, size * size), [size, size])
        kernels = identity + drawn["sigma"][:, tf.newaxis, tf.newaxis] * noise
        return prime.filter_images(images, kernels)

    def _spatial(self, images: tf.Tensor, drawn: dict[str, Any]) -> tf.Tensor:
        height, width = height_and_width(images)
        # Modes beyond the cut are 0; those that exist are drawn.
        count = self._modes(height, width)
        noise = sampling.normal(drawn["seed"], tf.stack([tf.shape(images)[0], 2, count, count]))
        low, high = prime.temperatures(drawn["modes"], tf.minimum(height, width))
        heat = low + drawn["heat"] * (high - low)
        fields = prime.displacement(noise, drawn["modes"], heat, height, width)
        return prime.deform(images, fields)

    def _modes(self, height: Any, width: Any) -> tf.Tensor:
        """The finest mode that the pixels can show, or the largest cut."""
        return tf.minimum(self.cut, tf.maximum(tf.minimum(height, width) - 1, 3))

    def _colour(self, images: tf.Tensor, drawn: dict[str, Any]) -> tf.Tensor:
        shape = [tf.shape(images)[0], images.shape[-1], self.colours]
        noise = sampling.normal(drawn["seed"], shape)
        there = tf.sequence_mask(drawn["frequencies"], self.colours, tf.float32)
        scale = there * tf.sqrt(drawn["temperature"])[:, tf.newaxis]
        return prime.map_colours(images, noise * scale[:, tf.newaxis])

    def get_config(self) -> dict[str, Any]:
        names = ("width", "depth", "kernel_size", "sigma", "cut", "colours", "temperature")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
