"""The engine of the papers' experiments: tables by hand, runs that stop and go on."""

import dataclasses
import json
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import cli, datasets, rows, saving, trainer
from tfrobust.augment import GaussianNoise
from tfrobust.evaluation import swept
from tfrobust.evaluation.predictions import Predictions
from tfrobust.evaluation.results_folder import Results
from tfrobust.experiments import (
    Experiment,
    ExperimentConfig,
    ModelSpec,
    Training,
    experiment,
    intervals,
    reproduce,
    resolved,
)
from tfrobust.experiments.tables import (
    PaperTable,
    accuracy,
    by_seed,
    fill,
    improvement,
    metric,
    read_printed,
    robust,
)
from tfrobust.registries import CORRUPTION_GROUPS, EXPERIMENTS, PERTURBATIONS, TEST_CORRUPTIONS


def row(model, condition, value, *, seed=0, severity=None, kind="accuracy"):
    made = {"training_seed": seed}
    return rows.Row(model, "d/test", condition, severity, kind, value, 100, 0, provenance=made)


class TestTables:
    measured = (
        row("Base", "clean", 0.90),
        row("Base", "GN", 0.50),
        row("A", "clean", 0.80),
        row("A", "GN", 0.70),
        row("A", "clean", 0.84, seed=1),
        row("A", "GN", 0.80, seed=1),
    )

    def test_mean_and_spread_by_hand(self):
        table = PaperTable("T", [accuracy("Clean", "clean")], {"A": [81.5]}, digits=2)
        filled = fill(table, self.measured)
        assert filled.labels == ("A", "Base")
        # mean (80 + 84) / 2; deviation sqrt(((−2)² + 2²) / 1)
        assert filled.texts == (("82.00 ± 2.83 [81.50]",), ("90.00",))
        assert filled.values == ((82.0,), (90.0,))
        assert "Training seeds: 0, 1" in filled.notes[-1]

    def test_what_was_trained_once_is_compared_with_every_seed(self):
        table = PaperTable("T", [improvement("Gain", ("clean", "GN"), "Base")], {})
        # seed 0: (−10 + 20) / 2 = 5; seed 1: (−6 + 30) / 2 = 12
        assert fill(table, self.measured).texts == (("8.50 ± 4.95",),)

    def test_robust_accuracy_is_the_mean_over_corruptions_of_the_mean_over_severities(self):
        measured = [
            row("A", "fog", 0.2, severity=1),
            row("A", "fog", 0.4, severity=2),
            row("A", "snow", 0.9, severity=1),
        ]
        table = PaperTable("T", [robust("RA", ("fog", "snow"))], {}, digits=1)
        assert fill(table, measured).texts == (("60.0",),)
        assert fill(table, measured[:2]).texts == ()  # one is missing: no number

    def test_models_that_only_the_paper_has(self):
        table = PaperTable("T", [accuracy("C", "clean")], {"Theirs": [12.345]}, digits=1)
        assert fill(table, self.measured).texts[0] == ("– [12.3]",)
        only = PaperTable("T", table.columns, {}, only=("Base",))
        assert fill(only, self.measured).labels == ("Base",)

    def test_other_metrics(self):
        measured = [row("A", "snow", 0.25, kind="flip_probability")]
        table = PaperTable("T", [metric("snow", "snow", "flip_probability", 100.0)], {}, digits=1)
        assert fill(table, measured).texts == (("25.0",),)

    def test_no_rows(self):
        table = PaperTable("T", [accuracy("C", "clean")], {"A": [1.0]}, digits=1)
        assert fill(table, []).texts == (("– [1.0]",),)
        assert by_seed([]) == {}


class Small(Experiment):
    """Two models on few digits."""

    small = ExperimentConfig(
        dataset="digits",
        flips_and_crops=False,
        net="small_cnn",
        training=Training(2, 64, learning_rate=0.05),
        finetuning=Training(2, 64, learning_rate=0.05),
    )

    def lines(self, run, seed):
        noise = {"augment": GaussianNoise(0.1, seed=seed)}
        return [
            ModelSpec("Base", once=True),
            ModelSpec("AT", "augmentation_training", noise, start="Base"),
        ]

    def conditions(self, run):
        return swept("GN", GaussianNoise(), [0.1])

    def tables(self, setting):
        return [PaperTable("Small", [accuracy("Clean", "clean"), accuracy("GN", "GN")], {})]


def accuracies(measured):
    return [r for r in measured if r.metric == "accuracy"]


