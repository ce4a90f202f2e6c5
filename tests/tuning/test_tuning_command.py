"""The recipe and `tfrobust tune`."""

import dataclasses
import importlib
import json
import re

import pytest

from tfrobust import cli, recipes, rows, saving, tuning
from tfrobust.tuning import trials


@pytest.fixture
def start_model(small_job, tmp_path):
    """A baseline of a few epochs on the easy digits."""
    recipes.train(recipes.Train(epochs=4, batch_size=32), tmp_path / "base")
    return tmp_path / "base" / "model.keras"


def call(capsys, *arguments):
    """Exit code, output and errors of a command."""
    try:
        code = cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.slow
def test_command_and_report(start_model, few_augmentations, tmp_path, capsys):
    out = tmp_path / "tuned"
    command = ["tune", start_model, "--method", "stability_training", "--augment", "gaussian_noise"]
    command += ["--range", "alpha=0.1,1,2,log", "--range", "strength=0.05,0.1,2", "--trials", 2]
    command += ["--set", "symmetric=true", "--batch-size", 32, "--epochs", 1]
    command += ["--learning-rate", 0.01, "--clean-drop", 0.3]
    command += ["--conditions", "held_out", "--out", out]
    code, printed, errors = call(capsys, *command)
    assert code == 0, errors

    found = tuning.ranked(trials.read(out / "trials.jsonl"))
    assert [
        (t.values["alpha"], t.values["strength"]) for t in sorted(found, key=lambda t: t.number)
    ] == [
        (0.1, 0.05),
        (0.1, 0.1),
    ]
    best = found[0]
    assert re.search(rf"^{best.number} .* best$", printed, re.MULTILINE)
    assert f"best: alpha={best.values['alpha']:g}, strength={best.values['strength']:g}" in printed
    assert (
        f"report: {out / 'report.html'}" in printed and f"model: {out / 'model.keras'}" in printed
    )

    # The rows are of the start model and the best trial, whose numbers are the trial's.
    measured = rows.read(out / "rows.jsonl")
    assert list(dict.fromkeys(row.model for row in measured)) == ["start model", "best trial"]
    of_best = [row.value for row in measured if row.model == "best trial"]
    assert measured[len(of_best)].corruption == rows.CLEAN
    assert of_best[0] == pytest.approx(best.clean_accuracy, abs=1e-6)
    assert sum(of_best[1:]) / 4 == pytest.approx(best.robust_accuracy, abs=1e-6)
    floor = json.loads((out / "tuning.json").read_text())["clean_floor"]
    assert floor == pytest.approx(measured[0].value - 0.3, abs=1e-6)

    model = saving.load_model(out / "model.keras")
    assert (model.alpha, model.symmetric) == (best.values["alpha"], True)
    assert model.augment.strength == best.values["strength"]
    report = (out / "report.html").read_text()
    assert (
        "Trials of the search" in report
        and "digits/validation" in report
        and "best trial" in report
    )

    # What it says trains what the trial trained: the same numbers after as many epochs.
    again = printed.partition("finetune with them: tfrobust ")[2].splitlines()[0].split()
    assert call(capsys, *again)[0] == 0
    history = rows.read(tmp_path / "tuned-finetuned" / "history.jsonl")
    clean = {row.epoch: row.value for row in history if row.corruption == rows.CLEAN}
    assert clean[best.epoch] == pytest.approx(best.clean_accuracy, abs=1e-6)

    # A second time: nothing is trained.
    code, printed, _ = call(capsys, *command)
    assert code == 0 and "trial 1:" not in printed and "best: alpha" in printed
    code, _, errors = call(capsys, *command, "--epochs", 3)
    assert code == 2 and "holds a run with epochs 1, not 3" in errors


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["--range", "delta=1,2,2"],
            "feature_map_augmentation has no setting delta; it has: gamma",
        ),
        (["--range", "delta"], "there is no range of 'delta' for feature_map_augmentation"),
        (["--range", "gamma=2,1,2"], "must go from a smaller to a larger number; received 2 to 1"),
        (["--range", "gamma=0,1,2,log"], "a logarithmic range must start above 0"),
        (["--range", "gamma=0,1,0"], "points of gamma must be a whole number from 1"),
        (["--range", "gamma=-1,1,2"], "gamma must be a number in [0, 1e+06]; received -1.0"),
        (["--range", "gamma=1,2,2", "--set", "gamma=1"], "gamma is given twice"),
        (["--range", "gamma=1,2,2", "--range", "gamma"], "gamma is given twice"),
        (["--range", "strength"], "the stability-training paper has no strengths of 'combined'"),
        (["--range", "strength=0,1,2"], "combined has no strength to be given"),
        (["--augment", "GN", "jpeg", "--range", "strength=0,1,2"], "strength is that of one"),
        (["--augment", "GN", "--range", "strength=0,11,2"], "sigma must be a number in [0, 10]"),
        (["--conditions", "held_out", "jpg=3"], "(did you mean jpeg?)"),
        (["--set", "gamma=big"], "gamma of feature_map_augmentation must be a number; received"),
        (["--set", "attack.steps=3"], "feature_map_augmentation has no attack"),
        (["--set", "net.dropout=0.5"], "net.dropout is a setting of nets that are trained from"),
        (["--method", "baseline"], "baseline has no hyper-parameter to tune"),
        (["--clean-floor", "95"], "clean_floor must be a number in [0, 1]; received 95"),
        (["--clean-drop", "-1"], "clean_drop must be a number in [0, 1]; received -1"),
        (
            ["--clean-drop", "0.1", "--clean-floor", "0.9"],
            "clean_floor and clean_drop exclude each",
        ),
        (["--clean-floor", "0.9", "--objective", "val_loss"], "clean_floor and objective exclude"),
        (
            ["--objective", "sharpness"],
            "objective 'sharpness' does not say whether more or less of it is better",
        ),
        (["--objective", "val_top5_accuracy"], "received 'val_top5_accuracy'"),
        (["--trials", "0"], "must be a whole number from 1; received '0'"),
        (["--tuner", "genetic"], "invalid choice: 'genetic'"),
    ],
)
def test_mistakes_are_told_before_time_is_spent(tmp_path, capsys, make_net, arguments, message):
    saving.save_model(make_net(), tmp_path / "start.keras")
    code, _, errors = call(
        capsys, "tune", tmp_path / "start.keras", *arguments, "--out", tmp_path / "run"
    )
    assert code == 2 and message in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_test_sets_and_missing_models(tmp_path, capsys, make_net):
    code, _, errors = call(capsys, "tune", tmp_path / "no.keras", "--out", tmp_path / "run")
    assert code == 2 and "no model file" in errors


