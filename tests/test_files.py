"""What stands at a path is the old or the new, never half of it."""

from __future__ import annotations

import errno
import os
import pathlib
import re
import shutil
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
    assert len(os.listdir(tmp_path)) == 2 and any(map(files.is_leftover, tmp_path.iterdir()))
    with files.replacing(tmp_path / "other") as temporary:
        temporary.write_text("")
    assert len(os.listdir(tmp_path)) == 3  # what is of another path is left alone
    with files.replacing(target) as temporary:
        fill(temporary, kind, "new")
    assert content(target, kind) == "new" and sorted(os.listdir(tmp_path)) == ["other", "result"]


WRITE_FOLDER = """
import os, sys
from tfrobust import files
calls, fatal = [], int(sys.argv[2])

def counted(name):
    function = getattr(os, name)
    def call(*arguments, **options):
        for after in (False, True):
            if after:
                result = function(*arguments, **options)
            calls.append(name)
            if len(calls) == fatal:
                os._exit(9)
        return result
    setattr(os, name, call)

for name in ("replace", "mkdir", "rmdir", "unlink"):
    counted(name)
if len(sys.argv) > 3:
    def no_exchange(*_, **__):
        raise OSError
    files.ctypes.CDLL = no_exchange
with files.replacing(sys.argv[1]) as temporary:
    os.mkdir(temporary)
    (temporary / "saved_model.pb").write_text("new")
print(len(calls))
"""


@pytest.mark.parametrize("exchange", [True, False])
def test_killed_at_every_call_a_folder_is_there_again_after_one_run(tmp_path, exchange):
    """Before and after each call that changes the disk."""
    root = pathlib.Path(files.__file__).parents[1]
    target, fatal, code = tmp_path / "model", 0, 9
    while code == 9:
        fatal += 1
        fill(target, "folder", "old")
        command = [sys.executable, "-c", WRITE_FOLDER, str(target), str(fatal)]
        command += [] if exchange else ["without"]
        code = subprocess.run(command, cwd=root, check=False, stdout=subprocess.DEVNULL).returncode
        if exchange:  # a reader never sees that there is none
            assert (target / "deep" / "text").exists() or (target / "saved_model.pb").exists()
        with files.replacing(target) as temporary:
            assert target.is_dir()  # it is there again before anything is written
            fill(temporary, "folder", "last")
        assert content(target, "folder") == "last" and os.listdir(tmp_path) == ["model"]
        shutil.rmtree(target)
    assert code == 0 and fatal > 4


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "old").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with files.replacing(tmp_path / "link") as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("new")
    assert (tmp_path / "link").is_symlink() and os.listdir(tmp_path / "real") == ["new"]
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


LOCK = """
import sys
from tfrobust import files
with files.locked(sys.argv[1], wait=len(sys.argv) > 2):
    print("in", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time(tmp_path):
    root = pathlib.Path(files.__file__).parents[1]

    def start(*more):
        command = [sys.executable, "-c", LOCK, str(tmp_path / "run"), *more]
        return subprocess.Popen(
            command,
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    first = start()
    assert first.stdout.readline() == "in\n"
    busy = pytest.raises(BlockingIOError, match="another process is at work in")
    with busy, files.locked(tmp_path / "run"):
        pass
    waiting = start("wait")
    first.kill()  # and its lock ends with it
    assert waiting.stdout.readline() == "in\n"
    waiting.communicate("")
    first.communicate()
    with files.locked(tmp_path / "run"), files.locked(str(tmp_path / "run")):
        assert os.listdir(tmp_path / "run") == []
    assert start().communicate("")[0] == "in\n"


def test_in_use(tmp_path):
    assert not files.in_use(tmp_path / "nowhere") and not files.in_use(tmp_path)
    with files.locked(tmp_path):
        assert not files.in_use(tmp_path)  # by another process
    with files._flock(tmp_path):  # as another one holds it
        assert files.in_use(tmp_path)
        with pytest.raises(BlockingIOError, match="or give another cache"):
            files.hold(tmp_path, "cache")
    assert files.hold(tmp_path, "cache") and not files.hold(tmp_path, "cache")
    files._held.close()


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "model.keras"
    told = re.escape(f"No space left on device: '{target}'")
    with pytest.raises(OSError, match=told), files.replacing(target):
        full()
    with pytest.raises(OSError, match=told), files.replacing(target) as temporary:
        raise OSError(errno.ENOSPC, "No space left on device", str(temporary))
    with pytest.raises(OSError, match=told), files.replacing(target):
        raise RuntimeError("x.tempstate1; No space left on device [Op:SaveV2]")  # as TensorFlow
    with pytest.raises(FileNotFoundError, match="other"), files.replacing(target):
        (tmp_path / "other").read_text(encoding="utf-8")
    with pytest.raises(ConnectionError, match="no network"), files.replacing(target):
        raise ConnectionError("no network")
    assert os.listdir(tmp_path) == []
    target.write_bytes(b"12")
    files.reserve(target)
    assert target.read_bytes() == b"12"
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match=told):
        files.reserve(target)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "content, kind, told",
    [
        ("{", dict, "is damaged: it is not JSON"),
        ("", list, "is damaged: it is not JSON"),
        ("[" * 99999, list, "is damaged: it is not JSON"),
        ("[]", dict, r"must hold an object; it holds \[\]"),
        ("3", list, "must hold a list; it holds 3"),
    ],
)
def test_read_json_names_the_file(tmp_path, content, kind, told):
    path = tmp_path / "settings.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"settings\.json {told}"):
        files.read_json(path, kind)
    files.write_json({"a": [1]}, path)
    assert files.read_json(path) == {"a": [1]}


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
    monkeypatch.delattr(files.ctypes, "CDLL")  # two moves, not one exchange
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
