"""The folder of a run."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
from typing import Any

from tfrobust import files
from tfrobust.provenance import library_versions
from tfrobust.settings import Recipe


class RunFolder:
    """The folder of one run: settings first, then results, each written atomically.

    Existing results are not recomputed, so that running the same command again resumes a killed
    run.

    Args:
        path: The folder; created if it does not exist.
        recipe: The resolved settings, saved as `settings.json`.
        finished: Name of the file that is written last.

    Raises:
        FileExistsError: The folder holds something else, or a run with different settings.
        PermissionError: The folder is not writable.
        NotADirectoryError: `path` is a file.
    """

    def __init__(self, path: files.PathLike, recipe: Recipe, *, finished: str):
        self.path = pathlib.Path(path)
        files.check_writable(self.path)
        settings = dataclasses.asdict(recipe)
        settings_file = self.path / "settings.json"
        self.resumed = settings_file.is_file()
        if self.resumed:
            _check_same_settings(
                json.loads(settings_file.read_text(encoding="utf-8")), settings, self.path
            )
        elif self.path.is_dir() and not all(map(files.is_leftover, self.path.iterdir())):
            raise FileExistsError(
                f"output folder {self.path} exists and holds no run of tfrobust; give another one"
            )
        else:
            record = {
                "recipe": type(recipe).__name__,
                **settings,
                "started": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
                "versions": library_versions(),
            }
            files.write_json(record, settings_file)
        self.finished = (self.path / finished).exists()

    def forget(self) -> None:
        """Removes what the constructor wrote, for a run that turns out to be invalid."""
        if not self.resumed:
            (self.path / "settings.json").unlink()
            if not any(self.path.iterdir()):
                self.path.rmdir()

    def __truediv__(self, name: str) -> pathlib.Path:
        return self.path / name


def _check_same_settings(found: dict[str, Any], wanted: dict[str, Any], path: pathlib.Path) -> None:
    wanted = json.loads(json.dumps(wanted))  # tuples become lists, as in the file
    different = [name for name in wanted if found.get(name) != wanted[name]]
    if different:
        name = different[0]
        raise FileExistsError(
            f"{path} holds a run with {name} {found.get(name)!r}, not {wanted[name]!r}; give "
            "another output folder"
        )
