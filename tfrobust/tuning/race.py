"""A race of candidates within a budget: successive halving, from the weights of one model."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import datasets, files, saving, trainer
from tfrobust.callbacks.deadline import Deadline
from tfrobust.epochs import number_epochs_from
from tfrobust.nets import freezing
from tfrobust.seeding import seed_everything
from tfrobust.tuning import halving
from tfrobust.tuning.journal import Journal
from tfrobust.tuning.threats import STEP_COSTS, Candidate, Threats

#: More epochs than a rung has.
_EPOCHS = 1_000_000


def read_plan(path: files.PathLike, threats: Threats) -> tuple[halving.Plan, dict[str, Candidate]]:
    """A plan and its candidates, from a `plan.json`.

    Raises:
        ValueError: The file is no plan for these threats.
    """
    known = {candidate.name: candidate for candidate in threats.candidates()}
    try:
        plan = halving.Plan.from_json(files.read_json(path))
        return plan, {name: known[name] for name in plan.candidates}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must hold a plan for {threats.names}: {error}") from None


@dataclasses.dataclass
class Race:
    """Plans and runs a race; what it finds out is in the journal.

    Args:
        net: Makes a copy of the net that all candidates start from.
        load: Loads the data.
        build: `build(candidate, net, seed=0)` makes a candidate's method.
        measure: Maps a net to "clean", "robust" and so on, on the validation images.
        score: Maps what `measure` returned to what is ranked by, higher first.
        threats: What the model must withstand.
        folder: Output folder.
        journal: The journal in it.
        seed: Random seed.
        strategy: Distribution strategy.
        say: Receives progress messages.
    """

    net: Callable[[], keras.Model]
    load: Callable[[], datasets.Data]
    build: Callable[..., keras.Model]
    measure: Callable[[keras.Model], dict[str, Any]]
    score: Callable[[Mapping[str, Any]], float]
    threats: Threats
    folder: pathlib.Path
    journal: Journal
    seed: int
    strategy: tf.distribute.Strategy
    say: Callable[[str], Any]
    #: Name of the winner, after `run`; "" if there is none.
    winner: str = dataclasses.field(default="", init=False)

    def times(self, data: datasets.Data) -> dict[str, Any]:
        """Seconds that a plain step, the augmentations and an evaluation take on this machine."""
        return self.journal.once("times", lambda: self._times(data))

    def _times(self, data: datasets.Data) -> dict[str, float]:
        images, labels = next(iter(data.train))
        candidates = self.threats.candidates()
        model = self.build(dataclasses.replace(candidates[0], method="baseline"), self.net())
        model.compile("sgd")
        step = functools.partial(model.train_on_batch, images, labels)
        found = {"start": _seconds(step), "step": _seconds(step, 3)}
        for kind in dict.fromkeys(one.augment for one in candidates):
            found[kind] = 0.0
            if kind != "fgsm":  # whose passes are part of the method's cost
                layer = self.threats.augment(kind, seed=0)
                function = tf.function(functools.partial(layer, training=True))
                function(images)
                found[kind] = _seconds(functools.partial(function, images), 3)
        found["evaluation"] = _seconds(lambda: self.measure(model.net))
        return found

    def make_plan(
        self, amount: float, *, after: float, timed: bool, file: Optional[str] = None
    ) -> halving.Plan:
        """Reads the plan, or makes it.

        Args:
            amount: The whole budget.
            after: What is set aside for what comes after the race.
            timed: Whether the budget is in seconds, not in steps.
            file: A plan to be carried out as it stands.

        Returns:
            The plan; also the attribute `plan`.

        Raises:
            ValueError: The budget is too small, or the file is no plan for these threats.
        """
        self.amount, self.after = amount, after
        self.timed, self.fixed = timed and file is None, file is not None
        known = {candidate.name: candidate for candidate in self.threats.candidates()}
        path = pathlib.Path(file or self.folder / "plan.json")
        if not path.exists() and not self.fixed:
            costs, reserved = dict.fromkeys(known, halving.Cost(1.0)), after
            if timed:
                costs, reserved = self._costs(known), after + self.journal.seconds
            files.write_json(halving.plan(costs, amount, reserved=reserved).to_json(), path)
        self.plan, self.candidates = read_plan(path, self.threats)
        return self.plan

    def _costs(self, known: Mapping[str, Candidate]) -> dict[str, halving.Cost]:
        times, costs = self.journal["times"], {}
        for name, candidate in known.items():
            relative = STEP_COSTS[candidate.method]
            step = relative * times["step"] + times[candidate.augment]
            costs[name] = halving.Cost(step, relative * times["start"], times["evaluation"])
        return costs

    def run(self) -> list[pathlib.Path]:
        """Races the candidates.

        Returns:
            Files of the three finalists, the best first; fewer if trainings failed.
        """
        alive, finalists = list(self.plan.candidates), list[tuple[str, int]]()
        for number, rung in enumerate(self.plan.rungs, 1):
            alive, results = alive[: rung.candidates], {}
            for name in alive:
                key = f"rung {number}: {name}"
                if key in self.journal:
                    found = self.journal[key]
                else:
                    limit = self._limit(number, name)
                    train = functools.partial(self._train, name, number, limit)
                    found = self.journal.once(key, train)
                    self._note(number, name, found.get("steps", rung.steps[name]))
                results[name] = found
                self.say(f"{self._clock()} {key}: {described(found)}")
            alive = sorted(results, key=lambda name: self.score(results[name]), reverse=True)
            alive = [name for name in alive if "failed" not in results[name]]
            others = [one for one in finalists if one[0] not in alive]
            finalists = [(name, number) for name in alive] + others
        self.winner = finalists[0][0] if finalists else ""
        return [self._file(name, number) for name, number in finalists[:3]]

    def story(self) -> list[dict[str, Any]]:
        """What was tried: each candidate of each rung with its result."""
        return [
            {
                **vars(self.candidates[name]),
                "name": name,
                "rung": number,
                "seen": self.threats.trained_on(self.candidates[name]),
                **self.journal[f"rung {number}: {name}"],
            }
            for number, rung in enumerate(self.plan.rungs, 1)
            for name in rung.steps
            if f"rung {number}: {name}" in self.journal
        ]

    def _clock(self) -> str:
        spent = self.journal.seconds
        left = f", {max(self.amount - spent, 0) / 60:.1f} left" if self.timed else ""
        return f"[{spent / 60:.1f} min{left}]"

    def _file(self, name: str, rung: int) -> pathlib.Path:
        return self.folder / "candidates" / f"{name}-{rung}.keras"

    def _limit(self, number: int, name: str) -> float:
        """Seconds for a training; fits the steps of one that has trained before into them."""
        rung = self.plan.rungs[number - 1]
        before = self.journal.get(f"rung {number - 1}: {name}")
        if not self.timed:
            return math.inf
        if before is None:
            return rung.share
        evaluation = self.journal["times"]["evaluation"]
        done = sum(key.startswith(f"rung {number}: ") for key in self.journal)
        # Later rungs have fewer candidates, but all rungs get the same part of the budget.
        shares = rung.candidates - done + rung.candidates * (len(self.plan.rungs) - number)
        share = (self.amount - self.after - self.journal.seconds) / max(shares, 1) - evaluation
        if before["step"] is not None:
            steps = 1 + (share - before["first"]) / max(before["step"], 1e-6)
            self._note(number, name, max(math.floor(steps), 1))
        return max(share, 1.0)

    def _note(self, number: int, name: str, steps: int) -> None:
        """Writes into the plan how many steps a candidate makes."""
        if self.timed and self.plan.rungs[number - 1].steps[name] != steps:
            self.plan.rungs[number - 1].steps[name] = steps
            files.write_json(self.plan.to_json(), self.folder / "plan.json")

    def _train(self, name: str, number: int, limit: float) -> dict[str, Any]:
        """Trains a candidate for a rung, from where the one before has left it."""
        candidate, steps = self.candidates[name], self.plan.rungs[number - 1].steps[name]
        seed_everything(self.seed)
        data = self.load()
        # One pass over the data per epoch at most; each rung has orders and draws of its own.
        epochs = math.ceil(steps / data.steps)
        train = data.train.take(math.ceil(steps / epochs))
        number_epochs_from(train, _EPOCHS * (number - 1))

        def net() -> keras.Model:
            if number > 1:
                return saving.load_model(self._file(name, number - 1)).net
            made = self.net()
            if candidate.first < 1:
                freezing.freeze(made, all_but_first=candidate.first)
            return made

        deadline = Deadline(limit)
        logs = keras.callbacks.TensorBoard(self.folder / "logs" / name, write_graph=False)
        try:
            model = trainer.train_to(
                self._file(name, number),
                net,
                functools.partial(self.build, candidate, seed=self.seed + number),
                dataclasses.replace(data, train=train),
                epochs=epochs,
                learning_rate=candidate.learning_rate,
                callbacks=[deadline, logs],
                strategy=self.strategy,
            )
        except (FloatingPointError, ValueError) as error:
            return {"failed": " ".join(str(error).split())}
        step = None if math.isnan(deadline.step) else deadline.step  # NaN is not JSON
        found = {"steps": int(model.optimizer.iterations), "first": deadline.first, "step": step}
        return {**self.measure(model.net), **found}


def described(found: Mapping[str, Any]) -> str:
    """A result in a few words."""
    if "failed" in found:
        return str(found["failed"])
    return f"{100 * found['clean']:.1f}% clean, {100 * found['robust']:.1f}% changed"


def _seconds(run: Callable[[], Any], times: int = 1) -> float:
    """Time of a call, the shortest of some."""
    found = []
    for _ in range(times):
        began = time.monotonic()
        run()
        found.append(time.monotonic() - began)
    return min(found)
