"""The model card: what an exported model is, and what was measured of it."""

from __future__ import annotations

import datetime
import json
import math
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

import jinja2
import keras
import numpy as np
import tensorflow as tf

from tfrobust import files
from tfrobust import rows as result_rows
from tfrobust.dataset_facts import CATALOG
from tfrobust.layers.hash_of_weights import hash_of_weights
from tfrobust.nets.input_adapter import (
    Range,
    adapter_of,
    check_input_range,
    limits,
    range_words,
)
from tfrobust.provenance import library_versions
from tfrobust.registries import TEST_CORRUPTIONS
from tfrobust.rows import CLEAN, Row
from tfrobust.serving.manifest import EXTRA

Card = dict[str, Any]
Rows = Union[str, "os.PathLike[str]", Iterable[Row]]

JSON = f"{EXTRA}/card.json"
MARKDOWN = f"{EXTRA}/card.md"
NOT_STATED = "not stated"

_FORMAT = 1
_SEVERITIES = 5
_GROUP = "test"  # what `evaluation.summary` calls the 15
_NOISE = ("name", "trainable", "dtype", "module", "registered_name", "build_config")


def model_card(
    model: keras.Model,
    *,
    name: str,
    dataset: Optional[str] = None,
    class_names: Optional[Sequence[str]] = None,
    rows: Optional[Rows] = None,
    licence: str = NOT_STATED,
    signatures: Sequence[str] = (),
) -> Card:
    """What is known of a model, as plain values for JSON. Nothing is guessed.

    Args:
        model: A tfrobust method or any Keras model.
        name: Name of the model.
        dataset: Name of the data set that it is for; of one in `DATASETS` the licence is known.
        class_names: Name of each class.
        rows: Result rows, or the path of a `rows.jsonl`. Taken are those that were measured with
            the weights of `model`, or else, of rows that do not say so, those of the model `name`.
        licence: Licence of the model.
        signatures: Those that it is exported with.

    Returns:
        The card; "numbers" is empty where nothing was measured.

    Raises:
        ValueError: There are rows but none of this model, or two that contradict each other.
        FileNotFoundError: There is no such file of rows.

    Example:

    >>> from tfrobust import nets
    >>> card = model_card(nets.small_cnn(), name="mine", dataset="digits")
    >>> card["parameters"]["all"], card["data"]["licence"], card["numbers"]
    (73402, 'CC BY 4.0', [])
    """
    for what, text in {"name": name, "licence": licence, "dataset": dataset}.items():
        if not isinstance(text, str) and not (what == "dataset" and text is None):
            raise ValueError(f"{what} must be a text; received {text!r}")
    net = getattr(model, "net", model)
    weights = hash_of_weights(net)
    height, width, channels = net.input_shape[1:]
    trainable = sum(int(np.prod(tuple(v.shape))) for v in net.trainable_weights)
    return {
        "format": _FORMAT,
        "name": name,
        "data": _data(dataset),
        "method": _method(model),
        "net": net.name,
        "weights": weights,
        "parameters": {"all": int(net.count_params()), "trainable": trainable},
        "input": {"height": height, "width": width, "channels": channels, **_range(net)},
        "signatures": sorted(signatures),
        "classes": net.output_shape[-1],
        "class_names": None if class_names is None else list(class_names),
        "numbers": [] if rows is None else numbers(_rows_of_model(rows, name, weights)),
        "licence": licence,
        "versions": library_versions(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def card_markdown(card: Card) -> str:
    """Formats a card as a Markdown page, in which no value is read as Markdown or HTML.

    Args:
        card: What `model_card` returned.

    Returns:
        The page.

    Example:

    >>> from tfrobust import nets
    >>> print(card_markdown(model_card(nets.small_cnn(), name="<b>mine</b>")).splitlines()[0])
    # \\<b\\>mine\\</b\\>
    """
    return _TEMPLATES.get_template("card.md.jinja").render(card)


def write_card(card: Card, folder: files.PathLike) -> None:
    """Writes `card.json` and `card.md` into the `assets.extra` of a SavedModel.

    Args:
        card: What `model_card` returned.
        folder: The SavedModel.
    """
    files.write_json(card, pathlib.Path(folder, JSON))
    # As bytes, so that the hash is the same on every operating system.
    pathlib.Path(folder, MARKDOWN).write_bytes(card_markdown(card).encode())


# Of the model ----------------------------------------------------------------------------------


def _data(name: Optional[str]) -> dict[str, str]:
    known = CATALOG.get(name or "")
    return {
        "name": NOT_STATED if name is None else name,
        "licence": getattr(known, "licence", NOT_STATED),
        "source": getattr(known, "source", NOT_STATED),
    }


def _range(net: Any) -> dict[str, Any]:
    adapter = adapter_of(net)
    if adapter is None:
        return {"range": [0.0, 1.0]}
    taken = adapter.input_range
    return {"range": list(limits(taken)), "pixels": taken, "words": range_words(taken)}


def input_range(folder: files.PathLike) -> Optional[Range]:
    """What an exported model takes for pixels, as its card says; None without a card."""
    path = pathlib.Path(folder, JSON)
    if not path.is_file():
        return None
    said = json.loads(path.read_text(encoding="utf-8"))["input"]
    return check_input_range(said.get("pixels", "0_to_1"))


def _method(model: Any) -> dict[str, Any]:
    name, config, weights = f"{NOT_STATED} (a plain Keras model)", {}, {}
    if hasattr(model, "own_term_weights"):
        name, weights = type(model).__name__, model.term_weights
        config = {k: v for k, v in model.get_config().items() if k not in ("name", "net")}
    return {
        "name": name,
        "augmentation": _plain(config.pop("augment", None)),
        "settings": _plain(config),
        "term_weights": {k: float(np.asarray(tf.convert_to_tensor(w))) for k, w in weights.items()},
    }


def _plain(value: Any) -> Any:
    """Converts a value to what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


# Of the rows -----------------------------------------------------------------------------------


def _rows_of_model(rows: Rows, name: str, weights: str) -> list[Row]:
    """The rows with these weights, or else those of this name that do not state any weights."""
    if isinstance(rows, (str, os.PathLike)):
        where, given = os.fspath(rows), result_rows.read(rows)
    else:
        where, given = "rows", list(rows)
    if not all(isinstance(row, Row) for row in given):
        raise ValueError("rows must be result rows (tfrobust.rows.Row), or the path of a file")
    given = [row for row in given if row.epoch is None]
    if own := [row for row in given if _weights_of(row) == weights]:
        return own
    named = [row for row in given if row.model == name]
    if others := {str(_weights_of(row)) for row in named} - {"None"}:
        raise ValueError(
            f"{where} must be of the model that is exported, with the weights {weights}; its "
            f"rows of {name!r} were measured with {', '.join(sorted(others))}"
        )
    if not named:
        there = ", ".join(repr(one) for one in dict.fromkeys(row.model for row in given)) or "none"
        raise ValueError(
            f"{where} must hold rows of the model that is exported, by its weights {weights} or "
            f"its name {name!r}; it holds rows of {there}"
        )
    return named


def _weights_of(row: Row) -> Any:
    found = (row.provenance or {}).get("model")
    return None if found == "unknown" else found


def numbers(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The results on each data set, as means over the severities."""
    # The same weights may have been measured under two names, which are then reported apart.
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.model, row.dataset), []).append(row)
    return [_measured(group) for group in groups.values()]


