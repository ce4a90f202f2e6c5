"""AugMix: its draws, and the mixing of its chains."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import augmix as reference
from tests.reference.gradients import gradient
from tfrobust.augment import AugMix
from tfrobust.ops import chains

N = 2000
IMAGES = reference.smooth_images(6, 16, 16).astype("float32") / 255


@pytest.fixture(scope="module")
def drawn():
    """All draws for 2,000 images, as NumPy arrays."""
    draws = AugMix(seed=3).draw(tf.zeros([N, 1, 1, 3]))
    return {name: np.asarray(value) for name, value in draws.items()}


def test_every_operator_is_drawn_equally_often(drawn):
    counts = np.bincount(drawn["operators"].ravel(), minlength=9)
    assert len(counts) == 9  # none of the four that overlap with the benchmarks
    expected = N * 9 / 9
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected * 8 / 9)


def test_all_ops_draws_thirteen():
    operators = np.asarray(AugMix(all_ops=True).draw(tf.zeros([N, 1, 1, 3]))["operators"])
    assert set(operators.ravel()) == set(range(13))


def test_levels_fill_their_range(drawn):
    size = np.abs(drawn["levels"])
    assert 0.1 <= size.min() < 0.102 and 2.998 < size.max() <= 3.0
    assert abs(size.mean() - 1.55) < 5 * 2.9 / np.sqrt(12 * size.size)
    assert abs(np.mean(drawn["levels"] < 0) - 0.5) < 2.5 / np.sqrt(size.size)


def test_depths_and_weights(drawn):
    depths, counts = np.unique(drawn["depths"], return_counts=True)
    assert depths.tolist() == [1, 2, 3]
    assert np.abs(counts / (3 * N) - 1 / 3).max() < 5 * np.sqrt(2 / 9 / (3 * N))
    np.testing.assert_allclose(drawn["weights"].sum(1), 1, atol=1e-5)
    # Dirichlet(1, 1, 1): each weight is Beta(1, 2), mean 1/3 and variance 1/18.
    assert abs(drawn["weights"].var() - 1 / 18) < 0.005
    assert abs(drawn["mix"].mean() - 0.5) < 5 / np.sqrt(12 * N)
    assert abs(drawn["mix"].var() - 1 / 12) < 0.01


def test_draws_are_independent(drawn):
    columns = [drawn["levels"][:, 0, 0], drawn["levels"][:, 1, 0], drawn["levels"][:, 0, 1]]
    columns += [drawn["operators"][:, 0, 0], drawn["depths"][:, 0], drawn["mix"]]
    columns += [drawn["weights"][:, 0]]
    correlations = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlations).max() < 5 / np.sqrt(N)


def test_layer_mixes_its_chains():
    layer = AugMix(severity=5, seed=1)
    draws = layer.draw(IMAGES)
    made = layer.chains(IMAGES, draws).numpy()
    assert made.shape == (6, 3, 16, 16, 3)
    result = layer.apply(IMAGES, draws).numpy()
    for i in range(6):
        expected = reference.mix(
            IMAGES[i], made[i], draws["weights"][i].numpy(), float(draws["mix"][i])
        )
        np.testing.assert_allclose(result[i], expected, atol=1e-6)


def test_chains_match_pillow():
    layer = AugMix(seed=2)
    draws = {k: np.asarray(v) for k, v in layer.draw(IMAGES).items()}
    made = np.rint(layer.chains(IMAGES, draws).numpy() * 255)
    pixels = np.rint(IMAGES * 255).astype("uint8")
    for i in range(6):
        for j in range(3):
            n = draws["depths"][i, j]
            names = [chains.OPERATORS[o] for o in draws["operators"][i, j, :n]]
            levels = draws["levels"][i, j, :n].astype(float)
            expected = reference.chain(names, pixels[i], levels)
            assert np.mean(np.abs(made[i, j] - expected) > 1) < 0.003


def test_blend_0_is_the_image_and_1_the_chain():
    layer = AugMix(width=1, depth=1)
    draws = layer.draw(IMAGES)
    assert draws["operators"].shape == [6, 1, 1]
    none = layer.apply(IMAGES, {**draws, "mix": tf.zeros([6])})
    np.testing.assert_array_equal(none, IMAGES)
    full = layer.apply(IMAGES, {**draws, "mix": tf.ones([6])})
    np.testing.assert_allclose(full, layer.chains(IMAGES, draws)[:, 0], atol=1e-6)


def test_stronger_with_severity():
    changes = []
    for severity in (0.5, 3.0, 10.0):
        layer = AugMix(severity)
        draws = layer.draw(IMAGES, tf.constant([1, 2]))
        made = layer.chains(IMAGES, draws)
        # The same operators at other levels; autocontrast and equalize have none.
        levelled = np.asarray(draws["operators"]) > 1
        size = tf.reduce_mean(tf.abs(made - IMAGES[:, np.newaxis]), [2, 3, 4]).numpy()
        changes.append(size[levelled.all(-1)].mean())
    assert changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize(
    "options, shape",
    [
        # As many chains as of six images by default: most of what is compiled is there already.
        ({"width": 6, "depth": (2, 2)}, [3, 6, 2]),
        ({"depth": [1, 5]}, [6, 3, 5]),
    ],
)
def test_widths_and_depths(options, shape):
    images, layer = IMAGES[: shape[0]], AugMix(**options)
    draws = layer.draw(images)
    assert draws["operators"].shape == shape and draws["weights"].shape == shape[:2]
    result = layer.apply(images, draws).numpy()
    assert result.shape == images.shape and result.min() >= 0 and result.max() <= 1
    low, high = layer.depth
    assert low <= np.min(draws["depths"]) and np.max(draws["depths"]) <= high


def test_compiling_changes_no_byte():
    """The first calls are plain operations, later ones and graphs are compiled."""
    images, layer = IMAGES[:3], AugMix(10.0)
    draws = layer.draw(images)
    compiled = tf.function(lambda x: (layer.apply(x, draws), layer.chains(x, draws)))
    for plain, made in zip(
        (layer.apply(images, draws), layer.chains(images, draws)), compiled(images)
    ):
        np.testing.assert_array_equal(plain, made)


def test_gradients_that_augmax_takes():
    """Gradients of the weights and the blend, and of the image through its unmixed part."""
    layer = AugMix()
    draws = layer.draw(IMAGES)
    words = layer._chain_words(IMAGES, draws)
    slopes = gradient(
        lambda x, w, m: chains.mix(x, words, w, m), IMAGES, draws["weights"], draws["mix"]
    )
    assert all(np.isfinite(slope).all() for slope in slopes)
    blend = np.asarray(draws["mix"]).reshape(-1, 1, 1, 1)
    inner = (layer.apply(IMAGES, draws).numpy() > 0) & (layer.apply(IMAGES, draws).numpy() < 1)
    expected = np.broadcast_to(1 - blend, IMAGES.shape)
    np.testing.assert_allclose(slopes[0][inner], expected[inner], atol=1e-6)
    made = layer.chains(IMAGES, draws).numpy()
    expected = np.where(inner[:, np.newaxis], made, 0).sum((2, 3, 4)) * blend[:, :, 0, 0]
    np.testing.assert_allclose(slopes[1], expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"severity": 0.05}, r"severity must be a number in \[0.1, 10\]; received 0.05"),
        ({"severity": 11}, r"severity .*received 11"),
        ({"width": 0}, "width .*received 0"),
        ({"depth": 0}, "depth .*received 0"),
        ({"depth": (3, 1)}, r"low <= high; received \(3, 1\)"),
        ({"depth": (1, 2, 3)}, r"pair; received \(1, 2, 3\)"),
        ({"alpha": 0}, "alpha .*received 0"),
    ],
)
def test_wrong_arguments(options, said):
    with pytest.raises(ValueError, match=said):
        AugMix(**options)


def test_too_many_channels():
    with pytest.raises(ValueError, match="1 to 4 channels; received 5"):
        AugMix().apply(tf.zeros([1, 4, 4, 5]), AugMix().draw(tf.zeros([1, 4, 4, 5])))
