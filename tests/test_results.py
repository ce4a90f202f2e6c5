"""docs/RESULTS.md shows the rows under benchmarks/results; runs are taken with their origin."""

import importlib.util
import json
import pathlib
import re

import pytest

from tfrobust import rows
from tfrobust.registries import EXPERIMENTS

ROOT = pathlib.Path(__file__).parents[1]
PLACES = re.findall(
    r"<!-- results: ([\w-]+) -->", (ROOT / "docs/RESULTS.md").read_text(encoding="utf-8")
)


@pytest.fixture
def results():
    spec = importlib.util.spec_from_file_location("results", ROOT / "tools/results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_rows(results, capsys):
    assert results.main(["check"]) == 0, capsys.readouterr().out
    assert sorted(PLACES) == sorted(path.stem for path in results.RESULTS.glob("*.jsonl"))


@pytest.mark.parametrize("name", PLACES)
def test_where_rows_are_from(name):
    about = json.loads((ROOT / f"benchmarks/results/{name}.json").read_text(encoding="utf-8"))
    assert about["experiment"] == name and name.partition("-")[0] in EXPERIMENTS
    assert re.fullmatch(r"[0-9a-f]{10}", about["commit"])
    assert {"tensorflow", "keras", "python"} <= set(about["versions"])
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for date in about["dates"])
    for row in rows.read(ROOT / f"benchmarks/results/{name}.jsonl"):
        assert "training_seed" in row.provenance and "date" in row.provenance


def test_taking_a_run(results, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(results, "PICTURES", tmp_path / "pictures")
    monkeypatch.setattr(results, "PAGE", tmp_path / "RESULTS.md")
    monkeypatch.setattr(results, "GUIDE", tmp_path / "CHOOSING.md")
    run = tmp_path / "run"
    run.mkdir()
    made = {
        "training_seed": 0, "date": "2026-01-02", "tensorflow": "2.15", "keras": "2.15",
        "python": "3.11", "model": "abc",
    }  # fmt: skip
    measured = [
        rows.Row(model, "m/test", "clean", 0.0, "accuracy", value, 100, 0, provenance=made)
        for model, value in {"XE": 0.91, "FCL": 0.92}.items()
    ]
    measured.append(rows.Row("XE", "m/test", "UN", 0.15, "accuracy", 0.4, 100, 0, provenance=made))
    measured.append(rows.Row("XE", "m/test", "NUN", 0.15, "accuracy", 0.6, 100, 0, provenance=made))
    rows.write(measured, run / "rows.jsonl")
    settings = {"data_dir": "/home/someone/data", "weights": None, "dataset": "corner_mnist"}
    (run / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (run / "figure_4.png").write_bytes(b"picture")
    arguments = ["add", "fcl_table1", str(run), "--commit", "0123456789", "--variant", "b"]
    assert results.main(arguments) == 0
    about = json.loads((tmp_path / "results/fcl_table1-b.json").read_text(encoding="utf-8"))
    assert about["setting"]["data_dir"] == "data" and about["commit"] == "0123456789"
    kept = rows.read(tmp_path / "results/fcl_table1-b.jsonl")
    assert [row.provenance["model"] for row in kept] == ["abc"] * 4
    assert "tensorflow" not in kept[0].provenance and about["versions"]["tensorflow"] == "2.15"
    assert (tmp_path / "pictures/fcl_table1-b_figure_4.png").read_bytes() == b"picture"

    page = "# By hand\n<!-- results: fcl_table1-b -->\nold\n<!-- end of results -->\nmore\n"
    results.PAGE.write_text(page, encoding="utf-8")
    guide = "<!-- trade-off: fcl_table1-b | XE = 1.00 -->\n<!-- end of trade-off -->\n"
    results.GUIDE.write_text(guide, encoding="utf-8")
    assert results.main(["check"]) == 1
    assert results.main(["write"]) == 0 and results.main(["check"]) == 0
    text = results.PAGE.read_text(encoding="utf-8")
    assert "| XE | 91.00 [92.50] |" in text and "old" not in text
    assert text.startswith("# By hand\n") and text.endswith("more\n")
    assert "Made on 2026-01-02, commit 0123456789, tensorflow 2.15" in text
    assert "| XE | 91.0 | 50.0 | 1.00 |" in results.GUIDE.read_text(encoding="utf-8")
