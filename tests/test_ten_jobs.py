"""A newcomer's ten jobs work the first time, as README and --help tell them."""

import os
import pathlib
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.slow
def test_ten_jobs(tmp_path):
    pytest.importorskip("onnxruntime", reason="two of the jobs are of ONNX files")
    command = f"{shlex.quote(sys.executable)} -m tfrobust"
    environment = {**os.environ, "TFROBUST": command, "PYTHONPATH": str(ROOT)}
    script = [str(ROOT / "tools/ten_jobs.sh"), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert [f"== {n}." in done.stdout for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 10)] == 10 * [True]


@pytest.mark.parametrize("found", ["3.14", ""])
def test_which_python_is_missing(tmp_path, found):
    """Where there is a newer one only, one sentence says how to get one that TensorFlow has."""
    (tmp_path / "python3").write_text(f"#!/bin/sh\necho {found}\nexit {int(not found)}\n")
    (tmp_path / "python3").chmod(0o755)
    for tool in ("sh", "rm", "sed", "cat"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}")
    given = {"PATH": str(tmp_path), "PYTHON": "", "PYTHONS": "python3", "VENV": "v", "EXTRAS": ""}
    command = ["/bin/sh", str(ROOT / "tools/environment.sh"), "which-python"]
    done = subprocess.run(command, capture_output=True, text=True, env=given, cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    said = "Python 3.14 is here, TensorFlow runs on 3.9 to 3.13: get one with 'uv python install"
    assert (said in done.stderr) == bool(found)
