"""The figures of an evaluation: what is drawn, and that it can be read without colour."""

from __future__ import annotations

import dataclasses
import warnings

import matplotlib
import numpy as np
import pytest

from tfrobust import evaluation
from tfrobust.reports import (
    accuracy_heat_map,
    flip_bars,
    maps_figure,
    reliability_diagram,
    strength_curves,
    worst_examples,
)
from tfrobust.reports.figures import encoded
from tfrobust.reports.reliability import curve_error
from tfrobust.rows import Row


def sweep(model, values, corruption="GN"):
    for strength, value in values.items():
        yield Row(model, "d/test", corruption, strength, "accuracy", value, n=100, seed=0)


def legend_texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def is_whole(figure):
    """Nothing that is drawn reaches over the edge of the figure."""
    figure.draw_without_rendering()  # places everything
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    return min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.02


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_heat_map_prints_every_number(sample_rows):
    figure = accuracy_heat_map(sample_rows, model="AugMix")
    axes = figure.axes[0]
    (image,) = axes.images
    wanted = {
        (r.corruption, r.severity): 100 * r.value
        for r in sample_rows
        if r.model == "AugMix" and r.metric == "accuracy"
    }
    assert image.get_array().shape == (19, 5) and image.get_clim() == (0, 100)
    assert image.get_array()[0, 4] == pytest.approx(wanted["gaussian_noise", 5])
    numbers = {t.get_position()[::-1]: t for t in axes.texts if t.get_text()[0].isdigit()}
    assert len(numbers) == 95
    assert numbers[18, 2].get_text() == f"{wanted['saturate', 3]:.1f}"
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "gaussian noise" and labels[14] == "JPEG compression"
    groups = [t.get_text() for t in axes.texts if t.get_text()[0].isalpha()]
    assert groups == ["noise", "blur", "weather", "digital", "held out"]
    assert [line.get_ydata()[0] for line in axes.lines] == [2.5, 6.5, 10.5, 14.5]
    assert axes.get_title() == "AugMix\nclean images: 94.4 %" and is_whole(figure)


def test_heat_map_reads_without_colour():
    values = np.linspace(0, 1, 5)
    rows = [
        Row("net", "d", c, s + 1.0, "accuracy", float(v) / d, n=9, seed=0)
        for c, d in (("fog", 1), ("snow", 1.3))
        for s, v in enumerate(values)
    ]
    axes = accuracy_heat_map(rows, model="net").axes[0]
    (image,) = axes.images
    shades = [luminance(image.cmap(image.norm(100 * v))) for v in np.linspace(0, 1, 50)]
    assert np.all(np.diff(shades) > 0)  # lighter is more, in grey as well
    for text in axes.texts:
        if text.get_text()[0].isdigit():
            column, line = text.get_position()
            cell = luminance(image.cmap(image.norm(image.get_array()[line, column])))
            ink = luminance(matplotlib.colors.to_rgb(text.get_color()))
            assert (max(cell, ink) + 0.05) / (min(cell, ink) + 0.05) > 4.5


def test_heat_map_with_missing_cells():
    rows = [Row("net", "d", "fog", s, "accuracy", 0.5, n=9, seed=0) for s in (1, 3)]
    rows += [Row("net", "d", "snow", 3, "accuracy", 0.5, n=9, seed=0)]
    axes = accuracy_heat_map(rows, model="net").axes[0]
    assert [t.get_text() for t in axes.texts].count("–") == 1
    assert np.ma.getmaskarray(axes.images[0].get_array()).tolist() == [
        [True, False],
        [False, False],
    ]
    with pytest.raises(ValueError, match=r"'other' on common .*\['net'\]"):
        accuracy_heat_map(rows, model="other")


