"""Successive halving with continuation: which candidates get how much of a budget."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from tfrobust import validation


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a candidate costs, in seconds, or in steps if the budget is in steps.

    Args:
        step: Cost of a training step, above 0.
        start: Cost before the first step of each rung: loading, tracing.
        evaluation: Cost of an evaluation on the validation images, at the end of each rung.
    """

    step: float
    start: float = 0.0
    evaluation: float = 0.0

    @property
    def overhead(self) -> float:
        """Cost of a rung beside its steps."""
        return self.start + self.evaluation


@dataclasses.dataclass(frozen=True)
class Rung:
    """One round of the race.

    Args:
        candidates: Number of candidates that take part: the best of the rung before.
        share: What each candidate may cost.
        steps: Number of training steps of each candidate, should it take part.
    """

    candidates: int
    share: float
    steps: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A race of candidates.

    Args:
        rungs: The rungs. All candidates take part in the first, one in the last.
        left_out: Candidates that the budget is too small for.
    """

    rungs: tuple[Rung, ...]
    left_out: tuple[str, ...] = ()

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of the candidates."""
        return tuple(self.rungs[0].steps)

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Plan:
        """The plan that `to_json` returned."""
        return cls(tuple(Rung(**rung) for rung in record["rungs"]), tuple(record["left_out"]))


def plan(
    costs: Mapping[str, Cost], budget: float, *, reserved: float = 0.0, least: int = 20
) -> Plan:
    """Divides a budget among candidates by successive halving (Jamieson and Talwalkar 2016).

    All candidates take part in the first rung, the better half of them in the next, which continues
    from their weights, and so on to one. Each rung gets the same part of the budget and each
    candidate of a rung the same part of that, so a cheap method makes more steps than a dear one.
    As many candidates as possible take part, in the order given: those for which the first rung
    has `least` steps for each.

    Args:
        costs: Name of a candidate to its cost, the most promising first.
        budget: The whole budget, in the unit of the costs.
        reserved: What is set aside for measuring before and after the race.
        least: Minimum number of steps in a rung.

    Returns:
        The plan, a function of the arguments alone.

    Raises:
        ValueError: The budget is too small for one candidate, or there is none; the message says
            which budget is the least.

    Example:

    >>> found = plan({"cheap": Cost(1.0), "dear": Cost(3.0)}, 600.0)
    >>> [(rung.candidates, rung.steps) for rung in found.rungs]
    [(2, {'cheap': 150, 'dear': 50}), (1, {'cheap': 300, 'dear': 100})]
    """
    validation.check_whole("least", least, 1, 1_000_000)
    if not costs:
        raise ValueError("a race needs one candidate or more; received none")
    names = list(costs)
    for count in range(len(names), 0, -1):
        chosen = {name: costs[name] for name in names[:count]}
        sizes = _sizes(count)
        shares = [(budget - reserved) / len(sizes) / size for size in sizes]
        rungs = [
            Rung(size, share, {name: _steps(share, cost) for name, cost in chosen.items()})
            for size, share in zip(sizes, shares)
        ]
        if all(steps >= least for rung in rungs for steps in rung.steps.values()):
            return Plan(tuple(rungs), tuple(names[count:]))
    first = costs[names[0]]
    needed = reserved + first.overhead + least * first.step
    raise ValueError(
        f"the budget is too small for one candidate: {least} steps of {names[0]} and the "
        f"measurements need {math.ceil(needed)}; received {budget:g}"
    )


def _sizes(count: int) -> list[int]:
    """Numbers of candidates of the rungs: the better half goes on, down to one."""
    sizes = [count]
    while sizes[-1] > 1:
        sizes.append(math.ceil(sizes[-1] / 2))
    return sizes


def _steps(share: float, cost: Cost) -> int:
    return math.floor(max(share - cost.overhead, 0.0) / cost.step + 1e-9)
