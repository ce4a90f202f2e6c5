"""The options of commands: fields of dataclasses, and how their values are read and written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from tfrobust import validation

_WORDS = {"true": True, "false": False, "none": None}


def option(default: Any, text: str, flag: str = "", **kind: Any) -> Any:
    """A field of a dataclass that is an option of a command, too.

    Args:
        default: The default. False makes it a switch, a tuple takes several values, a dictionary is
            a repeatable NAME=VALUE.
        text: What it is, for the documentation and the command's help, which adds the default.
        flag: The option, or the name of the field for a positional argument. Default: `--` and the
            name of the field.
        **kind: Further arguments of `argparse.ArgumentParser.add_argument`, such as `choices`.
    """
    metadata = {"help": text, "flag": flag, "kind": kind}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


# Kinds of values: the `type` of an option reads a text, and checks a number given in Python -----


def whole(low: int) -> Callable[[Any], int]:
    """Whole numbers from `low`."""

    def parse(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, str) else value
            return validation.check_whole("it", number, low, 2**31 - 1)
        except ValueError:
            raise ValueError(f"must be a whole number from {low}; received {value!r}") from None

    return parse


def number(value: Any) -> float:
    """A finite number."""
    try:
        spelt = float(value) if isinstance(value, str) else value
        return validation.check_between("it", spelt, float("-inf"), float("inf"))
    except ValueError:
        raise ValueError(f"must be a number; received {value!r}") from None


def positive(value: Any) -> float:
    """A finite number above 0."""
    try:
        return validation.check_between("it", number(value), 0, float("inf"))
    except ValueError:
        raise ValueError(f"must be a number above 0; received {value!r}") from None


def assignment(parse: Callable[[str], Any]) -> Callable[[str], tuple[str, Any]]:
    """NAME=VALUE, where `parse` reads the value."""

    def parsed(text: str) -> tuple[str, Any]:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ValueError(f"takes NAME=VALUE; received {text!r}")
        try:
            return name, parse(value)
        except ValueError as error:
            raise ValueError(f"{name} {error}; received {value!r}") from None

    return parsed


def literal(text: str) -> Any:
    """What a text spells: a number, true, false, none, several of them between commas, or a text.

    Example:

    >>> [literal(text) for text in ("3", "1e-3", "true", "0,2", "margin")]
    [3, 0.001, True, (0, 2), 'margin']
    """
    if "," in text:
        return tuple(literal(part) for part in text.split(",") if part)
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def spelled(value: Any) -> str:
    """A value as `literal` reads it.

    Example:

    >>> [spelled(value) for value in (0.1, True, (0, 2), None, 1 / 3)]
    ['0.1', 'true', '0,2', 'none', '0.3333333333333333']
    """
    if isinstance(value, (tuple, list)):
        return ",".join(map(spelled, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def named(text: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Reads what is chosen by name: NAME, NAME=VALUE,... or NAME=VALUE,OPTION=VALUE,...

    Returns:
        The name, the values, and the options.

    Example:

    >>> named("gaussian_blur=0.5,2,kernel_size=5")
    ('gaussian_blur', (0.5, 2), {'kernel_size': 5})
    """
    name, _, rest = text.partition("=")
    parts = [part.partition("=") for part in rest.split(",") if part]
    values = tuple(literal(first) for first, equals, _ in parts if not equals)
    return name, values, {first: literal(value) for first, equals, value in parts if equals}


def read_budget(text: str) -> tuple[float, str]:
    """Reads a budget such as 90s, 30m, 2h or 5000steps.

    Returns:
        The number of seconds and "seconds", or the number of steps and "steps".
    """
    units = {
        "steps": (1, "steps"),
        "s": (1, "seconds"),
        "m": (60, "seconds"),
        "h": (3600, "seconds"),
    }
    for ending, (factor, unit) in units.items():
        if text.endswith(ending):
            try:
                return factor * positive(text.removesuffix(ending)), unit
            except ValueError:
                break
    raise ValueError(
        f"budget must be a time or a number of steps, such as 30m or 5000steps; received {text!r}"
    )


def arguments_of(chosen: Any) -> list[str]:
    """The arguments of the command line that stand for settings: what differs from the defaults.

    Args:
        chosen: An object of a dataclass whose fields `option` made.
    """
    positional, found = [], []
    plain = type(chosen)()
    for field in dataclasses.fields(chosen):
        value, flag = getattr(chosen, field.name), flag_of(field)
        if not flag.startswith("--"):
            positional += [spelled(one) for one in (value if isinstance(value, tuple) else [value])]
        elif value == getattr(plain, field.name):
            continue
        elif isinstance(value, Mapping):
            found += [part for k, v in value.items() for part in (flag, f"{k}={spelled(v)}")]
        elif isinstance(value, tuple):
            found += [flag, *map(spelled, value)]
        else:
            found += [flag] if value is True else [flag, spelled(value)]
    return [*positional, *found]


def flag_of(field: dataclasses.Field[Any]) -> str:
    """The option of the command line that a field is."""
    return field.metadata["flag"] or f"--{field.name.replace('_', '-')}"
