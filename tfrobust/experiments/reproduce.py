"""Runs a published experiment by name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Optional

from tfrobust import files, rows, validation
from tfrobust.experiments.experiment import Experiment, ExperimentConfig
from tfrobust.registries import EXPERIMENTS


def reproduce(
    name: str,
    out: files.PathLike,
    *,
    setting: str = "small",
    numbers: Optional[Mapping[str, Any]] = None,
    say: Callable[[str], Any] = print,
    **overrides: Any,
) -> list[rows.Row]:
    """Trains and evaluates the models of a paper's table, and writes it with both results.

    The folder gets `rows.jsonl` (all results), `tables.md` (the paper's tables with our results
    beside the printed ones, and the differences between the models with intervals), the figures,
    the models, and in `measured` their predictions for each test image. A killed run is resumed;
    seeds and lines can be added later.

    Args:
        name: One of `EXPERIMENTS`.
        out: Output folder.
        setting: "full" (the paper's), "small" (for two CPU cores; the default) or "quick" (a
            minute or two, to see that it runs).
        numbers: Overrides of the experiment-specific `numbers`.
        say: Receives progress messages.
        **overrides: Overrides of fields of `ExperimentConfig`, such as `data_dir` and `seeds`, and
            `training_epochs` and `finetuning_epochs`, as for `resolved`; `net_options` are added to
            those of the setting.

    Returns:
        All rows, with the training seed in their `provenance`.

    Raises:
        ValueError: There is no such experiment, setting, field, number, line or data set.
        FileNotFoundError: The data or weights are missing.
        FileExistsError: `out` holds something else.
    """
    experiment: Experiment = EXPERIMENTS[name]()
    return experiment.run(resolved(experiment, setting, numbers, **overrides), out, say=say)


def resolved(
    experiment: Experiment,
    setting: str = "small",
    numbers: Optional[Mapping[str, Any]] = None,
    *,
    training_epochs: Optional[int] = None,
    finetuning_epochs: Optional[int] = None,
    **overrides: Any,
) -> ExperimentConfig:
    """A setting of an experiment with overrides applied.

    Args:
        experiment: The experiment.
        setting: "full", "small" or "quick".
        numbers: Overrides of the experiment-specific `numbers`.
        training_epochs: Epochs of trainings from scratch or pretrained weights. A plan of learning
            rates is stretched. Models with a schedule of their own keep it.
        finetuning_epochs: Epochs of trainings that start from another model of the table.
        **overrides: Overrides of fields of `ExperimentConfig`.

    Raises:
        ValueError: There is no such setting, field or number, or a value has the wrong type.
    """
    found = experiment.setting(setting)
    known = sorted(found.numbers)
    validation.check_known(type(experiment).__name__, "number", numbers or (), known)
    for name, epochs in (("training", training_epochs), ("finetuning", finetuning_epochs)):
        if epochs is not None:
            validation.check_whole(f"{name}_epochs", epochs, 1, 10**6)
            schedule = overrides.get(name, getattr(found, name))
            overrides[name] = dataclasses.replace(schedule, epochs=epochs)
    given = {name: _check_type(name, found.numbers[name], v) for name, v in (numbers or {}).items()}
    if "net_options" in overrides:
        overrides["net_options"] = {**found.net_options, **overrides["net_options"]}
    merged: ExperimentConfig = found.replace(**overrides, numbers={**found.numbers, **given})
    return merged


def _check_type(name: str, known: Any, value: Any) -> Any:
    """Checks that a value has the type of the default; a scalar may stand for a tuple."""
    if isinstance(known, tuple) and not isinstance(value, (tuple, list)):
        return (value,)
    kinds: list[tuple[Any, str]] = [
        ((int, float), "a number"),
        (Mapping, "a mapping"),
        (str, "text"),
    ]
    for kind, text in kinds:
        if isinstance(known, kind) and not isinstance(value, kind):
            raise ValueError(f"{name} must be {text}, such as {known!r}; received {value!r}")
    return value


def description(name: str, setting: Optional[ExperimentConfig] = None) -> str:
    """Describes an experiment: its docstring and the values of a setting.

    Args:
        name: One of `EXPERIMENTS`.
        setting: The setting; None for the small one.
    """
    experiment: Experiment = EXPERIMENTS[name]()
    chosen = setting or experiment.small
    lines = [inspect.getdoc(type(experiment)) or "", "", "ExperimentConfig:"]
    for field in dataclasses.fields(chosen):
        lines.append(f"  {field.name}: {getattr(chosen, field.name)}")
    return "\n".join(lines)
