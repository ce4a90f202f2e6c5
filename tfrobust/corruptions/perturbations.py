"""Parameters of the perturbation sequences at each image size.

Source: the scripts that made CIFAR-10-P (32 pixels), Tiny-ImageNet-P (64) and ImageNet-P (224),
Hendrycks and Dietterich 2019 (arXiv:1903.12261), github.com/hendrycks/robustness.
"""

from __future__ import annotations

from typing import Any

from tfrobust import validation
from tfrobust.corruptions import severities
from tfrobust.registries import HELD_OUT_PERTURBATIONS, PERTURBATIONS

#: size -> sequence -> arguments of its function. For noise, the strengths for difficulty 1, 2, 3.
#: For motion blur and translation the first entry is the number of frames, which is 31 elsewhere.
TABLES: dict[int, dict[str, tuple[Any, ...]]] = {
    32: {
        "gaussian_noise": (0.02, 0.04, 0.06),
        "shot_noise": (700, 400, 200),
        "motion_blur": (21, 6, 1.8, 9),
        "zoom_blur": (0.004,),
        "snow": ((0.05, 0.3, 0.5), 2, 10, 2, 0.85),
        "brightness": (0.015,),
        "translate": (16, 7),
        "rotate": (1,),
        "tilt": (0.75,),
        "scale": (2, 70),
        "speckle_noise": (0.05, 0.07, 0.1),
        "gaussian_blur": (0.3, 0.015, 7),
        "spatter": ((0.6, 0.265, 0.7), 1.75, (0, 0.2, 0.8, 0)),
        "shear": (1,),
    },
    64: {
        "gaussian_noise": (0.025, 0.05, 0.075),
        "shot_noise": (500, 250, 125),
        "zoom_blur": (0.004,),
        "snow": ((0.05, 0.28, 0.5), 2, 10, 2.5, 0.85),
        "brightness": (0.02,),
        "translate": (31, 15),
        "rotate": (1,),
        "tilt": (1,),
        "scale": (2.5, 40),
        "speckle_noise": (0.05, 0.1, 0.15),
        "gaussian_blur": (0.35, 0.014, 7),
        "spatter": ((0.6, 0.25, 0.7), 1.75, (0, 0.2, 0.8, 0)),
        "shear": (1,),
    },
    224: {
        "gaussian_noise": (0.03, 0.05, 0.08),
        "shot_noise": (300, 120, 60),
        "motion_blur": (31, 10, 3, 4),
        "zoom_blur": (0.004,),
        "snow": ((0.05, 0.3, 0.5), 3, 14, 4, 0.85),
        "brightness": (0.02,),
        "translate": (41, 20),
        "rotate": (1,),
        "tilt": (1,),
        "scale": (2.5, 40),
        "speckle_noise": (0.05, 0.1, 0.15),
        "gaussian_blur": (0.25, 0.035, 6),
        "spatter": ((0.65, 0.27, 0.69), 3.7, (0.05, 0.1, 0.15, 0.7)),
        "shear": (1,),
    },
}

#: Sequences that define their own number of frames.
COUNTED = ("motion_blur", "translate")


def frame_count(name: str, table: int) -> int:
    """Number of frames in a sequence.

    Args:
        name: One of `PERTURBATIONS` or `HELD_OUT_PERTURBATIONS`.
        table: 32, 64 or 224.

    Returns:
        The number of frames.

    Raises:
        ValueError: The name or table is unknown, or the table lacks the sequence.

    Example:

    >>> frame_count("translate", 224)
    41
    """
    validation.check_choice("name", name, PERTURBATIONS + HELD_OUT_PERTURBATIONS)
    rows = TABLES[severities.choose_table((table, table), table)]
    if name not in rows:
        raise ValueError(
            f"{name!r} has no sequence at {table} pixels, because the benchmark makes it from "
            f"larger photographs; choose from: {', '.join(rows)}"
        )
    return rows[name][0] if name in COUNTED else 31
