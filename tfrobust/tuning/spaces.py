"""Search spaces: default ranges for each method, and for the strengths of augmentations."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Optional

from tfrobust.augment.presets import STABILITY_GRIDS
from tfrobust.registries import METHODS
from tfrobust.tuning.ranges import Range

#: Name of the augmentation's strength among the values of a trial.
STRENGTH = "strength"

_TABLE_2 = "stability-training paper, Table 2"
_FCL_SWEEP = "FCL paper, section 4.2, what the authors swept"
_TABLE_9 = "our steps; they cover λ = 1, 10, 15 of the AugMax paper's Table 9, and ImageNet's 12"


def _table_2(entry: str, name: str, **kwargs: Any) -> Range:
    # The paper lists JPEG's quality from 90 down to 10, in order of severity.
    start, end, points, scale = STABILITY_GRIDS[entry]
    scale = "log" if scale == "logarithmic" else "linear"
    bounds = min(start, end), max(start, end)
    return Range(name, *bounds, points, scale, source=_TABLE_2, **kwargs)


_JSD_WEIGHT = Range("jsd_weight", 1, 16, 5, "log", source=_TABLE_9)
_ADVERSARIAL_WEIGHT = Range(
    "adversarial_weight",
    0,
    0.5,
    2,
    source="0 is the released code of AugMax, 0.5 the paper's equation 5",
)

#: Method to the ranges that are searched by default.
SPACES: dict[str, tuple[Range, ...]] = {
    "baseline": (),  # cross-entropy alone has no weight
    "augmentation_training": (_table_2("probability", "probability"),),
    "stability_training": (_table_2("alpha", "alpha"),),
    "adversarial_training": (
        Range("mu", 0.25, 0.75, 3, source="around the stability-training paper's 0.5"),
    ),
    "feature_map_augmentation": (
        Range(
            "gamma",
            0.1,
            3,
            5,
            "log",
            source="the FMA paper finds γ by grid search and prints no range; at 0.1 its gradient "
            "is far smaller than that of stability training with α 1",
        ),
    ),
    "feature_contrastive": (Range("weight", 1e-4, 4e-4, 4, source=_FCL_SWEEP),),
    "augmix_training": (
        Range("jsd_weight", 1, 16, 5, "log", source="our steps; the AugMix paper has 12"),
    ),
    "noisymix": (
        Range("additive", 0, 1, 3, source="around the released code's 0.5; 0 is without"),
        Range("multiplicative", 0, 1, 3, source="around the released code's 0.5; 0 is without"),
    ),
    "augmax": (_JSD_WEIGHT,),
    "augmix_pgdat": (_JSD_WEIGHT,),
    "advmix": (_JSD_WEIGHT,),
    "advmax": (_JSD_WEIGHT,),
}

#: Method to further ranges, searched only if requested by name.
FURTHER: dict[str, tuple[Range, ...]] = {
    "augmentation_training": (
        Range("clean_weight", 0.25, 0.75, 3, source="around the mean over clean and augmented"),
    ),
    "feature_contrastive": (
        # Close to the paper's list, 2, 1, 0.5, 0.1.
        Range("temperature", 0.1, 2, 4, "log", source=_FCL_SWEEP),
        Range("k", 256, 2048, 4, "log", whole=True, source=_FCL_SWEEP),
        Range("sigma", 0.1, 0.5, 3, source=_FCL_SWEEP),
    ),
    "noisymix": (
        Range("sparse", 0.35, 0.95, 3, source="around the released code's 0.65"),
        Range("jsd_weight", 1, 16, 5, "log", source="our steps; the released code has 12"),
    ),
    "augmax": (_ADVERSARIAL_WEIGHT,),
    "augmix_pgdat": (_ADVERSARIAL_WEIGHT,),
    "advmix": (_ADVERSARIAL_WEIGHT,),
    "advmax": (_ADVERSARIAL_WEIGHT,),
}

#: Augmentation or attack to the strengths used for training in the paper.
STRENGTHS: dict[str, Range] = {
    name: _table_2(name, STRENGTH, whole=name in ("jpeg", "thumbnail", "shifted_crop"))
    for name in ("gaussian_noise", "jpeg", "thumbnail", "fgsm", "rotation", "shifted_crop")
}


def space(method: str, names: Optional[Sequence[str]] = None) -> list[Range]:
    """The search space of a method; the `source` of each range says where it is from.

    Args:
        method: One of `METHODS`.
        names: Hyper-parameters to search. Default: the method's weights: γ of FMA, α of ST, λ of
            FCL and AugMax, both noise levels of NoisyMix, p of data augmentation.

    Returns:
        One range per hyper-parameter; none for the baseline, which has nothing to tune.

    Raises:
        ValueError: The method is unknown, or has no range of that name.

    Example:

    >>> [(r.name, r.values) for r in space("stability_training")]
    [('alpha', (0.01, 0.316228, 10.0))]
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; choose from: {', '.join(METHODS)}")
    if names is None:
        return list(SPACES[method])
    known = {r.name: r for r in (*SPACES[method], *FURTHER.get(method, ()))}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"there is no range of {unknown[0]!r} for {method}; there is one of: "
            f"{', '.join(known) or 'none'} (give your own with its start, end and points)"
        )
    return [known[name] for name in dict.fromkeys(names)]


def strength_range(augment: str) -> Range:
    """The strengths of an augmentation or attack in the stability-training paper's Table 2.

    Args:
        augment: "gaussian_noise", "jpeg", "thumbnail", "fgsm", "rotation" or "shifted_crop".

    Returns:
        The range, named "strength". For JPEG it goes from 10 to 90, the reverse of the table.

    Raises:
        ValueError: The table has no such augmentation.

    Example:

    >>> strength_range("gaussian_noise").values
    (0.01, 0.0464159, 0.215443, 1.0)
    """
    if augment not in STRENGTHS:
        raise ValueError(
            f"the stability-training paper has no strengths of {augment!r}; it has those of: "
            f"{', '.join(STRENGTHS)} (give your own with start, end and points)"
        )
    return dataclasses.replace(STRENGTHS[augment])
