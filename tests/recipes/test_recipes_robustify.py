"""The most robust version of a model within a budget."""

import importlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import datasets, recipes, saving, settings
from tfrobust.tuning.threats import THREATS, Candidate, Threats

pytestmark = pytest.mark.usefixtures("eagerly", "undrawn")

module = importlib.import_module("tfrobust.recipes.robustify")
race_module = importlib.import_module("tfrobust.tuning.race")


def blocks(count=96):
    """Class k is bright in channel k, on grey paper; train, validation and test."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    bright = np.eye(3)[labels][:, None, None]
    images = np.float32(0.3 + 0.25 * bright + 0.1 * random.random([count, 32, 32, 3]))
    whole = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)
    sizes = dict.fromkeys(("train", "validation", "test"), count)
    return datasets.Data("blocks", whole, whole, whole, ("r", "g", "b"), (32, 32, 3), sizes)


@pytest.fixture
def net():
    layers = [keras.Input([32, 32, 3]), keras.layers.GlobalAveragePooling2D()]
    made = keras.Sequential([*layers, keras.layers.Dense(3)])
    # It never says blue: there is something to gain.
    made.layers[-1].set_weights([np.diag(np.float32([9, 9, 0])), np.zeros(3, "float32")])
    return made


@pytest.fixture
def few(monkeypatch):
    """Two candidates under one condition, and a proof of one severity."""
    pairs = [Candidate("augmentation_training", "choice", rate) for rate in (0.2, 0.1)]
    monkeypatch.setattr(Threats, "candidates", lambda self: pairs)
    conditions = Threats.conditions
    monkeypatch.setattr(Threats, "conditions", lambda self: conditions(self)[-1:])
    monkeypatch.setattr(module, "corrupted", lambda severities: [])
    monkeypatch.setattr(module, "TEST_CORRUPTIONS", ("clean",))


def run(net, out, **options):
    said = []
    options = {"against": "GN", "budget": "120steps", "clean_drop": 0.1, **options}
    options.setdefault("input_range", "0_to_1")
    found = recipes.robustify(net, blocks(), out=out, say=said.append, **options)
    return found, "\n".join(said)


@pytest.mark.slow
def test_a_better_model_is_found_and_is_a_drop_in(net, few, tmp_path, monkeypatch):
    """Although one candidate fails, which drops out."""
    train = race_module.trainer.train_to

    def failing(file, *arguments, **options):
        if "0.2" in file.name:
            raise FloatingPointError("the loss is NaN in step 1")
        return train(file, *arguments, **options)

    monkeypatch.setattr(race_module.trainer, "train_to", failing)
    before = [np.array(weight) for weight in net.get_weights()]
    found, said = run(net, tmp_path / "a")
    assert found.gain > 0.2 and "what hurts most" in said
    assert "the loss is NaN in step 1" in said
    story = json.loads((tmp_path / "a" / "robustify.json").read_text(encoding="utf-8"))
    assert [one["rung"] for one in story["tried"] if "failed" not in one] == [1, 2]
    assert found.report.read_text(encoding="utf-8").count("The result against the original") == 1
    for old, now in zip(before, net.get_weights()):
        np.testing.assert_array_equal(old, now)  # the original is not touched
    alone = keras.models.load_model(tmp_path / "a" / "model.keras")
    assert type(alone) is type(net) and alone.input_shape == net.input_shape
    assert [layer.name for layer in alone.layers] == [layer.name for layer in net.layers]
    images, _ = next(iter(blocks().test))
    np.testing.assert_array_equal(alone.predict(images), found.model.predict(images))
    served = tf.saved_model.load(str(tmp_path / "a" / "savedmodel")).signatures["serving_default"]
    np.testing.assert_allclose(served(images=images)["logits"], alone(images), atol=1e-5)


@pytest.mark.slow
def test_two_runs_and_a_killed_one_are_equal(net, few, tmp_path, monkeypatch):
    found, _ = run(net, tmp_path / "whole")
    assert found.gain > 0.2
    train = race_module.trainer.train_to

    def killed(file, *arguments, **options):
        if file.name.endswith("-2.keras"):
            raise KeyboardInterrupt
        return train(file, *arguments, **options)

    with monkeypatch.context() as context:
        context.setattr(race_module.trainer, "train_to", killed)
        with pytest.raises(KeyboardInterrupt):
            run(net, tmp_path / "cut")
    run(net, tmp_path / "cut")
    plan = tmp_path / "whole" / "plan.json"
    run(net, tmp_path / "again", plan=plan)
    weights = [
        saving.load_model(tmp_path / name / "model.keras").get_weights()
        for name in ("whole", "cut", "again")
    ]
    for other in weights[1:]:
        for a, b in zip(weights[0], other):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_useless_candidates_leave_the_original(net, few, tmp_path, monkeypatch):
    fit = race_module.trainer.fit

    def useless(model, data, **options):
        history = fit(model, data, **options)
        model.net.set_weights([np.zeros_like(weight) for weight in model.net.get_weights()])
        return history

    monkeypatch.setattr(race_module.trainer, "fit", useless)
    monkeypatch.setattr(module, "DIAL", (1.0,))
    found, said = run(net, tmp_path / "a", budget="60steps")
    assert found.gain == 0.0
    assert "nothing is better than the original" in said
    assert "the result is the original" in found.report.read_text(encoding="utf-8")
    kept = keras.models.load_model(tmp_path / "a" / "model.keras").get_weights()
    for a, b in zip(kept, net.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_a_dry_run_plans_and_trains_nothing(net, few, tmp_path):
    found, said = run(net, tmp_path / "a", dry_run=True)
    assert found is None and "rung 1: 2 candidates, 30–30 steps" in said
    assert not (tmp_path / "a" / "candidates").exists()
    _, said = run(net, tmp_path / "a", dry_run=True, budget="200steps")  # nothing was trained yet
    assert "rung 1: 2 candidates, 50–50 steps" in said


@pytest.mark.parametrize(
    "options, words",
    [
        ({"budget": "soon"}, "budget must be a time or a number of steps"),
        ({"budget": "-3m"}, "budget must be a time or a number of steps"),
        ({"budget": "5steps"}, "the budget is too small for one candidate"),
        ({"against": "rain"}, "a threat must be one of unknown, noise"),
        ({"against": ()}, "a threat must be one of unknown"),
        ({"clean_drop": 3}, "clean_drop must"),
        ({"strategy": "all"}, "strategy must be one of"),
    ],
)
def test_wrong_settings_are_refused(net, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        run(net, tmp_path / "a", **options)


def test_a_wrong_plan_is_told_first(net, tmp_path):
    (tmp_path / "plan.json").write_text('{"rungs": []}')
    with pytest.raises(ValueError, match=r"plan\.json must hold a plan for"):
        run(net, tmp_path / "a", plan=tmp_path / "plan.json")
    assert not (tmp_path / "a").exists()


def test_wrong_models_and_data_are_refused(net, few, tmp_path):
    run(net, tmp_path / "a", dry_run=True)
    net.set_weights([np.ones_like(weight) for weight in net.get_weights()])
    with pytest.raises(FileExistsError, match="run of another model"):
        run(net, tmp_path / "a")
    net.trainable = False
    with pytest.raises(ValueError, match="no trainable weights"):
        run(net, tmp_path / "b")


@pytest.mark.parametrize("name", [*THREATS, "GN", "jpeg=20"])
def test_threats_have_candidates_and_conditions(name):
    threats = Threats([name])
    found = threats.candidates()
    assert len({one.name for one in found}) == len(found) > 10
    for one in found:
        threats.augment(one.augment, seed=0)
    names = [condition.name for condition in threats.conditions()]
    assert len(set(names)) == len(names) >= 4


@pytest.mark.parametrize(
    "text, expected",
    [
        ("90s", (90, "seconds")),
        ("1.5m", (90, "seconds")),
        ("2h", (7200, "seconds")),
        ("5000steps", (5000, "steps")),
    ],
)
def test_budgets(text, expected):
    assert settings.read_budget(text) == expected
