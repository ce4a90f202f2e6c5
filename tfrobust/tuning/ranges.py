"""A range that one hyper-parameter is searched in."""

from __future__ import annotations

import dataclasses
from typing import Union

import numpy as np

from tfrobust import validation

SCALES = ("linear", "log")
_FORM = "NAME=START,END,POINTS with log or linear behind it, such as gamma=0.01,1,5,log"


@dataclasses.dataclass(frozen=True)
class Range:
    """The values of one hyper-parameter, written as in the stability-training paper's Table 2.

    A grid takes `points` values from start to end, evenly spaced on the scale. The other tuners
    draw anywhere between the two, uniformly on the scale.

    Args:
        name: What it is called where the model is built: an argument of a method, "gamma".
        start: Smallest value.
        end: Largest value.
        points: How many values a grid takes, 1 or more; with 1 it is `start` alone, for every
            tuner.
        scale: "linear" or "log".
        whole: Whether the values are whole numbers.
        source: Where the range is from.

    Raises:
        ValueError: The range is empty or upside down, has no points, or is logarithmic and does
            not start above 0.

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
        """The values of a grid, rounded to the six digits that tables and commands show."""
        spaced = np.geomspace if self.scale == "log" else np.linspace
        found = [self.rounded(value) for value in spaced(self.start, self.end, self.points)]
        return tuple(dict.fromkeys(found))

    def rounded(self, value: float) -> Union[int, float]:
        """A value as it is used: to six digits, or whole."""
        return round(float(value)) if self.whole else float(f"{value:.6g}")

    @classmethod
    def parse(cls, text: str) -> Range:
        """The range that a text stands for, as the command line takes it.

        Args:
            text: "gamma=0.01,1,5,log": name, start, end, points, and the scale if it is not
                linear.

        Returns:
            The range.

        Raises:
            ValueError: The text has another form, or the range is none.

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
            raise ValueError(f"a range is written {_FORM}; received {text!r}") from None
        return cls(name, start, end, points, "".join(parts[3:]) or "linear")
