"""Atomic writing, hashes, and the newest version in a folder."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import glob
import hashlib
import inspect
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Optional, TypeVar, Union

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

PathLike = Union[str, os.PathLike[str]]


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[pathlib.Path]:
    """Writes a file or folder atomically: to a temporary path, which replaces `path` on success.

    If the block raises an exception, or the process is killed in it, `path` is left unchanged. The
    temporary path keeps the file name, because Keras chooses the format by the extension. What a
    killed process has left is removed when the same path is written again, or by `one_at_a_time`.

    Args:
        path: File or folder to write. Missing parent folders are created. A link is followed.

    Yields:
        A path on the same file system, which does not exist yet.

    Raises:
        FileNotFoundError: The block wrote nothing.
    """
    target = pathlib.Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target.parent, glob.escape(target.name))
    scratch = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}{_MARK}", dir=target.parent))
    with naming(target, scratch), _flock(scratch):  # alive
        try:
            temporary = scratch / target.name
            yield temporary
            if not temporary.exists():
                raise FileNotFoundError(f"nothing was written for {target}; it is as it was before")
            if target.is_dir():
                _exchange(temporary, target, scratch / _PREVIOUS)
            else:
                os.replace(temporary, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


#: Numbers of errors that come from the place where a file is written.
_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES}


@contextlib.contextmanager
def naming(file: PathLike, scratch: PathLike = "") -> Iterator[None]:
    """Makes errors of writing a file name it, as on a full disk, whichever library raises them.

    Args:
        file: The file.
        scratch: Folder in which it is written, of which nobody need know.
    """
    try:
        yield
    except Exception as error:
        full = os.strerror(errno.ENOSPC) in str(error)  # of TensorFlow it has no number
        number = errno.ENOSPC if full else getattr(error, "errno", None)
        named = getattr(error, "filename", None)
        inside = scratch and str(named).startswith(str(scratch))
        if number not in _OF_WRITING or not (named is None or inside):
            raise
        raise OSError(number, os.strerror(number), os.fspath(file)) from error


#: Part of the names of temporary folders, so that no other one is taken for what a kill has left.
_MARK = ".tfrobust_"
#: Name of a folder that is being replaced, where two folders cannot be exchanged at once.
_PREVIOUS = "previous"


def is_leftover(path: pathlib.Path) -> bool:
    """Whether a path is what `replacing` makes, which only a killed process leaves behind."""
    return path.name.startswith(".") and _MARK in path.name and path.is_dir()


def _remove_leftovers(folder: pathlib.Path, name: str = "*") -> None:
    """Removes what killed processes have left of a file or folder; restores what they had moved."""
    for scratch in folder.glob(f".{name}{_MARK}*"):
        target = folder / scratch.name[1:].rpartition(_MARK)[0]
        with contextlib.suppress(OSError):  # in use, or gone
            if is_leftover(scratch):
                with _flock(scratch, wait=False):
                    if not target.exists() and (scratch / _PREVIOUS).exists():
                        os.replace(scratch / _PREVIOUS, target)
                    shutil.rmtree(scratch, ignore_errors=True)


def _exchange(new: pathlib.Path, target: pathlib.Path, previous: pathlib.Path) -> None:
    """Puts a new folder in the place of one, which is then at `new` or `previous`."""
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None, use_errno=True)
        here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
        paths = (here, os.fsencode(new), here, os.fsencode(target))
        if library.renameat2(*paths, exchange) == 0:
            return
    # Elsewhere a folder cannot be replaced at once, so the old one is moved first.
    os.replace(target, previous)
    try:
        os.replace(new, target)
    except BaseException:
        os.replace(previous, target)
        raise


@contextlib.contextmanager
def locked(folder: PathLike, *, wait: bool = False, what: str = "output folder") -> Iterator[None]:
    """Keeps other processes out of a folder that is written to.

    The lock ends with the process, however that ends, and leaves no file. It may be nested.

    Args:
        folder: The folder; created if it does not exist.
        wait: Whether to wait for a process that is at work there, or to raise an error.
        what: What the message says to give another of.

    Raises:
        BlockingIOError: Another process is at work there.
        NotADirectoryError, PermissionError: As for `check_writable`.
    """
    path = os.path.realpath(folder)
    if path in _own_locks:
        yield
        return
    check_writable(path)
    parents = [pathlib.Path(path), *pathlib.Path(path).parents]
    made = [folder for folder in parents if not folder.exists()]
    os.makedirs(path, exist_ok=True)
    with contextlib.ExitStack() as stack:
        # Nothing is left of a run that turned out to be invalid.
        stack.callback(_remove_if_empty, made)
        try:
            stack.enter_context(_flock(pathlib.Path(path), wait=wait))
        except BlockingIOError:
            raise BlockingIOError(
                f"another process is at work in {folder}; wait until it has ended, or give another "
                f"{what}"
            ) from None
        _own_locks.add(path)
        stack.callback(_own_locks.discard, path)
        yield


def hold(folder: PathLike, what: str) -> bool:
    """As `locked`, until this process ends; returns whether it did not hold the folder before."""
    if os.path.realpath(folder) in _own_locks:
        return False
    _held.enter_context(locked(folder, what=what))
    return True


def in_use(folder: PathLike) -> bool:
    """Whether another process is at work in a folder; see `locked`."""
    path = os.path.realpath(folder)
    if path in _own_locks or not os.path.isdir(path):
        return False
    try:
        with _flock(pathlib.Path(path), wait=False):
            return False
    except OSError:
        return True


F = TypeVar("F", bound=Callable[..., Any])
_own_locks: set[str] = set()
_held = contextlib.ExitStack()
#: Levels below the folder of a run where something is written.
_DEEPEST = 4
#: Variables that are set where several processes share a folder on purpose.
_SHARED = ("TF_CONFIG", "KERASTUNER_ORACLE_IP")


def is_shared() -> bool:
    """Whether several processes work in one folder on purpose."""
    return any(name in os.environ for name in _SHARED)


def _remove_if_empty(folders: Iterable[PathLike]) -> None:
    with contextlib.suppress(OSError):
        for folder in folders:
            os.rmdir(folder)


def one_at_a_time(argument: str = "out", *, wait: bool = False) -> Callable[[F], F]:
    """Decorates a function that only one process at a time may run in a folder; see `locked`.

    What killed processes have left there is removed first.

    Args:
        argument: The argument that is the folder.
        wait: Whether another process waits, or gets an error.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            if is_shared():
                return function(*args, **kwargs)
            folder = inspect.signature(function).bind(*args, **kwargs).arguments[argument]
            with locked(folder, wait=wait):
                for place, inner, _ in os.walk(folder):
                    _remove_leftovers(pathlib.Path(place))
                    if len(pathlib.Path(place).relative_to(folder).parts) >= _DEEPEST:
                        inner.clear()
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]

    return decorate


