"""Which folder holds the SavedModel."""

from __future__ import annotations

import pathlib

from tfrobust import files


def newest_version(path: files.PathLike) -> pathlib.Path:
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
