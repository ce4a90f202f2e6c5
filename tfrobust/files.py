"""Atomic writing, hashes, and the newest version in a folder."""

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
    """Writes a file or folder atomically: to a temporary path, which replaces `path` on success.

    If the block raises an exception, or the process is killed in it, `path` is left unchanged. The
    temporary path keeps the file name, because Keras chooses the format by the extension.

    Args:
        path: File or folder to write. Missing parent folders are created.

    Yields:
        A path on the same file system, which does not exist yet.

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
        # os.replace cannot overwrite a folder that is not empty, so the old one is moved first.
        os.replace(target, scratch / "previous")
        try:
            os.replace(temporary, target)
        except BaseException:
            os.replace(scratch / "previous", target)
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_json(value: Any, path: PathLike) -> None:
    """Writes `value` as indented JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def check_writable(folder: PathLike) -> None:
    """Checks that `folder` can be created and written to.

    Raises:
        NotADirectoryError: `folder` or a parent is a file.
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
    """An incremental hash of texts, arrays and files.

    Args:
        algorithm: Name for `hashlib.new`. SHA-256 by default; MD5 for published MD5 sums.

    Example:

    >>> Digest().add("tf", b"robust").hex(8)
    'fe83a78d'
    """

    def __init__(self, algorithm: str = "sha256"):
        self._hash = hashlib.new(algorithm, usedforsecurity=False)

    def add(self, *pieces: Any) -> Digest:
        """Adds texts (as UTF-8), bytes, arrays (in C order), or the contents of paths."""
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
        """Returns the first `digits` hexadecimal digits, or all."""
        return self._hash.hexdigest()[:digits]


def latest_version(path: PathLike) -> pathlib.Path:
    """Finds a SavedModel in a folder or its highest numbered version (TensorFlow Serving's layout).

    Args:
        path: The folder of a SavedModel, or of its versions.

    Returns:
        The folder with `saved_model.pb`.

    Raises:
        FileNotFoundError: There is no SavedModel.
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
