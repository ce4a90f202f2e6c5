"""TrivialAugment."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Augment
from tfrobust.ops import chains, sampling

#: For each operator of `ops.chains` that has a strength: its argument at the smallest and at the
#: largest, whether it is a whole number, and whether it has a direction ("wide" in the paper).
WIDE = {
    "posterize": (8.0, 2.0, True, False),
    "rotate": (0.0, 135.0, True, True),
    "solarize": (256.0, 0.0, True, False),
    "shear_x": (0.0, 0.99, False, True),
    "shear_y": (0.0, 0.99, False, True),
    "translate_x": (0.0, 32.0, True, True),
    "translate_y": (0.0, 32.0, True, True),
    **dict.fromkeys(("color", "contrast", "brightness", "sharpness"), (0.01, 2.0, False, False)),
}


@keras.saving.register_keras_serializable(package="tfrobust")
class TrivialAugment(Augment):
    """Applies one random 8-bit operator at a random strength to each image.

    The operator is uniform over AugMix's thirteen and the identity, its strength over `bins` values
    from the weakest to the strongest. The space is the paper's wide one: shears up to 0.99, shifts
    up to 32 pixels, rotations up to 135°, posterize down to 2 bits, solarize from 256 down to 0,
    and color, contrast, brightness and sharpness with factors from 0.01 to 2. No gradient flows
    through it.

    **Brightness and contrast overlap with the corruptions of the benchmarks**, so that robustness
    under those two is not robustness against the unknown; `all_ops=False` leaves the last four out.

    Shears and rotations are bilinear, as in AugMix; the released code copies the nearest pixel.

    Args:
        bins: Number of strengths, from 2 to 1000. Default 31, as in the paper.
        all_ops: Whether color, contrast, brightness and sharpness are drawn. Default True, as in
            the paper.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `bins` is out of range, or, when called, the images do not have 1 or 3 channels
            (without `all_ops`: 1 to 4).

    Example:

    >>> layer = TrivialAugment()
    >>> draws = {"operator": tf.constant([4]), "argument": tf.constant([128.0])}  # solarize
    >>> round(float(layer.apply(tf.fill([1, 1, 1, 3], 0.8), draws)[0, 0, 0, 0]), 3)
    0.2

    Reference: Müller and Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data
    Augmentation", ICCV 2021. Ranges: aug_lib.py of github.com/automl/trivialaugment.
    """

    def __init__(self, *, bins: int = 31, all_ops: bool = True, seed: int = 0, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.bins = validation.check_whole("bins", bins, 2, 1000)
        self.all_ops = bool(all_ops)

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        """Draws an operator and its argument for each image.

        Returns:
            "operator", int32 [B], an index into `ops.chains.OPERATORS`, or their number for the
            identity; "argument", float32 [B], what `ops.chains.run` takes with `arguments`.
        """
        seed = self._own_seed(seed)
        batch = tf.shape(images)[0]
        count = len(chains.OPERATORS) if self.all_ops else chains.PAPER_OPERATORS
        operator = sampling.integers(sampling.fold_in(seed, 0), [batch], 0, count + 1)
        operator = tf.where(operator == count, len(chains.OPERATORS), operator)
        bin_ = sampling.integers(sampling.fold_in(seed, 1), [batch], 0, self.bins)
        negative = sampling.uniform(sampling.fold_in(seed, 2), [batch]) < 0.5
        nothing = (0.0, 0.0, False, False)
        names = (*chains.OPERATORS, "identity")
        weakest, strongest, whole, signed = (
            tf.gather([WIDE.get(name, nothing)[i] for name in names], operator) for i in range(4)
        )
        change = tf.cast(bin_, tf.float32) * (strongest - weakest) / (self.bins - 1)
        # Towards 0, as `int` in the released code.
        change = tf.where(whole, tf.sign(change) * tf.floor(tf.abs(change)), change)
        argument = weakest + change
        return {
            "operator": operator,
            "argument": tf.where(signed & negative, -argument, argument),
        }

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        operator = draws["operator"][:, tf.newaxis, tf.newaxis]
        is_one = operator < len(chains.OPERATORS)
        words = chains.run(
            images,
            tf.where(is_one, operator, 0),
            draws["argument"][:, tf.newaxis, tf.newaxis],
            tf.cast(is_one[:, 0], tf.int32),
            all_ops=self.all_ops,
            arguments=True,
        )
        changed = chains.unpack(words, images.shape[-1])[:, 0]
        # The identity does not round to 8 bits.
        kept = sampling.per_image(tf.cast(is_one[:, 0, 0], images.dtype), images) == 0
        return tf.ensure_shape(tf.where(kept, images, changed), images.shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bins": self.bins, "all_ops": self.all_ops}
