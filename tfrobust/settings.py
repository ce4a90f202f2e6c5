"""The settings of recipes: name, default, help and kind of each, for Python and the command line.

A setting is a field of a frozen dataclass, made by `options.option`. The command line builds its
parsers from these classes, so nothing here imports TensorFlow.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, ClassVar, Optional, TypeVar

from tfrobust import plans, validation
from tfrobust.options import assignment, literal, number, option, positive, read_budget, whole
from tfrobust.registries import AUGMENTS, DATASETS, METHODS, NETS, STRATEGIES, TUNERS

R = TypeVar("R", bound="Recipe")

#: After which trainings the moving statistics of batch norm are estimated anew.
ESTIMATE_BATCH_NORM = ("alternation", "always", "never")


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
            if isinstance(value, os.PathLike):  # as text, for settings.json
                object.__setattr__(self, field.name, os.fspath(value))
                continue
            if isinstance(value, str) and isinstance(field.default, tuple):  # one of several
                object.__setattr__(self, field.name, (value,) if value else ())
                continue
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
class DataOptions(DataFolder):
    """Where the data are, and which of them are taken."""

    data_options: Mapping[str, Any] = option(
        {},
        "an option of the data set, such as severity=5",
        "--data-option",
        type=assignment(literal),
    )
    limit: Optional[int] = option(
        None,
        "take at most N images of each split: a sample of all classes, always the same",
        type=whole(1),
        metavar="N",
    )


@dataclasses.dataclass(frozen=True)
class DataRecipe(DataOptions, Recipe):
    """The settings of whatever takes a data set; see `datasets.load`."""

    dataset: str = option(
        "digits",
        "name of the data set; see `tfrobust datasets`",
        choices=list(DATASETS),
        metavar="NAME",
    )


#: What a method trains with by default: augmentations, or none of its own. Others: "combined".
_MADE_FOR: dict[str, tuple[str, ...]] = {
    "augmix_training": ("augmix",),
    "noisymix": ("augmix",),
    **dict.fromkeys(("baseline", "adversarial_training", "feature_contrastive"), ()),
    **dict.fromkeys(("augmax", "augmix_pgdat", "advmix", "advmax"), ()),  # AugMix as their attack
}


@dataclasses.dataclass(frozen=True)
class TrainingRecipe(DataRecipe):
    """The settings of a training with a method. What depends on other settings becomes known here:
    epochs, batch size, optimizer and learning rate by the plan, augmentations by the method."""

    #: Defaults without a plan: epochs, and the learning rates of SGD and of other optimizers.
    _usual: ClassVar[tuple[int, float, float]] = (6, 0.005, 1e-4)

    method: str = option(
        "feature_map_augmentation",
        "name of the method; see `tfrobust list methods`",
        choices=list(METHODS),
    )
    augment: tuple[str, ...] = option(
        (),
        "combined (alternating Combined+ and Combined-), a name from Table 1 (B+ B- GB GN SAP "
        f"S+ S-), one of: {', '.join(AUGMENTS)}, or an attack such as fgsm; optionally with a "
        "strength (jpeg=10), a range to draw it from (rotation=0,45) and further arguments "
        "(gaussian_blur=2,kernel_size=5); of several, each image gets one; default: augmix for "
        "augmix_training and noisymix, combined for augmentation_training, stability_training and "
        "feature_map_augmentation, else none, or the method's own",
    )
    strengths: Optional[str] = option(
        None, "file of calibrated strengths; default: Table 1 for CIFAR-10"
    )
    settings: Mapping[str, Any] = option(
        {},
        "a setting of the method (gamma=0.1, mixing_points=0,1), of its attack (attack.steps=5), "
        "of the optimizer (optimizer.momentum=0.8), or of the net that is trained from scratch "
        "(net.dropout=0.1); a wrong name is answered with those that there are",
        "--set",
        type=assignment(literal),
    )
    epochs: int = option(None, "number of epochs; default: the plan's, else 6", type=whole(1))
    batch_size: int = option(None, "global batch size; default: the plan's, else 64", type=whole(1))
    learning_rate: float = option(
        None,
        "initial learning rate, for the global batch size, whatever the number of devices; "
        "default: the plan's, else 0.005, and 0.0001 for optimizers other than SGD: a tenth of "
        "what training from scratch takes",
        type=positive,
    )
    optimizer: str = option(
        None,
        "default: the plan's, else SGD with momentum 0.9",
        choices=list(plans.OPTIMIZERS),
    )
    plan: Optional[str] = option(
        None,
        f"a paper's optimizer, learning rates, epochs and batch size: {', '.join(plans.PLANS)}; "
        "another number of epochs stretches it",
        choices=list(plans.PLANS),
        metavar="NAME",
    )
    schedule: tuple[str, ...] = option(
        (),
        "how the learning rate falls: cosine (to 0), constant, or factors from an epoch on, such "
        "as 30=0.1 60=0.01; default: the plan's, else cosine",
        metavar="FORM",
    )
    warm_up: Optional[float] = option(
        None,
        "number of epochs in which the learning rate rises from 0; default: the plan's, else 0",
        type=number,
        metavar="EPOCHS",
    )
    estimate_batch_norm: str = option(
        "alternation",
        "after which trainings the moving statistics of batch norm are estimated anew: those with "
        "an alternating augmentation such as combined, always, or never",
        choices=list(ESTIMATE_BATCH_NORM),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        epochs, sgd_rate, rate = self._usual
        plan = None if self.plan is None else plans.PLANS[self.plan]
        own: dict[str, Any] = {"epochs": epochs, "batch_size": 64, "optimizer": "sgd"}
        if plan is not None:
            own["batch_size"] = plan.batch_size or 64
            own.update(epochs=plan.epochs, optimizer="sgd" if plan.momentum else "adam")
        for name, value in own.items():
            self._resolve(name, value)
        if plan is None:
            self._resolve("learning_rate", sgd_rate if self.optimizer == "sgd" else rate)
        else:
            self._resolve("learning_rate", plan.rate_for(self.batch_size))
        if not self.augment:
            object.__setattr__(self, "augment", _MADE_FOR.get(self.method, ("combined",)))
        self.optimizer_plan()  # an error in its parts comes at once

    def _resolve(self, name: str, value: Any) -> None:
        if getattr(self, name) is None:
            object.__setattr__(self, name, value)

    def optimizer_plan(self) -> plans.Plan:
        """Learning rate, schedule and momentum as one plan.

        Raises:
            ValueError: The schedule or the warm-up is none.
        """
        return plans.put_together(
            self.plan,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            warm_up=self.warm_up,
        )


def _momentum(value: Any) -> float:
    """A momentum of a moving average."""
    try:
        return validation.check_between("it", number(value), 0, 1)
    except ValueError:
        raise ValueError(f"must be a number between 0 and 1; received {value!r}") from None


@dataclasses.dataclass(frozen=True)
class AveragedRecipe(Recipe):
    """The settings of a training that may end with averages of the weights."""

    ema: Optional[float] = option(
        None,
        "momentum of the optimizer's moving average of the weights, which is validated and kept in "
        "their place, such as 0.99; batch norm is then estimated anew; default: no average",
        type=_momentum,
        metavar="MOMENTUM",
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
class Train(DistributedRecipe, AveragedRecipe, TrainingRecipe):
    """Trains a net from scratch, on clean images unless a method is named."""

    _usual: ClassVar[tuple[int, float, float]] = (12, 0.05, 1e-3)

    net: str = option("small_cnn", "name of the net; see `tfrobust list nets`", choices=list(NETS))
    norm: Optional[str] = option(
        None,
        "normalization of the net: bn (batch norm), ibn (instance and batch norm), and for AugMax "
        "dubn or dubin, which keep apart what clean and adversarial images are normalised by; "
        "default: the net's",
        choices=["bn", "ibn", "dubn", "dubin"],
    )
    weight_decay: Optional[float] = option(
        None,
        "factor of the squared weights in the loss, or of AdamW's decay; default: the plan's, "
        "else 0",
        type=number,
    )
    method: str = option(
        "baseline",
        "name of the method; see `tfrobust list methods`",
        choices=list(METHODS),
    )
    epochs: int = option(None, "number of epochs; default: the plan's, else 12", type=whole(1))
    learning_rate: float = option(
        None,
        "initial learning rate, for the global batch size, whatever the number of devices; "
        "default: the plan's, else 0.05, and 0.001 for optimizers other than SGD",
        type=positive,
    )
    mixed_precision: bool = option(
        False,
        "compute in bfloat16 where the device gains by it (GPUs from compute capability 8.0 on, "
        "TPUs)",
    )


@dataclasses.dataclass(frozen=True)
class MethodRecipe(ModelInput, TrainingRecipe):
    """The settings of a finetuning with a method."""

    model: str = option("", "a .keras file", "model")


@dataclasses.dataclass(frozen=True)
class Finetune(DistributedRecipe, AveragedRecipe, MethodRecipe):
    """Finetunes a trained model with a method."""

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
    conditions: tuple[str, ...] = option(
        ("table_1",),
        "robust accuracy is the mean over these: table_1 (and its combinations), held_out (the "
        "four held-out corruptions of the benchmark at severity 3), and augmentations as for "
        "--augment",
    )
    table: Optional[int] = option(
        None,
        "severity table of held_out for images of another size",
        type=whole(1),
        choices=[32, 64, 224],
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
