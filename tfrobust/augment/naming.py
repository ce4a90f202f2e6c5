"""Augmentations by name, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

from tfrobust.augment import presets
from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.registries import AUGMENTS

#: Names of sets of augmentations, which are used one after the other.
PRESETS = ("table_1", "combinations", "stability_practical")


def by_name(
    name: str, individual: Optional[Mapping[str, StrengthAugment]] = None, *, seed: int = 0
) -> Augment:
    """Creates an augmentation from its name.

    Args:
        name: "combined" (alternating Combined+ and Combined−), a name from the FMA paper's Table 1
            ("B+"), or a name in `AUGMENTS`, optionally with a strength, "jpeg=10", or a range to
            draw it from, "rotation=0,45".
        individual: The seven augmentations of Table 1 at other strengths. Default: those of the
            table for CIFAR-10.
        seed: Integer seed. Default 0.

    Returns:
        An augmentation layer.

    Raises:
        ValueError: The name is unknown, or the strength is not a number or out of range.

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
    """Creates the augmentations of a preset, or a single one by name.

    Args:
        name: "table_1", "combinations", "stability_practical", or a name for `by_name`.
        seed: Integer seed. Default 0.

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
