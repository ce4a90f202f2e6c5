"""Flip probabilities of models, on sequences made here and on published ones."""

from __future__ import annotations

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import datasets
from tfrobust.corruptions import PERTURBATIONS, perturbation_frames
from tfrobust.evaluation import FLIP_BASELINES, flip_probability, flips
from tfrobust.evaluation.predictor import Predictor
from tfrobust.nets import small_cnn

#: One whose frames are independent, one that moves, one that does not.
SOME = ["shot_noise", "tilt", "brightness"]


def grey(*values):
    """Plain images."""
    values = np.array(values, "float32").reshape(-1, 1, 1, 1)
    return np.broadcast_to(values, [len(values), 32, 32, 3]) / 255


def brighter_than(edge):
    """A model of the classes "dark" and "bright"."""

    def model(images):
        mean = tf.reduce_mean(images, axis=[1, 2, 3])
        return 9 * tf.stack([edge / 255 + tf.zeros_like(mean), mean], axis=1)

    return model


@pytest.fixture(scope="module")
def photos():
    """Seven pictures with something in them."""
    random = np.random.default_rng(0)
    small = tf.image.resize(random.random([7, 6, 6, 3], "float32"), [32, 32])
    return small.numpy()


def values(rows):
    return {(row.metric, row.corruption): row.value for row in rows}


def test_worked():
    """Brightness adds 0.015 (i − 15) to the value, cut to 8 bits: one step is 3.825 of 255."""
    # 100 passes the edge between i = 16 and 17, 240 between none: it is above in all 31 frames,
    # and 49 is below: 49 + 15 · 3.825 = 106.4 is above 106 in the last one alone.
    images, edge = grey(100, 240, 49), 105.5
    model = brighter_than(edge)
    [row] = flips(model, images, perturbations=["brightness"], model_name="m", dataset="d")
    assert row.value == pytest.approx(2 / (3 * 30))
    assert (row.model, row.dataset, row.metric, row.severity) == ("m", "d", "flip_probability", 1)
    assert (row.corruption, row.n, row.seed) == ("brightness", 3, 0)
    assert row.protocol == {"images": row.protocol["images"], "table": 32,
                            "difficulty": 1}  # fmt: skip
    assert row.provenance["output"] == "logits"
    # Frames that are 3 apart: of the 28 pairs, 3 lie across the edge, and 1 at the end.
    [row] = flips(model, images, perturbations=["brightness"], difficulty=3)
    assert row.value == pytest.approx(4 / (3 * 28)) and row.severity == 3


def test_noise_is_compared_with_the_first_frame():
    # A model that calls clean images 0, and all that have noise 1: one flip before, then none.
    def any_noise(images):
        spread = tf.math.reduce_std(images, axis=[1, 2, 3])
        return tf.stack([1e-4 + tf.zeros_like(spread), spread], axis=1)

    found = flips(any_noise, grey(128, 99), perturbations=["gaussian_noise", "shot_noise"])
    assert [row.value for row in found] == [1.0, 1.0]


def test_equals_frames_by_hand(photos):
    model = brighter_than(0.5 * 255)
    found = values(flips(model, photos, perturbations=SOME, seed=3))
    for name in SOME:
        frames = np.stack(list(perturbation_frames(photos, name, 3)), axis=1)
        classes = frames.mean(axis=(2, 3, 4)) > 0.5
        expected = flip_probability(classes.astype("int32"), noise=name == "shot_noise")
        assert found["flip_probability", name] == pytest.approx(expected)
    assert any(0 < value < 1 for value in found.values())


@pytest.mark.parametrize("size", slow_unless([3], [1, 3, 7]))
def test_batch_size_does_not_matter(photos, size):
    whole = flips(brighter_than(128), photos, perturbations=SOME)
    data = tf.data.Dataset.from_tensor_slices((photos, np.zeros(7))).batch(size)
    assert flips(brighter_than(128), data, perturbations=SOME, model_name="model") == whole
    assert whole[0].model == "model"
    # Pictures without labels, and in another order, which is other data.
    assert flips(brighter_than(128), data.map(lambda x, y: x), perturbations=SOME) == whole
    other = flips(brighter_than(128), photos[::-1], perturbations=SOME[1:])
    assert other[0].value == pytest.approx(whole[1].value)
    assert other[0].protocol["images"] != whole[1].protocol["images"]


