"""The panels of features."""

import numpy as np
import pytest

from tfrobust.experiments.embeddings import embedding_panels, on_plane


def test_each_class_in_each_panel():
    points = {"clean": np.arange(8.0).reshape(4, 2), "PGD": np.zeros([4, 2])}
    labels = np.array([0, 1, 1, 2])
    figure = embedding_panels(points, labels, ["a", "b", "c"], title="Features")
    assert figure.get_suptitle() == "Features"
    assert [axes.get_title() for axes in figure.axes] == ["clean", "PGD"]
    clean = figure.axes[0].collections
    assert [len(group.get_offsets()) for group in clean] == [1, 2, 1]
    np.testing.assert_array_equal(clean[1].get_offsets(), [[2, 3], [4, 5]])
    # Readable without colour: the markers differ.
    paths = [group.get_paths()[0].vertices for group in clean]
    assert len({path.tobytes() for path in paths}) == 3
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"must be \[N, 2\] for N labels; received \(3, 2\)"):
        embedding_panels({"a": np.zeros([3, 2])}, np.zeros(4), ["x"], title="")


def test_distances_within_the_plane_are_kept():
    """Points of the plane keep their distances; what is at right angles to it does not count."""
    random = np.random.default_rng(0)
    corners = random.normal(size=[3, 8])
    weights = random.dirichlet([1, 1, 1], 5)
    inside = weights @ corners
    found = on_plane(inside, corners)
    distances = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (inside, found)]
    np.testing.assert_allclose(*distances, atol=1e-12)
    np.testing.assert_allclose(on_plane(corners, corners)[[0, 1], [0, 1]], 0, atol=1e-12)
    across = np.linalg.svd(corners[1:] - corners[0])[2][-1]
    np.testing.assert_allclose(on_plane(inside + 3 * across, corners), found, atol=1e-12)
