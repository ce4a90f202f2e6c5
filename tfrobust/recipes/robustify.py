"""The most robust version of a model within a budget, with the proof."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Union

import keras

from tfrobust import datasets, devices, files, nets, options, saving, serving
from tfrobust.callbacks import EstimateBatchNorm
from tfrobust.evaluation import Evaluator, corrupted
from tfrobust.layers.hash_of_weights import hash_of_weights
from tfrobust.nets import weight_averaging
from tfrobust.recipes import models
from tfrobust.recipes.base import RunFolder, in_run_folder
from tfrobust.recipes.evaluation import evaluate
from tfrobust.recipes.method_parts import build_method, individual_augmentations
from tfrobust.registries import TEST_CORRUPTIONS
from tfrobust.rows import CLEAN
from tfrobust.seeding import seed_everything
from tfrobust.settings import Robustify
from tfrobust.tuning.journal import Journal
from tfrobust.tuning.race import Race, described, read_plan
from tfrobust.tuning.score import floored_score
from tfrobust.tuning.threats import Candidate, Threats

#: Places on the line between the original's weights (0) and the winner's (1).
DIAL = (0.25, 0.5, 0.75, 1.0)
#: Part of the budget for the proof, at most; and the severities that it may afford.
_PROOF, _SEVERITIES = 0.2, {5: [1, 2, 3, 4, 5], 3: [1, 3, 5], 1: [3]}


@dataclasses.dataclass(frozen=True)
class Robustified:
    """Result of `robustify`.

    Args:
        model: The model: the original where nothing was better on the validation images.
        gain: Its robust accuracy minus that of the original on the test images, in [-1, 1].
        report: Path of the report.
    """

    model: keras.Model
    gain: float
    report: pathlib.Path


@in_run_folder
def robustify(
    model: Union[keras.Model, files.PathLike],
    data: Union[datasets.Data, Callable[[], datasets.Data]],
    *,
    out: files.PathLike,
    budget: str = "30m",
    against: Union[str, Sequence[str]] = "unknown",
    strengths: Optional[files.PathLike] = None,
    clean_drop: float = 0.01,
    plan: Optional[files.PathLike] = None,
    input_range: Optional[str] = None,
    strategy: str = "none",
    seed: int = 0,
    dry_run: bool = False,
    say: Callable[[str], Any] = print,
) -> Optional[Robustified]:
    """Finds the most robust version of a trained model within a budget, and measures the gain.

    1. Measures the model on the validation images, and times a step.
    2. Plans a race of candidates (method, augmentation, learning rate, share of the layers) that
       fits the budget: `plan.json`.
    3. Races them: after each rung the better half goes on (`tuning.halving`), ranked by robust
       accuracy on validation images under the four held-out corruptions and the threat's own
       conditions, with a floor of clean accuracy.
    4. Combines: points on the line between the original's weights and the winner's, and the greedy
       soup of the finalists (`nets.weight_averaging`). The best above the floor is taken, or the
       original if that is better on the validation images.
    5. Proves: measures the original and the result under the 15 test corruptions, on test images
       that nothing has seen before.

    A killed run goes on when it is called again. With a budget in steps the plan does not depend on
    the machine. With a time, a candidate that is slower than planned is cut and `plan.json` says
    where, so that a run of that plan gives the same model.

    Args:
        model: A Keras model or a `.keras` file.
        data: A data set with all three splits, or a function that loads it.
        out: Output folder: model.keras, savedmodel, report.html, plan.json, journal.jsonl.
        budget: "90s", "30m", "2h" or "5000steps".
        against: One threat or several; see `tuning.threats.THREATS`.
        strengths: File of calibrated strengths of Table 1's augmentations.
        clean_drop: Maximum drop in clean accuracy on the validation images.
        plan: `plan.json` of an earlier run, to be carried out as it stands.
        input_range: What the model takes for pixels, a name in `nets.INPUT_RANGES`. Default: it is
            found.
        strategy: As for `devices.strategy`.
        seed: Random seed.
        dry_run: Stops after the plan.
        say: Receives progress messages.

    Returns:
        The result; None after a dry run.

    Raises:
        ValueError: The budget is too small for one candidate, a threat is unknown, a split is
            missing, or the model has no trainable weights.
        FileExistsError: `out` holds something else.
    """
    recipe = Robustify(
        budget=budget,
        against=(against,) if isinstance(against, str) else tuple(against),
        strengths=None if strengths is None else str(strengths),
        clean_drop=clean_drop,
        plan=None if plan is None else str(plan),
        input_range=input_range,
        strategy=strategy,
        seed=seed,
    )
    run = _Run(recipe, model, data if callable(data) else lambda: data, out, say)
    run.make_plan()
    return None if dry_run else run.prove(run.combine(run.race.run()))


class _Run:
    """The parts of a run. What a killed run found out is in the journal."""

    def __init__(
        self,
        recipe: Robustify,
        model: Union[keras.Model, files.PathLike],
        load: Callable[[], datasets.Data],
        out: files.PathLike,
        say: Callable[[str], Any],
    ):
        self.recipe, self.say = recipe, say
        individual = recipe.strengths and individual_augmentations(recipe.strengths)
        threats = Threats(recipe.against, individual or None)
        if recipe.plan is not None:
            read_plan(recipe.plan, threats)  # wrong ones are told before time is spent
        strategy = devices.strategy(recipe.strategy)
        seed_everything(recipe.seed)
        self.data = load()
        for split in ("train", "validation", "test"):
            self.data.split(split)
        source = models.load(model, lambda: self.data, input_range=recipe.input_range, say=say)
        name = model.name if isinstance(model, keras.Model) else str(model)
        models.check_classes(source, self.data, name)
        self.net = getattr(source, "net", source)
        if not self.net.trainable_weights:
            raise ValueError(f"{name} has no trainable weights: nothing can be trained")
        given = [recipe.strengths, recipe.plan]
        folder = RunFolder(out, recipe, finished="report.html", inputs=given)
        folder.record_data(self.data)
        self.folder = folder.path
        self.journal = Journal(self.folder / "journal.jsonl")
        # One for all candidates, so that each condition is traced once.
        self.evaluator = Evaluator(threats.conditions())
        weights = hash_of_weights(self.net)
        self.start = self.journal.once("start", lambda: {"of": weights, **self.measure(self.net)})
        if self.start["of"] != weights:
            raise FileExistsError(
                f"{self.folder} holds a run of another model; give another output folder"
            )
        self.floor = max(self.start["clean"] - recipe.clean_drop, 0.0)
        worst = sorted(self.start["under"].items(), key=lambda one: one[1])[:3]
        say(f"{self.start['n']} validation images: {described(self.start)}")
        say("what hurts most: " + ", ".join(f"{name} {100 * value:.1f}%" for name, value in worst))

        def build(candidate: Candidate, net: keras.Model, *, seed: int = 0) -> keras.Model:
            augment = threats.augment(candidate.augment, seed=seed)
            own = {"dual_norms": False} if candidate.method == "augmax" else {}
            return build_method(candidate.method, net, augment, own)

        self.race = Race(
            self.copy,
            load,
            build,
            self.measure,
            self.score,
            threats,
            self.folder,
            self.journal,
            recipe.seed,
            strategy,
            say,
        )

    def copy(self) -> keras.Model:
        """A copy of the original."""
        path = self.folder / "original.keras"
        if not path.exists():
            saving.save_model(self.net, path)
        return saving.load_model(path)

    def measure(self, net: keras.Model) -> dict[str, Any]:
        """Clean and robust accuracy on the validation images, and the accuracy per condition."""
        rows = self.evaluator.rows(net, self.data.validation, seed=self.recipe.seed)
        under = {row.corruption: row.value for row in rows}
        clean = under.pop(CLEAN)
        robust = math.fsum(under.values()) / len(under)
        return {"clean": clean, "robust": robust, "under": under, "n": rows[0].n}

    def score(self, found: Mapping[str, Any]) -> float:
        """What is ranked by; a training that failed is last."""
        if "failed" in found:
            return -math.inf
        return floored_score(found["clean"], found["robust"], self.floor)

    def make_plan(self) -> None:
        """Plans the race, and which severities the proof can afford."""
        amount, unit = options.read_budget(self.recipe.budget)
        after, self.severities = 0.0, [1, 3, 5]
        if unit == "seconds":
            times = self.race.times(self.data)
            passes = self.start["n"] * (1 + len(self.evaluator.conditions))
            # Each test image is corrupted and seen by two models.
            one = 2 * len(TEST_CORRUPTIONS) * self.data.sizes["test"] * times["evaluation"] / passes
            fitting = [count for count in _SEVERITIES if count * one < _PROOF * amount]
            self.severities = _SEVERITIES[max(fitting, default=1)]
            after = len(self.severities) * one + (len(DIAL) + 4) * times["evaluation"]
        plan = self.race.make_plan(
            amount, after=after, timed=unit == "seconds", file=self.recipe.plan
        )
        for number, rung in enumerate(plan.rungs, 1):
            counts = sorted(rung.steps.values())
            self.say(f"rung {number}: {rung.candidates} candidates, {counts[0]}–{counts[-1]} steps")
        if plan.left_out:
            self.say(f"{len(plan.left_out)} candidates do not fit the budget")

    def combine(self, finalists: Sequence[pathlib.Path]) -> Optional[dict[str, Any]]:
        """Measures the points of the dial and the soup; the best one, or None for the original."""
        weights = [saving.load_model(file).net.get_weights() for file in finalists]
        original, net = self.net.get_weights(), self.copy()
        made = {
            f"{place:g} of the way": weight_averaging.interpolate_weights(
                original, weights[0], place
            )
            for place in (DIAL if weights else ())
        }

        def point(made: list[Any]) -> dict[str, Any]:
            net.set_weights(made)
            return self.measure(net)

        step = itertools.count(1)

        def score(made: list[Any]) -> float:
            key = f"soup, step {next(step)}"
            return self.score(self.journal.once(key, functools.partial(point, made)))

        if len(weights) > 1:
            soup, members = weight_averaging.greedy_soup(weights, score)
            if len(members) > 1:
                made[f"mean of {len(members)} finalists"] = soup
        found = {
            name: self.journal.once(f"point: {name}", functools.partial(point, each))
            for name, each in made.items()
        }
        for name, each in found.items():
            self.say(f"{name}: {described(each)}")
        best = max(found, key=lambda name: self.score(found[name]), default=None)
        if best is None or self.score(found[best]) <= self.score(self.start):
            self.say("nothing is better than the original on the validation images: it is kept")
            return None
        net.set_weights(made[best])
        self.estimate_batch_norm(net)
        saving.save_model(net, self.folder / "net.keras")
        return {"name": best, **self.measure(net)}

    def estimate_batch_norm(self, net: keras.Model) -> None:
        """Estimates the moving statistics for averaged weights, if validation is not worse."""
        winner = self.race.candidates[self.race.winner]
        method = self.race.build(winner, net, seed=self.recipe.seed)
        EstimateBatchNorm(
            self.data.train,
            self.data.validation,
            score=lambda model: self.score(self.measure(getattr(model, "net", model))),
        ).estimate(method)

    def prove(self, chosen: Optional[dict[str, Any]]) -> Robustified:
        """Measures the original and the result on the test images, and writes the report."""
        result, compared = self.net, {"original": self.net}
        if chosen is not None:
            result = compared["robust"] = saving.load_model(self.folder / "net.keras")
        points = [key for key in self.journal if key.startswith("point: ")]
        story = {
            "start": self.start,
            "floor": self.floor,
            "chosen": chosen,
            "seconds": self.journal.seconds,
            "left_out": self.race.plan.left_out,
            "tried": self.race.story(),
            "points": [{"name": k.removeprefix("point: "), **self.journal[k]} for k in points],
        }
        files.write_json(story, self.folder / "robustify.json")
        conditions = corrupted(severities=self.severities)
        rows = evaluate(compared, self.data, conditions, self.folder, seed=self.recipe.seed)
        names = self.data.class_names
        serving.export(result, self.folder / "savedmodel", class_names=names, overwrite=True)
        cells: dict[str, list[float]] = {name: [] for name in compared}
        for row in rows:
            if row.metric == "accuracy" and row.corruption in TEST_CORRUPTIONS:
                cells[row.model].append(row.value)
        means = [math.fsum(values) / len(values) for values in cells.values()]
        report = self.folder / "report.html"
        self.say(
            f"robust accuracy on {rows[0].n} test images: {100 * means[0]:.1f}%, "
            f"{100 * (means[-1] - means[0]):+.1f} points; report: {report}"
        )
        model = nets.restore(result)
        with files.replacing(self.folder / "model.keras") as temporary:
            model.save(temporary)
        return Robustified(model, means[-1] - means[0], report)
