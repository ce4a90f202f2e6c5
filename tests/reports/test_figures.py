"""The figures: what is drawn, not how it looks."""

from __future__ import annotations

import warnings

import matplotlib
import numpy as np
import pytest

from tfrobust.reports import accuracy_over_epochs, augmentation_grid
from tfrobust.reports.figures import STYLES, encoded
from tfrobust.reports.results import ORDER
from tfrobust.rows import Row


def curve(values, *, model="FMA/CA", corruption="GN", dataset="digits/validation", severity=0.1):
    return [
        Row(model, dataset, corruption, severity, "accuracy", v, n=100, seed=0, epoch=epoch)
        for epoch, v in enumerate(values)
    ]


def names_of(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


def plotted(axes):
    """The curves without the samples of line beside the names, which have three equal heights."""
    return [line for line in axes.lines if line.get_clip_on()]


def test_grid_shows_the_pictures_as_they_are():
    pictures = np.random.default_rng(0).random((2, 3, 4, 5, 3), np.float32)
    figure = augmentation_grid(pictures, ["clean", "B-", "my-own"], title="$x$ of 10$")
    assert len(figure.axes) == 6 and figure.get_suptitle() == "$x$ of 10$"
    assert [axes.get_title() for axes in figure.axes] == ["Clean", "B−", "my-own", "", "", ""]
    for axes, picture in zip(figure.axes, pictures.reshape(6, 4, 5, 3)):
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array(), picture)
        assert image.get_interpolation() == "nearest"
        assert len(axes.get_xticks()) == len(axes.get_yticks()) == 0


def test_grid_keeps_the_contrast_of_grey_pictures_and_clips():
    pictures = np.full((1, 2, 2, 2, 1), 0.25)
    pictures[0, 1] = 1.5
    first, second = augmentation_grid(pictures, ["clean", "B+"], title="").axes
    np.testing.assert_array_equal(first.images[0].get_array(), np.full((2, 2, 3), 0.25))
    np.testing.assert_array_equal(second.images[0].get_array(), np.ones((2, 2, 3)))


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 2, 4, 4, 3), (2, 3, 4, 4, 2)])
def test_grid_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="pictures must be"):
        augmentation_grid(np.zeros(shape), ["clean", "B+", "B-"], title="")


def test_curves_show_percent_over_epochs():
    rows = curve([0.5, 0.75, 0.625]) + curve([0.9, 0.875, 0.95], corruption="clean")
    rows += curve([0.1], model="other")
    rows += [Row("FMA/CA", "digits/test", "GN", 0.1, "accuracy", 0.0, n=1, seed=0)]
    (axes,) = accuracy_over_epochs(rows[::-1], model="FMA/CA", title="A").axes
    clean, noise = plotted(axes)
    np.testing.assert_allclose(clean.get_xydata(), [[0, 90], [1, 87.5], [2, 95]])
    np.testing.assert_allclose(noise.get_xydata(), [[0, 50], [1, 75], [2, 62.5]])
    assert axes.get_title() == "A" and axes.get_ylabel() == "Validation accuracy (%)"
    assert "Epoch" in axes.get_xlabel()
    assert names_of(axes) == ["Clean", "GN"]  # highest end first


@pytest.mark.parametrize("epochs", [1, 2, 3, 31])
def test_epochs_are_integers(epochs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = accuracy_over_epochs(curve([0.5] * epochs), model="FMA/CA", title="")
        figure.draw_without_rendering()
    low, high = figure.axes[0].get_xlim()
    ticks = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
    assert ticks and all(tick == round(tick) for tick in ticks)


@pytest.mark.parametrize("names", [ORDER, [f"fog {i}" for i in range(30)]])
def test_lines_differ_without_colour_and_names_do_not_overlap(names):
    rows = [row for name in names for row in curve([0.4, 0.5], corruption=name)]
    figure = accuracy_over_epochs(rows, model="FMA/CA", title="")
    lines = plotted(figure.axes[0])
    looks = {(line.get_marker(), repr(line._unscaled_dash_pattern)) for line in lines}
    assert len(looks) == min(len(names), 20)
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in figure.axes[0].texts if t.get_text()]
    assert len(boxes) == len(names)
    for above, below in zip(boxes, boxes[1:]):
        assert above.y0 >= below.y0 + 0.8 * above.height
    inside = figure.bbox
    assert all(inside.x0 <= b.x0 and b.x1 <= inside.x1 and b.y0 >= 0 for b in boxes)


def test_every_known_corruption_has_a_style():
    assert set(STYLES) == set(ORDER)
    assert len({marker for _, _, marker in STYLES.values()}) == len(ORDER)


def test_minus_sign_and_severity_in_names():
    rows = curve([0.5], corruption="B-")
    rows += curve([0.4], corruption="fog", severity=1) + curve([0.3], corruption="fog", severity=5)
    (axes,) = accuracy_over_epochs(rows, model="FMA/CA", title="").axes
    assert names_of(axes) == ["B−", "fog 1", "fog 5"]


def test_curves_refuse_what_they_cannot_show():
    rows = curve([0.5])
    with pytest.raises(ValueError, match=r"'AT/CA'.*\['FMA/CA'\]"):
        accuracy_over_epochs(rows, model="AT/CA", title="")
    with pytest.raises(ValueError, match="one data set"):
        accuracy_over_epochs(rows + curve([0.5], dataset="x"), model="FMA/CA", title="")


def test_global_settings_are_neither_changed_nor_used():
    rows = curve([0.5, 0.6])
    first = encoded(accuracy_over_epochs(rows, model="FMA/CA", title=""), "svg+xml")
    with matplotlib.rc_context({"font.size": 30.0, "axes.facecolor": "black"}):
        before = dict(matplotlib.rcParams)
        second = encoded(accuracy_over_epochs(rows, model="FMA/CA", title=""), "svg+xml")
        assert dict(matplotlib.rcParams) == before
    assert first == second  # also: no date and no random ids in the file
    png = encoded(augmentation_grid(np.zeros([1, 1, 2, 2, 3]), ["clean"], title=""), "png")
    assert png.startswith(b"\x89PNG")
