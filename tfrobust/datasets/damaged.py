"""Damaged picture files, found before a training starts."""

from __future__ import annotations

import concurrent.futures
import math
import os
import pathlib
import stat
import struct
from collections.abc import Iterator, Sequence
from typing import Optional

from tqdm import tqdm

#: The first bytes of the kinds of pictures that can be decoded.
_KINDS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM")
#: What else a file may turn out to be.
_OTHERS = {b"II*\x00": "TIFF", b"MM\x00*": "TIFF", b"%PDF": "PDF", b"<svg": "SVG", b"PK": "ZIP"}
_NO_FILE, _NO_NAME = "not a file", "its name or that of its folder is not UTF-8"
#: Bytes at the beginning of a file that are read.
_START = 4096
#: Number of files that a message names.
_NAMED = 10
#: From this number of files a progress bar is shown; of more than the second one, so many are
#: looked at, evenly spread: a published set of a million files is seldom damaged.
_MANY, _MOST = 20_000, 200_000


def look(path: str) -> tuple[Optional[str], int]:
    """What is wrong with a picture file, judged by its kind, its first bytes and its end.

    Args:
        path: The file.

    Returns:
        A few words, or None: a picture without a fault may still turn out not to be decodable. And
        its number of pixels, 0 where the first bytes do not tell it.
    """
    try:
        os.fspath(path).encode()
        kind = os.stat(path)
        if not stat.S_ISREG(kind.st_mode):
            return (_NO_FILE if not stat.S_ISDIR(kind.st_mode) else "a folder"), 0
        with open(path, "rb") as file:
            start = file.read(_START)
            file.seek(max(kind.st_size - 64, 0))
            end = file.read()
    except UnicodeEncodeError:
        return _NO_NAME, 0
    except OSError as error:
        return (error.strerror or type(error).__name__).lower(), 0
    if not start:
        return "empty", 0
    if not start.startswith(_KINDS):
        if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
            return "a WebP file", 0
        other = next((name for first, name in _OTHERS.items() if start.startswith(first)), None)
        return (f"a {other} file" if other else "not a picture"), 0
    cut = start.startswith(b"\x89PNG") and b"IEND" not in end
    if start.startswith(b"\xff\xd8") and b"\xff\xd9" not in end:
        cut = _is_cut_jpeg(pathlib.Path(path).read_bytes())
    return ("cut off" if cut else None), _pixels(start)


def _pixels(start: bytes) -> int:
    place, form = {b"\x89P": (16, ">II"), b"GI": (6, "<HH"), b"BM": (18, "<ii")}.get(
        start[:2], (0, ">HH")
    )
    for at, marker in _segments(start) if not place else ():
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # of a frame
            place = at + 5
    sides = start[place : place + struct.calcsize(form)]
    if not place or len(sides) < struct.calcsize(form):
        return 0
    return abs(math.prod(struct.unpack(form, sides)))


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Place and marker of each segment of a JPEG before its data."""
    place = 2
    while content[place : place + 1] == b"\xff" and len(content) > place + 3:
        yield place, content[place + 1]
        if content[place + 1] == 0xDA:  # the data
            return
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")


def _is_cut_jpeg(content: bytes) -> bool:
    """Whether a JPEG has no end. Some cameras write more after it, and a small picture before."""
    last = max([place for place, _ in _segments(content)], default=0)
    return b"\xff\xd9" not in content[last:]


def check_pictures(paths: Sequence[str], on_error: str = "raise") -> int:
    """Looks through picture files, some thousands per second.

    Args:
        paths: The files.
        on_error: With "skip" only what is no file at all is an error, for reading it may never end,
            and a name that TensorFlow cannot take.

    Returns:
        The number of pixels of the largest, as far as the first bytes tell.

    Raises:
        ValueError: Some are damaged; the message names them.
    """
    paths = paths[:: len(paths) // _MOST + 1]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        looked = pool.map(look, paths, chunksize=64)
        looked = tqdm(looked, "looking through", len(paths), disable=len(paths) < _MANY)
        found = list(looked)
    faults = [(path, what) for path, (what, _) in zip(paths, found) if what is not None]
    if on_error == "skip":
        faults = [(path, what) for path, what in faults if what in (_NO_FILE, _NO_NAME)]
    if faults:
        named = ", ".join(f"{path} ({what})" for path, what in faults[:_NAMED])
        more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        out = " or leave them out with on_error='skip' (--data-option on_error=skip)"
        raise ValueError(
            f"{len(faults)} of {len(paths)} pictures cannot be read: {named}{more}; remove or "
            f"rename them{'' if on_error == 'skip' else out}"
        )
    return max([pixels for _, pixels in found], default=0)
