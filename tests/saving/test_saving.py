"""Model files: whole, checked, in one clear sentence where they cannot be read."""

import json

import keras
import numpy as np
import pytest

from tests.model_files import changed_file
from tfrobust import saving


def test_any_keras_model(make_net, images, tmp_path):
    net = make_net()
    saving.save_model(net, tmp_path / "deep" / "net.keras")
    again = saving.load_model(tmp_path / "deep" / "net.keras")
    np.testing.assert_array_equal(net(images), again(images))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["net.keras"]  # no scratch left


def test_file_of_the_other_keras_is_named(make_net, tmp_path):
    saving.save_model(make_net(), tmp_path / "net.keras")
    other = "3.1.0" if keras.__version__.startswith("2.") else "2.15.0"
    path, target = tmp_path / "net.keras", tmp_path / "other.keras"
    changed_file(
        path,
        target,
        "metadata.json",
        lambda text: json.dumps({**json.loads(text), "keras_version": other}),
    )
    with pytest.raises(ValueError, match=rf"saved with Keras {other} and cannot be read") as raised:
        saving.load_model(tmp_path / "other.keras")
    assert len(str(raised.value)) < 400


def test_what_is_no_model_file(make_net, tmp_path):
    (tmp_path / "text.keras").write_text("no archive")
    with pytest.raises(ValueError, match=r"text\.keras is not a \.keras file"):
        saving.load_model(tmp_path / "text.keras")
    with pytest.raises(ValueError, match=r"must end in \.keras"):
        saving.save_model(make_net(), tmp_path / "net.h5")
    with pytest.raises(FileNotFoundError, match="no model file"):
        saving.load_model(tmp_path / "none.keras")
