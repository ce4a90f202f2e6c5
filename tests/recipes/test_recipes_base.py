"""Recipes and the folders that they run in."""

import dataclasses
import json

import pytest

from tfrobust import datasets
from tfrobust.recipes.base import RunFolder, in_run_folder
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
    (tmp_path / "rows.jsonl").touch()
    before = (tmp_path / "settings.json").read_text()
    again = RunFolder(tmp_path, Tiny(), finished="done")
    assert again.resumed and not again.finished
    assert (tmp_path / "settings.json").read_text() == before
    (tmp_path / "done").touch()
    assert RunFolder(tmp_path, Tiny(), finished="done").finished
    with pytest.raises(FileExistsError, match=r"sizes \[1, 2\], not \[3\]"):
        RunFolder(tmp_path, Tiny(sizes=(3,)), finished="done")


def test_a_folder_without_results_is_free(tmp_path):
    RunFolder(tmp_path, Tiny(), finished="done").record_data(datasets.load("digits"))
    assert not RunFolder(tmp_path, Tiny(sizes=(3,)), finished="done").resumed
    assert json.loads((tmp_path / "settings.json").read_text())["sizes"] == [3]
    (tmp_path / "plan.json").touch()
    run = RunFolder(tmp_path, Tiny(), finished="done")
    assert not run.resumed and not (tmp_path / "plan.json").exists()


@in_run_folder
def fails(out, *, late=False):
    run = RunFolder(out, Tiny(), finished="done")
    if late:
        (run / "rows.jsonl").touch()
    raise ValueError("wrong")


def test_a_run_that_fails_before_it_has_results_leaves_nothing(tmp_path):
    for late in (False, True):
        with pytest.raises(ValueError, match="wrong"):
            fails(tmp_path / "a" / "run", late=late)
        assert (tmp_path / "a" / "run" / "settings.json").exists() == late
        assert (tmp_path / "a").exists() == late
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "plan.json").touch()  # of the user
    with pytest.raises(ValueError, match="wrong"):
        fails(out=tmp_path / "b")
    assert [one.name for one in (tmp_path / "b").iterdir()] == ["plan.json"]


def test_a_plan_in_the_folder_is_not_cleared_away(tmp_path):
    RunFolder(tmp_path, Tiny(), finished="done")
    plan = tmp_path / "plan.json"
    plan.touch()
    with pytest.raises(FileExistsError, match="another output folder"):
        RunFolder(tmp_path, Tiny(sizes=(3,)), finished="done", inputs=[plan])
    assert plan.exists()


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


def test_a_run_goes_on_with_the_files_that_it_began_with(tmp_path):
    recipe, model = Tiny(), tmp_path / "start.keras"
    model.write_bytes(b"weights")
    RunFolder(tmp_path / "run", recipe, finished="end", inputs=[model, None])
    (tmp_path / "run" / "rows.jsonl").touch()
    assert RunFolder(tmp_path / "run", recipe, finished="end", inputs=[model, None]).resumed
    model.write_bytes(b"others")
    with pytest.raises(FileExistsError, match=r"began with another .*start\.keras"):
        RunFolder(tmp_path / "run", recipe, finished="end", inputs=[model, None])


def test_a_run_goes_on_with_the_data_that_it_began_with(tmp_path):
    data = datasets.load("digits")
    other = dataclasses.replace(data, digests=lambda: {**data.digests(), "validation": "0"})
    RunFolder(tmp_path, Tiny(), finished="end").record_data(data)
    (tmp_path / "start.jsonl").touch()
    RunFolder(tmp_path, Tiny(), finished="end").record_data(other)
    assert not (tmp_path / "start.jsonl").exists()  # it was measured on the others
    (tmp_path / "rows.jsonl").touch()
    again = RunFolder(tmp_path, Tiny(), finished="end")
    again.record_data(other)
    with pytest.raises(FileExistsError, match="other data: validation images were added, removed"):
        again.record_data(data)
