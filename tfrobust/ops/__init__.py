"""Pure tensor functions on image batches: no Keras, no state, no hidden randomness."""

from tfrobust.ops.color import add_brightness, scale_saturation
from tfrobust.ops.filters import gaussian_blur
from tfrobust.ops.noise import gaussian_noise, salt_and_pepper

__all__ = [
    "add_brightness",
    "gaussian_blur",
    "gaussian_noise",
    "salt_and_pepper",
    "scale_saturation",
]
