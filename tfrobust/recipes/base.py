"""The folder of a run."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import inspect
import json
import pathlib
import shutil
from collections.abc import Callable, Collection, Iterable
from typing import Any, Optional, TypeVar

from tfrobust import files
from tfrobust.datasets import Data
from tfrobust.provenance import library_versions
from tfrobust.settings import Recipe

F = TypeVar("F", bound=Callable[..., Any])
#: What there may be before anything is trained: descriptions, and what was measured of the start
#: model. A folder with nothing else is free for other settings.
_BEFORE_RESULTS = {
    *("settings.json", "data.json", "start.jsonl", "tuning.json", "log.jsonl", "trials.jsonl"),
    *("journal.jsonl", "original.keras", "plan.json"),
}


def in_run_folder(function: F) -> F:
    """Decorates the function of a recipe, whose argument `out` is the folder that it runs in.

    Only one process at a time may run there. A run that fails before it has results leaves nothing
    behind, so that it can be corrected.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        out = pathlib.Path(inspect.signature(function).bind(*args, **kwargs).arguments["out"])
        before = set(out.iterdir()) if out.is_dir() else set()
        try:
            return function(*args, **kwargs)
        except Exception:
            if not files.is_shared():  # by several processes, of which another may be at work
                _clear(out, keep=before)
            raise

    return files.one_at_a_time()(run)  # type: ignore[return-value]


class RunFolder:
    """The folder of one run: settings first, then results, each written atomically.

    Existing results are not recomputed, so that running the same command again resumes a killed
    run. A folder in which nothing was trained or measured yet is free for any settings.

    Args:
        path: The folder; created if it does not exist.
        recipe: The resolved settings, saved as `settings.json`.
        finished: Name of the file that is written last.
        inputs: Files that the run starts from, or None; a run does not go on with others.

    Raises:
        FileExistsError: The folder holds something else, or a run with different settings or of
            other files.
        PermissionError: The folder is not writable.
        NotADirectoryError: `path` is a file.
    """

    def __init__(
        self,
        path: files.PathLike,
        recipe: Recipe,
        *,
        finished: str,
        inputs: Iterable[Optional[files.PathLike]] = (),
    ):
        self.path = pathlib.Path(path)
        files.check_writable(self.path)
        settings = dataclasses.asdict(recipe)
        given = {str(file): _digest(file) for file in inputs if file is not None}
        settings_file = self.path / "settings.json"
        self.resumed = settings_file.is_file()
        if self.resumed:
            try:
                found = files.read_json(settings_file)
                _check_same_settings(found, settings, self.path)
                _check_same_inputs(found.get("inputs", given), given, self.path)
            except FileExistsError:
                inside = [one for one in given if _is_in(one, self.path)]
                if inside or not _clear(self.path):
                    raise
                self.resumed = False
        elif not _is_free(self.path):
            raise FileExistsError(
                f"output folder {self.path} exists and holds no run of tfrobust; give another one"
            )
        if not self.resumed:
            record = {
                "recipe": type(recipe).__name__,
                **settings,
                "inputs": given,
                "started": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
                "versions": library_versions(),
            }
            files.write_json(record, settings_file)
        self.finished = (self.path / finished).exists()

    def record_data(self, data: Data) -> None:
        """Writes `data.json`; a run does not go on with other data.

        Raises:
            FileExistsError: The images of a split are others than when the run began.
        """
        file, now = self.path / "data.json", data.describe()
        if self.resumed and file.exists():
            before = files.read_json(file).get("digests", {})
            changed = [name for name in before if now["digests"].get(name) != before[name]]
            if changed and not _clear(self.path, keep=[self / "settings.json"]):
                raise FileExistsError(
                    f"{self.path} holds a run on other data: {changed[0]} images were added, "
                    "removed, renamed or replaced since it began; give another output folder"
                )
        files.write_json(now, file)

    def __truediv__(self, name: str) -> pathlib.Path:
        return self.path / name


def _is_free(folder: pathlib.Path) -> bool:
    """Whether there is nothing but what precedes results, and what a kill has left of it."""
    there = {one.name: one for one in folder.iterdir()} if folder.is_dir() else {}
    # A search begins with measuring the start model.
    known = _BEFORE_RESULTS | ({"rows.jsonl", "answers"} if "start.jsonl" in there else set())
    return all(name in known or files.is_leftover(one) for name, one in there.items())


def _clear(folder: pathlib.Path, keep: Collection[pathlib.Path] = ()) -> bool:
    """Empties the folder of a run without results; returns whether it is one."""
    if not (folder / "settings.json").is_file() or not _is_free(folder):
        return False
    # The settings last, for they make it the folder of a run.
    for one in sorted(folder.iterdir(), key=lambda one: one.name == "settings.json"):
        if one not in keep:
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    return True


def _is_in(file: files.PathLike, folder: pathlib.Path) -> bool:
    return folder.resolve() in pathlib.Path(file).resolve().parents


def _digest(path: files.PathLike) -> str:
    """Of a file, or of all files in a folder; "" where there is none."""
    place = pathlib.Path(path)
    inside = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
    return files.Digest().add(*(p for p in inside if p.is_file())).hex(16)


def _check_same_inputs(found: dict[str, str], given: dict[str, str], path: pathlib.Path) -> None:
    for file, digest in found.items():
        if given.get(file) != digest:
            raise FileExistsError(
                f"{path} holds a run that began with another {file}, which has changed since; give "
                "another output folder"
            )


def _check_same_settings(found: dict[str, Any], wanted: dict[str, Any], path: pathlib.Path) -> None:
    wanted = json.loads(json.dumps(wanted))  # tuples become lists, as in the file
    different = [name for name in wanted if found.get(name) != wanted[name]]
    if different:
        name = different[0]
        raise FileExistsError(
            f"{path} holds a run with {name} {found.get(name)!r}, not {wanted[name]!r}; give "
            "another output folder"
        )
