"""The papers' optimizer settings by name, and those that are put together for one training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Optional

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
    falls: tuple[tuple[float, float], ...] = ()
    factor: float = 1.0
    final: float = 0.0
    warm_up: float = 0
    momentum: Optional[float] = 0.9
    nesterov: bool = False
    weight_decay: Optional[float] = None

    def rate_for(self, batch_size: Optional[int]) -> float:
        """The learning rate for a global batch size. Default: for the plan's."""
        size = batch_size or self.batch_size or 256
        return self.learning_rate * (size / 256 if self.per_256 else 1)


#: Optimizers by name, and what Keras calls them.
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "lion": "Lion"}

#: Forms of a schedule that have a name.
_FORMS = {"cosine": "cosine_per_step", "constant": "constant"}

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


def put_together(
    name: Optional[str] = None,
    *,
    epochs: int,
    learning_rate: float,
    schedule: Sequence[str] = (),
    warm_up: Optional[float] = None,
) -> Plan:
    """A plan of one's own, or a paper's in which some things differ.

    Args:
        name: One of `PLANS`. Default: SGD with momentum 0.9 and half a cosine.
        epochs: Number of epochs.
        learning_rate: Initial learning rate.
        schedule: "cosine", "constant", or factors of the learning rate from an epoch on, such as
            "30=0.1", "60=0.01". Default: the plan's.
        warm_up: Number of epochs in which the learning rate rises. Default: the plan's.

    Raises:
        ValueError: The schedule is none of these, or a number is out of range.

    Example:

    >>> put_together(epochs=90, learning_rate=0.1, schedule=["30=0.1", "60=0.01"]).falls
    ((30.0, 0.1), (60.0, 0.01))
    """
    base = PLANS[name] if name else Plan("", "cosine_per_step", learning_rate, epochs, None)
    stretch = epochs / base.epochs
    if warm_up is None:
        warm_up = base.warm_up * stretch
    validation.check_in_range("warm_up", warm_up, 0, epochs)
    base = dataclasses.replace(base, learning_rate=learning_rate, per_256=False)
    if not schedule:
        return dataclasses.replace(base, warm_up=warm_up / stretch)
    form, falls = _FORMS.get(" ".join(schedule), "steps"), base.falls
    if form == "steps":
        falls = tuple(_fall(text) for text in schedule)
        ends = [after for after, _ in falls]
        if sorted(set(ends)) != ends or ends[-1] > epochs:
            raise ValueError(
                f"the epochs of a schedule must rise, to {epochs} at most; received "
                f"{' '.join(schedule)}"
            )
    return dataclasses.replace(base, form=form, falls=falls, epochs=epochs, warm_up=warm_up)


def _fall(text: str) -> tuple[float, float]:
    try:
        after, factor = map(float, text.split("="))
        validation.check_between("it", after, 0, float("inf"))
        return after, validation.check_between("it", factor, 0, float("inf"))
    except ValueError:
        raise ValueError(
            "a schedule is cosine, constant, or factors of the learning rate from an epoch on, "
            f"such as 30=0.1 60=0.01; received {text}"
        ) from None
