"""A journal gives each result once, over any number of processes."""

import json

import pytest

from tfrobust.tuning.journal import Journal


def test_a_result_is_made_once(tmp_path):
    path, made = tmp_path / "journal.jsonl", []

    def make():
        made.append(1)
        return {"value": 0.5}

    for _ in range(2):
        journal = Journal(path)
        for _ in range(2):
            assert journal.once("a", make)["value"] == 0.5
    assert made == [1] and list(journal) == ["a"]
    assert journal.seconds == journal["a"]["seconds"] >= 0


def test_a_line_that_a_kill_cut_off_is_made_again(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path).once("a", lambda: {"value": 1})
    whole = path.read_text()
    path.write_text(whole + '{"key": "b", "val')
    journal = Journal(path)
    assert list(journal) == ["a"] and path.read_text() == whole
    journal.once("b", lambda: {"value": 2})
    assert [json.loads(line)["value"] for line in path.read_text().splitlines()] == [1, 2]


@pytest.mark.parametrize("line", ["[]", "{}", "nonsense", '"text"'])
def test_other_files_are_refused(tmp_path, line):
    path = tmp_path / "journal.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match="give another output folder"):
        Journal(path)
