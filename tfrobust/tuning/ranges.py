"""The search range of one hyper-parameter."""

from __future__ import annotations

import dataclasses
from typing import Union

import numpy as np

from tfrobust import validation

SCALES = ("linear", "log")
_FORMAT = "NAME=START,END,POINTS, optionally with ,log or ,linear, such as gamma=0.01,1,5,log"


@dataclasses.dataclass(frozen=True)
class Range:
    """The search range of a hyper-parameter, as in the stability-training paper's Table 2.

    A grid search uses `points` values from start to end, evenly spaced on the scale. The other
    tuners sample uniformly on the scale between the two.

    Args:
        name: Name under which the model is built with it: an argument of a method, "gamma".
        start: Smallest value.
        end: Largest value.
        points: Number of grid values, 1 or more; with 1 every tuner uses `start` alone.
        scale: "linear" or "log".
        whole: Whether the values are integers.
        source: Origin of the range.

    Raises:
        ValueError: The range is empty or reversed, has no points, or is logarithmic and does not
            start above 0.

    Example:

    >>> Range("gamma", 0.01, 1, 3, "log").values
    (0.01, 0.1, 1.0)
    """

    name: str
    start: float
    end: float
    points: int = 5
    scale: str = "linear"
    whole: bool = False
    source: str = ""

    def __post_init__(self) -> None:
        name = self.name
        if not name:
            raise ValueError("a range needs the name of a hyper-parameter; received ''")
        validation.check_in_range(f"start of {name}", self.start, -1e12, 1e12)
        validation.check_in_range(f"end of {name}", self.end, -1e12, 1e12)
        validation.check_whole(f"points of {name}", self.points, 1, 10_000)
        validation.check_choice(f"scale of {name}", self.scale, SCALES)
        if self.start > self.end or (self.start == self.end and self.points > 1):
            raise ValueError(
                f"the range of {name} must go from a smaller to a larger number; received "
                f"{self.start:g} to {self.end:g}"
            )
        if self.scale == "log" and self.start <= 0:
            raise ValueError(
                f"a logarithmic range must start above 0; received {name} from {self.start:g}"
            )

    @property
    def values(self) -> tuple[Union[int, float], ...]:
        """The grid values, rounded to the six digits shown in tables and commands."""
        spaced = np.geomspace if self.scale == "log" else np.linspace
        values = [self.rounded(value) for value in spaced(self.start, self.end, self.points)]
        return tuple(dict.fromkeys(values))

    def rounded(self, value: float) -> Union[int, float]:
        """Rounds a value to six significant digits, or to an integer."""
        return round(float(value)) if self.whole else float(f"{value:.6g}")

    @classmethod
    def parse(cls, text: str) -> Range:
        """Parses a range as given on the command line.

        Args:
            text: "gamma=0.01,1,5,log": name, start, end, points, and optionally the scale
                (default linear).

        Returns:
            The range.

        Raises:
            ValueError: The text is malformed, or the range invalid.

        Example:

        >>> Range.parse("alpha=0.01,10,3,log").values
        (0.01, 0.316228, 10.0)
        """
        name, _, rest = text.partition("=")
        parts = rest.split(",")
        try:
            if not name or len(parts) not in (3, 4):
                raise ValueError
            start, end, points = float(parts[0]), float(parts[1]), int(parts[2])
        except ValueError:
            raise ValueError(f"a range is written {_FORMAT}; received {text!r}") from None
        return cls(name, start, end, points, "".join(parts[3:]) or "linear")
