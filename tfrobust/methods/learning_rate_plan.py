"""The papers' learning-rate schedules."""

from __future__ import annotations

from typing import Any, Optional, Union

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.plans import PLANS, Plan


def learning_rate_plan(
    name: Union[str, Plan],
    *,
    steps_per_epoch: int,
    epochs: Optional[int] = None,
    batch_size: Optional[int] = None,
) -> Union[float, keras.optimizers.schedules.LearningRateSchedule]:
    """Creates the learning-rate schedule of a paper.

    A different number of epochs stretches the plan in proportion. A new learning rate holds from
    the first step of its epoch.

    Args:
        name: One of `PLANS`, or a plan of your own.
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
    plan = _plan(name)
    per_epoch = validation.check_whole("steps_per_epoch", steps_per_epoch, 1, 2**31 - 1)
    epochs = validation.check_whole("epochs", plan.epochs if epochs is None else epochs, 1, 10**6)
    if batch_size is not None:
        validation.check_whole("batch_size", batch_size, 1, 2**31 - 1)
    rate = plan.rate_for(batch_size)
    stretch = epochs * per_epoch / plan.epochs  # steps per epoch of the paper
    found = _schedule(plan, rate, epochs, per_epoch, stretch)
    return LinearWarmUp(found, max(1, round(plan.warm_up * stretch))) if plan.warm_up else found


def _schedule(plan: Plan, rate: float, epochs: int, per_epoch: int, stretch: float) -> Any:
    """The schedule of a plan without its warm-up."""
    schedules = keras.optimizers.schedules
    if plan.form == "constant":
        return schedules.ExponentialDecay(rate, 1, 1.0) if plan.warm_up else rate
    if plan.form == "cosine_per_step":
        return schedules.CosineDecay(rate, epochs * per_epoch, alpha=plan.final / rate)
    if plan.form == "cosine_per_epoch":
        return PerEpoch(schedules.CosineDecay(rate, epochs, alpha=plan.final / rate), per_epoch)
    if plan.form == "exponential":
        return schedules.ExponentialDecay(rate, stretch, plan.factor, staircase=True)
    # Keras' boundaries are the last steps of the old learning rate.
    ends = [max(1, round(epoch * stretch)) - 1 for epoch, _ in plan.falls]
    return schedules.PiecewiseConstantDecay(ends, [rate, *(rate * f for _, f in plan.falls)])


def _plan(name: Union[str, Plan]) -> Plan:
    if isinstance(name, Plan):
        return name
    validation.check_choice("name of a plan", name, tuple(PLANS))
    return PLANS[name]


def plan_optimizer(name: Union[str, Plan], **arguments: Any) -> keras.optimizers.Optimizer:
    """Creates the optimizer of a paper with its `learning_rate_plan`.

    Args:
        name: One of `PLANS`, or a plan of your own.
        **arguments: Arguments of `learning_rate_plan`.

    Returns:
        SGD or Adam, without weight decay, which is an argument of the nets.

    Example:

    >>> plan_optimizer("stability_training", steps_per_epoch=100).nesterov
    True
    """
    rate = learning_rate_plan(name, **arguments)
    plan = _plan(name)
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
