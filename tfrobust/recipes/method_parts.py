"""What a recipe names: the method, what it trains with, its net and its optimizer."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import keras

from tfrobust import datasets, files, methods, plans, signatures, trainer, validation
from tfrobust.attacks import naming
from tfrobust.attacks.base import Attack
from tfrobust.augment import naming as augment_naming
from tfrobust.augment import presets
from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.evaluation import strength
from tfrobust.methods.base import RobustModel
from tfrobust.registries import METHODS, NETS
from tfrobust.settings import TrainingRecipe

#: What a setting with a dot belongs to; one without belongs to the method.
_OWNERS = ("attack", "optimizer", "net")


class MethodParts:
    """The parts of a training that a recipe names, checked before time is spent.

    Args:
        recipe: The settings.

    Attributes:
        individual: The seven augmentations of Table 1 at the recipe's strengths.

    Raises:
        ValueError: A name is unknown, or a setting is, or has a value of another type.
    """

    def __init__(self, recipe: TrainingRecipe):
        self.recipe = recipe
        self.individual = individual_augmentations(recipe.strengths)
        self.augment()
        self._own = split(recipe.settings)
        net = getattr(recipe, "net", None)
        if self._own["net"] and net is None:
            raise ValueError(
                f"net.{next(iter(self._own['net']))} is a setting of nets that are trained from "
                "scratch; the net of a model that is there has its own"
            )
        check_settings(recipe.method, recipe.settings)
        options = {**self._own["net"], **self._given("norm")}
        if recipe.optimizer != "adamw":  # which has a weight decay of its own
            options.update(self._given("weight_decay"))
        if net is not None:
            decay = plans.PLANS[recipe.plan].weight_decay if recipe.plan else None
            if decay is not None and "weight_decay" in signatures.options_of(NETS[net]):
                options = {"weight_decay": decay, **options}
            options = signatures.checked(net, NETS[net], options)
        self._net_options = options
        self._optimizer_options = self._check_optimizer()

    @property
    def described(self) -> str:
        """The method and what it trains with, in words."""
        taken = inspect.signature(METHODS[self.recipe.method].__init__).parameters
        given = self.recipe.augment if {"augment", "attack"} & set(taken) else ()
        return self.recipe.method + (f" with {', '.join(given)}" if given else "")

    def net(self, image_shape: Sequence[int], classes: int) -> keras.Model:
        """A new net for images of that shape."""
        made: keras.Model = NETS[self.recipe.net](  # type: ignore[attr-defined]
            image_shape, classes, **self._net_options
        )
        return made

    def augment(self) -> Union[Augment, Attack, None]:
        """What the method trains with, made anew."""
        return naming.one_of(self.recipe.augment, self.individual, seed=self.recipe.seed)

    def method(self, net: keras.Model) -> RobustModel:
        """The method on a net."""
        return build_method(self.recipe.method, net, self.augment(), self.recipe.settings)

    def optimizer(
        self, data: datasets.Data, epochs: Optional[int] = None
    ) -> keras.optimizers.Optimizer:
        """The optimizer for a training on these data, made anew."""
        rate = methods.learning_rate_plan(
            self.recipe.optimizer_plan(),
            steps_per_epoch=data.steps,
            epochs=epochs or self.recipe.epochs,
        )
        kind = getattr(keras.optimizers, plans.OPTIMIZERS[self.recipe.optimizer])
        average = trainer.averaging(getattr(self.recipe, "ema", None))
        return kind(rate, **{**self._optimizer_options, **average})

    def optimizer_words(self, data: datasets.Data) -> str:
        """Optimizer and learning rate, in words."""
        recipe = self.recipe
        more = [f"plan {recipe.plan}"] * (recipe.plan is not None)
        more += [" ".join(recipe.schedule)] * bool(recipe.schedule)
        name = plans.OPTIMIZERS[recipe.optimizer]
        return ", ".join([name, *more, f"learning rate {recipe.learning_rate:g}"])

    def _given(self, name: str) -> dict[str, Any]:
        value = getattr(self.recipe, name, None)
        return {} if value is None else {name: value}

    def _check_optimizer(self) -> dict[str, Any]:
        name, plan = self.recipe.optimizer, self.recipe.optimizer_plan()
        kind = getattr(keras.optimizers, plans.OPTIMIZERS[name])
        validation.check_between("learning_rate", self.recipe.learning_rate, 0, 100)
        if "learning_rate" in self._own["optimizer"]:
            raise ValueError("the learning rate is --learning-rate; received it as a setting")
        options = {"momentum": plan.momentum, "nesterov": plan.nesterov} if name == "sgd" else {}
        if name == "adamw":
            options.update(self._given("weight_decay"))
        own = signatures.checked(name, kind, self._own["optimizer"])
        words = [key for key, value in own.items() if isinstance(value, str)]
        if words:
            raise ValueError(f"{words[0]} of {name} must be a number; received {own[words[0]]!r}")
        return {**options, **own}


def split(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings by what they belong to: "method", "attack", "optimizer" or "net".

    Raises:
        ValueError: There is no such owner.

    Example:

    >>> split({"gamma": 0.1, "net.norm": "dubin"})["net"]
    {'norm': 'dubin'}
    """
    found: dict[str, dict[str, Any]] = {owner: {} for owner in ("method", *_OWNERS)}
    for name, value in settings.items():
        owner, dot, own = name.rpartition(".")
        if dot and owner not in _OWNERS:
            raise ValueError(
                f"a setting belongs to the method, or to its {', '.join(_OWNERS)}; received "
                f"{name}{validation.nearest(owner, _OWNERS)} (arguments of an augmentation come "
                "with its name: gaussian_blur=2,kernel_size=5)"
            )
        found[owner if dot else "method"][own] = value
    return found


def individual_augmentations(strengths: Optional[files.PathLike]) -> dict[str, StrengthAugment]:
    """The seven augmentations at calibrated strengths, or at those of Table 1."""
    if strengths is None:
        return presets.table_1("cifar10")
    return strength.augmentations_at(strength.read(strengths))


def check_settings(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a method and its attack, of the types that their signatures demand.

    Raises:
        ValueError: One is unknown, or has a value of another type.
    """
    own = split(settings)
    found = signatures.checked(method, METHODS[method], own["method"])
    if own["attack"] and not hasattr(METHODS[method], "default_attack"):
        raise ValueError(f"{method} has no attack; received attack.{next(iter(own['attack']))}")
    return found


def build_method(
    name: str,
    net: keras.Model,
    augment: Union[Augment, Attack, None],
    settings: Mapping[str, Any],
) -> RobustModel:
    """Builds a method on a net.

    Args:
        name: One of `METHODS`.
        net: The net.
        augment: What it trains with; None for the method's default. A method without one ignores
            it. A method with an attack takes an attack as that.
        settings: Its settings, and those of its attack as "attack.NAME".

    Raises:
        ValueError: A setting is unknown or out of range.
    """
    method, own = METHODS[name], split(settings)
    given = check_settings(name, settings)
    parameters = inspect.signature(method.__init__).parameters
    if isinstance(augment, Attack) and "attack" in parameters:
        given["attack"] = augment
    elif augment is not None and "augment" in parameters:
        given["augment"] = augment
    if own["attack"]:
        attack = given.get("attack") or method.default_attack(given.get("seed", 0))
        called = type(attack).__name__
        given["attack"] = augment_naming.with_arguments(attack, called, own["attack"])
    model: RobustModel = method(net, **given)
    return model