def test_a_part_of_the_data_by_index(photos):
    model, index = brighter_than(0.5 * 255), [6, 1, 3]
    data = tf.data.Dataset.from_tensor_slices(photos[index]).batch(2)
    found = values(flips(model, data, perturbations=["shot_noise"], index=index))
    frames = list(perturbation_frames(photos, "shot_noise", 0))
    classes = np.stack(frames, axis=1).mean(axis=(2, 3, 4))[index] > 0.5
    expected = flip_probability(classes.astype("int32"), noise=True)
    assert found["flip_probability", "shot_noise"] == pytest.approx(expected)
    with pytest.raises(ValueError, match="one whole number per image; received 1 for 3 images"):
        flips(model, data, perturbations=["shot_noise"], index=[3])


def test_many_pieces(photos, monkeypatch):
    module = importlib.import_module("tfrobust.evaluation.flips")
    whole = flips(brighter_than(128), photos, perturbations=["tilt"])
    seen = []
    monkeypatch.setattr(module, "_PIECE", 5)

    def model(images):
        seen.append(images.shape[0])
        return brighter_than(128)(images)

    data = tf.data.Dataset.from_tensor_slices(photos).batch(7)
    [row] = flips(model, data, perturbations=["tilt"])
    assert row.value == whole[0].value and max(n or 0 for n in seen) <= 5


@pytest.mark.slow
def test_all_and_a_keras_model(photos):
    net = small_cnn()
    told = []
    options = {"table": 224, "baseline": "alexnet", "progress": told.append}
    rows = flips(Predictor(net, name="p"), photos[:2], **options)
    assert told == list(PERTURBATIONS)
    found = values(rows)
    assert len(found) == len(rows) == 22 and {row.model for row in rows} == {"p"}
    probabilities = [found["flip_probability", name] for name in PERTURBATIONS]
    assert found["mean_flip_probability", "perturbations"] == pytest.approx(np.mean(probabilities))
    rates = [100 * p / FLIP_BASELINES["alexnet"][n] for p, n in zip(probabilities, PERTURBATIONS)]
    assert [found["flip_rate", name] for name in PERTURBATIONS] == pytest.approx(rates)
    assert found["mean_flip_rate", "perturbations"] == pytest.approx(np.mean(rates))
    for row in rows:
        assert row.protocol.get("baseline") == ("alexnet" if "rate" in row.metric else None)
        assert (row.severity is None) == row.metric.startswith("mean_")
        row.to_json()
    # One image.
    [one] = flips(net, photos[:1], perturbations=["scale"])
    assert one.n == 1 and one.model == net.name


@pytest.mark.slow
def test_other_sizes_and_crops(photos):
    large = tf.image.resize(photos[:1], [40, 40]).numpy()
    options = {"table": 32, "crop": 30}
    [row] = flips(brighter_than(128), large, perturbations=["rotate"], **options)
    frames = np.stack(list(perturbation_frames(large, "rotate", **options)), axis=1)
    expected = flip_probability(np.argmax(brighter_than(128)(frames[0]), 1)[None], noise=False)
    assert row.value == expected and row.protocol["crop"] == 30
    [row] = flips(brighter_than(128), large, perturbations=["rotate"], table=32)
    assert row.protocol["table"] == 32
    # At 64 pixels there is no motion blur, so no mean over ten.
    tiny = flips(brighter_than(128), grey(9)[:, :8, :8], table=64)
    assert [row.corruption for row in tiny] == [n for n in PERTURBATIONS if n != "motion_blur"]
    with pytest.raises(ValueError, match="'motion_blur' has no sequence at 64 pixels"):
        flips(brighter_than(128), grey(9), table=64, perturbations=["motion_blur"])


