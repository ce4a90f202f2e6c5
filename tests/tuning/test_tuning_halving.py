"""The plan of a race is a pure function of costs and budget."""

import pathlib
import re

import pytest

from tfrobust.tuning import threats
from tfrobust.tuning.halving import Cost, Plan, plan

CHEAP, DEAR = Cost(1.0), Cost(4.0, start=10.0, evaluation=20.0)


def used(found, costs):
    """The cost of a plan if the dearest candidates reach each rung."""
    total = 0.0
    for rung in found.rungs:
        each = [
            costs[n].start + costs[n].evaluation + costs[n].step * s for n, s in rung.steps.items()
        ]
        total += sum(sorted(each)[-rung.candidates :])
    return total


@pytest.mark.parametrize("budget", [200.0, 1_000.0, 10_000.0])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_a_plan_uses_the_budget_and_never_more(budget, count):
    costs = {f"{i}": (CHEAP, DEAR)[i % 2] for i in range(count)}
    found = plan(costs, budget, reserved=20.0, least=5)
    spent = used(found, costs)
    assert 0.9 * budget - 200 <= spent <= budget - 20
    assert [rung.candidates for rung in found.rungs][-1] == 1
    assert (*found.candidates, *found.left_out) == tuple(costs)
    assert min(steps for rung in found.rungs for steps in rung.steps.values()) >= 5


@pytest.mark.parametrize(
    "count, sizes", [(1, [1]), (2, [2, 1]), (3, [3, 2, 1]), (5, [5, 3, 2, 1]), (8, [8, 4, 2, 1])]
)
def test_the_better_half_goes_on(count, sizes):
    found = plan({f"{i}": CHEAP for i in range(count)}, 1_000_000.0)
    assert [rung.candidates for rung in found.rungs] == sizes
    shares = [rung.candidates * rung.share for rung in found.rungs]
    assert shares == pytest.approx([1_000_000 / len(sizes)] * len(sizes))


def test_the_last_ones_are_left_out_where_the_budget_is_small():
    costs = {"first": CHEAP, "second": CHEAP, "third": CHEAP}
    assert plan(costs, 60.0, least=20).left_out == ("second", "third")
    assert plan(costs, 80.0, least=20).left_out == ("third",)
    assert plan(costs, 180.0, least=20).left_out == ()


def test_a_budget_that_is_too_small_says_what_the_least_is():
    with pytest.raises(ValueError, match=r"20 steps of only .* need 140; received 139"):
        plan({"only": DEAR}, 139.0, reserved=30.0)
    assert plan({"only": DEAR}, 140.0, reserved=30.0).rungs[0].steps == {"only": 20}
    with pytest.raises(ValueError, match="received none"):
        plan({}, 100.0)


def test_json_gives_the_plan_back():
    found = plan({"a": CHEAP, "b": DEAR, "c": DEAR}, 500.0)
    assert Plan.from_json(found.to_json()) == found


def test_costs_of_steps_are_those_of_the_documentation():
    page = (pathlib.Path(__file__).parents[2] / "docs/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[.*?\]\(methods/(\w+)\.md\) .*\| ([\d.]+) \|$", page, re.MULTILINE)
    costs = {name: float(cost) for name, cost in rows}
    assert {name: costs[name] for name in threats.STEP_COSTS} == threats.STEP_COSTS
