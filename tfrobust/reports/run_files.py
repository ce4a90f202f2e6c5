"""Files of a run folder, read with errors that name the file."""

from __future__ import annotations

import contextlib
import json
import pathlib
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


@contextlib.contextmanager
def naming(what: object) -> Iterator[None]:
    """Puts the name of a file, or a sentence about it, in front of an error message."""
    try:
        yield
    except (AttributeError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        reason = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"{what}: {reason}") from error


def read_json(path: pathlib.Path) -> Any:
    """Reads a JSON file; None if it does not exist."""
    if not path.is_file():
        return None
    with naming(f"{path} is not JSON"):
        return json.loads(path.read_text(encoding="utf-8"))


def read_records(path: pathlib.Path, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Reads the mappings of a JSON file, each with the keys; empty if there is no file.

    Raises:
        ValueError: The file has the wrong content; the message names it.
    """
    records = read_json(path)
    if records is None:
        return []
    if not isinstance(records, list):
        raise ValueError(f"{path} must hold a list; got {type(records).__name__}")
    for i, record in enumerate(records):
        missing = [k for k in keys if k not in record] if isinstance(record, dict) else list(keys)
        if missing:
            raise ValueError(f"{path}, entry {i}, lacks {', '.join(missing)}")
    return records


def read_arrays(path: pathlib.Path, what: str, *names: str) -> list[np.ndarray]:
    """Reads arrays of an `.npz` file, which hold `what`."""
    with naming(f"{path} must hold {what}"), np.load(path, allow_pickle=False) as arrays:
        return [arrays[name] for name in names]
