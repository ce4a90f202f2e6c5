"""The distortions of stability training, and photographs that are not cropped yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Optional

import keras

from tfrobust import augment, datasets
from tfrobust.attacks import FGSM
from tfrobust.experiments.experiment import Run, Training

#: The paper's name to layer, parameter of Table 2, and the unit of its strengths.
DISTORTIONS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "Gauss": (augment.GaussianNoise, "gaussian_noise", "standard deviation, images in [0, 1]"),
    "JPEG": (augment.Jpeg, "jpeg", "quality"),
    "Thumb": (augment.Thumbnail, "thumbnail", "side in pixels"),
    "Rotation": (augment.Rotation, "rotation", "degrees, at most"),
    "Crops": (augment.ShiftedCrop, "shifted_crop", "pixels, at most"),
    "FGSM": (FGSM, "fgsm", "size, images in [0, 1]"),
}
#: Those for which the divergence is symmetric [6].
TRANSFORMATIONS = ("Rotation", "Crops")
#: The practical strengths of Table 1.
PRACTICAL = {"Gauss": 0.05, "JPEG": 30, "Thumb": 150, "Rotation": 30, "Crops": 3, "FGSM": 0.001}
#: Distortions whose strength 0 is the image itself.
FROM_ZERO = ("Gauss", "Rotation", "Crops", "FGSM")
#: One strength per distortion that costs a trained net some points on 32-pixel images.
NOTABLE = {"Gauss": 0.1, "JPEG": 30, "Thumb": 20, "Rotation": 30, "Crops": 4, "FGSM": 0.01}
#: Strengths that models are evaluated at: on photographs, and on images of 32 pixels.
TESTED = {
    "Gauss": (0.01, 0.025, 0.05, 0.1, 0.2, 0.4),
    "JPEG": (90, 70, 50, 30, 20, 10, 5),
    "Thumb": (200, 175, 150, 100, 50, 25),
    "Rotation": (5, 15, 30, 60, 90, 180),
    "Crops": (1, 3, 6, 10, 15),
    "FGSM": (0.001, 0.003, 0.01, 0.03, 0.1),
}
TESTED_SMALL = {
    "Gauss": (0.01, 0.025, 0.05, 0.1, 0.15, 0.2),
    "JPEG": (90, 70, 50, 30, 20, 10),
    "Thumb": (28, 24, 20, 16, 12),
    "Rotation": (5, 15, 30, 45, 60, 90),
    "Crops": (1, 3, 6, 10),
    "FGSM": (0.001, 0.003, 0.01, 0.03),
}
#: Height and width in pixels of what the net sees of a photograph of 256 pixels.
SEEN = (224, 224)


def layer_of(name: str, strength: float, seed: int) -> Any:
    """The layer or attack of a distortion."""
    return DISTORTIONS[name][0](float(strength), seed=seed)


class UncroppedRun(Run):
    """A run on photographs that are not cropped to what the net sees."""

    def data(
        self, training: Optional[Training] = None, seed: int = 0, **options: Any
    ) -> datasets.Data:
        whole = {"crop": 256} if self.setting.dataset == "tifs" else {}
        return super().data(training, seed, **{**whole, **options})


def seen_by_centre(net: Callable[[datasets.Data], keras.Model], data: datasets.Data) -> keras.Model:
    """A net that sees the centre of larger photographs.

    Args:
        net: Builds the net for images of the size that it sees.
        data: The photographs.
    """
    inner = net(dataclasses.replace(data, image_shape=(*SEEN, 3)))
    layers = [keras.Input(data.image_shape), keras.layers.CenterCrop(*SEEN), inner]
    return keras.Sequential(layers)
