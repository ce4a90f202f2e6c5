"""Parameters of the corruptions for severity 1 to 5 at each image size.

Source: the scripts that made CIFAR-10-C (32 pixels), Tiny-ImageNet-C (64) and ImageNet-C (224),
Hendrycks and Dietterich 2019 (arXiv:1903.12261), github.com/hendrycks/robustness. The three tables
differ in almost every entry: the severities for 224 pixels are far too strong or weak at 32 pixels.
"""

from __future__ import annotations

from typing import Any, Optional

from tfrobust import validation
from tfrobust.registries import CORRUPTIONS


def _one(*values: float) -> tuple[tuple[float], ...]:
    return tuple((value,) for value in values)


def _scaled(size: int, *rows: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(size * value for value in row) for row in rows)


def _zoom(step: tuple[float, ...], *stops: float) -> tuple[tuple[float, float], ...]:
    return tuple(zip(stops, step * 5 if len(step) == 1 else step))


#: size -> corruption -> arguments of its function, severity 1 to 5.
TABLES: dict[int, dict[str, tuple[tuple[Any, ...], ...]]] = {
    32: {
        "gaussian_noise": _one(0.04, 0.06, 0.08, 0.09, 0.10),
        "shot_noise": _one(500, 250, 100, 75, 50),
        "impulse_noise": _one(0.01, 0.02, 0.03, 0.05, 0.07),
        "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        "zoom_blur": _zoom((0.01,), 1.06, 1.11, 1.16, 1.21, 1.26),
        "snow": (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        "frost": (
            (1, 0.2, 0.2),
            (1, 0.3, 0.2),
            (0.9, 0.4, 0.2),
            (0.85, 0.4, 0.2),
            (0.75, 0.45, 0.2),
        ),
        "fog": ((0.2, 3, 32), (0.5, 3, 32), (0.75, 2.5, 32), (1, 2, 32), (1.5, 1.75, 32)),
        "brightness": _one(0.05, 0.1, 0.15, 0.2, 0.3),
        "contrast": _one(0.75, 0.5, 0.4, 0.3, 0.15),
        "elastic_transform": _scaled(
            32,
            (0, 0, 0.08),
            (0.05, 0.2, 0.07),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.05),
            (0.1, 0.03, 0.03),
        ),
        "pixelate": _one(0.95, 0.9, 0.85, 0.75, 0.65),
        "jpeg_compression": _one(80, 65, 58, 50, 40),
        "speckle_noise": _one(0.06, 0.1, 0.12, 0.16, 0.2),
        "gaussian_blur": _one(0.4, 0.6, 0.7, 0.8, 1),
        "spatter": (
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ),
        "saturate": ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    },
    64: {
        "gaussian_noise": _one(0.04, 0.08, 0.12, 0.15, 0.18),
        "shot_noise": _one(250, 100, 50, 30, 15),
        "impulse_noise": _one(0.01, 0.02, 0.05, 0.08, 0.14),
        "defocus_blur": ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
        "glass_blur": ((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
        "motion_blur": ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        "zoom_blur": _zoom((0.01,), 1.06, 1.11, 1.16, 1.21, 1.26),
        "snow": (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
        ),
        "frost": (
            (1, 0.3, 0.3),
            (0.9, 0.4, 0.3),
            (0.8, 0.45, 0.3),
            (0.75, 0.5, 0.3),
            (0.7, 0.55, 0.3),
        ),
        "fog": ((0.4, 3, 64), (0.7, 3, 64), (1, 2.5, 64), (1.5, 2, 64), (2, 1.75, 64)),
        "brightness": _one(0.1, 0.2, 0.3, 0.4, 0.5),
        "contrast": _one(0.4, 0.3, 0.2, 0.1, 0.05),
        "elastic_transform": _scaled(
            64,
            (0, 0, 0.08),
            (0.05, 0.3, 0.06),
            (0.1, 0.08, 0.06),
            (0.1, 0.03, 0.03),
            (0.16, 0.03, 0.02),
        ),
        "pixelate": _one(0.9, 0.8, 0.7, 0.6, 0.5),
        "jpeg_compression": _one(65, 58, 50, 40, 25),
        "speckle_noise": _one(0.15, 0.2, 0.25, 0.3, 0.35),
        "gaussian_blur": _one(0.5, 0.75, 1, 1.25, 1.5),
        "spatter": (
            (0.62, 0.1, 0.7, 0.7, 0.6, 0),
            (0.65, 0.1, 0.8, 0.7, 0.6, 0),
            (0.65, 0.3, 1, 0.69, 0.6, 0),
            (0.65, 0.1, 0.7, 0.68, 0.6, 1),
            (0.65, 0.1, 0.5, 0.67, 0.6, 1),
        ),
        "saturate": ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
    },
    224: {
        "gaussian_noise": _one(0.08, 0.12, 0.18, 0.26, 0.38),
        "shot_noise": _one(60, 25, 12, 5, 3),
        "impulse_noise": _one(0.03, 0.06, 0.09, 0.17, 0.27),
        "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        "glass_blur": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
        "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        "zoom_blur": _zoom((0.01, 0.01, 0.02, 0.02, 0.03), 1.11, 1.16, 1.21, 1.26, 1.31),
        "snow": (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
        "frost": ((1, 0.4, 1), (0.8, 0.6, 1), (0.7, 0.7, 1), (0.65, 0.7, 1), (0.6, 0.75, 1)),
        "fog": ((1.5, 2, 256), (2, 2, 256), (2.5, 1.7, 256), (2.5, 1.5, 256), (3, 1.4, 256)),
        "brightness": _one(0.1, 0.2, 0.3, 0.4, 0.5),
        "contrast": _one(0.4, 0.3, 0.2, 0.1, 0.05),
        # 244 instead of 224: the authors' slip, which defines the benchmark.
        "elastic_transform": _scaled(
            244,
            (2, 0.7, 0.1),
            (2, 0.08, 0.2),
            (0.05, 0.01, 0.02),
            (0.07, 0.01, 0.02),
            (0.12, 0.01, 0.02),
        ),
        "pixelate": _one(0.6, 0.5, 0.4, 0.3, 0.25),
        "jpeg_compression": _one(25, 18, 15, 10, 7),
        "speckle_noise": _one(0.15, 0.2, 0.35, 0.45, 0.6),
        "gaussian_blur": _one(1, 2, 3, 4, 6),
        "spatter": (
            (0.65, 0.3, 4, 0.69, 0.6, 0),
            (0.65, 0.3, 3, 0.68, 0.6, 0),
            (0.65, 0.3, 2, 0.68, 0.5, 0),
            (0.65, 0.3, 1, 0.65, 1.5, 1),
            (0.67, 0.4, 1, 0.65, 1.5, 1),
        ),
        "saturate": ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    },
}


def parameters(name: str, severity: int, table: int) -> tuple[Any, ...]:
    """Arguments of a corruption's function.

    Args:
        name: One of `CORRUPTIONS`.
        severity: 1 (weakest) to 5.
        table: 32, 64 or 224.

    Returns:
        The arguments after images and keys.

    Raises:
        ValueError: The name, severity or table is unknown.

    Example:

    >>> parameters("motion_blur", 3, table=224)
    (15, 8)
    """
    validation.check_whole("severity", severity, 1, 5)
    if name not in CORRUPTIONS:
        CORRUPTIONS[name]  # raises an error that lists the names
    return TABLES[choose_table((table, table), table)][name][severity - 1]


def choose_table(size: tuple[int, int], table: Optional[int] = None) -> int:
    """Chooses the table of severities for an image size.

    Args:
        size: (height, width) in pixels.
        table: 32, 64 or 224, or None to choose by the size.

    Returns:
        32, 64 or 224.

    Raises:
        ValueError: `table` does not exist, or it is None and no table has the size.

    Example:

    >>> choose_table((96, 96))
    Traceback (most recent call last):
    ...
    ValueError: images of 96x96 pixels have no severities of their own (32x32, 64x64 and 224x224 \
have); name a table with table=32, 64 or 224
    """
    known = tuple(TABLES)
    if table is not None:
        if isinstance(table, bool) or table not in known:
            raise ValueError(f"table must be 32, 64 or 224; received {table!r}")
        return table
    height, width = size
    if height != width or height not in known:
        raise ValueError(
            f"images of {height}x{width} pixels have no severities of their own (32x32, 64x64 and "
            "224x224 have); name a table with table=32, 64 or 224"
        )
    return height