def test_curves():
    rows = [*sweep("a", {0.2: 0.5, 0.1: 0.9}), *sweep("_b$", {0.1: 0.8, 0.3: 0.1})]
    rows += [*sweep("a", {1: 0.0}, "other")]
    figure = strength_curves(rows, "GN")
    first, second = figure.axes[0].lines
    np.testing.assert_allclose(first.get_xydata(), [[0.1, 90], [0.2, 50]])
    np.testing.assert_allclose(second.get_xydata(), [[0.1, 80], [0.3, 10]])
    assert legend_texts(figure) == ["a", " _b$"]
    assert (
        figure.axes[0].get_ylabel() == "Accuracy (%)" and "strength" in figure.axes[0].get_xlabel()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_whole(figure)


def test_the_best_and_the_worst_at_one_strength_are_models():
    rows = [
        *sweep("a", {1: 0.9, 2: 0.2}),
        *sweep("b", {1: 0.7, 2: 0.6}),
        *sweep("c", {1: 0.8, 2: 0.5}),
    ]
    bands = {"x": ["a", "b"], "y": ["b", "c"]}
    figure = strength_curves(rows, "GN", band=bands, at=2, shaded=["x"])
    best, worst, *_ = figure.axes[0].lines
    np.testing.assert_allclose(best.get_xydata(), [[1, 70], [2, 60]])  # b, although a begins higher
    np.testing.assert_allclose(worst.get_xydata(), [[1, 90], [2, 20]])
    assert legend_texts(figure)[:2] == ["b (best at 2)", "a (worst at 2)"]
    (band,) = figure.axes[0].collections
    y = band.get_paths()[0].vertices[:, 1]
    assert (y.min(), y.max()) == pytest.approx((20, 90))
    with pytest.raises(ValueError, match=r"at must be a strength .* one of \[1, 2\]; received 3"):
        strength_curves(rows, "GN", band=bands, at=3)


def test_curves_differ_without_colour():
    rows = [row for i in range(20) for row in sweep(f"m{i}", {1: 0.5, 2: 0.4})]
    lines = strength_curves(rows, "GN").axes[0].lines
    looks = {(line.get_marker(), line.get_linestyle()) for line in lines}
    assert len(lines) == 20 and len(looks) == 20


def test_band_is_the_best_and_the_worst():
    rows = [*sweep("a", {1: 0.9, 2: 0.2}), *sweep("b", {1: 0.7, 2: 0.6, 3: 0.5})]
    rows += sweep("c", {1: 0.8, 2: 0.4})
    figure = strength_curves(rows, "GN", band=True, unit="standard deviation")
    assert figure.axes[0].get_xlabel() == "GN (standard deviation)"
    best, worst = figure.axes[0].lines
    np.testing.assert_allclose(best.get_xydata(), [[1, 90], [2, 60]])  # 3: only one model has it
    np.testing.assert_allclose(worst.get_xydata(), [[1, 70], [2, 20]])
    assert best.get_linestyle() != worst.get_linestyle()
    (band,) = figure.axes[0].collections
    y = band.get_paths()[0].vertices[:, 1]
    assert (y.min(), y.max()) == pytest.approx((20, 90))
    assert legend_texts(figure) == ["all models: best of 3 models", "all models: worst of 3 models"]
    two = strength_curves(rows, "GN", band={"x": ["a", "b"], "y": ["c"]})
    assert len(two.axes[0].collections) == 2
    assert legend_texts(two) == ["x: best of 2 models", "x: worst of 2 models", "y"]
    np.testing.assert_allclose(two.axes[0].lines[2].get_xydata(), [[1, 80], [2, 40]])
    assert len({c.get_hatch() for c in two.axes[0].collections}) == 2
    for bad in ({"x": ["d"]}, {"x": []}):
        with pytest.raises(ValueError, match="band 'x' must name models"):
            strength_curves(rows, "GN", band=bad)
    rows = [*sweep("a", {1: 0.9}), *sweep("b", {2: 0.9})]
    with pytest.raises(ValueError, match="share no strength"):
        strength_curves(rows, "GN", band=True)
    with pytest.raises(ValueError, match="strengths of 'SAP'"):
        strength_curves(rows, "SAP")


CURVE = {
    "edges": [0, 0.25, 0.5, 1],
    "confidence": [None, 0.4, 0.8],
    "accuracy": [None, 0.5, 0.6],
    "count": [0, 10, 30],
}


def test_reliability_diagram():
    figure = reliability_diagram(CURVE, title="net", error=0.175)
    above, below = figure.axes
    accuracy, gap = above.containers
    assert [(b.get_x(), b.get_height()) for b in accuracy] == [(25, 50), (50, 60)]
    assert [(b.get_y(), b.get_height()) for b in gap] == [(50, pytest.approx(-10)), (60, 20)]
    assert gap[0].get_hatch() and [b.get_height() for b in below.containers[0]] == [25, 75]
    assert any("ECE 17.50 %" in t.get_text() for t in figure.legends[0].get_texts())
    np.testing.assert_array_equal(above.lines[0].get_xydata(), [[0, 0], [100, 100]])
    assert curve_error(CURVE) == pytest.approx((10 * 0.1 + 30 * 0.2) / 40)
    assert is_whole(figure)


def test_reliability_diagram_of_a_measured_curve():
    logits = np.random.default_rng(0).normal(size=(200, 5)) * 3
    labels = np.arange(200) % 5
    curve = evaluation.reliability_curve(labels, logits, from_logits=True)
    error = evaluation.expected_calibration_error(labels, logits, from_logits=True)
    assert curve_error(dataclasses.asdict(curve)) == pytest.approx(error)


@pytest.mark.parametrize(
    "change",
    [
        {"count": [0, 10]},
        {"count": [0, 0, 0]},
        {"count": [0, -1, 3]},
        {"accuracy": [None, None, 0.5]},
        {"confidence": [None, 40, 80]},
        {"edges": [0, 0.5, 0.5, 1]},
        {"edges": "0123"},
        {"count": 3},
    ],
)
def test_bad_reliability_curves(change):
    with pytest.raises(ValueError, match="a reliability curve needs"):
        reliability_diagram({**CURVE, **change})


def test_flip_bars(sample_rows):
    figure = flip_bars(sample_rows)
    (axes,) = figure.axes
    assert len(axes.containers) == 3
    assert [round(bar.get_width(), 6) for bar in axes.containers[0]] == [2, 3, 4, 5, 6, 7]
    assert len({bars[0].get_hatch() for bars in axes.containers}) == 3
    assert legend_texts(figure) == ["baseline", "AugMix", "FMA/CA"]
    assert axes.get_yticklabels()[1].get_text() == "motion blur" and is_whole(figure)
    some = [r for r in sample_rows if (r.model, r.corruption) != ("AugMix", "snow")]
    assert "–" in [t.get_text() for t in flip_bars(some).axes[0].texts]
    with pytest.raises(ValueError, match="'flip_rate'"):
        flip_bars(sample_rows, metric="flip_rate")


RECORD = {"corruption": "fog", "severity": 5, "label": "cat", "predicted": "$dog$"}
RECORD["confidence"] = 0.987


def test_worst_examples_show_the_pictures_as_they_are():
    clean = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3)).astype(np.uint8)
    records = [RECORD, {**RECORD, "corruption": "elastic_transform"}]
    records += [{**RECORD, "corruption": "PGD", "severity": 8 / 255, "label": "a" * 50}]
    figure = worst_examples(clean, 255 - clean, records, title="net")
    axes = figure.findobj(matplotlib.axes.Axes)
    assert len(axes) == 6
    np.testing.assert_array_equal(axes[0].images[0].get_array(), clean[0])
    np.testing.assert_array_equal(axes[1].images[0].get_array(), 255 - clean[0])
    assert axes[1].get_title() == "fog\nseverity 5" and axes[5].get_title() == "PGD\nsize 8/255"
    assert (
        axes[1].get_xlabel() == "says, 98.7 % sure:\n$dog$" and axes[0].get_xlabel() == "true:\ncat"
    )
    assert axes[4].get_xlabel().endswith("a…") and is_whole(figure)


