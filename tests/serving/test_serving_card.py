"""The model card: what it says, what it does not say, and that data cannot write into it."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfrobust
from tfrobust import augment, cli, corruptions, evaluation, methods, rows, saving, serving
from tfrobust.layers.hash_of_weights import hash_of_weights
from tfrobust.serving import card as cards


@pytest.fixture
def model(make_net):
    net = make_net()
    return methods.FeatureMapAugmentation(net, augment=augment.GaussianNoise(0.1), gamma=0.3)


def row(corruption="clean", severity=0.0, value=0.5, model="mine", metric="accuracy", **more):
    return rows.Row(model, "digits/test", corruption, severity, metric, value, 100, 0, **more)


def grid(value=lambda name, severity: 0.5, **more):
    names = corruptions.TEST_CORRUPTIONS
    return [row(n, float(s), value(n, s), **more) for n in names for s in range(1, 6)]


def card_of(model, *, name="mine", **more):
    made = serving.model_card(model, name=name, **more)
    assert json.loads(json.dumps(made, allow_nan=False)) == made  # plain values
    return made, serving.card_markdown(made)


def test_what_is_known_of_the_model(model):
    model.term_weights["fma"].assign(0.25)  # as a callback may
    made, page = card_of(
        model, dataset="digits", class_names=["a", "b", "c", "d"], licence="MIT", signatures=["x"]
    )
    assert made["method"] == {
        "name": "FeatureMapAugmentation",
        "settings": {"gamma": 0.3, "fixed_clean": False},
        "term_weights": {"cross_entropy": 1.0, "fma": 0.25},
        "augmentation": made["method"]["augmentation"],
    }
    assert made["method"]["augmentation"]["class_name"] == "GaussianNoise"
    # 3*3*3*4 + 4, 3*3*4*6 + 6, 3*3*6*4 + 4
    assert made["parameters"] == {"all": 112 + 222 + 220, "trainable": 554}
    assert made["input"] == {"height": 16, "width": 16, "channels": 3, "range": [0.0, 1.0]}
    assert made["data"]["licence"] == "CC BY 4.0" and made["licence"] == "MIT"
    assert made["classes"] == 4 and made["class_names"] == ["a", "b", "c", "d"]
    assert made["weights"] == hash_of_weights(model.net)
    assert made["versions"]["tensorflow"] == tf.__version__
    assert made["versions"]["tfrobust"] == tfrobust.__version__
    for words in ("| method | FeatureMapAugmentation |", "gamma=0.3", "fma=0.25", "a, b, c, d"):
        assert words in page
    assert "GaussianNoise(" in page and "| parameters | 554, of which 554 trainable |" in page


def test_what_is_not_known_is_not_invented(make_net):
    made, page = card_of(make_net())
    assert made["numbers"] == [] and made["class_names"] is None
    assert made["data"] == dict.fromkeys(("name", "licence", "source"), "not stated")
    assert "Clean accuracy: not measured. Robust accuracy: not measured." in page
    for fact in ("data set", "licence of the data", "class names", "licence"):
        assert f"| {fact} | not stated |" in page
    assert "| method | not stated (a plain Keras model) |" in page and "%" not in page
    made, page = card_of(make_net(), dataset="my own")
    assert made["data"]["licence"] == "not stated" and "| data set | my own |" in page


def test_batch_norm_statistics_are_not_trainable():
    net = keras.Sequential(
        [keras.Input([4, 4, 3]), keras.layers.BatchNormalization(), keras.layers.Flatten()]
    )
    assert card_of(net)[0]["parameters"] == {"all": 12, "trainable": 6}


# Numbers ---------------------------------------------------------------------------------------


def test_means_by_hand(make_net):
    def value(name, severity):
        return (0.9 if name == "fog" else 0.4) - 0.05 * severity

    made, page = card_of(make_net(), rows=[row(value=0.8), *grid(value)])
    (measured,) = made["numbers"]
    assert measured["dataset"] == "digits/test" and measured["images"] == 100
    assert measured["clean_accuracy"] == 0.8 and not measured["same_weights"]
    assert measured["corruptions"]["fog"]["accuracy"] == pytest.approx(0.75)
    assert measured["corruptions"]["fog"]["severities"] == [1, 2, 3, 4, 5]
    assert measured["robust_accuracy"] == pytest.approx((14 * 0.25 + 0.75) / 15)
    assert "| clean | 80.00% | |" in page and "| fog | 75.00% | 1, 2, 3, 4, 5 |" in page
    assert "| 15 common corruptions | 28.33% | 1 to 5 |" in page
    assert "the rows do not say with which weights" in page


def test_robust_accuracy_is_that_of_the_summary(make_net):
    measured = [row(value=0.8), *grid(lambda name, severity: 1 / (severity + len(name)))]
    (summed,) = [
        r
        for r in evaluation.summary(measured)
        if (r.metric, r.corruption) == ("robust_accuracy", "test")
    ]
    for given in (measured, [*measured, summed]):
        found = card_of(make_net(), rows=given)[0]["numbers"][0]["robust_accuracy"]
        assert found == pytest.approx(summed.value, abs=1e-12)


def test_an_incomplete_grid_has_no_robust_accuracy(make_net):
    made, page = card_of(make_net(), rows=grid()[1:])
    (measured,) = made["numbers"]
    assert measured["robust_accuracy"] is None and measured["clean_accuracy"] is None
    assert "| clean | not measured | |" in page
    assert "| 15 common corruptions | not measured | 1 to 5 |" in page


def test_combinations_have_no_severity(make_net):
    made, page = card_of(make_net(), rows=[row("Combined+", None, 0.25)])
    assert made["numbers"][0]["corruptions"]["Combined+"]["severities"] == []
    assert "| Combined+ | 25.00% |  |" in page


def test_rows_are_chosen_by_the_weights(make_net, images, labels):
    """Rows of the evaluation, under whatever name, and never those of other weights."""
    net, other = make_net(), make_net()
    other.set_weights([w + 1 for w in other.get_weights()])
    measure = evaluation.Evaluator({}).rows
    own = measure(net, (images, labels), model_name="elsewhere called so")
    others = measure(other, (images, labels), model_name="mine")
    made, page = card_of(net, rows=[*others, *own])
    (measured,) = made["numbers"]
    assert measured["measured_as"] == "elsewhere called so" and measured["same_weights"]
    assert measured["clean_accuracy"] == own[0].value and "do not say" not in page
    with pytest.raises(ValueError, match="its rows of 'mine' were measured with"):
        card_of(net, rows=others)
    with pytest.raises(ValueError, match=r"by its weights \w{16} or its name 'x'; .*of 'mine'$"):
        card_of(net, name="x", rows=others)


def test_rows_of_epochs_do_not_count(make_net):
    with pytest.raises(ValueError, match="it holds rows of none"):
        card_of(make_net(), rows=[row(epoch=3)])


def test_rows_that_contradict_each_other(make_net):
    with pytest.raises(ValueError, match=r"one accuracy of 'mine' .*fog at severity 3.*0\.5 and 0"):
        card_of(make_net(), rows=[row("fog", 3.0, 0.5), row("fog", 3.0, 0.6)])
    card_of(make_net(), rows=[row("fog", 3.0, 0.5)] * 2)  # the same twice is not one


def test_rows_of_a_file(make_net, tmp_path):
    rows.write([row(value=0.75)], tmp_path / "rows.jsonl")
    made, _ = card_of(make_net(), rows=tmp_path / "rows.jsonl")
    assert made["numbers"][0]["clean_accuracy"] == 0.75
    with pytest.raises(ValueError, match="rows must be result rows"):
        card_of(make_net(), rows=[{"model": "mine"}])
    (tmp_path / "rows.jsonl").write_text("{")
    with pytest.raises(ValueError, match="line 1, is not a result row"):
        card_of(make_net(), rows=str(tmp_path / "rows.jsonl"))


# Security --------------------------------------------------------------------------------------

EVIL = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](http://evil/x.png)",
    "a|b",
    "`code` **bold** _soft_ ~~gone~~",
    "line\n# heading\r\n- item",
    "&lt;b&gt; \\| \u202e reversed \x1b[31m",
]


@pytest.mark.parametrize("evil", EVIL)
def test_data_cannot_write_markdown(make_net, evil):
    evil_row = dataclasses.replace(row(model=evil), dataset=evil)
    evil_rows = [evil_row, dataclasses.replace(evil_row, corruption=evil)]
    plain = card_of(make_net(), name="n", class_names=list("abcd"), rows=[row("x", model="n")] * 1)
    names = [evil, "b", "c", "d"]
    more = {"dataset": evil, "licence": evil, "class_names": names, "rows": evil_rows}
    made, page = card_of(make_net(), name=evil, **more)
    assert made["class_names"] == names  # JSON has it as it is
    # Markdown has as many lines and cells as that of harmless names, and none of its signs.
    assert len(page.splitlines()) == len(plain[1].splitlines())
    for line in page.splitlines():
        assert line.isprintable()
    unescaped = page.replace("\\\\", "")
    for sign in "<>[]`*~&!":
        assert unescaped.count(sign) == unescaped.count(f"\\{sign}"), sign
    for line, harmless in zip(page.splitlines(), plain[1].splitlines()):
        bars = line.replace("\\\\", "").replace("\\|", "").count("|")
        assert bars == harmless.count("|")
        assert line.startswith("#") == harmless.startswith("#")


@pytest.mark.parametrize(
    "options, said",
    [
        ({"name": 5}, "name must be a text; received 5"),
        ({"licence": None}, "licence must be a text; received None"),
        ({"dataset": 1}, "dataset must be a text; received 1"),
        ({"rows": [rows.Row("b", "d", "clean", 0.0, "accuracy", 1.0, 1, 0)]}, "rows of 'b'"),
    ],
)
def test_a_card_that_cannot_be_written_stops_the_export(make_net, tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        serving.export(make_net(), tmp_path / "net", **options)
    assert not any(tmp_path.iterdir())


# On the command line ---------------------------------------------------------------------------


def test_export_and_verify_on_the_command_line(tmp_path, capsys, monkeypatch):
    keras.utils.set_random_seed(0)
    monkeypatch.chdir(tmp_path)
    inner = [keras.layers.AveragePooling2D(8), keras.layers.Flatten(), keras.layers.Dense(10)]
    net = keras.Sequential([keras.Input([None, None, 3]), keras.layers.Resizing(16, 16), *inner])
    saving.save_model(net, "net.keras")
    rows.write([row(value=0.625, provenance={"model": hash_of_weights(net)})], "rows.jsonl")
    export = ["export", "net.keras", "--input-range", "0_to_1"]
    command = [*export, "out", "--class-names-of", "digits", "--version", "7"]
    command += ["--image-size", "20", "20", "--resize", "24", "--rows", "rows.jsonl"]
    assert cli.main([*command, "--licence", "CC0", "--name", "ten"]) == 0
    assert f"SavedModel: {'out/7'}\n" in capsys.readouterr().out
    card = json.loads((tmp_path / "out" / "7" / cards.JSON).read_text())
    assert card["name"] == "ten" and card["licence"] == "CC0" and card["data"]["name"] == "digits"
    assert card["class_names"] == [str(digit) for digit in range(10)]
    assert card["numbers"][0]["clean_accuracy"] == 0.625
    assert "| clean | 62.50% | |" in (tmp_path / "out" / "7" / cards.MARKDOWN).read_text()
    assert card["signatures"] == ["features", "serving_bytes", "serving_default", "uint8"]
    assert cli.main(["verify", "out"]) == 0
    image = tf.io.encode_png(np.full([40, 30, 3], 77, "uint8"))
    served = tf.saved_model.load("out/7").signatures["serving_bytes"](images=image[None])
    assert served["class"].numpy()[0].decode() in card["class_names"]
    assert cli.main([*export, "named", "--class-names", *"abcdefghij"]) == 0
    card = json.loads((tmp_path / "named" / cards.JSON).read_text())
    assert card["class_names"] == list("abcdefghij") and card["data"]["name"] == "not stated"
    assert card["name"] == "named"


@pytest.mark.parametrize(
    "options, said",
    [
        (["--rows", "no.jsonl"], "--rows takes a rows.jsonl; there is no file no.jsonl"),
        (["--class-names", "a", "b"], "as many as the outputs of the net, 4; received 2"),
        (["--class-names-of", "digits"], "as many as the outputs of the net, 4; received 10"),
        (["--data-dir", "x"], "--data-dir says where the data set of --class-names-of is"),
        (["--image-size", "8", "9"], "image_size must fit the net"),
        (["--resize", "8"], "received 16"),
        (["--version", "0"], "whole number from 1"),
        (["--class-names", "a", "--class-names-of", "digits"], "not allowed with"),
        (["--class-names-of", "cats"], "invalid choice: 'cats'"),
    ],
)
def test_wrong_input_on_the_command_line(make_net, tmp_path, capsys, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    saving.save_model(make_net(), "net.keras")
    try:
        code = cli.main(["export", "net.keras", "out", "--input-range", "0_to_1", *options])
    except SystemExit as stop:
        code = stop.code
    err = capsys.readouterr().err
    assert code == 2 and said in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()