@contextlib.contextmanager
def _flock(folder: pathlib.Path, *, wait: bool = True) -> Iterator[None]:
    """Locks a folder; without a lock where the system has none (Windows)."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def write_json(value: Any, path: PathLike) -> None:
    """Writes `value` as indented JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: PathLike, kind: type = dict) -> Any:
    """Reads a JSON file.

    Args:
        path: The file.
        kind: What it must hold: dict or list.

    Raises:
        ValueError: It holds something else; the message names it.
    """
    try:
        found = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # neither JSON nor UTF-8
        raise ValueError(f"{os.fspath(path)} is damaged: it is not JSON ({error})") from None
    if not isinstance(found, kind):
        wanted = "a list" if kind is list else "an object"
        raise ValueError(f"{os.fspath(path)} must hold {wanted}; it holds {json.dumps(found)[:40]}")
    return found


def append_json(value: dict[str, Any], path: PathLike) -> None:
    """Adds a line to a file that `read_log` reads."""
    with naming(path), open(path, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(value, allow_nan=False) + "\n")


def reserve(path: PathLike) -> None:
    """Takes the space of a file on the disk, where the system can.

    Writing to a memory map of a file with holes kills the process when the disk is full. If there
    is not enough space, the file is removed.

    Raises:
        OSError: There is not enough space; the message names the file.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            with naming(path), open(path, "r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, os.path.getsize(path))
        except OSError:
            os.unlink(path)
            raise


def read_log(path: PathLike) -> list[dict[str, Any]]:
    """Reads a file with one JSON object per line, which is only ever appended to.

    Args:
        path: The file; it need not exist. A last line that a kill cut off is removed.

    Raises:
        ValueError: A line is not a JSON object; the message names it.
    """
    log = pathlib.Path(path)
    content = log.read_bytes() if log.is_file() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        os.truncate(log, len(whole))
    records = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            record = error
        if not isinstance(record, dict):
            raise ValueError(
                f"{log} must hold one JSON object a line to be resumed from; line {number} is "
                f"damaged ({record!r}); give another output folder"
            )
        records.append(record)
    return records


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