def values(measured):
    return [
        (r.model, r.corruption, r.value, r.provenance["training_seed"], r.provenance["sha256"])
        if "sha256" in r.provenance
        else (r.model, r.corruption, r.value, r.provenance["training_seed"])
        for r in measured
    ]


@pytest.fixture(scope="module")
def runs():
    return {}


@pytest.fixture
def whole(small_job, runs, tmp_path_factory):
    """Runs of `Small` that nothing came in the way of; tests read them, or work on copies.

    "base": the folder of the baseline alone. "folder": the same and the other line, which was added
    to it; "rows" and "told": what that gave and said.
    """
    way = tf.config.functions_run_eagerly()
    if way not in runs:
        base, told = tmp_path_factory.mktemp("whole") / "base", []
        Small().run(Small.small.replace(lines=("Base",)), base, say=told.append)
        folder = shutil.copytree(base, base.parent / "run")
        told.append("added")
        measured = Small().run(Small.small, folder, say=told.append)
        runs[way] = {"base": base, "folder": folder, "rows": measured, "told": told}
    return runs[way]


def test_lines_can_be_added(whole):
    assert [(r.model, r.corruption) for r in accuracies(whole["rows"])] == [
        ("Base", "clean"), ("Base", "GN"), ("AT", "clean"), ("AT", "GN"),
    ]  # fmt: skip
    alone = rows.read(whole["base"] / "rows.jsonl")
    assert values(alone) == values(whole["rows"])[:2]
    added = whole["told"].index("added")
    trained = [[line for line in told if "training" in line] for told in
               (whole["told"][:added], whole["told"][added:])]  # fmt: skip
    assert [len(told) for told in trained] == [1, 1]
    assert "training Base" in trained[0][0] and "training AT" in trained[1][0]


