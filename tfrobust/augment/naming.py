"""Augmentations by name, as the command line takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

from tfrobust.augment import presets
from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.registries import AUGMENTS

#: Names that stand for several augmentations, one after the other.
PRESETS = ("table_1", "combinations", "stability_practical")


def by_name(
    name: str, individual: Optional[Mapping[str, StrengthAugment]] = None, *, seed: int = 0
) -> Augment:
    """The augmentation that a text stands for.

    Args:
        name: "combined" (Combined+ and Combined− by turns), a name of the FMA paper's Table 1
            ("B+"), or a name of `AUGMENTS`; one with a strength may be given it: "jpeg=10", or
            "rotation=0,45" to draw it from a range.
        individual: The seven of Table 1 at other strengths. Default: the table's for CIFAR-10.
        seed: Whole number.

    Returns:
        An augmentation layer.

    Raises:
        ValueError: The name is unknown, or the strength is no number or out of its limits.

    Example:

    >>> by_name("jpeg=10").strength
    10.0
    """
    individual = presets.table_1() if individual is None else individual
    name, given, strength = name.partition("=")
    if name == "combined" and not given:
        return presets.combined(individual, seed=seed)
    if name in individual and not given:
        return individual[name]
    if name not in AUGMENTS:
        valid = ", ".join(("combined", *individual, *AUGMENTS))
        raise ValueError(f"unknown augmentation {name!r}; choose from: {valid}")
    kind = AUGMENTS[name]
    if not given:
        chosen: Augment = kind(seed=seed)
        return chosen
    if not issubclass(kind, StrengthAugment):
        raise ValueError(f"{name} has no strength to be given; received {name}={strength}")
    try:
        numbers = tuple(float(number) for number in strength.split(","))
    except ValueError:
        raise ValueError(
            f"{name} takes a number or two with a comma between them, such as {name}="
            f"{kind.weak_and_strong()[1]:g}; received {name}={strength}"
        ) from None
    return kind(numbers[0] if len(numbers) == 1 else numbers, seed=seed)


def expand(name: str, *, seed: int = 0) -> dict[str, Augment]:
    """The augmentations of a preset, or the one that a text stands for.

    Args:
        name: "table_1", "combinations", "stability_practical", or what `by_name` takes.
        seed: Whole number.

    Returns:
        Name to layer.

    Example:

    >>> list(expand("combinations"))
    ['Combined+', 'Combined-']
    """
    if name == "combinations":
        return dict(presets.combinations(presets.table_1()))
    if name in PRESETS:
        return dict(getattr(presets, name)())
    return {name: by_name(name, seed=seed)}
