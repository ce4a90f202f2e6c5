"""The papers' learning-rate schedules."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional, Union

import keras
import tensorflow as tf

from tfrobust import validation


@dataclasses.dataclass(frozen=True)
class Plan:
    """Optimizer settings of a paper.

    Args:
        source: Paper and section.
        form: "constant", "steps" (drops at some epochs), "exponential" (drops after each epoch),
            "cosine_per_step" or "cosine_per_epoch" (half a cosine).
        learning_rate: Initial learning rate, or that after the warm-up.
        epochs: Number of epochs.
        batch_size: Images per step; None if the paper does not give it.
        per_256: Whether the learning rate is for 256 images per step and scales with their number.
        falls: For "steps": pairs of (epochs done, factor of the learning rate from then on).
        factor: For "exponential": factor of the learning rate after each epoch.
        final: For "cosine_...": final learning rate.
        warm_up: Number of epochs in which the learning rate rises linearly from 0.
        momentum: Momentum of SGD; None for Adam.
        nesterov: Whether to use Nesterov momentum.
        weight_decay: Weight decay, an argument of the nets; None if the paper does not give it.
    """

    source: str
    form: str
    learning_rate: float
    epochs: int
    batch_size: Optional[int]
    per_256: bool = False
    falls: tuple[tuple[int, float], ...] = ()
    factor: float = 1.0
    final: float = 0.0
    warm_up: int = 0
    momentum: Optional[float] = 0.9
    nesterov: bool = False
    weight_decay: Optional[float] = None


_THIRDS = ((30, 0.1), (60, 0.01))

#: The plans by name. Where a paper says "momentum" without a number, it is 0.9.
PLANS: dict[str, Plan] = {
    "fma_baseline": Plan(
        "FMA, section 4.1: VGG-16 on clean images, before finetuning",
        "steps", 1e-2, 40, None, falls=((20, 1e-2), (30, 1e-4)),
    ),
    "stability_training": Plan(
        "stability training, section 4.2: the baseline; finetuning is the same for 10 epochs",
        "constant", 0.01, 30, 128, nesterov=True,
    ),
    "augmix_cifar": Plan(
        "AugMix, cifar.py: WRN-40-2 and AllConv; the other nets are trained for 200 epochs",
        "cosine_per_step", 0.1, 100, 128, final=1e-6, nesterov=True, weight_decay=5e-4,
    ),
    "augmix_imagenet": Plan(
        "AugMix, imagenet.py", "steps", 0.1, 90, 256, per_256=True, falls=_THIRDS,
        weight_decay=1e-4,
    ),
    "noisymix_cifar": Plan(
        "NoisyMix, cifar.py",
        "cosine_per_step", 0.1, 200, 128, final=1e-6, nesterov=True, weight_decay=5e-4,
    ),
    "noisymix_imagenet": Plan(
        "NoisyMix, imagenet.py: its defaults; the paper prints none",
        "cosine_per_step", 0.1, 200, 256, final=1e-6, nesterov=True, weight_decay=1e-4,
    ),
    "noisymix_transfer": Plan(
        "NoisyMix, transfer_learning/parameters.csv: CIFAR, all layers",
        "steps", 0.001, 150, 64, falls=((50, 0.1), (100, 0.01)), weight_decay=5e-4,
    ),
    "noisymix_toy": Plan(
        "NoisyMix, appendix A; learning rate and batch size are ours",
        "constant", 0.01, 100, 50, momentum=None,
    ),
    "augmax_cifar": Plan(
        "AugMax, Implementation Details, and the released code",
        "cosine_per_epoch", 0.1, 200, 256,
        weight_decay=5e-4,
    ),
    "augmax_tiny_imagenet": Plan(
        "AugMax, Implementation Details, and the released code",
        "steps", 0.1, 200, 256, per_256=True,
        falls=((100, 0.1), (150, 0.01)), weight_decay=5e-4,
    ),
    "augmax_imagenet": Plan(
        "AugMax, Implementation Details, and the released code",
        "steps", 0.1, 90, 256, per_256=True,
        falls=_THIRDS, weight_decay=1e-4,
    ),
    "fcl_mnist": Plan(
        "FCL, section 4.1", "exponential", 0.01, 20, None, factor=0.89, momentum=None
    ),
    "fcl_cifar": Plan(
        "FCL, appendix B", "steps", 1.0, 450, 1024,
        falls=((200, 0.1), (300, 0.01), (400, 0.001)), warm_up=15, nesterov=True,
    ),
    "fcl_imagenet": Plan(
        "FCL, appendix B", "steps", 0.8, 90, 1024,
        falls=((30, 0.1), (60, 0.01), (80, 0.001)), warm_up=5,
    ),
}  # fmt: skip


def learning_rate_plan(
    name: str,
    *,
    steps_per_epoch: int,
    epochs: Optional[int] = None,
    batch_size: Optional[int] = None,
) -> Union[float, keras.optimizers.schedules.LearningRateSchedule]:
    """Creates the learning-rate schedule of a paper.

    A different number of epochs stretches the plan in proportion. A new learning rate holds from
    the first step of its epoch.

    Args:
        name: One of `PLANS`.
        steps_per_epoch: Number of steps in an epoch.
        epochs: Number of epochs. Default: the paper's.
        batch_size: Images per step over all replicas. Default: the paper's. It matters only if the
            paper's learning rate is for 256 images.

    Returns:
        A schedule, which is saved with a compiled model, or a number for a constant learning rate.

    Raises:
        ValueError: The plan is unknown, or a number is out of range.

    Example:

    >>> rate = learning_rate_plan("fcl_mnist", steps_per_epoch=100)
    >>> [round(float(rate(step)), 6) for step in (0, 99, 100, 200)]
    [0.01, 0.01, 0.0089, 0.007921]
    """
    validation.check_choice("name of a plan", name, tuple(PLANS))
    plan = PLANS[name]
    per_epoch = validation.check_whole("steps_per_epoch", steps_per_epoch, 1, 2**31 - 1)
    epochs = validation.check_whole("epochs", plan.epochs if epochs is None else epochs, 1, 10**6)
    rate = plan.learning_rate
    if batch_size is not None:
        validation.check_whole("batch_size", batch_size, 1, 2**31 - 1)
    if plan.per_256:
        rate *= (batch_size or plan.batch_size or 256) / 256
    schedules = keras.optimizers.schedules
    if plan.form == "constant":
        return rate
    if plan.form == "cosine_per_step":
        return schedules.CosineDecay(rate, epochs * per_epoch, alpha=plan.final / rate)
    if plan.form == "cosine_per_epoch":
        return PerEpoch(schedules.CosineDecay(rate, epochs, alpha=plan.final / rate), per_epoch)
    stretch = epochs * per_epoch / plan.epochs  # steps per epoch of the paper
    if plan.form == "exponential":
        return schedules.ExponentialDecay(rate, stretch, plan.factor, staircase=True)
    # Keras' boundaries are the last steps of the old learning rate.
    ends = [max(1, round(epoch * stretch)) - 1 for epoch, _ in plan.falls]
    steps = schedules.PiecewiseConstantDecay(ends, [rate, *(rate * f for _, f in plan.falls)])
    return LinearWarmUp(steps, max(1, round(plan.warm_up * stretch))) if plan.warm_up else steps


def plan_optimizer(name: str, **arguments: Any) -> keras.optimizers.Optimizer:
    """Creates the optimizer of a paper with its `learning_rate_plan`.

    Args:
        name: One of `PLANS`.
        **arguments: Arguments of `learning_rate_plan`.

    Returns:
        SGD or Adam, without weight decay, which is an argument of the nets.

    Example:

    >>> plan_optimizer("stability_training", steps_per_epoch=100).nesterov
    True
    """
    rate = learning_rate_plan(name, **arguments)
    plan = PLANS[name]
    if plan.momentum is None:
        return keras.optimizers.Adam(rate)
    return keras.optimizers.SGD(rate, momentum=plan.momentum, nesterov=plan.nesterov)


@keras.saving.register_keras_serializable(package="tfrobust")
class PerEpoch(keras.optimizers.schedules.LearningRateSchedule):
    """Schedule that is constant within each epoch.

    Args:
        schedule: Maps the number of epochs done to the learning rate.
        steps_per_epoch: Number of steps in an epoch.

    Example:

    >>> halves = keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)
    >>> [float(PerEpoch(halves, 3)(step)) for step in range(5)]
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    def __init__(self, schedule: Any, steps_per_epoch: int):
        super().__init__()
        self.schedule = schedule
        self.steps_per_epoch = validation.check_whole(
            "steps_per_epoch", steps_per_epoch, 1, 2**31 - 1
        )

    def __call__(self, step: Any) -> Any:
        return self.schedule(tf.cast(step, tf.int64) // self.steps_per_epoch)

    def get_config(self) -> dict[str, Any]:
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "steps_per_epoch": self.steps_per_epoch}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PerEpoch:
        return cls(_deserialize(config["schedule"]), config["steps_per_epoch"])