def test_finetune_command():
    best = trials.Trial(
        3, {"alpha": 0.316228, "strength": 50}, "completed", 4, 3, 0.9, 0.8, 0.8, True
    )
    recipe = recipes.Tune(
        model="my runs/base.keras",
        method="stability_training",
        augment="jpeg=10",
        settings={"symmetric": True},
        epochs=12,
        dataset="folder",
        data_dir="pictures",
        seed=5,
    )
    assert recipes.finetune_command(recipe, best, "out") == (
        "tfrobust finetune 'my runs/base.keras' --seed 5 --data-dir pictures --dataset folder "
        "--method stability_training --augment jpeg=50 --set symmetric=true --set alpha=0.316228 "
        "--epochs 4 --out out"
    )


def test_defaults_of_the_recipe():
    fields = {field.name: field.default for field in dataclasses.fields(recipes.Tune)}
    assert fields["tuner"] == "grid" and fields["conditions"] == ("table_1",)
    with pytest.raises(ValueError, match="Tune has no setting gamma"):
        recipes.Tune().replace(gamma=1)
    with pytest.raises(ValueError, match="unknown augmentation 'test'; choose from: combined, "):
        recipes.tune(recipes.Tune(conditions="test"), "nowhere")


def test_fgsm_is_a_perturbation_with_a_strength(make_net, tmp_path):
    """Table 2 has strengths of FGSM; adversarial training and ST take it, each in its place."""
    build = importlib.import_module("tfrobust.recipes.tuning")._build
    saving.save_model(make_net(), tmp_path / "start.keras")
    for method, place in (("adversarial_training", "attack"), ("stability_training", "augment")):
        recipe = recipes.Tune(
            model=str(tmp_path / "start.keras"),
            method=method,
            augment="fgsm",
            input_range="0_to_1",
        )
        attack = getattr(build(recipe, {"strength": 0.25}), place)
        assert (type(attack).__name__, attack.epsilon) == ("FGSM", 0.25)
        recipe = recipe.replace(augment="fgsm=0.5")
        assert getattr(build(recipe, {}), place).epsilon == 0.5
    with pytest.raises(ValueError, match=r"fgsm takes its ε, such as fgsm=0.001; received fgsm=a"):
        build(recipe.replace(augment="fgsm=a"), {})
