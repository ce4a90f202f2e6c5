"""Damaged picture files, found before a training starts."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import stat
from collections.abc import Iterable, Sequence
from typing import Optional

from tqdm import tqdm

#: The first bytes of the kinds of pictures that can be decoded.
_KINDS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM")
#: What else a file may turn out to be.
_OTHERS = {b"II*\x00": "TIFF", b"MM\x00*": "TIFF", b"%PDF": "PDF", b"<svg": "SVG", b"PK": "ZIP"}
#: Number of files that a message names.
_NAMED = 10
#: From this number of files a progress bar is shown; of more than the second one, so many are
#: looked at, evenly spread: a published set of a million files is seldom damaged.
_MANY, _MOST = 20_000, 200_000


def fault(path: str) -> Optional[str]:
    """What is wrong with a picture file, judged by its kind, its first bytes and its end.

    Args:
        path: The file.

    Returns:
        A few words, or None. A picture without a fault may still turn out not to be decodable.
    """
    try:
        kind = os.stat(path)
        if not stat.S_ISREG(kind.st_mode):
            return "not a file" if not stat.S_ISDIR(kind.st_mode) else "a folder"
        with open(path, "rb") as file:
            start = file.read(16)
            file.seek(max(kind.st_size - 64, 0))
            end = file.read()
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()
    if not start:
        return "empty"
    if not start.startswith(_KINDS):
        if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
            return "a WebP file"
        other = next((name for first, name in _OTHERS.items() if start.startswith(first)), None)
        return f"a {other} file" if other else "not a picture"
    cut = start.startswith(b"\x89PNG") and b"IEND" not in end
    if start.startswith(b"\xff\xd8") and b"\xff\xd9" not in end:
        cut = _is_cut_jpeg(pathlib.Path(path).read_bytes())
    return "cut off" if cut else None


def _is_cut_jpeg(content: bytes) -> bool:
    """Whether a JPEG has no end. Some cameras write more after it, and a small picture before."""
    place = 2
    while content[place : place + 1] == b"\xff" and content[place + 1 : place + 2] != b"\xda":
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return b"\xff\xd9" not in content[place:]


def check_pictures(paths: Sequence[str]) -> None:
    """Looks through picture files, some thousands per second.

    Args:
        paths: The files.

    Raises:
        ValueError: Some are damaged; the message names them.
    """
    paths = paths[:: len(paths) // _MOST + 1]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found: Iterable[Optional[str]] = pool.map(fault, paths, chunksize=64)
        found = tqdm(found, "looking through", len(paths), disable=len(paths) < _MANY)
        faults = [(path, what) for path, what in zip(paths, found) if what is not None]
    if faults:
        named = ", ".join(f"{path} ({what})" for path, what in faults[:_NAMED])
        more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        raise ValueError(
            f"{len(faults)} of {len(paths)} pictures cannot be read: {named}{more}; remove them "
            "or leave them out with on_error='skip' (--data-option on_error=skip)"
        )
