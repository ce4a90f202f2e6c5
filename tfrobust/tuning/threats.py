"""What a model must withstand, and what to train it with and rank it by."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from tfrobust import validation
from tfrobust.attacks import FGSM, PGD
from tfrobust.augment import naming
from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.augment.combine import PerImageChoice
from tfrobust.evaluation.condition import Condition
from tfrobust.evaluation.conditions import attacked, augmented, corrupted
from tfrobust.registries import HELD_OUT_CORRUPTIONS

#: The augmentations of a threat by name, as `augment.naming` reads them. "unknown" has none of its
#: own: it stands for whatever images meet, and no training augmentation imitates weather.
THREATS: Mapping[str, tuple[str, ...]] = {
    "unknown": (),
    "noise": ("GN", "SAP", "speckle_noise=0.3"),
    "blur": ("GB", "gaussian_blur=2", "thumbnail=16"),
    "darkness": ("B-", "contrast=0.5"),
    "compression": ("jpeg=10", "jpeg=30"),
    "geometry": ("rotation=20", "shear=0.3", "translation=4"),
    "attack": (),
}
#: A cost of each method's step in plain steps (docs/README, "What a step costs").
STEP_COSTS = {
    "augmentation_training": 2.0,
    "stability_training": 2.0,
    "feature_map_augmentation": 2.0,
    "adversarial_training": 2.7,
    "augmix_training": 3.06,
    "noisymix": 3.06,
    "augmax": 10.0,
}


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One way to train.

    Args:
        method: Name of the method.
        augment: What it trains with: "augmix", "choice" (for each image one augmentation of the
            threat; Table 1 if it has none), or "fgsm".
        learning_rate: Initial learning rate.
        first: Share of the layers, from the first, that is trained. For changes of the input,
            tuning the first layers can be better than all (Lee et al. 2023, Surgical fine-tuning).
    """

    method: str
    augment: str
    learning_rate: float
    first: float = 1.0

    @property
    def name(self) -> str:
        """A name for tables and files."""
        parts = [self.method, self.augment, f"{self.learning_rate:g}"]
        return "-".join(parts + [f"first{self.first:g}"] * (self.first < 1))


#: Augmentations that resemble a held-out corruption.
_LIKE = {
    "GB": "gaussian_blur",
    "gaussian_blur": "gaussian_blur",
    "speckle_noise": "speckle_noise",
    "S+": "saturate",
    "S-": "saturate",
    "saturation": "saturate",
}
#: Pairs of method and augmentation, the most promising first.
_MIXES = [
    ("augmix_training", "augmix"),
    ("noisymix", "augmix"),
    ("augmentation_training", "augmix"),
]
_CHOICES = [
    (method, "choice")
    for method in ("augmentation_training", "stability_training", "feature_map_augmentation")
]
_RATES = (0.01, 0.002)


class Threats:
    """What a model must withstand.

    Args:
        names: Names of `THREATS`, and of augmentations as `augment.naming.by_name` reads them, such
            as "jpeg=20" or "GN".
        individual: The seven augmentations of Table 1 at calibrated strengths. Default: those of
            the table.

    Raises:
        ValueError: A name is unknown, or none is given.
    """

    def __init__(
        self,
        names: Sequence[str] = ("unknown",),
        individual: Optional[Mapping[str, StrengthAugment]] = None,
    ):
        self.names = tuple(names)
        if not self.names:
            raise ValueError(f"a threat must be one of {', '.join(THREATS)}; received none")
        self.augments: dict[str, Augment] = {}
        for threat in self.names:
            for name in THREATS.get(threat, (threat,)):
                try:
                    self.augments[name] = naming.by_name(name, individual)
                except ValueError as error:
                    if threat in THREATS:
                        raise
                    raise ValueError(
                        f"a threat must be one of {', '.join(THREATS)}, or an augmentation such as "
                        f"jpeg=20; received {threat!r} ({error})"
                    ) from None

    def candidates(self) -> list[Candidate]:
        """The candidates of a race, the most promising first."""
        pairs = [*_MIXES, *_CHOICES]
        if self.augments:  # what the images meet is known: train with it first
            pairs = [_CHOICES[0], _MIXES[0], *_CHOICES[1:], *_MIXES[1:]]
        if "attack" in self.names:
            pairs.insert(0, ("adversarial_training", "fgsm"))
        pairs.append(("augmax", "augmix"))
        found = [Candidate(*pair, rate) for rate in _RATES for pair in pairs]
        return [*found, Candidate(*pairs[0], _RATES[0], first=0.5)]

    def conditions(self) -> list[Condition]:
        """What candidates are ranked by, on validation images.

        The four held-out corruptions at severity 3, never those that are reported, and the
        threat's own augmentations and attacks.
        """
        found = corrupted(HELD_OUT_CORRUPTIONS, severities=[3])
        own = {f"threat {name}": layer for name, layer in self.augments.items()}
        found += augmented(own)
        if "attack" in self.names:
            found += attacked({"FGSM": FGSM(8 / 255), "PGD": PGD(8 / 255, steps=5)})
        return found

    def augment(self, kind: str, *, seed: int) -> Any:
        """The augmentation of a candidate."""
        validation.check_choice("augment", kind, ("augmix", "choice", "fgsm"))
        if kind == "fgsm":
            return FGSM()
        if kind == "augmix":
            return naming.by_name("augmix", seed=seed)
        copies = [type(one).from_config(one.get_config()) for one in self._chosen().values()]
        return PerImageChoice(copies, seed=seed)

    def trained_on(self, candidate: Candidate) -> list[str]:
        """Held-out corruptions that resemble what a candidate trains with, and so flatter it."""
        if candidate.augment != "choice":
            return []
        kinds = {name.partition("=")[0] for name in self._chosen()}
        return sorted({_LIKE[kind] for kind in kinds if kind in _LIKE})

    def _chosen(self) -> Mapping[str, Augment]:
        return self.augments or naming.expand("table_1")
