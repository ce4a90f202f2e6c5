"""Manifests: the SHA-256 of every file of a folder, to be checked later."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable

from tfrobust import files

#: Of a SavedModel; TensorFlow Serving reads nothing of this folder but warm-up requests.
EXTRA = "assets.extra"
MANIFEST = f"{EXTRA}/manifest.json"

_FORMAT = 1
_SHOWN = 5


def hashes(folder: files.PathLike) -> dict[str, str]:
    """Computes the SHA-256 of every file.

    Args:
        folder: The folder, which is searched recursively.

    Returns:
        Relative path, with slashes, to 64 hexadecimal digits; sorted by path.
    """
    root = pathlib.Path(folder)
    return {name: files.Digest().add(root / name).hex() for name in _names(root)}


def write_manifest(folder: files.PathLike) -> None:
    """Writes the hashes of all files of a SavedModel as `assets.extra/manifest.json`.

    Args:
        folder: The SavedModel.
    """
    found = hashes(folder)
    found.pop(MANIFEST, None)
    files.write_json({"format": _FORMAT, "sha256": found}, pathlib.Path(folder, MANIFEST))


def check_manifest(folder: files.PathLike) -> int:
    """Compares the files of a SavedModel with its manifest.

    This finds damaged, missing and exchanged files. It does not protect against someone who can
    write the manifest as well.

    Args:
        folder: The SavedModel.

    Returns:
        The number of files compared.

    Raises:
        ValueError: A file was changed, is missing or is extra, or the manifest itself is missing,
            damaged, or names a file outside of the folder.
    """
    root = pathlib.Path(folder)
    wanted = _read(root)
    there = set(_names(root)) - {MANIFEST}
    wrong = []
    for name in sorted({*wanted, *there}):
        if name not in wanted:
            wrong.append(f"{name!r} is extra")
        elif name not in there:
            wrong.append(f"{name!r} is missing")
        elif not (root / name).is_file():  # a pipe, which could be read for ever
            wrong.append(f"{name!r} is no file")
        elif files.Digest().add(root / name).hex() != wanted[name]:
            wrong.append(f"{name!r} was changed")
    if wrong:
        more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise ValueError(
            f"{root} must hold the files that were exported; {', '.join(wrong[:_SHOWN])}{more}"
        )
    return len(wanted)


def write_index(folder: files.PathLike, models: Iterable[str]) -> None:
    """Writes `index.json` into a folder of SavedModels: the hashes of all files of each.

    Args:
        folder: The folder.
        models: Their folders in it, such as "digits_small_cnn/1".
    """
    root = pathlib.Path(folder)
    listed = {name: hashes(root / name) for name in sorted(models)}
    files.write_json({"format": _FORMAT, "models": listed}, root / "index.json")


def _read(root: pathlib.Path) -> dict[str, str]:
    path = root / MANIFEST
    if not path.is_file():
        raise ValueError(
            f"{root} has no {MANIFEST}: it was exported by an older version or by something else; "
            "export it again"
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # neither JSON nor UTF-8
        raise ValueError(f"{path} must be a manifest of `export`; it is no JSON: {error}") from None
    listed = record.get("sha256") if isinstance(record, dict) else None
    if (
        not isinstance(listed, dict)
        or not all(isinstance(text, str) for text in listed.values())
        or record.get("format") != _FORMAT
    ):
        raise ValueError(
            f"{path} must be a manifest of `export`, of format {_FORMAT}; it holds something else"
        )
    for name in listed:
        if not _is_inside(root, name):
            raise ValueError(f"{path} must name files inside the folder; it names {name!r}")
    return dict(listed)


def _is_inside(root: pathlib.Path, name: str) -> bool:
    path = pathlib.PurePosixPath(name)
    plain = name == str(path) and not path.is_absolute() and not {".", ".."} & set(path.parts)
    if not plain or any(sign in name for sign in "\\:\0"):
        return False
    try:
        return (root / name).resolve().is_relative_to(root.resolve())  # through links too
    except (OSError, RuntimeError):  # links in a circle
        return False


def _names(root: pathlib.Path) -> list[str]:
    found = []
    for folder, inner, names in os.walk(root):
        links = [name for name in inner if os.path.islink(os.path.join(folder, name))]
        # A link to a folder is not followed: it counts as a file that nobody has listed.
        for name in [*names, *links]:
            found.append(pathlib.Path(folder, name).relative_to(root).as_posix())
    return sorted(found)
