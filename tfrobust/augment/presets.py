"""The papers' augmentations: tables of strengths, combinations and grids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Optional

import numpy as np

from tfrobust import validation
from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.augment.brightness import Brightness
from tfrobust.augment.combine import Alternating, Sequence
from tfrobust.augment.gaussian_blur import GaussianBlur
from tfrobust.augment.gaussian_noise import GaussianNoise
from tfrobust.augment.jpeg import Jpeg
from tfrobust.augment.rotation import Rotation
from tfrobust.augment.salt_and_pepper import SaltAndPepper
from tfrobust.augment.saturation import Saturation
from tfrobust.augment.shifted_crop import ShiftedCrop
from tfrobust.augment.thumbnail import Thumbnail

#: The two columns of the FMA paper's Table 1, for small images and for 224 pixels.
TABLE_1_COLUMNS = ("cifar10", "imagenet200")

#: Members of the combinations, in the default order.
COMBINATIONS = {
    "Combined+": ("B+", "S+", "GB", "GN", "SAP"),
    "Combined-": ("B-", "S-", "GB", "GN", "SAP"),
}

#: Orders of the members: the default, and that in which the paper lists them.
ORDERS = ("blur_before_noise", "blur_last")


def table_1(column: str = "cifar10") -> dict[str, StrengthAugment]:
    """The FMA paper's augmentations A = {B+, B−, S+, S−, GN, SAP, GB} at its strengths (Table 1).

    Each lowered the validation accuracy of the paper's VGG-16 by about 10 points (S− by less). For
    another net or other images, calibrate your own with `strength.calibrate`.

    Args:
        column: "cifar10" or "imagenet200".

    Returns:
        Layers by their names in the paper's table, in the order of its Table 3.

    Raises:
        ValueError: `column` is unknown.

    Example:

    >>> table_1("imagenet200")["SAP"].salt_fraction
    0.7
    """
    if column not in TABLE_1_COLUMNS:
        raise ValueError(
            f"unknown column {column!r} of Table 1; choose from: {', '.join(TABLE_1_COLUMNS)}"
        )
    if column == "cifar10":
        return {
            "B+": Brightness(0.39),
            "B-": Brightness(-0.36),
            "GB": GaussianBlur(0.675, kernel_size=3),
            "GN": GaussianNoise(0.075),
            "SAP": SaltAndPepper(0.025, salt_fraction=0.5, amplitude=0.5),
            "S+": Saturation(6.0),
            "S-": Saturation(0.0),
        }
    return {
        "B+": Brightness(0.43),
        "B-": Brightness(-0.32),
        "GB": GaussianBlur(1.175, kernel_size=3),
        "GN": GaussianNoise(0.08),
        "SAP": SaltAndPepper(0.01, salt_fraction=0.7, amplitude=0.7),
        "S+": Saturation(4.0),
        "S-": Saturation(0.2),
    }


def combinations(
    augmentations: Mapping[str, StrengthAugment], *, order: str = "blur_before_noise"
) -> dict[str, Sequence]:
    """Combined+ and Combined−: sequences of augmentations that do not undo each other.

    Combined+ = {B+, S+, GN, SAP, GB}, Combined− = {B−, S−, GN, SAP, GB} (FMA, section 4.3.2). The
    paper does not give their order. Brightness, saturation, blur, noise, salt and pepper is the
    only one of six tried that makes Combined− much harder than Combined+, as in the paper: a blur
    of 3×3 at the end takes half of the noise away.

    Args:
        augmentations: The seven augmentations, as returned by `table_1`.
        order: "blur_before_noise" (default), or "blur_last", the order in which the paper lists
            them.

    Returns:
        "Combined+" and "Combined-", each a `Sequence`.

    Raises:
        ValueError: One of the seven augmentations is missing, or the order is unknown.
    """
    validation.check_choice("order", order, ORDERS)
    missing = [n for names in COMBINATIONS.values() for n in names if n not in augmentations]
    if missing:
        raise ValueError(
            f"the combinations need B+, B-, S+, S-, GN, SAP and GB; {', '.join(missing)} missing"
        )

    def rank(name: str) -> bool:  # sorting keeps the order of all others
        return order == "blur_last" and name == "GB"

    return {
        combination: Sequence([_copy(augmentations[name]) for name in sorted(names, key=rank)])
        for combination, names in COMBINATIONS.items()
    }


def table_3(image_size: Iterable[Optional[int]]) -> dict[str, Augment]:
    """The augmentations of the FMA paper's Table 3: those of Table 1, Combined+ and Combined−.

    Args:
        image_size: Height and width. Images of up to 96 pixels use the CIFAR-10 column of Table 1,
            larger ones that of ImageNet-200.

    Returns:
        Layers by name.

    Example:

    >>> list(table_3([32, 32]))
    ['B+', 'B-', 'GB', 'GN', 'SAP', 'S+', 'S-', 'Combined+', 'Combined-']
    """
    sides = [side for side in image_size if side is not None]
    individual = table_1("imagenet200" if sides and max(sides) > 96 else "cifar10")
    return {**individual, **combinations(individual)}


def combined(
    augmentations: Mapping[str, StrengthAugment],
    *,
    order: str = "blur_before_noise",
    period_epochs: int = 1,
    period_batches: Optional[int] = None,
    seed: int = 0,
) -> Alternating:
    """The combined augmentation (CA) strategy: alternates Combined+ and Combined−.

    Args:
        augmentations: The seven augmentations, as returned by `table_1`.
        order: As for `combinations`.
        period_epochs: Number of epochs between switches. Default 1, as in the paper.
        period_batches: Number of batches between switches, instead of `period_epochs`; worse in the
            paper. Default None.
        seed: Integer seed. Default 0.

    Returns:
        An `Alternating` layer; train with `callbacks.AlternateAugmentations`.
    """
    return Alternating(
        list(combinations(augmentations, order=order).values()),
        period_epochs=period_epochs,
        period_batches=period_batches,
        seed=seed,
    )


def stability_practical() -> dict[str, StrengthAugment]:
    """The distortions of the stability-training paper at the "practical" strengths of its Table 1.

    They are meant for images of 224 pixels. The table's sixth one, FGSM with ε = 0.001, is not
    included, because it is an attack.

    Returns:
        Layers by their names in the registry, in the order of the table.

    Example:

    >>> stability_practical()["jpeg"].strength
    30.0
    """
    return {
        "gaussian_noise": GaussianNoise(0.05),
        "jpeg": Jpeg(30),
        "thumbnail": Thumbnail(150),
        "rotation": Rotation(30.0),
        "shifted_crop": ShiftedCrop(3),
    }


#: Table 2 of the stability-training paper: (start, end, number of points, scale).
STABILITY_GRIDS = {
    "alpha": (0.01, 10.0, 3, "logarithmic"),
    "probability": (0.5, 1.0, 2, "linear"),
    "gaussian_noise": (0.01, 1.0, 4, "logarithmic"),
    "jpeg": (90, 10, 3, "linear"),
    "thumbnail": (20, 200, 3, "linear"),
    "fgsm": (0.001, 1.0, 7, "logarithmic"),
    "rotation": (0, 180, 3, "linear"),
    "shifted_crop": (0, 15, 3, "linear"),
}


def stability_grid(name: str) -> list[float]:
    """The stability-training paper's grid of one hyper-parameter (Table 2).

    Args:
        name: "alpha" (weight of the stability loss), "probability" (of RandomApply), or a
            distortion: "gaussian_noise", "jpeg", "thumbnail", "fgsm", "rotation", "shifted_crop".

    Returns:
        The values, in the order of the table.

    Raises:
        ValueError: The hyper-parameter is unknown.

    Example:

    >>> stability_grid("jpeg")
    [90.0, 50.0, 10.0]
    >>> stability_grid("gaussian_noise")
    [0.01, 0.046416, 0.215443, 1.0]
    """
    if name not in STABILITY_GRIDS:
        raise ValueError(
            f"unknown hyper-parameter {name!r}; choose from: {', '.join(STABILITY_GRIDS)}"
        )
    start, end, points, scale = STABILITY_GRIDS[name]
    spaced = np.geomspace if scale == "logarithmic" else np.linspace
    return [round(float(value), 6) for value in spaced(start, end, points)]


def _copy(augment: StrengthAugment) -> StrengthAugment:
    # A layer shared by two sequences would be saved twice.
    copy: StrengthAugment = augment.from_config(augment.get_config())
    return copy
