"""What a run has found out so far, so that a killed run goes on from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tfrobust import files


class Journal(Mapping[str, Any]):
    """Results by key in a file with one JSON object per line, which is only ever appended to.

    Args:
        path: The file. A last line that a kill cut off is removed.

    Raises:
        ValueError: A line is not a record of a journal.
    """

    def __init__(self, path: files.PathLike):
        self._path = path
        try:
            self._found = {record["key"]: record for record in files.read_log(path)}
        except KeyError:
            raise ValueError(f"{path} is no journal; give another output folder") from None

    @property
    def seconds(self) -> float:
        """Time that all results took, in this and earlier processes."""
        return sum(record["seconds"] for record in self._found.values())

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._found[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def once(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result with this key: what the file has, or what `make` returns, which is added."""
        if key not in self._found:
            began = time.monotonic()
            made = make()
            record = {"key": key, "seconds": round(time.monotonic() - began, 3), **made}
            files.append_json(record, self._path)
            self._found[key] = record
        return self._found[key]