def test_worst_examples_refuse_what_does_not_fit():
    clean = np.zeros((1, 4, 4, 3), np.uint8)
    for bad in (
        (clean, clean, []),
        (clean, clean[:, :2], [RECORD]),
        (clean / 255.0, clean, [RECORD]),
        (clean[..., :2], clean[..., :2], [RECORD]),
    ):
        with pytest.raises(ValueError, match="uint8"):
            worst_examples(*bad)
    with pytest.raises(ValueError, match="'confidence'"):
        record = {k: v for k, v in RECORD.items() if k != "confidence"}
        worst_examples(clean, clean, [record])


def test_maps_share_a_scale_from_zero():
    maps = np.random.default_rng(0).random((2, 2, 4, 4))
    maps[:, 1] *= 1e-4
    figure = maps_figure(np.zeros((2, 4, 4, 1)), maps, ["utility", "sensitivity"], title="net")
    images = [axes.images[0] for axes in figure.axes[:6]]
    np.testing.assert_array_equal(images[4].get_array(), maps[1, 0])
    assert images[1].get_clim() == images[4].get_clim() == (0, maps[:, 0].max())
    assert images[2].get_clim() == (0, maps[:, 1].max())
    titles = [axes.get_title() for axes in figure.axes[:3]]
    assert titles == ["image", "utility", "sensitivity"]
    assert encoded(figure, "png").startswith(b"\x89PNG")
    flat = maps_figure(np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 4)), ["u"])
    assert flat.axes[1].images[0].get_clim() == (0, 1)


@pytest.mark.parametrize(
    "maps, titles, message",
    [
        (-np.ones((2, 4, 4)), ["u"], "magnitudes"),
        (np.full((2, 4, 4), np.nan), ["u"], "magnitudes"),
        (np.ones((2, 4, 5)), ["u"], "needs images"),
        (np.ones((2, 4, 4)), ["u", "v"], "needs images"),
        (np.ones((2, 4)), ["u"], "needs images"),
    ],
)
def test_maps_refuse_what_does_not_fit(maps, titles, message):
    with pytest.raises(ValueError, match=message):
        maps_figure(np.zeros((2, 4, 4, 3)), maps, titles)


@pytest.mark.parametrize("draw", [accuracy_heat_map, strength_curves, flip_bars])
def test_names_from_data_are_no_formulas(sample_rows, draw):
    rows = [dataclasses.replace(r, model=f"$\\frac{r.model}") for r in sample_rows]
    options = {accuracy_heat_map: {"model": rows[0].model}, strength_curves: {"corruption": "GN"}}
    assert b"<svg" in encoded(draw(rows, **options.get(draw, {})), "svg+xml")
