"""Augmentations by name, for the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from tfrobust import options, signatures, validation
from tfrobust.augment import presets
from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.augment.combine import PerImageChoice
from tfrobust.registries import AUGMENTS

#: Names of sets of augmentations, which are used one after the other.
PRESETS = ("table_1", "combinations", "stability_practical")


def by_name(
    name: str, individual: Optional[Mapping[str, StrengthAugment]] = None, *, seed: int = 0
) -> Augment:
    """Creates an augmentation from its name.

    Args:
        name: "combined" (alternating Combined+ and Combined−), a name from the FMA paper's Table 1
            ("B+"), or a name in `AUGMENTS`; optionally with a strength, "jpeg=10", a range to draw
            it from, "rotation=0,45", and any other arguments of the layer,
            "gaussian_blur=2,kernel_size=5" or "augmix=width=4".
        individual: The seven augmentations of Table 1 at other strengths. Default: those of the
            table for CIFAR-10.
        seed: Integer seed. Default 0.

    Returns:
        An augmentation layer.

    Raises:
        ValueError: The name or an argument is unknown, or a value is not what the layer takes.

    Example:

    >>> by_name("jpeg=10").strength
    10.0
    >>> by_name("gaussian_blur=0.5,2,kernel_size=5").get_config()["kernel_size"]
    5
    """
    individual = presets.table_1() if individual is None else individual
    given = options.named(name)
    if given[0] == "combined":
        layer: Any = presets.combined(individual, seed=seed)
        return changed(layer, name)
    if given[0] in individual:
        return changed(individual[given[0]], name)
    if given[0] not in AUGMENTS:
        valid = ", ".join(("combined", *individual, *AUGMENTS))
        near = validation.nearest(given[0], ("combined", *individual, *AUGMENTS))
        raise ValueError(f"unknown augmentation {given[0]!r}; choose from: {valid}{near}")
    return changed(AUGMENTS[given[0]](seed=seed), name)


def changed(layer: Any, name: str) -> Any:
    """The layer of an augmentation or attack, with the values and arguments that its name gives.

    Args:
        layer: The layer with its defaults.
        name: NAME=VALUE,ARGUMENT=VALUE,... A value without a name is the strength, two are the ends
            of its range.

    Raises:
        ValueError: It has no strength, or an argument is unknown or out of range.
    """
    called, values, arguments = options.named(name)
    if not values and not arguments:
        if "=" in name:
            raise ValueError(f"{called}= needs a value; received {name}")
        return layer
    kind, numbers = type(layer), all(isinstance(v, (int, float)) for v in values)
    if values:
        strength = getattr(kind, "parameter", None)
        if strength is None:
            raise ValueError(f"{called} has no strength to be given; received {name}")
        if not numbers or len(values) > 2:
            example = f"{called}={kind.weak_and_strong()[1]:g}"
            raise ValueError(
                f"{called} takes a number or two with a comma between them, such as {example}; "
                f"received {name}"
            )
        arguments = {strength: values[0] if len(values) == 1 else values, **arguments}
    return with_arguments(layer, called, arguments)


def with_arguments(layer: Any, called: str, arguments: Mapping[str, Any]) -> Any:
    """A layer like this one with other arguments; errors speak of it as `called`."""
    kind, config = type(layer), layer.get_config()
    config.update(signatures.checked(called, kind, arguments))
    if not {"augment", "augments", "augmix"}.isdisjoint(config):  # layers inside, as dictionaries
        return kind.from_config(config)
    return kind(**config)  # not from_config, where Keras would wrap a ValueError


def one_of(
    names: Sequence[str],
    individual: Optional[Mapping[str, StrengthAugment]] = None,
    *,
    seed: int = 0,
) -> Augment:
    """Creates the augmentation of that name, or of several names one that is chosen per image.

    Args:
        names: As for `by_name`.
        individual: As for `by_name`.
        seed: As for `by_name`.

    Raises:
        ValueError: As for `by_name`; one of several alternates by epoch.
    """
    found = [by_name(name, individual, seed=seed) for name in names]
    if len(found) == 1:
        return found[0]
    if "combined" in names:
        raise ValueError("combined alternates by epoch and is not one of several augmentations")
    return PerImageChoice([type(one).from_config(one.get_config()) for one in found], seed=seed)


def expand(
    name: str, individual: Optional[Mapping[str, StrengthAugment]] = None, *, seed: int = 0
) -> dict[str, Augment]:
    """Creates the augmentations of a preset, or a single one by name.

    Args:
        name: "table_1", "combinations", "stability_practical", or a name for `by_name`.
        individual: As for `by_name`, which it is given to.
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
    return {name: by_name(name, individual, seed=seed)}
