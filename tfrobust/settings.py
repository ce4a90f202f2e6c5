"""The settings of recipes: name, default, help and kind of each, for Python and the command line.

A setting is a field of a frozen dataclass, made by `option`. The command line builds its parsers
from these classes, so nothing here imports TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Optional, TypeVar

from tfrobust import validation
from tfrobust.registries import AUGMENTS, DATASETS, METHODS, NETS, STRATEGIES, TUNERS

R = TypeVar("R", bound="Recipe")

#: After which trainings the moving statistics of batch norm are estimated anew.
ESTIMATE_BATCH_NORM = ("alternation", "always", "never")


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


def number_or_text(text: str) -> Any:
    """A whole number or else a fraction if the text spells one; else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def number_or_switch(text: str) -> Any:
    """A number, or true or false."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        raise ValueError("takes a number, true or false") from None


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


# Recipes --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All settings of one run; subclasses define them with their defaults.

    Raises:
        ValueError: A value is none of the choices, or a number out of range.
    """

    seed: int = option(
        0, "seed of the initial weights, the shuffling and the augmentations", type=whole(0)
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            kind, value = field.metadata.get("kind", {}), getattr(self, field.name)
            if value is None or isinstance(value, (tuple, list, Mapping)):
                continue
            if "choices" in kind:
                validation.check_choice(field.name, value, tuple(kind["choices"]))
            elif "type" in kind and isinstance(value, str):  # which only the command line reads
                raise ValueError(f"{field.name} must be a number; received {value!r}")
            elif "type" in kind:
                try:
                    kind["type"](value)
                except ValueError as error:
                    raise ValueError(f"{field.name} {error}") from None

    def replace(self: R, **overrides: Any) -> R:
        """A copy with some settings replaced.

        Raises:
            ValueError: There is no such setting; the message lists the valid ones.
        """
        names = sorted(field.name for field in dataclasses.fields(self))
        validation.check_known(type(self).__name__, "setting", overrides, names)
        return dataclasses.replace(self, **overrides)


#: The names in `nets.INPUT_RANGES`, which import TensorFlow.
INPUT_RANGE_NAMES = ("0_to_1", "0_to_255", "minus_1_to_1", "imagenet", "caffe")


@dataclasses.dataclass(frozen=True)
class ModelInput:
    """What a model takes."""

    input_range: Optional[str] = option(
        None,
        "what the model takes for pixels: 0_to_1, 0_to_255, minus_1_to_1, imagenet (standardised "
        "by its mean and deviation) or caffe (BGR less the mean); default: what the model says, "
        "else what it does best with",
        choices=list(INPUT_RANGE_NAMES),
        metavar="RANGE",
    )


@dataclasses.dataclass(frozen=True)
class DataFolder:
    """Where the data are."""

    data_dir: Optional[str] = option(
        None,
        "folder of TensorFlow Datasets, or of the data set's own files; default: from "
        "TFDS_DATA_DIR and TFROBUST_DATA_DIR",
        metavar="FOLDER",
    )


@dataclasses.dataclass(frozen=True)
class DataRecipe(DataFolder, Recipe):
    """The settings of whatever takes a data set; see `datasets.load`."""

    dataset: str = option(
        "digits",
        "name of the data set; see `tfrobust datasets`",
        choices=list(DATASETS),
        metavar="NAME",
    )
    data_options: Mapping[str, Any] = option(
        {},
        "an option of the data set, such as severity=5",
        "--data-option",
        type=assignment(number_or_text),
    )


@dataclasses.dataclass(frozen=True)
class TrainingRecipe(DataRecipe):
    """The settings of a training by SGD with momentum 0.9 and cosine decay of the learning rate."""

    epochs: int = option(6, "number of epochs", type=whole(1))
    batch_size: int = option(64, "global batch size", type=whole(1))
    learning_rate: float = option(
        0.05,
        "initial learning rate, for the global batch size, whatever the number of devices",
        type=positive,
    )
    estimate_batch_norm: str = option(
        "alternation",
        "after which trainings the moving statistics of batch norm are estimated anew: those with "
        "an alternating augmentation such as combined, always, or never",
        choices=list(ESTIMATE_BATCH_NORM),
    )


@dataclasses.dataclass(frozen=True)
class DistributedRecipe(Recipe):
    """The settings of what runs on several devices; see `devices.strategy`."""

    strategy: str = option(
        "none",
        "one device, all GPUs of this machine (mirrored), several machines named in TF_CONFIG "
        "(multiworker), or a TPU",
        choices=list(STRATEGIES),
    )


@dataclasses.dataclass(frozen=True)
class Train(DistributedRecipe, TrainingRecipe):
    """Trains a net on clean images.

    SGD with momentum 0.9 and cosine decay of the learning rate to 0.
    """

    net: str = option("small_cnn", "name of the net; see `tfrobust list nets`", choices=list(NETS))
    epochs: int = option(12, "number of epochs", type=whole(1))


@dataclasses.dataclass(frozen=True)
class MethodRecipe(ModelInput, TrainingRecipe):
    """The settings of a finetuning with a method."""

    model: str = option("", "a .keras file", "model")
    method: str = option(
        "feature_map_augmentation",
        "name of the method; see `tfrobust list methods`",
        choices=list(METHODS),
    )
    augment: str = option(
        "",
        "combined (alternating Combined+ and Combined-), a name from Table 1 (B+ B- GB GN SAP "
        f"S+ S-), fgsm, or one of: {', '.join(AUGMENTS)}; optionally with a strength: jpeg=10; "
        "default: augmix for augmix_training and noisymix, else combined",
    )
    learning_rate: float = option(
        0.005,
        "initial learning rate, for the global batch size; the default is a tenth of that for "
        "training from scratch",
        type=positive,
    )
    strengths: Optional[str] = option(
        None, "file of calibrated strengths; default: Table 1 for CIFAR-10"
    )
    settings: Mapping[str, Any] = option(
        {},
        "a setting of the method, such as gamma=0.1",
        "--set",
        type=assignment(number_or_switch),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.augment:
            made_for = "augmix" if self.method in ("augmix_training", "noisymix") else "combined"
            object.__setattr__(self, "augment", made_for)


@dataclasses.dataclass(frozen=True)
class Finetune(DistributedRecipe, MethodRecipe):
    """Finetunes a trained model with a method.

    SGD with momentum 0.9 and cosine decay of the learning rate to 0.
    """

    new_head: bool = option(
        False,
        "replace the last layer by one for the classes of the data; it is trained first, on clean "
        "images and with all other layers frozen",
    )
    head_epochs: int = option(5, "epochs of that training", type=whole(1))
    clean_drop: float = option(
        0.02,
        "maximum drop in clean accuracy on the validation images; of the epochs above it the one "
        "with the highest robust accuracy is kept, or the start model if none is better",
        type=number,
    )
    freeze: Optional[tuple[Any, ...]] = option(
        None,
        "keep the first layers as they are: a fraction of those with weights (0.8), or until and "
        "the name of a layer",
        nargs="+",
        metavar=("FRACTION", "LAYER"),
    )
    tune_first: Optional[float] = option(
        None, "train only this fraction of the layers with weights, the first ones", type=number
    )


@dataclasses.dataclass(frozen=True)
class Tune(MethodRecipe):
    """Finetunes a trained model many times and keeps the best; see `tuning.search`.

    Each trial equals `Finetune` with the same settings and seed, at its best epoch. It is scored
    before batch norm is estimated anew.
    """

    ranges: tuple[Any, ...] = option(  # of texts or of `tuning.Range`
        (),
        "search range, such as gamma=0.01,1,5,log, or strength=0.01,1,4,log for that of the "
        "augmentation; a name alone takes the papers' range; default: the papers' ranges for the "
        "method's weights",
        "--range",
        action="append",
        metavar="NAME[=START,END,POINTS[,log]]",
    )
    tuner: str = option("grid", "how values are chosen", choices=list(TUNERS))
    trials: Optional[int] = option(
        None,
        "maximum number of trials; default: the whole grid, all Hyperband brackets, else 10",
        type=whole(1),
    )
    conditions: str = option(
        "table_1",
        "robust accuracy is the mean over Table 1 and its combinations, or over the four held-out "
        "corruptions of the benchmark at severity 3",
        choices=["table_1", "held_out"],
    )
    clean_floor: Optional[float] = option(
        None, "minimum clean accuracy on the validation images, such as 0.95", type=number
    )
    clean_drop: Optional[float] = option(
        None,
        "maximum drop in clean accuracy from the initial model; default, without a floor: 0.02",
        type=number,
    )
    objective: Optional[str] = option(
        None, "rank by another logged metric instead, such as val_loss, without a floor"
    )


@dataclasses.dataclass(frozen=True)
class Robustify(ModelInput, DistributedRecipe):
    """How `robustify` looks for the most robust version of a model."""

    budget: str = option(
        "30m",
        "time (90s, 30m, 2h) or number of training steps (5000steps) for everything",
    )
    against: tuple[str, ...] = option(
        ("unknown",),
        "what the model must withstand: unknown, noise, blur, darkness, compression, geometry, "
        "attack, a name from Table 1, or an augmentation such as jpeg=20",
        metavar="THREAT",
    )
    strengths: Optional[str] = option(
        None, "file of calibrated strengths; default: Table 1 for CIFAR-10"
    )
    clean_drop: float = option(
        0.01, "maximum drop in clean accuracy on the validation images", type=number
    )
    plan: Optional[str] = option(
        None, "plan.json of an earlier run, to be carried out as it stands"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        read_budget(self.budget)
        validation.check_in_range("clean_drop", self.clean_drop, 0, 1)


@dataclasses.dataclass(frozen=True)
class RobustifyCommand(Robustify, DataRecipe):
    """Finds the most robust version of a trained model within a budget."""

    model: str = option("", "a .keras file", "model")
    batch_size: int = option(64, "global batch size", type=whole(1))
