"""One line that is written over on a terminal, one line per step in a log, and nothing if quiet."""

from __future__ import annotations

import io

import pytest

from tfrobust.evaluation.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def written(stream, names, **options):
    with Progress(len(names), "net", file=stream, **options) as progress:
        for name in names:
            progress.step(name)
    return stream.getvalue()


def test_terminal():
    text = written(Terminal(), ["clean", "fog 1"])
    assert text.count("\n") == 1 and text.endswith("\n")
    shown = text.split("\r")
    for done, name in enumerate(["", ", clean", ", fog 1"]):
        assert any(f" {done}/2 [" in line and f"{name}]" in line for line in shown)


def test_log():
    lines = written(io.StringIO(), ["clean", "fog 1", "fog 2"]).splitlines()
    assert len(lines) == 3
    for done, (line, name) in enumerate(zip(lines, ["clean", "fog 1", "fog 2"]), start=1):
        assert line.startswith("net: ") and f" {done}/3 [" in line and line.endswith(f", {name}]")


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_quiet(stream):
    assert written(stream(), ["clean"], verbose=False) == ""


def test_log_of_a_run_that_stops():
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt), Progress(2, "net", file=stream) as progress:
        progress.step("clean")
        raise KeyboardInterrupt
    assert stream.getvalue().count("\n") == 1


def test_time_left_is_by_the_mean_of_all_steps(monkeypatch):
    seconds = [0.0]
    stream = io.StringIO()
    with Progress(4, "net", file=stream) as progress:
        progress._time = lambda: seconds[0]
        progress.start_t = progress.last_print_t = 0.0
        for seconds[0] in (90.0, 100.0):
            progress.step("fog")
    assert "2/4 [01:40<01:40," in stream.getvalue()
