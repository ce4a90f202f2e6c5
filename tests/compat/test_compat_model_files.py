"""Files of the other generation of Keras are refused in one sentence."""

import json
import zipfile

import keras
import pytest

from tfrobust.compat.model_files import check_generation
from tfrobust.compat.stack import KERAS_2


@pytest.fixture
def other(make_net, tmp_path):
    """A model file that says it is of the other generation, and has its format."""
    path = tmp_path / "other.keras"
    make_net().save(tmp_path / "own.keras")
    check_generation(tmp_path / "own.keras")
    content = {"module": "keras.src", "class_name": "Functional", "config": {"of": "the other"}}
    with zipfile.ZipFile(path, "w") as archive:
        version = "3.1.0" if KERAS_2 else "2.15.0"
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(content))
    return path


def test_the_sentence_names_both_versions(other):
    with pytest.raises(ValueError, match=r"was saved with Keras .* and cannot be read by Keras"):
        check_generation(other)


def test_keras_itself_does_not_say_so(other):
    with pytest.raises(Exception) as raised:
        keras.models.load_model(other)
    assert "cannot be read by" not in str(raised.value)