def test_killed_runs_go_on(whole, tmp_path, monkeypatch):
    """Killed in the middle of a training, then before its model is measured."""
    # The line that is asked for brings the one that it starts from.
    setting = Small.small.replace(lines=("AT",))
    end_of_epoch = trainer.Checkpoint.on_epoch_end

    def killed(self, epoch, logs=None):
        end_of_epoch(self, epoch, logs)
        raise KeyboardInterrupt

    folder = shutil.copytree(whole["base"], tmp_path / "killed")
    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(trainer.Checkpoint, "on_epoch_end", killed)
        Small().run(setting, folder, say=lambda line: None)
    assert len(list((folder / "rows").glob("*"))) == 1  # of the baseline
    assert not (folder / "models/at_0.keras").exists()

    def never(self, *arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(Experiment, "_measure", never)
        Small().run(setting, folder, say=lambda line: None)
    told = []
    again = Small().run(setting, folder, say=told.append)
    assert values(again) == values(whole["rows"])
    assert not any("training" in line for line in told)  # what was trained is not trained again
    with pytest.raises(FileExistsError, match="holds a run with"):
        Small().run(setting.replace(dataset="corner_digits"), folder)


@pytest.mark.slow
def test_seeds_can_be_added_and_take_the_baseline_that_is_there(whole, tmp_path):
    """What is trained once belongs to the folder, whichever seeds are asked for."""
    folder, told = tmp_path / "run", []
    shutil.copytree(whole["folder"], folder)
    alone = Small().run(Small.small.replace(seeds=(1,)), folder, say=told.append)
    assert not any("training Base" in line for line in told)
    found = {(r.model, r.provenance["training_seed"]) for r in alone}
    assert found == {("Base", 0), ("AT", 1)}
    table = PaperTable("T", [improvement("Gain", ("GN",), "Base")], {})
    assert fill(table, alone).labels == ("AT",)  # compared with the baseline of another seed
    assert not re.search(r"\d ± \d", (folder / "tables.md").read_text(encoding="utf-8"))

    both = Small().run(Small.small.replace(seeds=(0, 1)), folder, say=told.append)
    trained = [line for line in told if "training" in line]
    assert len(trained) == 1 and "training AT, seed 1" in trained[0]
    added = [(r.model, r.provenance["training_seed"]) for r in accuracies(both)][-2:]
    assert added == [("AT", 1)] * 2
    assert values(both)[:4] == values(whole["rows"])[:4]
    assert values(alone)[2:4] == values(both)[4:6]
    assert re.search(r"\d ± \d", (folder / "tables.md").read_text(encoding="utf-8"))


def test_lines_that_are_not_there(small_job, tmp_path):
    with pytest.raises(ValueError, match="line must be one of Base, AT; received 'FMA'"):
        Small().run(Small.small.replace(lines=("FMA",)), tmp_path / "run")
    assert not (tmp_path / "run").exists()  # a mistake leaves nothing that is in the way


class TestFlipsAndCrops:
    def data(self, seed=0):
        loaded = datasets.load("digits", batch_size=8, images={"train": 16}, seed=seed)
        # In a fixed order, so that images can be told.
        images, labels = next(iter(loaded.train.unbatch().batch(16)))
        train = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
        return images.numpy(), dataclasses.replace(loaded, train=train)

    def test_each_image_is_a_shifted_or_mirrored_one(self):
        images, data = self.data()
        changed = experiment.flipped_and_cropped(data, seed=3).train
        moved = 0
        for number, (image, _) in enumerate(changed.unbatch()):
            padded = np.pad(images[number], [(4, 4), (4, 4), (0, 0)])
            windows = {(y, x): padded[y : y + 32, x : x + 32] for y in range(9) for x in range(9)}
            found = [
                (*place, mirrored)
                for place, window in windows.items()
                for mirrored in (False, True)
                if np.allclose(image, window[:, ::-1] if mirrored else window, atol=1e-6)
            ]
            assert found
            moved += (4, 4, False) not in found
        assert moved >= 12

    def test_new_in_each_epoch_and_the_same_with_the_same_seed(self):
        _, data = self.data()
        first = experiment.flipped_and_cropped(data, seed=3).train
        again = experiment.flipped_and_cropped(data, seed=3).train
        other = experiment.flipped_and_cropped(data, seed=4).train
        epochs = [[next(iter(d))[0].numpy() for _ in range(2)] for d in (first, again, other)]
        np.testing.assert_array_equal(epochs[0], epochs[1])
        assert not np.array_equal(epochs[0][0], epochs[0][1])
        assert not np.array_equal(epochs[0][0], epochs[2][0])
        assert int(first.cardinality()) == 2


@pytest.mark.slow
def test_from_the_command_line(small_job, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # One of its five distortions.
    monkeypatch.setattr(EXPERIMENTS["stability_gauss"], "tested", ("Gauss",))
    line = "ST Gauss 0.1, α=1"
    assert cli.main(["reproduce", "stability_gauss", "--quick", "--lines", line]) == 0
    printed = capsys.readouterr().out
    assert "Gauss → test distortions, worst and best run" in printed
    folder = tmp_path / "runs/stability_gauss-quick"
    assert (folder / "tables.md").read_text(encoding="utf-8").strip() in printed
    assert (folder / "gauss.png").read_bytes().startswith(b"\x89PNG")
    measured = rows.read(folder / "rows.jsonl")
    assert {r.model for r in measured} == {"Baseline", line}
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    assert settings["dataset"] == "digits"
    assert keras.mixed_precision.global_policy().name == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fma_table9"], "unknown experiment 'fma_table9'; choose from: fma_table2"),
        (["fma_table3", "--set", "gamm=1"], "has no number gamm; it has: alpha"),
        (["fma_table3", "--set", "gamma=much"], "gamma must be a number, such as 0.1; received"),
        (["fma_table3", "--quick", "--lines", "XE"], "line must be one of Baseline, AT/CA"),
        (["fma_table3", "--data-dir", "nowhere"], "there is none at cifar10_resnet20.npz"),
        (["fcl_table1", "--data-dir", "nowhere"], "mnist"),
        (["fma_table3", "--out", "file.txt"], "file.txt"),
    ],
)
def test_wrong_input(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("not a folder", encoding="utf-8")
    assert cli.main(["reproduce", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.glob("runs/*"))  # nothing is in the way of the right command


@pytest.mark.slow
def test_on_several_devices(whole, tmp_path):
    """The same models as on one; finetunings and their layers among them."""
    setting = Small.small.replace(strategy="mirrored")
    Small().run(setting, tmp_path / "mirrored", say=lambda line: None)
    weights = {}
    for strategy, folder in (("none", whole["folder"]), ("mirrored", tmp_path / "mirrored")):
        for name in ("base", "at"):
            model = saving.load_model(folder / f"models/{name}_0.keras")
            assert model.distribute_strategy.num_replicas_in_sync == 1
            weights[strategy, name] = np.concatenate([w.ravel() for w in model.net.get_weights()])
    assert np.linalg.norm(weights["none", "base"] - weights["mirrored", "base"]) < 1e-3
    # Each device draws noise of its own.
    way = np.linalg.norm(weights["none", "at"] - weights["none", "base"])
    assert 1e-4 < np.linalg.norm(weights["none", "at"] - weights["mirrored", "at"]) < way / 2
    with pytest.raises(ValueError, match="strategy must be one of none, mirrored, tpu; received"):
        Small().run(setting.replace(strategy="multiworker"), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_one_value_stands_for_several():
    experiment = EXPERIMENTS["augmax_imagenet"]()
    setting = resolved(experiment, "full", {"deep_augment": "folder"})
    assert setting.numbers["deep_augment"] == ("folder",)
    assert (
        resolved(experiment, "full", {"deep_augment": ("a", "b")}).numbers["deep_augment"][1] == "b"
    )


def test_describe_runs_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["reproduce", "fcl_table1", "--describe", "--set", "weight=0.5"]) == 0
    printed = capsys.readouterr().out
    assert "FCL paper, Table 1" in printed and "'weight': 0.5" in printed
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_there(small_job, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        reproduce(
            "augmax_cifar10",
            tmp_path / "run",
            setting="quick",
            weights=str(tmp_path / "nowhere.npz"),
            say=lambda line: None,
        )
    assert not (tmp_path / "run").exists()


class TestIntervals:
    """Differences of models on the same images."""

    def folder(self, root):
        """Base is right on 50 of 100 images, A on 10 more under fog, on 10 fewer under snow."""
        measured = []
        right = {
            ("Base", "clean", 0.0): 50, ("Base", "fog", 1): 50, ("Base", "snow", 1): 50,
            ("A", "clean", 0.0): 40, ("A", "fog", 1): 80, ("A", "snow", 1): 60,
        }  # fmt: skip
        for (model, condition, severity), count in right.items():
            made = row(model, condition, count / 100, severity=severity)
            answers = Predictions(
                labels=np.zeros(100, "int32"),
                predicted=(np.arange(100) >= count).astype("int32"),
                uncertainty=np.zeros(100, "float32"),
            )
            Results(intervals.folder_of(root, 0), model, "d/test").add([made], answers)
            measured.append(made)
        return measured

    def test_by_hand(self, tmp_path):
        found = intervals.differences(self.folder(tmp_path), tmp_path)
        values = {(r.model, r.corruption, r.metric): r.value for r in found}
        assert values["A", "clean", "difference"] == pytest.approx(-0.1)
        assert values["A", intervals.ROBUST, "difference"] == pytest.approx((0.3 + 0.1) / 2)
        # The scores differ by ½ on 20 images, 1 on 10: deviation of their mean, by hand, 0.033.
        differences = np.repeat([1.0, 0.5, 0.0], [10, 20, 70])
        spread = 1.96 * differences.std() / 10
        low, high = (values["A", intervals.ROBUST, f"difference_{end}"] for end in ("low", "high"))
        assert low == pytest.approx(0.2 - spread, abs=0.01)
        assert high == pytest.approx(0.2 + spread, abs=0.01)
        table = intervals.table(found)
        assert table.labels == ("A",) and table.values[0] == pytest.approx((-10.0, 20.0))
        assert table.texts[0][1].startswith("+20.0 (+1")
        assert "above Base" in table.notes[0] and "the 100 test images" in table.notes[0]

    def test_the_model_before(self, tmp_path):
        measured = self.folder(tmp_path)
        for old in [r for r in measured if r.model == "A"]:  # B is A, but for clean images
            new = dataclasses.replace(old, model="B")
            count = 50 if old.corruption == "clean" else round(100 * old.value)
            predicted = (np.arange(100) >= count).astype("int32")
            answers = Predictions(np.zeros(100, "int32"), predicted, np.zeros(100, "float32"))
            Results(intervals.folder_of(tmp_path, 0), "B", "d/test").add([new], answers)
            measured.append(new)
        found = intervals.differences(measured, tmp_path)
        values = {
            (r.model, r.protocol["baseline"], r.corruption): r.value
            for r in found
            if r.metric == "difference"
        }
        assert values["B", "Base", "clean"] == 0 and values["B", "A", "clean"] == pytest.approx(0.1)
        assert values["B", "Base", intervals.ROBUST] == pytest.approx(0.2)
        assert values["B", "A", intervals.ROBUST] == 0
        table = intervals.table(found)
        assert table.columns[2] == "Mean over the conditions, above the model before"
        np.testing.assert_allclose(table.values, [[-10, 20, 20], [0, 20, 0]], atol=1e-9)

    def test_models_without_answers_have_none(self, tmp_path):
        measured = self.folder(tmp_path)
        measured.append(row("B", "clean", 0.5, severity=0.0))
        assert {r.model for r in intervals.differences(measured, tmp_path)} == {"A"}
        assert intervals.differences(measured, tmp_path / "elsewhere") == []
        assert intervals.differences([], tmp_path) == []
        assert intervals.table(measured) is None

    def test_conditions_that_only_one_model_has_are_left_out(self, tmp_path):
        measured = [r for r in self.folder(tmp_path) if (r.model, r.corruption) != ("A", "snow")]
        found = intervals.differences(measured, tmp_path)
        robust = [r for r in found if r.corruption == intervals.ROBUST]
        assert robust[0].value == pytest.approx(0.3)
        assert robust[0].protocol["conditions"] == 1

    def test_of_a_run(self, whole):
        folder, measured = whole["folder"], whole["rows"]
        found = {(r.corruption, r.metric): r.value for r in measured if r.model == "AT"}
        base = {(r.corruption, r.metric): r.value for r in measured if r.model == "Base"}
        for condition, label in (("clean", "clean"), ("GN", intervals.ROBUST)):
            gain = found[condition, "accuracy"] - base[condition, "accuracy"]
            assert found[label, "difference"] == pytest.approx(gain)
            assert found[label, "difference_low"] <= gain <= found[label, "difference_high"]
        text = (folder / "tables.md").read_text(encoding="utf-8")
        assert "### Differences" in text and "Points of accuracy above Base" in text


class TestPrintedNumbers:
    """What was copied from the papers' large tables adds up to what their small tables print."""

    #: The paper's own numbers differ here, as the headers of the files say.
    wrong = (("noisymix_table9", "CutMix"), ("noisymix_table12", "Stylized ImageNet"))

    @pytest.mark.parametrize(
        ("means", "column", "table"),
        [
            ("noisymix_table2", "CIFAR-10-C", "noisymix_table7"),
            ("noisymix_table2", "CIFAR-100-C", "noisymix_table8"),
            ("noisymix_table3", "CIFAR-10-C", "noisymix_table9"),
            ("noisymix_table3", "CIFAR-100-C", "noisymix_table10"),
            ("noisymix_table1", "ImageNet-C", "noisymix_table6"),
        ],
    )
    def test_noisymix(self, means, column, table):
        small = read_printed(means, [column])
        large = read_printed(table, TEST_CORRUPTIONS)
        assert len(large) >= 7
        for model, values in large.items():
            agrees = np.mean(values) == pytest.approx(small[model][0], abs=0.11)
            assert agrees != ((table, model) in self.wrong), model

    @pytest.mark.parametrize("data", ["cifar10", "cifar100", "imagenet"])
    def test_fcl(self, data):
        groups = read_printed("fcl_table3", ["Noise", "Blur", "Weather", "Digital"], data=data)
        large = read_printed("fcl_table4", TEST_CORRUPTIONS, data=data)
        assert list(groups) == list(large) and len(large) == 6
        for model, values in large.items():
            own = dict(zip(TEST_CORRUPTIONS, values))
            for group, printed in zip(("noise", "blur", "weather", "digital"), groups[model]):
                mean = np.mean([own[name] for name in CORRUPTION_GROUPS[group]])
                assert mean == pytest.approx(printed, abs=0.02)

    def test_our_mean_stands_beside_the_printed_one(self):
        measured = [
            row("NoisyMix", "snow", 0.25, kind="flip_rate"),
            row("NoisyMix", "perturbations", 0.5, kind="mean_flip_rate"),
        ]
        experiment = EXPERIMENTS["noisymix_imagenet"]()
        first, _, rates = experiment.tables(experiment.full)
        cells = dict(zip(rates.columns, fill(rates, measured).texts[-1]))
        assert {c.label: text for c, text in cells.items()}["mean"] == "50.0 [28.5]"
        assert "50.0 [28.5]" in fill(first, measured).texts[-1]

    @pytest.mark.parametrize("number", [12, 13, 14])
    def test_sequences(self, number):
        table = f"noisymix_table{number}"
        for model, (*values, mean) in read_printed(table, [*PERTURBATIONS, "mean"]).items():
            agrees = np.mean(values) == pytest.approx(mean, abs=0.12)
            assert agrees != ((table, model) in self.wrong), model

    def test_lines_and_columns_are_chosen_by_name(self):
        found = read_printed("augmax_table2", ["RA", "mCE"], net="resnet_18")
        assert found["AugMix"] == (89.49, None)  # the table has no mCE
        assert list(found) == ["Normal", "AugMix", "AugMax-DuBIN"]
        assert read_printed("noisymix_table2", ["CIFAR-10"])["AugMax-DuBIN"] == (None,)
