"""The FMA paper's experiments: lines and options, Table 2's last column, tf-slim's weights."""

import pytest

from tests.parameters import slow_unless
from tfrobust import cli, nets, rows
from tfrobust.augment import GaussianBlur, SaltAndPepper
from tfrobust.experiments import Run, experiment, fma, resolved
from tfrobust.recipes.base import RunFolder


def run_of(kind, tmp_path, **options):
    setting = resolved(kind(), "quick", **options)
    return Run(setting, RunFolder(tmp_path / "run", setting, finished="tables.md"))


def lines_of(tmp_path, **numbers):
    kind = fma.CombinedAugmentation
    lines = kind().lines(run_of(kind, tmp_path, numbers=numbers), seed=3)
    return {line.name: line for line in lines}


def test_augmented_images_alone_and_with_clean_ones(tmp_path):
    lines = lines_of(tmp_path)
    assert list(lines) == ["Baseline", "AT/CA", "AT/CA with clean", "ST/CA", "FMA/CA"]
    alone, both = lines["AT/CA"].settings, lines["AT/CA with clean"].settings
    assert alone["probability"] == 1 and "clean_weight" not in alone
    assert both["clean_weight"] == 0.5 and "probability" not in both
    assert len({id(line.settings.get("augment")) for line in lines.values()}) == 5


def test_order_and_alternation(tmp_path):
    usual = lines_of(tmp_path)["FMA/CA"].settings
    assert usual["augment"].period_batches is None and usual["augment"].period_epochs == 1
    assert isinstance(usual["augment"].augments[0].augments[-1], SaltAndPepper)
    assert usual["gamma"] == 0.1 and usual["fixed_clean"] is False
    numbers = {"order": "blur_last", "alternate": "batch", "gamma": 1.5, "fixed_clean": 1}
    other = lines_of(tmp_path / "other", **numbers)["FMA/CA"].settings
    assert other["augment"].period_batches == 1
    assert isinstance(other["augment"].augments[0].augments[-1], GaussianBlur)
    assert other["gamma"] == 1.5 and other["fixed_clean"] is True
    with pytest.raises(ValueError, match="alternate must be one of epoch, batch; received 'step'"):
        lines_of(tmp_path / "wrong", alternate="step")


def test_conditions_have_the_order_too(tmp_path):
    kind = fma.CombinedAugmentation
    for order in ("blur_last", "blur_before_noise"):
        run = run_of(kind, tmp_path / order, numbers={"order": order})
        last = kind().all_nine(run)["Combined-"].augments[-1]
        assert isinstance(last, GaussianBlur) == (order == "blur_last")


def row(model, condition, value):
    made = {"training_seed": 0}
    return rows.Row(model, "d/test", condition, 0.1, "accuracy", value, 100, 0, provenance=made)


def test_average_improvement_of_table_2():
    measured = [row("Baseline", name, 0.5) for name in ("clean", "B+", "GN")]
    for name, clean, augmented in (("B+", 0.6, 0.9), ("GN", 0.4, 0.6)):
        measured += [row(f"AT/{name}", "clean", clean), row(f"AT/{name}", name, augmented)]
        # Under another augmentation than its own it does not count.
        measured.append(row(f"AT/{name}", {"B+": "GN", "GN": "B+"}[name], 0.0))
    measured += [row("ST/GN", "clean", 0.75), row("ST/GN", "GN", 0.75)]
    kind = fma.IndividualAugmentations
    text = kind().text(measured, kind.small)
    table = text[text.index("### FMA, Table 2: average improvement over B+, GN") :]
    # AT: clean (10 − 10) / 2, augmented (40 + 10) / 2; ST lacks B+.
    assert "| AT | 0.00 [0.13] | 25.00 [6.44] |" in table
    assert "| ST | – [0.65] | – [7.11] |" in table
    assert "| FMA | – [-0.03] | – [7.32] |" in table
    assert "| AT/GN | 40.00 [89.32] | 60.00 [87.70] | -10.00 [-0.50] | 10.00 [6.53] |" in text


def test_epochs_of_both_kinds():
    setting = resolved(fma.CombinedAugmentation(), "full", training_epochs=3, finetuning_epochs=5)
    assert (setting.training.epochs, setting.finetuning.epochs) == (3, 5)
    assert setting.training.plan == "fma_baseline" and setting.finetuning.batch_size == 128
    with pytest.raises(ValueError, match=r"finetuning_epochs must be a whole number from 1"):
        resolved(fma.CombinedAugmentation(), "full", finetuning_epochs=0)


def test_options_on_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--finetuning-epochs", "7", "--estimate-batch-norm", "never", "--set", "gamma=2"]
    assert cli.main(["reproduce", "fma_table3", "--describe", *options]) == 0
    printed = capsys.readouterr().out
    assert "finetuning: Training(epochs=7, " in printed and "'gamma': 2" in printed
    assert "estimate_batch_norm: never" in printed
    with pytest.raises(SystemExit):
        cli.main(["reproduce", "fma_table3", "--finetuning-epochs", "0"])
    assert "whole number from 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "files", "loader"),
    slow_unless(
        [("vgg_16.ckpt", ["vgg_16.ckpt"], "slim"), ("imagenet", [], "keras")],
        [
            ("vgg_16.ckpt", ["vgg_16.ckpt"], "slim"),  # before TensorFlow 0.12
            ("vgg_16.ckpt", ["vgg_16.ckpt.index", "vgg_16.ckpt.data-00000-of-00001"], "slim"),
            ("vgg_16.h5", ["vgg_16.h5"], "keras"),
            ("imagenet", [], "keras"),
        ],
        several=True,
    ),
)
def test_weights_of_vgg_16(tmp_path, monkeypatch, name, files, loader):
    """The full setting reads tf-slim's checkpoints, as the paper does, and Keras' files."""
    monkeypatch.chdir(tmp_path)
    for file in files:
        (tmp_path / file).touch()
    loaded = []
    monkeypatch.setattr(nets, "load_keras_vgg_16", lambda net, w: loaded.append(("keras", w)))
    monkeypatch.setattr(nets.slim_checkpoint, "load", lambda net, w: loaded.append(("slim", w)))
    monkeypatch.setattr(experiment, "NETS", {"vgg_16": lambda *shape, **options: "a net"})
    kind = fma.CombinedAugmentation
    setting = resolved(kind(), "full", weights=name, dataset="digits")
    run = Run(setting, RunFolder(tmp_path / "run", setting, finished="tables.md"))
    kind()._check(run)
    line = kind().lines(run, 0)[0]
    assert kind().net(run, line, 0, run.data(), setting.training) == "a net"
    assert loaded == [(loader, name)]
