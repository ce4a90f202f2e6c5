"""Files written whole or not at all, the hash of anything, and the newest version in a folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, Optional, Union

PathLike = Union[str, "os.PathLike[str]"]


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[pathlib.Path]:
    """Gives a temporary path beside `path`; on success what was written there becomes `path`.

    Works for a file and for a folder. When the block raises, or the process is killed in it,
    `path` is what it was before. The temporary name keeps the ending, because Keras chooses its
    format by it.

    Args:
        path: Where the result shall stand. Missing parent folders are made.

    Yields:
        A path that does not exist yet, on the same file system.

    Raises:
        FileNotFoundError: The block wrote nothing.
    """
    target = pathlib.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        temporary = scratch / target.name
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written for {target}; it is as it was before")
        if not target.is_dir():
            os.replace(temporary, target)
            return
        # A folder is only moved onto an empty or absent one, so the old one steps aside.
        os.replace(target, scratch / "previous")
        try:
            os.replace(temporary, target)
        except BaseException:
            os.replace(scratch / "previous", target)
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_json(value: Any, path: PathLike) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def check_writable(folder: PathLike) -> None:
    """Raises one clear sentence where `folder` cannot be made or written to.

    Raises:
        NotADirectoryError: Something that is not a folder stands at `folder` or above it.
        PermissionError: The folder is read-only.
    """
    folder = pathlib.Path(folder)
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise NotADirectoryError(f"output must go into a folder; {existing} is a file")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise PermissionError(
            f"output folder must be writable; writing to {existing} failed: {error.strerror}"
        ) from error


class Digest:
    """A hash that is fed piece by piece: the one way in which this package hashes anything.

    Args:
        algorithm: As `hashlib.new` takes it. SHA-256 by default; MD5 where others published that.

    Example:

    >>> Digest().add("tf", b"robust").hex(8)
    'fe83a78d'
    """

    def __init__(self, algorithm: str = "sha256"):
        self._hash = hashlib.new(algorithm, usedforsecurity=False)

    def add(self, *pieces: Any) -> Digest:
        """Adds texts (as UTF-8), bytes, arrays (their memory in C order) or, of paths, the file."""
        for piece in pieces:
            if isinstance(piece, os.PathLike):
                with open(piece, "rb") as stream:
                    while block := stream.read(2**20):
                        self._hash.update(block)
            elif isinstance(piece, str):
                self._hash.update(piece.encode())
            else:
                self._hash.update(piece.tobytes() if hasattr(piece, "tobytes") else piece)
        return self

    def hex(self, digits: Optional[int] = None) -> str:
        """Hexadecimal digits: the first `digits`, or all."""
        return self._hash.hexdigest()[:digits]


def latest_version(path: PathLike) -> pathlib.Path:
    """The folder itself, or the highest of its numbered versions (TensorFlow Serving's layout).

    Args:
        path: The folder of a SavedModel, or of versions of one.

    Returns:
        The folder with `saved_model.pb`.

    Raises:
        FileNotFoundError: There is none.
    """
    folder = pathlib.Path(path)
    while not (folder / "saved_model.pb").is_file():
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is no SavedModel: there is no such folder")
        versions = [inner for inner in folder.iterdir() if inner.name.isdigit()]
        if not versions:
            raise FileNotFoundError(f"{folder} is no SavedModel: it has no saved_model.pb")
        folder = max(versions, key=lambda inner: int(inner.name))
    return folder
