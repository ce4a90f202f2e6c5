"""Augmentations and attacks by name, for the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional, Union

from tfrobust import options
from tfrobust.attacks.base import Attack
from tfrobust.augment import naming
from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.registries import ATTACKS

#: What an attack's value without a name is: ε, or of `Spatial` the number of places that it tries.
_FIRST = ("epsilon", "k", "steps")


def by_name(
    name: str, individual: Optional[Mapping[str, StrengthAugment]] = None, *, seed: int = 0
) -> Union[Augment, Attack]:
    """Creates an augmentation or attack from its name.

    Args:
        name: A name in `ATTACKS`, optionally with its ε and any other arguments, as in
            "pgd=0.03,steps=5"; or as for `augment.naming.by_name`.
        individual: As there.
        seed: As there.

    Raises:
        ValueError: The name or an argument is unknown, or a value is not what the attack takes.

    Example:

    >>> attack = by_name("pgd=0.03,steps=5")
    >>> attack.epsilon, attack.steps
    (0.03, 5)
    """
    called, values, arguments = options.named(name)
    if called not in ATTACKS:
        return naming.by_name(name, individual, seed=seed)
    attack: Attack = ATTACKS[called](seed=seed)
    first = next(one for one in _FIRST if hasattr(attack, one))
    if len(values) > 1 or not all(isinstance(value, (int, float)) for value in values):
        raise ValueError(
            f"{called} takes its {'ε' if first == 'epsilon' else first}, such as "
            f"{called}={getattr(attack, first):.3g}; received {name}"
        )
    arguments = {**({first: values[0]} if values else {}), **arguments}
    made: Attack = naming.with_arguments(attack, called, arguments)
    return made


def one_of(
    names: Sequence[str],
    individual: Optional[Mapping[str, StrengthAugment]] = None,
    *,
    seed: int = 0,
) -> Union[Augment, Attack, None]:
    """Creates what a method trains with: an attack, an augmentation, one of several, or none.

    Args:
        names: An attack, or augmentations of which one is chosen for each image.
        individual: As for `augment.naming.by_name`.
        seed: As there.

    Raises:
        ValueError: As for `by_name`; an attack is one of several.
    """
    if len(names) == 1:
        return by_name(names[0], individual, seed=seed)
    attacks = [name for name in names if options.named(name)[0] in ATTACKS]
    if attacks:
        raise ValueError(f"{attacks[0]} is an attack and is not one of several augmentations")
    return naming.one_of(names, individual, seed=seed) if names else None
