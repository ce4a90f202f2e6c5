"""What a run has found out so far, so that a killed run goes on from there."""

from __future__ import annotations

import json
import os
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
        self.path = os.fspath(path)
        self._found: dict[str, dict[str, Any]] = {}
        content = b""
        if os.path.exists(path):
            with open(path, "rb") as stream:
                content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(path, len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                record = json.loads(line)
                self._found[record["key"]] = record
            except (KeyError, TypeError, ValueError):
                raise ValueError(
                    f"{self.path} must hold one JSON object with a key a line; line {number} is "
                    f"{line[:60]!r}; give another output folder"
                ) from None

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
            with open(self.path, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(record, allow_nan=False) + "\n")
            self._found[key] = record
        return self._found[key]
