"""The guard before batch norm is adapted, and measuring an adapted model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import evaluation
from tfrobust.augment import Brightness
from tfrobust.evaluation import Adapted, Prior, adaptation, benchmark, find_prior

pytestmark = pytest.mark.usefixtures("eagerly", "streams_once")

LABELS = np.arange(40) % 2


def pictures(low=0.2, high=0.6):
    """Class 1 is red on the left, class 0 on the right; the rest is dark."""
    images = np.full([40, 32, 32, 3], low, "float32")
    for image, label in zip(images, LABELS):
        image[:, 16 * (1 - label) : 16 * (2 - label), 0] = high
    return images + np.random.default_rng(0).uniform(-0.05, 0.05, images.shape).astype("float32")


def sides(bias):
    """Compares left and right after a batch norm and a ReLU, which only some statistics suit."""
    norm = keras.layers.BatchNormalization()
    kernel = np.zeros([32, 32, 3, 2], "float32")
    kernel[:, :16, 0, 1] = kernel[:, 16:, 0, 0] = 1.0
    head = keras.layers.Dense(2)
    layers = [norm, keras.layers.ReLU(), keras.layers.Flatten(), head]
    net = keras.Sequential([keras.Input([32, 32, 3]), *layers])
    head.set_weights([kernel.reshape(-1, 2), np.array([bias, 0], "float32")])
    images = pictures()
    moments = images.mean((0, 1, 2)), images.var((0, 1, 2))
    norm.set_weights([*norm.get_weights()[:2], *(m.astype("float32") for m in moments)])
    return net, norm


def data():
    return tf.data.Dataset.from_tensor_slices((pictures(), LABELS)).batch(16)


_made = {}


@pytest.fixture
def streams_once(monkeypatch):
    """The corruptions of the same pictures are made once for all tests."""
    make = adaptation._streams

    def once(images, predictor, seed):
        key = images.tobytes(), seed
        if key not in _made:
            _made[key] = make(images, predictor, seed)
        return _made[key]

    monkeypatch.setattr(adaptation, "_streams", once)


def test_a_net_that_needs_it_is_adapted():
    """Its statistics are those of pictures ten times as bright."""
    net, norm = sides(bias=0.0)
    norm.moving_mean.assign(10 * norm.moving_mean)
    before = net.get_weights()
    found = find_prior(net, data(), 10)
    assert found.weight < 1 and found.low > 0 and found.images == 10 and found.n == 40
    assert found.accuracies[1.0]["clean"] == 0.5 < found.accuracies[found.weight]["clean"]
    assert list(found.accuracies) == list(adaptation.WEIGHTS)
    streams = ["clean", "speckle_noise", "gaussian_blur", "spatter", "saturate"]
    assert list(found.accuracies[1.0]) == [*streams, "mixed", "mixed, few classes"]
    best = max(found.accuracies, key=lambda w: np.mean(list(found.accuracies[w].values())))
    assert found.weight == best
    for now, old in zip(net.get_weights(), before):
        np.testing.assert_array_equal(now, old)
    assert f"with weight {found.weight:g}" in found.words


def test_nothing_changes_where_nothing_is_gained():
    found = find_prior(sides(bias=0.0)[0], data(), 10)
    assert found.weight == 1 and found.gain == 0 and found.low <= 0
    assert "nothing is changed" in found.words


def test_streams_are_alone_mixed_and_of_few_classes():
    streams = adaptation._streams(pictures(), evaluation.Predictor(sides(0.0)[0]), 0)
    assert [alike for _, alike in streams.values()] == [False] * 6 + [True]
    for kind, name in enumerate(list(streams)[:5]):
        alone = streams[name][0][kind::5]
        np.testing.assert_array_equal(streams["mixed"][0][kind::5], alone)
        np.testing.assert_array_equal(streams["mixed, few classes"][0][kind::5], alone)


def test_each_condition_gets_statistics_of_its_own_images():
    net, norm = sides(bias=0.0)
    source = norm.moving_mean.numpy()
    prior = Prior(0.25, 0.1, 0.05, {}, images=8, n=40)
    model = Adapted(net, prior, name="adapted")
    seen = []
    answers = model.answers

    def watched(images):
        seen.append((float(np.mean(images)), norm.moving_mean.numpy()))
        return answers(images)

    model.answers = watched
    darker = evaluation.swept("darker", Brightness(), [-0.1])
    rows = benchmark(model, data(), darker, dataset="d", verbose=False, stop_at_chance=False)
    chosen = pictures()[np.arange(8) * 5]
    for (_, mean), shift in zip(seen, [0, 0, 0, -0.1, -0.1, -0.1]):
        expected = 0.25 * source + 0.75 * (chosen + shift).mean((0, 1, 2))
        np.testing.assert_allclose(mean, expected, atol=1e-5)
    provenance = rows[0].provenance
    assert provenance["adapt_batch_norm"] == {"images": 8, "weight": 0.25}
    assert provenance["model"].endswith(" adapted")
    model.reset()
    np.testing.assert_array_equal(norm.moving_mean, source)


def test_what_cannot_be_adapted_is_refused(make_net):
    with pytest.raises(ValueError, match="must have batch norms"):
        find_prior(make_net(), data(), 10)
    with pytest.raises(ValueError, match="at most that of the data, 40; received 41"):
        find_prior(sides(0.0)[0], data(), 41)
    with pytest.raises(ValueError, match="a SavedModel or a function"):
        find_prior(lambda images: images[:, 0, 0, :2], data(), 10)
    prior = Prior(0.5, 0.1, 0.05, {}, images=8, n=40)
    attack = evaluation.attacked()[:1]
    with pytest.raises(ValueError, match="measure attacks without adapting"):
        benchmark(Adapted(sides(0.0)[0], prior), data(), attack, verbose=False)