@keras.saving.register_keras_serializable(package="tfrobust")
class LinearWarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Schedule with a linear warm-up from 0: rate · min(1, step / steps).

    Args:
        schedule: Maps the number of steps done to the learning rate.
        steps: Number of warm-up steps.

    Example:

    >>> constant = keras.optimizers.schedules.ExponentialDecay(0.8, 1, 1.0)
    >>> [round(float(LinearWarmUp(constant, 4)(step)), 3) for step in range(6)]
    [0.0, 0.2, 0.4, 0.6, 0.8, 0.8]
    """

    def __init__(self, schedule: Any, steps: int):
        super().__init__()
        self.schedule = schedule
        self.steps = validation.check_whole("steps", steps, 1, 2**31 - 1)

    def __call__(self, step: Any) -> Any:
        progress = tf.minimum(tf.cast(step, tf.float32) / float(self.steps), 1.0)
        return progress * tf.cast(self.schedule(step), tf.float32)

    def get_config(self) -> dict[str, Any]:
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "steps": self.steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LinearWarmUp:
        return cls(_deserialize(config["schedule"]), config["steps"])


def _deserialize(schedule: Any) -> Any:
    # Some of Keras' loaders deserialize nested objects before they call from_config, others do not.
    if isinstance(schedule, dict):
        return keras.saving.deserialize_keras_object(schedule)
    return schedule
