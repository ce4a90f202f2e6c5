"""The main job, in small."""

import importlib
import json

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import recipes, rows, saving, serving

module = importlib.import_module("tfrobust.recipes.quickstart")
SMALL = recipes.Quickstart(
    batch_size=64, baseline_epochs=8, finetune_epochs=2, finetune_learning_rate=0.0005
)
COLUMNS = ["clean", "B+", "B-", "GB", "GN", "SAP", "S+", "S-", "Combined+", "Combined-"]


def run(folder, **changes):
    said = []
    table = recipes.quickstart(
        SMALL.replace(**changes),
        folder / "run",
        savedmodels=folder / "savedmodels",
        say=said.append,
    )
    return table, "\n".join(said)


def run_killed(folder, monkeypatch):
    """A run that is killed before the last of its finetunings, and started again."""
    finetune, calls = module._finetune, []

    def killed(recipe, folder, name, *rest):
        calls.append(name)
        if len(calls) == len(SMALL.finetunings):
            raise KeyboardInterrupt
        finetune(recipe, folder, name, *rest)

    with monkeypatch.context() as context:
        context.setattr(module, "_finetune", killed)
        with pytest.raises(KeyboardInterrupt):
            run(folder)
        assert not (folder / "run" / "rows.jsonl").exists()
        table, said = run(folder)
    assert "resuming it" in said
    names = list(SMALL.finetunings)
    assert calls == [*names, names[-1]]
    return table, said


def check(folder, table, said, columns):
    """What a finished run has written."""
    run = folder / "run"
    measured = rows.read(run / "rows.jsonl")
    finetunings = list(SMALL.finetunings)

    # All models and columns, on the test images, at the calibrated strengths.
    assert [row.corruption for row in measured] == (1 + len(finetunings)) * columns
    assert list(dict.fromkeys(row.model for row in measured)) == ["baseline", *finetunings]
    strengths = {
        c["augmentation"]: c["strength"] for c in json.loads((run / "strengths.json").read_text())
    }
    for row in measured:
        assert (row.dataset, row.metric, row.n, row.seed) == ("digits/test", "accuracy", 120, 0)
        assert row.severity == {**strengths, "clean": 0.0}.get(row.corruption)
        assert f"{100 * row.value:.2f}" in table
    assert measured[0].value > 0.5  # the baseline has learnt the easy digits

    # Figure 4: before and after each of two epochs, on validation.
    history = rows.read(run / "history.jsonl")
    assert len(history) == 3 * len(finetunings) * len(columns)
    assert {row.dataset for row in history} == {"digits/validation"}
    with np.load(run / "pictures.npz") as pictures:
        assert list(pictures["names"]) == columns
        assert pictures["pictures"].shape == (4, len(columns), 32, 32, 3)
    assert json.loads((run / "settings.json").read_text())["gamma"] == SMALL.gamma
    assert "<h2>" in (run / "report.html").read_text()

    # The best model as a Keras file and as a SavedModel.
    model = saving.load_model(run / "model.keras")
    served = tf.saved_model.load(str(folder / "savedmodels" / "run"))
    grey = tf.fill([2, 32, 32, 3], 0.5)
    np.testing.assert_allclose(
        served.signatures["serving_default"](images=grey)["logits"], model(grey), atol=1e-5
    )
    assert "logits elsewhere differ by at most" in said
    assert "files and 4 recorded examples are as exported" in said
    assert served.signatures["uint8"](images=tf.zeros([1, 32, 32, 3], tf.uint8))["class"].shape == 1

    # Its card has the numbers of that model, and no other's.
    exported = serving.verify(folder / "savedmodels" / "run").folder
    card = json.loads((exported / "assets.extra" / "card.json").read_text(encoding="utf-8"))
    (numbers,) = card["numbers"]
    assert card["data"]["name"] == "digits"
    assert card["name"] == f"small_cnn, {numbers['measured_as']}"
    of_best = [row for row in measured if row.model == numbers["measured_as"]]
    assert numbers["same_weights"] and numbers["clean_accuracy"] == of_best[0].value
    assert list(numbers["corruptions"]) == columns[1:]


@pytest.fixture(scope="module")
def runs():
    return {}


@pytest.fixture
def killed(small_job, few_augmentations, runs, monkeypatch, tmp_path_factory):
    """A short run that was killed once: folder, table and what it said.

    Of one finetuning, in the slow tests of two.
    """
    way = tf.config.functions_run_eagerly()
    some = {name: SMALL.finetunings[name] for name in ("ST/CA", "FMA/CA")[way:]}
    monkeypatch.setattr(recipes.Quickstart, "finetunings", some)
    monkeypatch.setattr(serving, "serve_isolated", served_here)
    if way not in runs:
        folder = tmp_path_factory.mktemp("killed")
        runs[way] = (folder, *run_killed(folder, monkeypatch))
    return runs[way]


def served_here(folder, images):
    """What another process gives; see the tests of serving."""
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return serve(images=tf.constant(images))["logits"].numpy()


@pytest.mark.slow
def test_job_that_was_killed(killed, few_augmentations):
    folder, table, said = killed
    check(folder, table, said, few_augmentations)


@pytest.mark.slow
def test_finished_run_is_shown_and_kept(killed, monkeypatch):
    folder, table, _ = killed
    monkeypatch.setattr(module, "_finetune", None)
    again, said = run(folder)
    assert "finished" in said and again == table
    with pytest.raises(FileExistsError, match="seed 0, not 1"):
        run(folder, seed=1)


@pytest.mark.slow
def test_killed_job_ends_as_an_undisturbed_one(killed, tmp_path):
    table, _ = run(tmp_path)
    assert table == killed[1]
    for name in ("rows.jsonl", "history.jsonl"):
        assert rows.read(tmp_path / "run" / name) == rows.read(killed[0] / "run" / name)


@pytest.mark.slow
def test_whole_job(small_job, tmp_path):
    """Four models, ten columns; served from another process."""
    check(tmp_path, *run(tmp_path), COLUMNS)


def test_folders_of_others_are_kept(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds no run of tfrobust"):
        run(tmp_path)
    (tmp_path / "run" / "thesis.txt").unlink()
    (tmp_path / "savedmodels" / "run").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="savedmodels/run exists"):
        run(tmp_path)
    assert not (tmp_path / "run" / "settings.json").exists()


def test_output_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(NotADirectoryError, match="is a file"):
        run(tmp_path)
    with pytest.raises(PermissionError, match="writable"):  # not even root writes there
        recipes.quickstart(SMALL, "/proc/tfrobust/run", savedmodels=tmp_path, say=print)


def test_unknown_setting_names_the_valid_ones():
    with pytest.raises(ValueError, match=r"no setting gama; it has: .*gamma"):
        SMALL.replace(gama=1)


def test_best_is_chosen_by_the_mean_over_augmented_validation_images():
    def row(model, corruption, value, epoch):
        return rows.Row(model, "d/validation", corruption, 0.0, "accuracy", value, 1, 0, epoch)

    history = [
        row("a", "clean", 1.0, 1),  # clean does not count
        row("a", "GN", 0.5, 1),
        row("b", "clean", 0.1, 1),
        row("b", "GN", 0.6, 1),
        row("a", "GN", 0.9, 0),  # nor do earlier epochs
    ]
    assert module._best(history) == "b"
