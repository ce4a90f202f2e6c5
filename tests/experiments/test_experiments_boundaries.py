"""The figure of decision boundaries: what is drawn, and that it can be read without colour."""

import matplotlib.collections
import matplotlib.contour
import numpy as np
import pytest

from tfrobust.experiments.boundaries import decision_boundaries

PLACES = np.linspace(-1, 1, 21)
#: Rises from left to right, and from below to above: the boundary is x = 0, or y = 0.
RISING = np.tile((PLACES + 1) / 2, [21, 1])
POINTS = np.array([[-0.5, 0.1], [0.5, 0.2], [0.6, -0.3]])
LABELS = np.array([0, 1, 1])


def draw(grids, **options):
    titles = [f"_$model {i}" for i in range(len(grids))]
    arguments = {"limits": (-1, 1), "titles": titles, **options}
    return decision_boundaries(np.stack(grids), POINTS, LABELS, **arguments)


def contours(axes):
    drawn = [c for c in axes.collections if isinstance(c, matplotlib.contour.ContourSet)]
    return [path.vertices for c in drawn for path in c.get_paths() if len(path.vertices)]


def test_boundary_and_shade():
    figure = draw([RISING, RISING.T, np.full([21, 21], 0.2)], outlines=[POINTS])
    *panels, bar = figure.axes
    assert [axes.get_title() for axes in panels] == ["_$model 0", "_$model 1", "_$model 2"]
    (vertical,), (horizontal,), none = map(contours, panels)
    np.testing.assert_allclose(vertical[:, 0], 0, atol=1e-6)
    np.testing.assert_allclose(horizontal[:, 1], 0, atol=1e-6)
    assert none == []  # one class everywhere: no boundary
    np.testing.assert_allclose(panels[0].lines[0].get_xydata(), POINTS[[0, 1, 2, 0]])
    assert "class 1" in bar.get_ylabel() and panels[0].get_ylabel() and panels[0].get_xlabel()
    shades = [panels[0].collections[0].cmap(v)[:3] for v in np.linspace(0, 1, 20)]
    lightness = np.dot(shades, (0.2126, 0.7152, 0.0722))
    assert np.all(np.diff(lightness) < 0) and lightness[-1] > 0.3  # black can be seen on it


def test_classes_have_markers_of_their_own():
    figure = draw([RISING], classes=("inner", "outer"))
    scattered = matplotlib.collections.PathCollection
    drawn = figure.axes[0].collections
    circles, triangles = [c for c in drawn if isinstance(c, scattered)]
    np.testing.assert_allclose(circles.get_offsets(), POINTS[:1])
    np.testing.assert_allclose(triangles.get_offsets(), POINTS[1:])
    assert len(circles.get_paths()[0].vertices) != len(triangles.get_paths()[0].vertices)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["inner", "outer"]


def test_six_panels_are_whole():
    figure = draw([RISING] * 5, title="All $ of them")
    assert len(figure.axes) == 6  # five panels, not six, and the bar
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.02


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": RISING}, "must be"),
        ({"probabilities": RISING[None, :5]}, "must be"),
        ({"titles": ["a", "b"]}, "2 titles"),
        ({"probabilities": RISING[None] * 2}, r"values from 0 to 2"),
        ({"probabilities": RISING[None] * np.nan}, "in \\[0, 1\\]"),
        ({"points": POINTS[:, :1]}, r"\(3, 1\)"),
        ({"labels": LABELS[:2]}, r"\(2,\)"),
        ({"labels": LABELS + 1}, r"received \[1, 2\]"),
        ({"limits": (1, -1)}, r"received \(1, -1\)"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    arguments = {
        "probabilities": RISING[None],
        "points": POINTS,
        "labels": LABELS,
        "limits": (-1, 1),
        "titles": ["a"],
        **change,
    }
    with pytest.raises(ValueError, match=message):
        decision_boundaries(**arguments)
