"""Runs the tests: `python tools/run_tests.py quick | slow | all`.

"quick" are the tests that are not marked slow, "slow" the others, "all" both, and once more with
other kernels what is calculated: they stand in for other processors. They run in groups, each in a
process of its own, because XLA keeps what it has compiled until its process ends: in one process
all tests together would need 20 GB. Two groups run at a time, the longest first, because one test
leaves much of two cores idle.

A group's output is printed when it has ended; the last lines are the slowest tests and the times.
With the variable JUNIT set, each group writes its results to a file whose name begins so.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

#: What no other group names.
REST = "all others"
#: The longest first.
GROUPS = [
    "tests/contracts/test_augments.py tests/augment tests/ops tests/losses",
    "tests/contracts/test_methods.py tests/contracts/test_nets.py tests/nets",
    "tests/evaluation tests/callbacks",
    "tests/methods tests/layers tests/compat",
    "tests/experiments tests/reports tests/serving tests/saving",
    REST,
    "tests/datasets tests/tuning",
    "tests/corruptions",
    "tests/recipes tests/cli tests/attacks",
]
#: The slow tests are others, and other groups of them take long.
SLOW_GROUPS = [
    "tests/methods",
    "tests/recipes",
    "tests/contracts",
    "tests/corruptions tests/tuning tests/ops",
    "tests/test_notebooks.py",
    "tests/evaluation tests/datasets tests/serving",
    "tests/test_documents.py",
    REST,
]
#: Each of them makes the same processor choose other kernels, as another processor would: other
#: numbers in the last digits. What is calculated is tried under each.
OTHER_PROCESSORS = [{"TF_ENABLE_ONEDNN_OPTS": "0"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}]
CALCULATING = "tests/ops tests/layers tests/losses tests/attacks tests/evaluation"

#: In seconds; a test has a limit of its own, but that does not end what hangs outside of Python.
GROUP_LIMIT = 45 * 60
OK = (0, 5)  # of pytest: all passed; none was chosen

running: set[subprocess.Popen] = set()
lock = threading.Lock()


def jobs_of(kind: str) -> list[tuple[str, list[str], dict[str, str]]]:
    """Name, arguments of pytest and variables of each group."""

    def parts(groups: list[str], marked: str) -> list:
        named = [path for group in groups if group != REST for path in group.split()]
        rest = ["tfrobust", "tests", *(f"--ignore={path}" for path in named)]
        return [
            (group, [*(rest if group == REST else group.split()), "-m", marked], {})
            for group in groups
        ]

    quick, slow = parts(GROUPS, "not slow"), parts(SLOW_GROUPS, "slow")
    others = []
    for variables in OTHER_PROCESSORS:
        name = " ".join(f"{key}={value}" for key, value in variables.items())
        arguments = [*CALCULATING.split(), "-m", "not slow"]
        others.append((f"{CALCULATING} with {name}", arguments, variables))
    return {"quick": quick, "slow": slow, "all": [*slow, *quick, *others]}[kind]


def run_group(arguments: list[str], variables: dict[str, str], results: pathlib.Path) -> tuple:
    """Exit status, output and seconds of a group. Nothing that it started outlives it."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", f"--junitxml={results}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **variables},
        start_new_session=True,
    )
    with lock:
        running.add(process)
    try:
        output, _ = process.communicate(timeout=GROUP_LIMIT)
    except subprocess.TimeoutExpired:
        end(process)
        output = f"{process.communicate()[0]}\nended after {GROUP_LIMIT} seconds"
    end(process)
    with lock:
        running.discard(process)
    return process.returncode, output, time.monotonic() - began


def end(process: subprocess.Popen) -> None:
    """Ends a group's process and whatever it has started and left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def stop(signal_number: int, frame: object) -> None:
    for process in list(running):
        end(process)
    os._exit(128 + signal_number)


def slowest(files: list[pathlib.Path], count: int = 20) -> list[tuple[float, str]]:
    """Seconds and name of the tests that took longest."""
    times = []
    for file in files:
        if file.exists():  # not where a process was ended
            for case in xml.etree.ElementTree.parse(file).iter("testcase"):
                name = f"{case.get('classname')}::{case.get('name')}"
                times.append((float(case.get("time", 0)), name))
    return sorted(times, reverse=True)[:count]


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the tests in groups.")
    parser.add_argument("kind", choices=["quick", "slow", "all"])
    parser.add_argument("--jobs", type=int, default=2, help="groups at a time (default: 2)")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)

    began, failed, times = time.monotonic(), [], []
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.environ.get("JUNIT") or os.path.join(folder, "tests")
        jobs = jobs_of(given.kind)
        files = [pathlib.Path(f"{prefix}-{number}.xml") for number in range(len(jobs))]
        with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
            started = {
                pool.submit(run_group, arguments, variables, file): name
                for (name, arguments, variables), file in zip(jobs, files)
            }
            for done in concurrent.futures.as_completed(started):
                name, (status, output, seconds) = started[done], done.result()
                print(f"== {name}\n{output.rstrip()}\n", flush=True)
                times.append((seconds, name))
                if status not in OK:
                    failed.append(name)
        print("== the slowest tests, in seconds")
        for seconds, name in slowest(files):
            print(f"{seconds:7.1f}  {name}")
    print("== the groups, in seconds")
    for seconds, name in sorted(times, reverse=True):
        print(f"{seconds:7.1f}  {name}")
    minutes = (time.monotonic() - began) / 60
    print(f"{minutes:.1f} minutes in all; {'failed: ' + '; '.join(failed) if failed else 'passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
