"""What stands at a path is the old or the new, never half of it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

from tfrobust import files


def fill(path, kind, text):
    """A file, or a folder with a file in a folder."""
    if kind == "folder":
        (path / "deep").mkdir(parents=True)
        path = path / "deep" / "text"
    path.write_text(text)


def content(path, kind):
    return (path / "deep" / "text" if kind == "folder" else path).read_text()


kinds = pytest.mark.parametrize("kind", ["file", "folder"])


@kinds
@pytest.mark.parametrize("before", [False, True])
def test_replacing(tmp_path, kind, before):
    target = tmp_path / "new" / "place" / "model.keras"
    if before:
        target.parent.mkdir(parents=True)
        fill(target, kind, "old")
        if kind == "folder":
            (target / "left over").write_text("")
    with files.replacing(target) as temporary:
        assert temporary.suffix == ".keras" and not temporary.exists()
        assert temporary.parent.parent == target.parent  # the same file system
        fill(temporary, kind, "new")
        assert target.exists() == before and (not before or content(target, kind) == "old")
    assert content(target, kind) == "new"
    assert not (target / "left over").exists()
    assert os.listdir(target.parent) == ["model.keras"]


@kinds
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old(tmp_path, kind, error):
    target = tmp_path / "result"
    fill(target, kind, "old")
    with pytest.raises(error), files.replacing(target) as temporary:
        fill(temporary, kind, "half")
        raise error
    assert content(target, kind) == "old"
    assert os.listdir(tmp_path) == ["result"]


@kinds
def test_a_kill_leaves_the_old(tmp_path, kind):
    target = tmp_path / "result"
    fill(target, kind, "old")
    program = """
import os, signal, sys
from tfrobust import files
with files.replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""
    root = pathlib.Path(files.__file__).parents[1]
    killed = subprocess.run([sys.executable, "-c", program, str(target)], cwd=root, check=False)
    assert killed.returncode != 0
    assert content(target, kind) == "old"


def test_nothing_written_over_a_file(tmp_path):
    target = tmp_path / "result"
    fill(target, "file", "old")
    with pytest.raises(FileNotFoundError), files.replacing(target):
        pass
    assert content(target, "file") == "old"


def test_nothing_written_over_a_folder(tmp_path):
    target = tmp_path / "result"
    fill(target, "folder", "old")
    with pytest.raises(FileNotFoundError), files.replacing(target):
        pass
    assert content(target, "folder") == "old"


def test_a_move_that_fails_leaves_the_old_folder(tmp_path, monkeypatch):
    target = tmp_path / "result"
    fill(target, "folder", "old")
    replace = os.replace

    def fail_once(source, destination):
        if pathlib.Path(destination) == target:
            monkeypatch.setattr(os, "replace", replace)
            raise PermissionError
        replace(source, destination)

    monkeypatch.setattr(os, "replace", fail_once)
    with pytest.raises(PermissionError), files.replacing(target) as temporary:
        fill(temporary, "folder", "new")
    assert content(target, "folder") == "old"


@pytest.mark.parametrize("old, new", [("file", "folder"), ("folder", "file")])
def test_a_change_of_kind_is_made_whole_or_refused(tmp_path, old, new):
    target = tmp_path / "result"
    fill(target, old, "old")
    try:
        with files.replacing(target) as temporary:
            fill(temporary, new, "new")
    except OSError:
        assert content(target, old) == "old"
    else:
        assert content(target, new) == "new"
    assert os.listdir(tmp_path) == ["result"]


def test_write_json(tmp_path):
    path = tmp_path / "a" / "settings.json"
    files.write_json({"rate": 0.5, "names": ["B+"]}, path)
    text = '{\n  "rate": 0.5,\n  "names": [\n    "B+"\n  ]\n}\n'
    assert path.read_text() == text
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json({"rate": float("nan")}, path)
    with pytest.raises(TypeError):
        files.write_json({"rate": object()}, path)
    assert path.read_text() == text and os.listdir(path.parent) == ["settings.json"]


def test_check_writable(tmp_path):
    files.check_writable(tmp_path)
    files.check_writable(str(tmp_path / "not" / "yet"))
    assert not (tmp_path / "not").exists() and os.listdir(tmp_path) == []


@pytest.mark.parametrize("below", [".", "runs/1"])
def test_check_writable_below_a_file(tmp_path, below):
    (tmp_path / "taken").write_text("")
    with pytest.raises(NotADirectoryError, match=r"must go into a folder; .*taken is a file"):
        files.check_writable(tmp_path / "taken" / below)


def test_check_writable_read_only(tmp_path, monkeypatch):
    """By a stand-in: whoever runs as root may write everywhere."""

    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(PermissionError, match=f"{tmp_path.name} failed: Read-only file system"):
        files.check_writable(tmp_path / "new")
