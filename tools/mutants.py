"""How many of the mistakes in tools/mutations.py do the tests find?

    python tools/mutants.py                      # all of them
    python tools/mutants.py --only replica seed  # those with one of these texts in name or file
    python tools/mutants.py --out mutants.jsonl  # keeps results; the same command again goes on

In a copy of the project one mistake after the other is made, and the tests that it names are run
up to the first failure, without slow ones; where none fails, so is the whole suite, a folder at a
time. A mistake is found if a test fails or does not end. The exit code is 1 if one is not found, or
if pytest itself fails.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from typing import Any, Optional

from mutations import MUTATIONS, Mutation

ROOT = pathlib.Path(__file__).resolve().parents[1]
#: What a copy of the project does without: environments, results, caches, and the test of the list
#: of mistakes, which knows when one was made.
_LEFT_OUT = (".git", ".venv*", "runs", "shared", "build", ".*_cache", "__pycache__", "*.egg-info")
_LIST_TEST = "test_mutants.py"
#: What the exit codes of pytest mean here. Without any test there is none that fails.
_CODES = {0: "survived", 1: "killed", 2: "collection failed", 5: "survived"}
FOUND = ("killed", "timed out")


class Copy:
    """A copy of the project, in which mistakes are made and taken back.

    Args:
        root: The project.
        folder: Where the copy goes.
        python: The interpreter of its tests.
        slow: Whether slow tests are run too.
        seconds: After how long a run of the tests is broken off.
    """

    def __init__(
        self, root: pathlib.Path, folder: pathlib.Path, python: str, slow: bool, seconds: float
    ):
        self.root, self._seconds = folder, seconds
        self._process: Optional[subprocess.Popen] = None
        left_out = shutil.ignore_patterns(*_LEFT_OUT, _LIST_TEST)
        shutil.copytree(root, folder, ignore=left_out, symlinks=True)
        self._python = shutil.which(python) or python
        self._pytest = ["-m", "pytest", "-x", "-q", "--tb=line", *([] if slow else ["-m=not slow"])]
        place = self._run(["-c", "import tfrobust; print(tfrobust.__file__)"])[1].strip()
        if pathlib.Path(place).resolve() != (folder / "tfrobust/__init__.py").resolve():
            raise SystemExit(f"the copy's package must be the one that is imported, not {place!r}")

    def tested(self, paths: Iterable[str]) -> tuple[str, str]:
        """Runs some tests up to the first that fails.

        Returns:
            How it ended, and the test that failed, or what pytest said last.
        """
        code, output = self._run([*self._pytest, *paths])
        if code is None:
            return "timed out", ""
        failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - |$)", output, re.MULTILINE)
        last = (output.strip().splitlines() or [""])[-1]
        return _CODES.get(code, f"pytest ended with {code}"), failed[1] if failed else last

    def killed(self, mutation: Mutation, whole: bool) -> dict[str, Any]:
        """Makes one mistake, looks which test finds it, and takes it back."""
        path, started = self.root / "tfrobust" / mutation.file, time.monotonic()
        text = path.read_text(encoding="utf-8")
        if text.count(mutation.before) != 1:
            raise SystemExit(f"{mutation.file} must hold {mutation.before!r} once")
        path.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")
        try:
            groups = [[f"tests/{name}" for name in mutation.tests.split()]]
            for group in [*groups, *(self._folders(mutation) if whole else [])]:
                result, by = self.tested(group)
                if result != "survived":
                    break
        finally:
            path.write_text(text, encoding="utf-8")
        seconds = round(time.monotonic() - started, 1)
        return {**mutation._asdict(), "result": result, "by": by, "seconds": seconds}

    def _folders(self, mutation: Mutation) -> list[list[str]]:
        """The whole suite, a process for each of these: first what is near, last what is large."""
        tests, near = self.root / "tests", [mutation.file.partition("/")[0], "contracts"]
        folders = sorted(path.name for path in tests.iterdir() if any(path.glob("test_*.py")))
        folders.sort(key=lambda name: near.index(name) if name in near else len(near))
        files = sorted(f"tests/{path.name}" for path in tests.glob("test_*.py"))
        return [["tfrobust"], *([f"tests/{name}"] for name in folders), files]

    def _run(self, arguments: Sequence[str]) -> tuple[Optional[int], str]:
        """Exit code, or None where it took too long, and what was printed."""
        environment = {**os.environ, "PYTHONPATH": str(self.root), "TF_CPP_MIN_LOG_LEVEL": "3"}
        with subprocess.Popen(
            [self._python, *arguments],
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # so that what the tests have started ends with them
        ) as process:
            self._process = process
            try:
                output, _ = process.communicate(timeout=self._seconds)
                return process.returncode, output
            except subprocess.TimeoutExpired:
                return None, ""
            finally:
                self.stop()

    def stop(self) -> None:
        """Ends the tests, and what they have started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def measure(copies: Sequence[Copy], wanted: Sequence[Mutation], whole: bool) -> Iterable[dict]:
    """What became of each mistake; as many are tested at a time as there are copies."""
    free: queue.Queue[Copy] = queue.Queue()
    for copy in copies:
        free.put(copy)

    def one(mutation: Mutation) -> dict[str, Any]:
        copy = free.get()
        try:
            return copy.killed(mutation, whole)
        finally:
            free.put(copy)

    with concurrent.futures.ThreadPoolExecutor(len(copies)) as threads:
        jobs = [threads.submit(one, mutation) for mutation in wanted]
        try:
            for job in concurrent.futures.as_completed(jobs):
                yield job.result()
        except BaseException:  # also when this script is to end
            threads.shutdown(wait=False, cancel_futures=True)
            for copy in copies:
                copy.stop()
            raise


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Measures, prints a line a mistake and the counts, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="project to be tested")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the tests")
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="in name or file")
    parser.add_argument("--jobs", type=int, default=1, help="mistakes at a time")
    parser.add_argument("--out", type=pathlib.Path, help="JSON lines; what it holds is not redone")
    parser.add_argument("--seconds", type=float, default=1800.0, help="longest run of tests")
    parser.add_argument("--baseline", action="store_true", help="first the tests without mistakes")
    parser.add_argument("--named", action="store_true", help="never the whole suite")
    parser.add_argument("--slow", action="store_true", help="slow tests too")
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    wanted = [m for m in MUTATIONS if any(text in f"{m.name} {m.file}" for text in given.only)]
    kept = given.out is not None and given.out.is_file()
    lines = given.out.read_text(encoding="utf-8").splitlines() if kept else []
    known = {record["name"]: record for record in map(json.loads, lines)}
    found = [known[m.name] for m in wanted if m.name in known]
    todo = [m for m in wanted if m.name not in known]
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        copies = [
            Copy(given.root, pathlib.Path(scratch, str(i)), given.python, given.slow, given.seconds)
            for i in range(max(1, min(given.jobs, len(todo))))
        ]
        names = sorted({f"tests/{name}" for m in todo for name in m.tests.split()})
        for name in names if given.baseline else []:
            result, by = copies[0].tested([name])
            if result != "survived":
                print(f"{name} must pass without a mistake; {result}: {by}")
                return 1
        for record in measure(copies, todo, not given.named):
            found.append(record)
            print(
                "{result:10} {seconds:7.1f} s  {name} ({file})  {by}".format(**record), flush=True
            )
            if given.out is not None:
                with given.out.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(record) + "\n")
    caught = [record for record in found if record["result"] in FOUND]
    for record in found:
        if record not in caught:
            print(f"{record['result']}: {record['name']} ({record['file']}), {record['by']}")
    print(f"{len(found)} mistakes, {len(caught)} found by the tests")
    return 0 if len(caught) == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
