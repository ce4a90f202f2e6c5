"""Recipes and the folders that they run in."""

import dataclasses
import json

import pytest

from tfrobust.recipes.base import RunFolder
from tfrobust.settings import Recipe


@dataclasses.dataclass(frozen=True)
class Tiny(Recipe):
    """Two settings."""

    sizes: tuple = (1, 2)


def test_settings_are_saved_with_versions_and_date(tmp_path):
    run = RunFolder(tmp_path / "a" / "run", Tiny(seed=3), finished="done")
    record = json.loads((run / "settings.json").read_text())
    assert (record["recipe"], record["seed"], record["sizes"]) == ("Tiny", 3, [1, 2])
    assert set(record["versions"]) == {"tfrobust", "tensorflow", "keras", "numpy", "python"}
    assert record["started"].endswith("+00:00")
    assert not run.resumed and not run.finished


def test_same_settings_go_on_others_are_refused(tmp_path):
    RunFolder(tmp_path, Tiny(), finished="done")
    before = (tmp_path / "settings.json").read_text()
    again = RunFolder(tmp_path, Tiny(), finished="done")
    assert again.resumed and not again.finished
    assert (tmp_path / "settings.json").read_text() == before
    (tmp_path / "done").touch()
    assert RunFolder(tmp_path, Tiny(), finished="done").finished
    with pytest.raises(FileExistsError, match=r"sizes \[1, 2\], not \[3\]"):
        RunFolder(tmp_path, Tiny(sizes=(3,)), finished="done")


def test_empty_folder_is_taken_and_others_are_not(tmp_path):
    (tmp_path / "empty").mkdir()
    RunFolder(tmp_path / "empty", Tiny(), finished="done")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(FileExistsError, match="holds no run of tfrobust"):
        RunFolder(tmp_path / "full", Tiny(), finished="done")


def test_replace():
    assert Tiny().replace(seed=5) == Tiny(seed=5)
    with pytest.raises(ValueError, match="Tiny has no setting epochs; it has: seed, sizes"):
        Tiny().replace(epochs=3)