@pytest.mark.parametrize("count", [1, 19])
def test_published(tmp_path, count):
    random = np.random.default_rng(1)
    noisy, moved, harder = random.integers(0, 256, [3, count, 16, 32, 32, 3], dtype="uint8")
    noisy, harder = (np.concatenate([n, n[:, :15]], axis=1) for n in (noisy, harder))
    for name, frames in zip(["shot_noise", "shot_noise_2", "translate"], [noisy, harder, moved]):
        np.save(tmp_path / f"{name}.npy", frames)
    model = brighter_than(127.5)
    chosen = {"perturbations": ["shot_noise", "translate"], "published": ("cifar10_p", tmp_path)}
    for difficulty, frames in [(1, noisy), (2, harder)]:
        rows = flips(model, difficulty=difficulty, **chosen)
        for row, images, step in zip(rows, [frames, moved], [1, difficulty]):
            classes = (images / 255).mean(axis=(2, 3, 4)) > 0.5
            expected = flip_probability(
                classes.astype(int), noise=row.corruption == "shot_noise", step=step
            )
            assert row.value == pytest.approx(expected) and 0 < row.value < 1
            assert (row.n, row.dataset) == (count, "cifar10_p/test")
            assert row.protocol == {"files": "cifar10_p", "difficulty": difficulty}
    with pytest.raises(FileNotFoundError):
        flips(model, published=("cifar10_p", tmp_path), perturbations=["tilt"])


def test_data_of_load():
    data = datasets.load("digits", batch_size=360)
    [row] = flips(brighter_than(128), data, perturbations=["translate"])
    assert row.dataset == "digits/test" and row.n == data.sizes["test"]


def test_refuses(photos):
    model = brighter_than(128)

    def refused(error, said, images=photos, model=model, **options):
        options = {"perturbations": ["translate"], **options}
        with pytest.raises(error, match=said) as caught:
            flips(model, images, **options)
        assert "\n" not in str(caught.value)

    refused(ValueError, "must have 3 channels", photos[..., :1])
    refused(ValueError, "the evaluation data are empty", photos[:0])
    refused(ValueError, "the evaluation data are empty",
            tf.data.Dataset.from_tensor_slices(photos).batch(4).take(0))  # fmt: skip
    refused(ValueError, r"images must lie in \[0, 1\].*divide", photos * 255)
    refused(ValueError, "images must be finite", photos * np.nan)
    refused(TypeError, "received dtype uint8", (photos * 255).astype("uint8"))
    refused(ValueError, "perturbation must be one of gauss.*'fog'", perturbations=["fog"])
    refused(ValueError, "one name or more, each once", perturbations=[])
    refused(ValueError, "difficulty must be .* 1 to 3; received 4", difficulty=4)
    refused(ValueError, "difficulty, where rates.* received 2", difficulty=2, baseline="alexnet")
    refused(ValueError, "baseline must be one of alexnet", baseline="resnet")
    refused(ValueError, "alexnet is of the table for 224 pixels.*for 32", baseline="alexnet")
    refused(ValueError, "alexnet is of the table for 224.*for 32", None, baseline="alexnet",
            published=("cifar10_p", None))  # fmt: skip
    refused(ValueError, "the evaluation data must end",
            tf.data.Dataset.from_tensor_slices(photos).repeat().batch(4))  # fmt: skip
    refused(ValueError, "data or published sequences; received none", None)
    refused(ValueError, "data or published sequences; received both", published=("cifar10_p", None))
    refused(ValueError, "published sequences must be one of cifar10_p", None,
            published=("cifar10_c", None))  # fmt: skip
    refused(ValueError, "must fit .*, which takes", photos[:, :16, :16], small_cnn(), table=32)
    refused(TypeError, "model must be a Keras model", model=3)
    broken = keras.Sequential(
        [keras.Input([32, 32, 3]), keras.layers.GlobalAveragePooling2D(),
         keras.layers.Dense(3, bias_initializer=keras.initializers.Constant(np.nan))]
    )  # fmt: skip
    refused(ValueError, "must be finite; received NaN or infinite", model=broken)
