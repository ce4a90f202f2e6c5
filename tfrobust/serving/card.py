"""The model card: what an exported model is, and what was measured of it."""

from __future__ import annotations

import datetime
import math
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

import keras
import numpy as np
import tensorflow as tf

from tfrobust import files
from tfrobust import rows as result_rows
from tfrobust.dataset_facts import CATALOG
from tfrobust.layers.hash_of_weights import hash_of_weights
from tfrobust.provenance import library_versions
from tfrobust.registries import TEST_CORRUPTIONS
from tfrobust.rows import CLEAN, Row
from tfrobust.serving.manifest import EXTRA

Card = dict[str, Any]
Rows = Union[str, "os.PathLike[str]", Iterable[Row]]

JSON = f"{EXTRA}/card.json"
MARKDOWN = f"{EXTRA}/card.md"
NOT_STATED = "not stated"
NOT_MEASURED = "not measured"

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
        "input": {"height": height, "width": width, "channels": channels, "range": [0.0, 1.0]},
        "signatures": sorted(signatures),
        "classes": net.output_shape[-1],
        "class_names": None if class_names is None else list(class_names),
        "numbers": [] if rows is None else _numbers(_of_model(rows, name, weights)),
        "licence": licence,
        "versions": library_versions(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def card_markdown(card: Card) -> str:
    """A card as a page of Markdown; what comes from data cannot be read as Markdown or HTML.

    Args:
        card: What `model_card` returned.

    Returns:
        The page.

    Example:

    >>> from tfrobust import nets
    >>> print(card_markdown(model_card(nets.small_cnn(), name="<b>mine</b>")).splitlines()[0])
    # \\<b\\>mine\\</b\\>
    """
    data, method, sizes = card["data"], card["method"], card["input"]
    sides = [sizes[side] or "any" for side in ("height", "width", "channels")]
    names = card["class_names"]
    facts = {
        "data set": data["name"],
        "licence of the data": data["licence"],
        "method": method["name"],
        "settings": _told(method["settings"]),
        "term weights": _told(method["term_weights"]),
        "augmentation": _told(method["augmentation"]),
        "net": card["net"],
        "parameters": "{all:,}, of which {trainable:,} trainable".format(**card["parameters"]),
        "input": "{} x {} x {} (height, width, channels), from 0 to 1".format(*sides),
        "signatures": ", ".join(card["signatures"]) or NOT_STATED,
        "classes": str(card["classes"]),
        "class names": NOT_STATED if names is None else ", ".join(names),
        "licence": card["licence"],
        "weights": f"SHA-256 {card['weights']}...",
        "made with": ", ".join(f"{k} {v}" for k, v in card["versions"].items()),
        "date": card["date"],
    }
    lines = [f"# {_text(card['name'])}", "", "| | |", "|---|---|"]
    lines += [f"| {label} | {_text(fact)} |" for label, fact in facts.items()]
    lines += ["", "## Measured", ""]
    if not card["numbers"]:
        lines += ["Clean accuracy: not measured. Robust accuracy: not measured."]
    for measured in card["numbers"]:
        lines += _measured_lines(measured)
    return "\n".join(lines).rstrip() + "\n"


def write_card(card: Card, folder: files.PathLike) -> None:
    """Writes `card.json` and `card.md` into the `assets.extra` of a SavedModel.

    Args:
        card: What `model_card` returned.
        folder: The SavedModel.
    """
    files.write_json(card, pathlib.Path(folder, JSON))
    # As bytes, so that its hash is the same wherever it is written.
    pathlib.Path(folder, MARKDOWN).write_bytes(card_markdown(card).encode())


# Of the model ----------------------------------------------------------------------------------


def _data(name: Optional[str]) -> dict[str, str]:
    if name is None:
        return {"name": NOT_STATED, "licence": NOT_STATED, "source": NOT_STATED}
    known = CATALOG.get(name)
    if known is None:
        return {"name": name, "licence": NOT_STATED, "source": NOT_STATED}
    return {"name": name, "licence": known.licence, "source": known.source}


def _method(model: Any) -> dict[str, Any]:
    if not hasattr(model, "own_term_weights"):
        return {
            "name": f"{NOT_STATED} (a plain Keras model)",
            "settings": {},
            "term_weights": {},
            "augmentation": None,
        }
    config = dict(model.get_config())
    for key in ("name", "net"):
        config.pop(key, None)
    return {
        "name": type(model).__name__,
        "augmentation": _plain(config.pop("augment", None)),
        "settings": _plain(config),
        "term_weights": {
            name: float(np.asarray(tf.convert_to_tensor(weight)))
            for name, weight in model.term_weights.items()
        },
    }


def _plain(value: Any) -> Any:
    """Values as JSON has them."""
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


def _of_model(rows: Rows, name: str, weights: str) -> list[Row]:
    """The rows of finished models that are of these weights."""
    where = os.fspath(rows) if isinstance(rows, (str, os.PathLike)) else "rows"
    given = result_rows.read(rows) if isinstance(rows, (str, os.PathLike)) else list(rows)
    if not all(isinstance(row, Row) for row in given):
        raise ValueError("rows must be result rows (tfrobust.rows.Row), or the path of a file")
    given = [row for row in given if row.epoch is None]

    def weights_of(row: Row) -> Any:
        found = (row.provenance or {}).get("model")
        return None if found == "unknown" else found

    own = [row for row in given if weights_of(row) == weights]
    if not own:
        named = [row for row in given if row.model == name]
        others = sorted({str(weights_of(row)) for row in named if weights_of(row) is not None})
        if others:
            raise ValueError(
                f"{where} must be of the model that is exported, with the weights {weights}; its "
                f"rows of {name!r} were measured with {', '.join(others)}"
            )
        own = named
    if not own:
        there = ", ".join(repr(one) for one in dict.fromkeys(row.model for row in given)) or "none"
        raise ValueError(
            f"{where} must hold rows of the model that is exported, by its weights {weights} or "
            f"its name {name!r}; it holds rows of {there}"
        )
    return own


def _numbers(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For each data set what was measured on it: means over the severities."""
    numbers = []
    # One model may stand in the rows under two names: then each is told by itself.
    for model, dataset in dict.fromkeys((row.model, row.dataset) for row in rows):
        here = [row for row in rows if (row.model, row.dataset) == (model, dataset)]
        found: dict[str, dict[Optional[float], Row]] = {}
        for row in here:
            if row.metric == "accuracy":
                before = found.setdefault(row.corruption, {}).setdefault(row.severity, row)
                if (before.value, before.n) != (row.value, row.n):
                    raise ValueError(
                        f"rows must hold one accuracy of {model!r} on {dataset} under "
                        f"{row.corruption} at severity {row.severity}; they hold {before.value:g} "
                        f"and {row.value:g}"
                    )
        clean = next(iter(found.pop(CLEAN, {}).values()), None)
        means = {
            name: {
                "accuracy": float(np.mean([row.value for row in by_severity.values()])),
                "severities": sorted(s for s in by_severity if s is not None),
            }
            for name, by_severity in found.items()
        }
        numbers.append(
            {
                "measured_as": model,
                "dataset": dataset,
                "images": here[0].n,
                "seed": here[0].seed,
                "same_weights": (here[0].provenance or {}).get("model") not in (None, "unknown"),
                "protocol": _plain(dict(here[0].protocol or {})),
                "clean_accuracy": None if clean is None else clean.value,
                "robust_accuracy": _robust_accuracy(here, means),
                "corruptions": means,
            }
        )
    return numbers


def _robust_accuracy(rows: Sequence[Row], means: Mapping[str, Any]) -> Optional[float]:
    """Of the 15 corruptions at all severities; None where one is missing."""
    for row in rows:
        if (row.metric, row.corruption) == ("robust_accuracy", _GROUP):
            return row.value
    whole = list(range(1, _SEVERITIES + 1))
    if any(means.get(name, {}).get("severities") != whole for name in TEST_CORRUPTIONS):
        return None
    return float(np.mean([means[name]["accuracy"] for name in TEST_CORRUPTIONS]))


# As Markdown -----------------------------------------------------------------------------------


def _measured_lines(measured: Mapping[str, Any]) -> list[str]:
    checked = "" if measured["same_weights"] else "; the rows do not say with which weights"
    lines = [
        f"On {_text(measured['dataset'])}: {measured['images']:,} images, seed "
        f"{measured['seed']}, as {_text(measured['measured_as'])}{checked}.",
        "",
        "| images | accuracy, mean over the severities | severities |",
        "|---|---|---|",
        f"| clean | {_percent(measured['clean_accuracy'])} | |",
        f"| 15 common corruptions | {_percent(measured['robust_accuracy'])} | 1 to 5 |",
    ]
    for name, one in measured["corruptions"].items():
        severities = ", ".join(f"{severity:.4g}" for severity in one["severities"])
        lines.append(f"| {_text(name)} | {_percent(one['accuracy'])} | {severities} |")
    return [*lines, ""]


def _percent(share: Optional[float]) -> str:
    return NOT_MEASURED if share is None else f"{100 * share:.2f}%"


def _told(value: Any) -> str:
    """Settings on one line: of a layer its class and what it was made with."""
    if isinstance(value, Mapping):
        if {"class_name", "config"} <= set(value):
            config = value["config"] if isinstance(value["config"], Mapping) else {}
            inner = [f"{k}={_told(v)}" for k, v in config.items() if k not in _NOISE]
            return f"{value['class_name']}({', '.join(inner)})"
        return ", ".join(f"{key}={_told(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return f"[{', '.join(map(_told, value))}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else str(value)


def _text(value: str) -> str:
    """Text on one line that Markdown prints as it is."""
    line = " ".join(value.split())
    line = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    line = re.sub(r"[\\`*\[\]<>|&~#!$]", r"\\\g<0>", line)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", line)
