"""Models adapted to photographs and scaled by a temperature, as files and in an evaluation."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.evaluation.test_evaluation_adaptation import (  # noqa: F401
    LABELS,
    pictures,
    sides,
    streams_once,
)
from tests.reference.data_folders import write_picture
from tfrobust import cli, datasets, recipes, saving, serving
from tfrobust.evaluation import attacked, corrupted

pytestmark = pytest.mark.usefixtures("eagerly", "undrawn", "streams_once")


def toy(labels=LABELS):
    batches = tf.data.Dataset.from_tensor_slices((pictures(), labels)).batch(20)
    sizes = {"validation": 40, "test": 40}
    return datasets.Data("toy", None, batches, batches, ("a", "b"), (32, 32, 3), sizes)


@pytest.fixture
def model(tmp_path):
    """A file of a net whose statistics are those of brighter pictures."""
    net, norm = sides(bias=0.0)
    norm.moving_mean.assign(10 * norm.moving_mean)
    saving.save_model(net, tmp_path / "model.keras")
    return tmp_path / "model.keras"


@pytest.fixture
def photos(tmp_path):
    for number, image in enumerate(pictures()[:6]):
        place = tmp_path / "photos" / f"{number % 2}" / f"{number}.png"
        write_picture(place, np.rint(255 * image).astype("uint8"))
    return tmp_path / "photos"


def test_adapt_writes_a_model_that_is_right(model, photos, tmp_path):
    said = []
    options = {"input_range": "0_to_1", "say": said.append}
    prior = recipes.adapt(model, photos, toy(), out=tmp_path / "new.keras", **options)
    assert prior.weight < 1 and prior.images == 6
    adapted, original = (saving.load_model(p) for p in (tmp_path / "new.keras", model))
    for net, right in ((adapted, 1.0), (original, 0.5)):
        predicted = np.asarray(net(pictures())).argmax(axis=1)
        assert (predicted == LABELS).mean() == right
    seen = np.rint(255 * pictures()[:6]).astype("uint8").astype("float32") / 255
    mean = original.layers[0].moving_mean.numpy()
    expected = prior.weight * mean + (1 - prior.weight) * seen.mean((0, 1, 2))
    np.testing.assert_allclose(adapted.layers[0].moving_mean, expected, rtol=1e-4)
    assert any("6 photographs" in line for line in said)


def test_adapt_changes_nothing_where_nothing_is_gained(photos, tmp_path):
    net, _ = sides(bias=0.0)
    saving.save_model(net, tmp_path / "good.keras")
    said = []
    options = {"input_range": "0_to_1", "say": said.append}
    new = tmp_path / "new.keras"
    assert recipes.adapt(tmp_path / "good.keras", photos, toy(), out=new, **options).weight == 1
    for now, old in zip(saving.load_model(new).get_weights(), net.get_weights()):
        np.testing.assert_array_equal(now, old)
    assert "nothing is changed" in said[0]


def test_a_temperature_is_kept_in_the_export(model, tmp_path):
    net, _ = sides(bias=0.0)
    saving.save_model(net, tmp_path / "sure.keras")
    labels = np.where(np.arange(40) % 8 < 2, 1 - LABELS, LABELS)  # a quarter is wrong
    options = {"input_range": "0_to_1", "say": lambda text: None}
    out = tmp_path / "calm.keras"
    found = recipes.scale_temperature(tmp_path / "sure.keras", toy(labels), out=out, **options)
    assert found.temperature > 2 and found.after < 0.1 < found.before
    calm = saving.load_model(out)
    images = pictures()[:4]
    np.testing.assert_allclose(calm(images), net(images) / found.temperature, rtol=1e-3)
    serving.export(calm, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    shares = served(images=tf.constant(images))["probabilities"]
    expected = tf.nn.softmax(net(images) / found.temperature)
    np.testing.assert_allclose(shares, expected, atol=1e-4)


@pytest.mark.slow
def test_an_evaluation_measures_the_adapted_model_beside_the_other(model, tmp_path):
    net = saving.load_model(model)
    before = net.get_weights()
    options = {"adapt_batch_norm": 10, "verbose": False, "stop_at_chance": False}
    conditions = corrupted(["brightness"], severities=[3])
    made = recipes.evaluate({"net": net}, toy(), conditions, tmp_path / "out", **options)
    accuracy = {(r.model, r.corruption): r.value for r in made if r.metric == "accuracy"}
    assert accuracy["net adapted", "brightness"] > accuracy["net", "brightness"] == 0.5
    told = json.loads((tmp_path / "out" / "adaptation.json").read_text())["net"]
    assert told["weight"] < 1 and told["images"] == 10 and told["low"] > 0
    for now, old in zip(net.get_weights(), before):
        np.testing.assert_array_equal(now, old)
    again = recipes.evaluate({"net": net}, toy(), conditions, tmp_path / "out", **options)
    assert again == made
    assert "net adapted" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_wrong_input_is_refused_before_time_is_spent(model, photos, tmp_path, capsys):
    with pytest.raises(FileExistsError, match="give another file"):
        recipes.adapt(model, photos, toy(), out=model)
    with pytest.raises(ValueError, match=r"must end in \.keras"):
        recipes.scale_temperature(model, toy(), out=tmp_path / "x.h5")
    with pytest.raises(FileNotFoundError, match="photos must be a folder"):
        recipes.adapt(model, tmp_path / "none", toy(), out=tmp_path / "x.keras")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="it holds none"):
        recipes.adapt(model, tmp_path / "empty", toy(), out=tmp_path / "x.keras")
    (photos / "0" / "broken.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"broken\.jpg \(empty\)"):
        recipes.adapt(model, photos, toy(), out=tmp_path / "x.keras")
    assert cli.main(["adapt", "none.keras", str(photos), "--out", str(tmp_path / "x.keras")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_evaluation_refuses_what_cannot_be_adapted_at_once(tmp_path):
    """Before anything is measured, also of the models as they are."""
    models = {"net": sides(bias=0.0)[0]}
    with pytest.raises(ValueError, match="measure attacks without adapting"):
        recipes.evaluate(models, toy(), attacked()[:1], tmp_path, adapt_batch_norm=4)
    with pytest.raises(ValueError, match=r"at most that of .* images, 40; received 41"):
        recipes.evaluate(models, toy(), [], tmp_path, adapt_batch_norm=41)
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_plain_net_is_refused(photos, tmp_path):
    layers = [keras.layers.Flatten(), keras.layers.Dense(2)]
    saving.save_model(keras.Sequential([keras.Input([32, 32, 3]), *layers]), tmp_path / "n.keras")
    options = {"input_range": "0_to_1", "out": tmp_path / "x.keras"}
    with pytest.raises(ValueError, match="must have batch norms"):
        recipes.adapt(tmp_path / "n.keras", photos, toy(), **options)
