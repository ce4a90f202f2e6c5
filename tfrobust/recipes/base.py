"""The folder of a run."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
from collections.abc import Iterable
from typing import Any, Optional

from tfrobust import files
from tfrobust.datasets import Data
from tfrobust.provenance import library_versions
from tfrobust.settings import Recipe

#: What is written before anything is trained or measured.
_DESCRIPTIONS = ("settings.json", "data.json")


class RunFolder:
    """The folder of one run: settings first, then results, each written atomically.

    Existing results are not recomputed, so that running the same command again resumes a killed
    run. A folder in which nothing was trained or measured yet is free for any settings.

    Args:
        path: The folder; created if it does not exist.
        recipe: The resolved settings, saved as `settings.json`.
        finished: Name of the file that is written last.
        inputs: Files that the run starts from, or None; a run does not go on with others.

        first: Names of further files that are written before there are results.

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
        first: Iterable[str] = (),
    ):
        self.path, self._first = pathlib.Path(path), (*_DESCRIPTIONS, *first)
        files.check_writable(self.path)
        settings = dataclasses.asdict(recipe)
        given = {str(file): _digest(file) for file in inputs if file is not None}
        settings_file = self.path / "settings.json"
        self.resumed = settings_file.is_file()
        if self.resumed:
            try:
                found = json.loads(settings_file.read_text(encoding="utf-8"))
                _check_same_settings(found, settings, self.path)
                _check_same_inputs(found.get("inputs", given), given, self.path)
            except FileExistsError:
                if not self._is_free():
                    raise
                self._clear()
                self.resumed = False
        elif self.path.is_dir() and not self._is_free():
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
            before = json.loads(file.read_text(encoding="utf-8")).get("digests", {})
            changed = [name for name in before if now["digests"].get(name) != before[name]]
            if changed and not self._is_free():
                raise FileExistsError(
                    f"{self.path} holds a run on other data: {changed[0]} images were added, "
                    "removed, renamed or replaced since it began; give another output folder"
                )
        files.write_json(now, file)

    def forget(self) -> None:
        """Removes a folder without results, for a run that turns out to be invalid."""
        if self._is_free():
            self._clear()
            if not any(self.path.iterdir()):
                self.path.rmdir()

    def _clear(self) -> None:
        for name in self._first:
            (self.path / name).unlink(missing_ok=True)

    def _is_free(self) -> bool:
        """Whether there is nothing but descriptions and what a kill has left."""
        there = self.path.iterdir() if self.path.is_dir() else ()
        return all(one.name in self._first or files.is_leftover(one) for one in there)

    def __truediv__(self, name: str) -> pathlib.Path:
        return self.path / name


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
