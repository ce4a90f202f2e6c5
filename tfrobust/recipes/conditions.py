"""Conditions by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional

from tfrobust import options, validation
from tfrobust.attacks import APGD
from tfrobust.attacks import naming as attack_naming
from tfrobust.augment import naming, presets
from tfrobust.augment.base import StrengthAugment
from tfrobust.evaluation.condition import Condition
from tfrobust.evaluation.conditions import attacked, augmented, corrupted, swept
from tfrobust.registries import ATTACKS, CORRUPTIONS


def augmentations(
    names: Iterable[str],
    individual: Optional[Mapping[str, StrengthAugment]] = None,
    *,
    seed: int = 0,
    table: Optional[int] = None,
) -> list[Condition]:
    """Conditions by their names.

    Args:
        names: "held_out" (the four held-out corruptions at severity 3), "table_1" with `individual`
            (and its combinations), and names as for `augment.naming.expand`.
        individual: The seven augmentations of Table 1 at other strengths.
        seed: Integer seed.
        table: Severity table of the held-out corruptions.

    Raises:
        ValueError: A name is unknown, or a strength out of range.
    """
    found: list[Condition] = []
    for name in names:
        if name == "held_out":
            found += corrupted("held_out", severities=[3], table=table)
        elif name == "table_1" and individual is not None:
            found += augmented({**individual, **presets.combinations(individual)})
        else:
            layers = naming.expand(name, individual, seed=seed)
            found += augmented({_displayed(one, layer): layer for one, layer in layers.items()})
    return found


def sweep(name: str, strengths: Iterable[float], *, seed: int = 0) -> list[Condition]:
    """One augmentation at several strengths.

    Raises:
        ValueError: The name is unknown, or a strength out of range.
    """
    layer: Any = naming.by_name(name, seed=seed)
    return swept(_displayed(name, layer), layer, strengths)


def attacks(names: Iterable[str]) -> list[Condition]:
    """Attacks by name: those of `evaluation.attacked`, APGD-CE and APGD-DLR (Croce and Hein 2020,
    100 steps of ε = 8/255), or as for `attacks.naming.by_name`.

    Raises:
        ValueError: A name is unknown, or an argument out of range.
    """
    apgd = {"APGD-CE": APGD(), "APGD-DLR": APGD("dlr")}
    found, usual = [], {one.name: one for one in [*attacked(), *attacked(apgd)]}
    for name in names:
        if name in usual:
            found.append(usual[name])
            continue
        if options.named(name)[0] not in ATTACKS:
            known = (*usual, *ATTACKS)
            near = validation.nearest(options.named(name)[0], known)
            raise ValueError(f"unknown attack {name!r}; choose from: {', '.join(known)}{near}")
        found += attacked({name: attack_naming.by_name(name)})
    return found


def _displayed(name: str, layer: Any) -> str:
    """Name of an augmentation in tables: what was typed; its class if a corruption is called so."""
    return type(layer).__name__ if name in CORRUPTIONS else name