def _measured(rows: Sequence[Row]) -> dict[str, Any]:
    accuracies: dict[str, dict[Optional[float], Row]] = {}
    for row in rows:
        if row.metric == "accuracy":
            first = accuracies.setdefault(row.corruption, {}).setdefault(row.severity, row)
            if (first.value, first.n) != (row.value, row.n):
                raise ValueError(
                    f"rows must hold one accuracy of {row.model!r} on {row.dataset} under "
                    f"{row.corruption} at severity {row.severity}; they hold {first.value:g} "
                    f"and {row.value:g}"
                )
    clean = accuracies.pop(CLEAN, {}).values()
    means = {
        name: {
            "accuracy": float(np.mean([row.value for row in by_severity.values()])),
            "severities": sorted(s for s in by_severity if s is not None),
        }
        for name, by_severity in accuracies.items()
    }
    return {
        "measured_as": rows[0].model,
        "dataset": rows[0].dataset,
        "images": rows[0].n,
        "seed": rows[0].seed,
        "same_weights": _weights_of(rows[0]) is not None,
        "protocol": _plain(rows[0].protocol or {}),
        "clean_accuracy": next((row.value for row in clean), None),
        "robust_accuracy": _robust_accuracy(rows, means),
        "corruptions": means,
    }


def _robust_accuracy(rows: Sequence[Row], means: Mapping[str, Any]) -> Optional[float]:
    """Mean over the 15 corruptions at all severities; None where one is missing."""
    for row in rows:
        if (row.metric, row.corruption) == ("robust_accuracy", _GROUP):
            return row.value
    whole = list(range(1, _SEVERITIES + 1))
    if any(means.get(name, {}).get("severities") != whole for name in TEST_CORRUPTIONS):
        return None
    return float(np.mean([means[name]["accuracy"] for name in TEST_CORRUPTIONS]))


# As Markdown -----------------------------------------------------------------------------------


def _one_line(value: Any) -> str:
    """Settings on one line: a layer as its class with its constructor's arguments."""
    if isinstance(value, Mapping):
        if {"class_name", "config"} <= set(value):
            config = value["config"] if isinstance(value["config"], Mapping) else {}
            inner = [f"{k}={_one_line(v)}" for k, v in config.items() if k not in _NOISE]
            return f"{value['class_name']}({', '.join(inner)})"
        return ", ".join(f"{key}={_one_line(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return f"[{', '.join(map(_one_line, value))}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)


def _escaped(value: Any) -> str:
    """A value as one line of literal Markdown text."""
    line = " ".join(str(value).split())
    line = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    line = re.sub(r"[\\`*\[\]<>|&~#!$]", r"\\\g<0>", line)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", line)


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    finalize=_escaped,  # so that no expression of a template can be left unescaped
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
)
_TEMPLATES.filters["one_line"] = _one_line
