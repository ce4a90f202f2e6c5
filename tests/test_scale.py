"""docs/SCALE.md shows its numbers, and they are those of the nets and of plain arithmetic."""

from __future__ import annotations

import json
import pathlib

import pytest

from tfrobust.registries import EXPERIMENTS, NETS

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import scale
    import scale_costs
    import scale_counts

    return scale, scale_costs, scale_counts


@pytest.fixture
def counts():
    return json.loads((ROOT / "benchmarks/scale.json").read_text(encoding="utf-8"))


def test_page_shows_the_numbers(tools, monkeypatch, tmp_path, capsys):
    scale, _, _ = tools
    assert scale.main(["check"]) == 0
    stale = tmp_path / "SCALE.md"
    stale.write_text("<!-- scale: nets -->\nold\n<!-- end of scale -->\n", encoding="utf-8")
    monkeypatch.setattr(scale, "PAGE", stale)
    assert scale.main(["check"]) == 1
    assert "tools/scale.py write" in capsys.readouterr().out
    assert scale.main(["write"]) == 0
    assert scale.main(["check"]) == 0


def test_counts_of_experiments_are_of_those_that_there_are(tools, counts):
    there = [name for name in EXPERIMENTS if name not in tools[2].LEFT_OUT]
    assert list(counts["experiments"]) == there


@pytest.mark.parametrize(
    ("name", "shape", "published"),
    # ResNet-50 v1.5 (stride in the 3×3 convolution), WRN-40-2, VGG-16; in 10⁹.
    [
        ("resnet_50", (224, 224, 3), 4.1),
        ("wrn_40_2", (32, 32, 3), 0.33),
        ("vgg_16", (224, 224, 3), 15.5),
    ],
)
def test_multiply_adds_of_published_nets(tools, counts, name, shape, published):
    counted = counts["nets"][f"{name}, {shape[0]} pixels"]["multiply_adds"]
    assert counted == pytest.approx(1e9 * published, rel=0.03)


def test_multiply_adds_by_hand(tools):
    net = NETS["lenet"]((28, 28, 1), 10)
    kernels = [layer for layer in net._flatten_layers() if hasattr(layer, "kernel")]
    by_hand = sum(
        layer.kernel.shape[-1]
        * (layer.output.shape[1] * layer.output.shape[2] if len(layer.output.shape) == 4 else 1)
        * (layer.count_params() // layer.kernel.shape[-1] - 1)  # without the bias
        for layer in kernels
    )
    assert tools[2].multiply_adds(net) == by_hand > 0


def test_lines_are_counted_as_the_methods_work(tools):
    from tfrobust.attacks import FGSM, PGD, AugMaxAttack
    from tfrobust.experiments import Line

    parts = tools[2].parts
    assert parts(Line("", "augmax", {"attack": AugMaxAttack(steps=5)})) == {
        "routed": 1, "gradient": 5, "views": 2,
    }  # fmt: skip
    assert parts(Line("", "augmix_pgdat"))["gradient"] == 10
    assert parts(Line("", "adversarial_training", {"attack": FGSM(0.1), "mu": 0.5})) == {
        "2B": 1, "gradient": 1,
    }  # fmt: skip
    assert parts(Line("", "adversarial_training", {"attack": PGD(steps=7), "mu": 0.0})) == {
        "1B": 1, "forward": 1, "gradient": 7,
    }  # fmt: skip
    assert parts(Line("", "augmentation_training", {"probability": 0.5})) == {"1B": 1}
    assert parts(Line("", "noisymix")) == {"JSD 3B": 1, "views": 2}


def test_arithmetic_by_hand(tools):
    _, costs, _ = tools
    net = {"multiply_adds": 10**9, "parameters": 10**6, "layers": 10}
    a6000 = {"multiply_adds": 2 * 10**9, "parameters": 1, "layers": 1}
    counts = {"nets": {"net": net, "resnet_18, 224 pixels": a6000, "vgg_16, 224 pixels": a6000}}
    training = {
        "method": "feature_contrastive", "net": "net", "epochs": 2, "batch": 100, "models": 1,
        "parts": {"3B": 1, "gradient": 1}, "late": 0.5,
    }  # fmt: skip
    assert costs.steps(training, 0) == pytest.approx(0.5 + 0.5 * 3.68)
    assert costs.steps(training, 0, gpus=4) == pytest.approx(3.68)
    # 6 · 2·10⁹ · 1,281,167 FLOP an epoch, 6.45 or 3.57 times in 5,264 s.
    most, least = costs.anchors(counts)["AugMax"]
    assert most == pytest.approx(12e9 * 1_281_167 * 6.45 / 5264)
    assert least == pytest.approx(12e9 * 1_281_167 * 3.57 / 5264)
    assert costs.all_reduced(10**6, 4) == 6e6
    assert costs.all_reduced(10**6, 1) == 0
    stage = costs.stages(counts, training, 224, 4, 1)
    assert stage["arithmetic"] == pytest.approx(6e9 * 25 * 3.68 * 1.01 / least)
    assert stage["starting layers"] == pytest.approx(1.72 * 10 * 1.5e-4)
    assert stage["all-reduce"] == pytest.approx(6e6 / 5e9)
    assert stage["decoding"] == pytest.approx(100 / (3215 / 2 * 8 * 4))
    assert stage["AugMix"] == 0
    own = {"arithmetic": 3.0, "starting layers": 2.0, "AugMix": 1.0, "all-reduce": 5.0}
    assert costs.step_time({**own, "decoding": 0.5}, 4, 0) == 5.0
    assert costs.step_time({**own, "decoding": 0.5}, 4, 1) == pytest.approx(4 * 1.18 + 5)
    assert costs.step_time({**own, "decoding": 10.0}, 1, 0) == 10.0
    one = {
        "size": 32, "train": 1000, "test": 2000, "conditions": 0, "corruptions": 75,
        "trainings": [training],
    }  # fmt: skip
    # As many images under as many corruptions as were measured, on as many cores.
    assert costs.evaluation_time(counts, one, 1) == pytest.approx(89)
    passes, flops = costs.work(counts, one)
    assert passes == pytest.approx(2000 * (0.5 + 0.5 * 3.68 * 1.01))
    assert flops == pytest.approx(6e9 * passes)


def test_bounds_are_in_order(tools, counts):
    _, costs, _ = tools
    for one in counts["experiments"].values():
        low, high = (costs.hours(counts, one, 1, end)[0] for end in (0, 1))
        assert 0 < low < high


@pytest.mark.slow
def test_counts_are_those_of_nets_and_experiments(tools, counts):
    assert tools[2].counts() == counts
