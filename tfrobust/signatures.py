"""What the options of classes and functions are, as their signatures say, and checks of them."""

from __future__ import annotations

import collections.abc
import inspect
import numbers
import typing
from collections.abc import Callable, Mapping
from typing import Any

from tfrobust import validation

#: What is not the user's to give: parts of the machinery, and what Keras' own arguments are.
_NOT_OPTIONS = ("self", "net", "augment", "term_weights", "input_shape", "classes", "name")
_KINDS: dict[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
    str: (str, "a text"),
}


def passes_options_to(other: Callable[..., Any]) -> Callable[[Any], Any]:
    """A decorator for functions whose **options are those of another."""

    def decorate(function: Any) -> Any:
        function.options_from = other
        return function

    return decorate


def options_of(kind: Any) -> dict[str, Any]:
    """The options that a class or function takes by name, and their types.

    Example:

    >>> def net(shape, *, hidden: int = 3, name: str = "net"): ...
    >>> options_of(net)
    {'hidden': <class 'int'>}
    """
    function = kind.__init__ if inspect.isclass(kind) else kind
    try:
        types = typing.get_type_hints(function)
    except (NameError, TypeError):  # of a library that has none to be read
        types = {}
    found = inspect.signature(function).parameters.values()
    further = getattr(function, "options_from", None) or _own_base(kind)
    inherited = {} if further is None else options_of(further)
    own = {
        one.name: types.get(one.name, _kind_of(one.default))
        for one in found
        if one.name not in _NOT_OPTIONS
        and (one.kind is one.KEYWORD_ONLY or one.default is not one.empty)
    }
    return own | {name: kind for name, kind in inherited.items() if name not in own}


def _own_base(kind: Any) -> Any:
    """The class of this package from which a class takes the options that it does not name."""
    for one in kind.__mro__[1:] if inspect.isclass(kind) else ():
        if one.__module__.startswith("tfrobust.") and "__init__" in vars(one):
            return one
    return None


def _kind_of(default: Any) -> Any:
    """The type of an option that names none, as in Keras 2."""
    kind = type(default)
    return float if kind is int else kind if kind in _KINDS else Any


def checked(owner: str, kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options for a class or function, of the types that its signature demands.

    Args:
        owner: What to call the class in messages.
        kind: The class or function.
        given: Its options; a number stands for a sequence of one.

    Raises:
        ValueError: There is no such option, or its value is of another type.

    Example:

    >>> def net(shape, *, hidden: int = 3): ...
    >>> checked("net", net, {"hidden": 2.5})
    Traceback (most recent call last):
    ...
    ValueError: hidden of net must be a whole number; received 2.5
    """
    known = options_of(kind)
    validation.check_known(owner, "setting", given, known)
    return {
        name: _fitting(f"{name} of {owner}", value, known[name]) for name, value in given.items()
    }


def _fitting(name: str, value: Any, wanted: Any) -> Any:
    kinds = typing.get_args(wanted) if typing.get_origin(wanted) is typing.Union else (wanted,)
    if any(one not in _KINDS and one is not type(None) and not _is_sequence(one) for one in kinds):
        return value  # nothing is known, or it is not for the command line
    if value is None and type(None) in kinds:
        return None
    told = []
    for one in kinds:
        if _is_sequence(one):
            return tuple(value) if isinstance(value, (tuple, list)) else (value,)
        if one in _KINDS:
            accepted, words = _KINDS[one]
            told.append(words)
            whole = isinstance(value, float) and value.is_integer() and one is int
            if (isinstance(value, accepted) or whole) and (one is bool) == isinstance(value, bool):
                return one(value)
    or_none = " or none" if type(None) in kinds else ""
    raise ValueError(f"{name} must be {' or '.join(told)}{or_none}; received {value!r}")


def _is_sequence(kind: Any) -> bool:
    return typing.get_origin(kind) in (collections.abc.Sequence, tuple, list)
