"""NoisyMix' toy problem: its points, its net, and a run that is taken up again."""

import numpy as np
import pytest

from tfrobust import registries, rows
from tfrobust.experiments import intervals, toy
from tfrobust.experiments.experiment import Training

pytestmark = pytest.mark.usefixtures("eagerly")


def test_star_size_by_hand():
    tip, notch = toy.STAR[0], toy.STAR[1]
    np.testing.assert_allclose(tip, [0, 1], atol=1e-12)
    points = np.stack([tip, notch, 2 * tip, (tip + notch) / 2, 0.3 * notch, 0 * tip])
    np.testing.assert_allclose(toy.star_size(points), [1, 1, 2, 1, 0.3, 0], atol=1e-9)
    on_edges = (toy.STAR + np.roll(toy.STAR, -1, axis=0)) / 2
    np.testing.assert_allclose(toy.star_size(0.7 * on_edges), 0.7)
    # Concave: the middle between two tips is outside of the star.
    assert toy.star_size((toy.STAR[:1] + toy.STAR[2:3]) / 2) > 1


def test_points_of_a_seed():
    points, labels = toy.toy_points(3)
    assert points.shape == (500, 2) and labels.dtype == np.int32
    again, other = toy.toy_points(3)[0], toy.toy_points(4)[0]
    np.testing.assert_array_equal(points, again)
    assert not np.isclose(points, other).all(axis=1).any()
    size = toy.star_size(points)
    assert not labels[size < toy.BAND[0]].any() and labels[size > toy.BAND[1]].all()


def test_many_points_are_as_the_docstring_says():
    points, labels = toy.toy_points(0, 200_000)
    size = toy.star_size(points)
    on_band = (size >= toy.BAND[0]) & (size <= toy.BAND[1])
    assert on_band.mean() == pytest.approx(0.164, abs=0.004)
    assert labels[on_band].mean() == pytest.approx(0.5, abs=0.02)
    # The mean of the squared distance: that of the outlines and the noise's, 2σ².
    outline = toy._on_outline(toy.STAR, 200_000, np.random.default_rng(1))
    np.testing.assert_allclose(toy.star_size(outline), 1, atol=1e-9)
    squares = np.square(outline).sum(axis=1).mean() * (1 + toy.FACTOR**2) / 2
    assert np.square(points).sum(axis=1).mean() == pytest.approx(squares + 0.08, rel=0.02)
    # In random order: training points are like test points.
    assert labels[:100_000].mean() == pytest.approx(labels[100_000:].mean(), abs=0.01)


def test_net_sees_the_points():
    points = toy.toy_points(0)[0][:20]
    images = toy.as_images(points)
    assert images.shape == (20, 1, 1, 2) and images.min() >= 0 and images.max() <= 1
    net = toy.net_of_images((7,))
    expected = net.get_layer("mlp")(points.astype("float32"))
    np.testing.assert_allclose(net(images), expected, atol=1e-5)


@pytest.mark.slow
def test_run_and_resume(tmp_path):
    experiment = registries.EXPERIMENTS["noisymix_toy"]()
    for name in ("full", "small", "quick"):
        assert experiment.setting(name).training.plan == "noisymix_toy"
    assert experiment.full.seeds == (0, 1, 2, 3, 4)
    first = ("Baseline", "NoisyMix")
    setting = experiment.quick.replace(training=Training(2, 125, plan="noisymix_toy"), lines=first)
    everything = experiment.run(setting, tmp_path / "run")
    measured = [row for row in everything if row.metric == "accuracy"]
    assert [row.metric for row in everything[len(measured) :]] == list(intervals.METRICS)
    assert [(r.model, r.dataset, r.n) for r in measured] == [(m, "toy/test", 250) for m in first]
    assert all(r.provenance["training_seed"] == 0 for r in measured)
    # The accuracy, by hand on the second half of the points.
    run = experiment.runs(setting, tmp_path / "run", lambda _: None)
    points, labels = toy.toy_points(0)
    logits = run.model("NoisyMix", 0)(toy.as_images(points[250:])).numpy()
    assert measured[1].value == pytest.approx((logits.argmax(axis=1) == labels[250:]).mean())
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "models").iterdir()}
    assert len(files) == 2

    told = []
    more = experiment.run(setting.replace(lines=(*first, "NFM")), tmp_path / "run", say=told.append)
    order = [row.model for row in more if row.metric == "accuracy"]
    assert order == ["Baseline", "NFM", "NoisyMix"]  # as in the paper
    assert [line for line in told if "training" in line] == [told[0]] and "NFM" in told[0]
    assert all(p.stat().st_mtime_ns == time for p, time in files.items())
    assert rows.read(tmp_path / "run" / "rows.jsonl") == more
    table = (tmp_path / "run" / "tables.md").read_text(encoding="utf-8")
    assert "[88.8]" in table and "Manifold Mixup + JSD" in table
    assert (tmp_path / "run" / "figure_4.png").read_bytes()[1:4] == b"PNG"


def test_each_seed_has_points_of_its_own():
    experiment = registries.EXPERIMENTS["noisymix_toy"]()
    run = experiment.runs(experiment.quick, None, lambda _: None)
    parts = []
    for seed in (0, 1):
        data = run.data(experiment.quick.training, seed)
        assert data.sizes == {"train": 250, "test": 250} and data.classes == 2
        train, test = (np.concatenate([x for x, _ in part]) for part in (data.train, data.test))
        points = toy.as_images(toy.toy_points(seed)[0])
        np.testing.assert_array_equal(np.sort(train, axis=0), np.sort(points[:250], axis=0))
        np.testing.assert_array_equal(test, points[250:])  # in their order
        parts.append(train)
    assert not np.isclose(np.sort(parts[0], axis=0), np.sort(parts[1], axis=0)).all()
    settings = {line.name: line.settings for line in experiment.lines(run, 1)}
    assert settings["Baseline"]["augment"] is None
    assert settings["NoisyMix"]["augment"].get_config()["sigma"] == pytest.approx(0.1 / 4)
    assert all(s["seed"] == 1 for s in settings.values())
