"""Downloading data sets: the only module that uses the network, and only on request."""

from __future__ import annotations

import pathlib
import shutil
import socket
import sys
import tarfile
import urllib.parse
import urllib.request
import zipfile
import zlib
from typing import Any, Optional

import numpy as np
from tqdm import tqdm

from tfrobust import files
from tfrobust.dataset_facts import CATALOG, Download
from tfrobust.datasets import catalog, published
from tfrobust.files import PathLike

#: Seconds without any data after which a transfer has failed.
_TIMEOUT = 30

#: Exceptions of reading an archive that is truncated or damaged.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError)


def prepare(name: str, *, data_dir: Optional[PathLike] = None) -> pathlib.Path:
    """Download a data set, once, and put it where `load` finds it.

    Sets of TensorFlow Datasets are prepared by that package. Others are downloaded, checked against
    the length that the server announced and the published MD5 if there is one, and unpacked. A set
    that exists is left alone, unless one of its `.npy` files is truncated: then it is downloaded
    again, and other files in its folder are kept. A failed or killed download is never taken for
    the data set; the next call starts over.

    Args:
        name: One of `DATASETS`.
        data_dir: As for `load`.

    Returns:
        The folder with the data set.

    Raises:
        ValueError: There is no such data set; an archive holds links, devices or paths outside it.
        ConnectionError: The download failed: no connection, an HTTP error, an incomplete transfer,
            an MD5 other than the published one, or a damaged archive. It can be tried again.
        FileNotFoundError: It cannot be downloaded, because its terms must be agreed to or a script
            makes it; the message says what to do by hand.
    """
    present = catalog.is_present(name, data_dir)
    entry = CATALOG[name]
    place = catalog.own_folder(name, data_dir) if entry.folder else catalog.tfds_folder(data_dir)
    if name == "folder":
        raise FileNotFoundError(f"'folder' is a folder of your own: {catalog.how_to_get(name)}")
    cut = _cut_off(place) if present and entry.downloads else []
    if present and not cut:
        return place
    if entry.by_hand:
        raise FileNotFoundError(f"{name} cannot be fetched for you: {entry.by_hand} ({place})")
    if cut:
        print(f"tfrobust: {place} is fetched again: {cut[0]} is cut off", file=sys.stderr)
    for one in entry.prepared:
        _check_online(one, entry.source)
        _prepare_tfds(one, place)
    if entry.downloads:
        _download_all(name, entry.downloads, place)
    return place


def _check_online(name: str, url: str) -> None:
    # TensorFlow Datasets retries for minutes. Behind a proxy, names may not be resolved here.
    host = urllib.parse.urlsplit(url).hostname
    if urllib.request.getproxies() or host is None:
        return
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        raise ConnectionError(
            f"preparing {name} needs the network; {host} was not found: {error} "
            f"({catalog.how_to_get(name)})"
        ) from error


def _prepare_tfds(name: str, data_dir: pathlib.Path) -> None:
    import tensorflow_datasets as tfds  # slow to import
    from tensorflow_datasets.core.download import download_manager, extractor

    broken = (download_manager.NonMatchingChecksumError, extractor.ExtractError)
    files.check_writable(data_dir)
    builder = tfds.builder(name, data_dir=data_dir)
    try:
        builder.download_and_prepare()
    except (OSError, tfds.download.DownloadError, *broken) as error:
        raise ConnectionError(
            f"preparing {name} needs the network; TensorFlow Datasets failed: {error}"
        ) from error


def _download_all(name: str, downloads: tuple[Download, ...], place: pathlib.Path) -> None:
    files.check_writable(place)
    with files.replacing(place) as whole:
        scratch = whole.parent / "downloads"
        unpacked = scratch / "unpacked"
        unpacked.mkdir(parents=True)
        whole.mkdir()
        for download in downloads:
            fetched = (scratch if download.unpack else whole) / download.url.rpartition("/")[2]
            _fetch(name, download, fetched)
            if download.unpack:
                try:
                    _unpack(fetched, unpacked)
                except _DAMAGED as error:
                    raise _failed(name, download.url, "this is no whole archive") from error
                fetched.unlink()
        _move_up(unpacked, whole)
        if cut := _cut_off(whole):
            raise _failed(name, downloads[0].url, f"{cut[0]} is cut off")
        if place.is_dir():  # keep other files in a folder that is replaced
            for own in set(place.iterdir()) - {place / one.name for one in whole.iterdir()}:
                shutil.move(own, whole / own.name)


def _fetch(name: str, download: Download, path: pathlib.Path) -> None:
    import pooch  # slow to import, as is requests
    import requests

    # pooch sets the total to the announced length. Until then it must not be 0: a bar is true only
    # if its total is.
    bar = tqdm(desc=path.name, total=1, unit="B", unit_scale=True, dynamic_ncols=True, disable=None)
    # A server that compresses the body would announce another length than that of the file.
    get = pooch.HTTPDownloader(
        progressbar=bar, chunk_size=2**20, timeout=_TIMEOUT, headers={"Accept-Encoding": "identity"}
    )
    try:
        with bar:
            get(download.url, path, None)
    except requests.RequestException as error:
        raise _failed(name, download.url, _innermost(error)) from error
    # Whether requests checks the announced length depends on the version of urllib3.
    size = path.stat().st_size
    if size != (bar.total or size):
        raise _failed(name, download.url, f"{size} of {bar.total} bytes arrived")
    md5 = files.Digest("md5").add(path).hex() if download.md5 else None
    if md5 != download.md5:
        raise _failed(name, download.url, f"it must have the MD5 {download.md5}; it has {md5}")


def _failed(name: str, url: str, why: object) -> ConnectionError:
    return ConnectionError(
        f"downloading {name} from {url} failed: {why}; nothing was kept, so try again (without a "
        "network, fetch it on another machine: see `tfrobust datasets`)"
    )


def _innermost(error: BaseException) -> BaseException:
    """The original error, which requests and urllib3 wrap several times."""
    within = [*error.args, getattr(error, "reason", None)]
    causes = [one for one in within if isinstance(one, BaseException)]
    return _innermost(causes[-1]) if causes else error


def _unpack(archive: pathlib.Path, into: pathlib.Path) -> None:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:  # never writes outside `into`
            zipped.extractall(into)
        return
    with tarfile.open(archive) as tar:
        home = into.resolve()
        for member in tar:
            target = (into / member.name).resolve()
            if not (member.isfile() or member.isdir()) or home not in (target, *target.parents):
                raise ValueError(
                    f"{archive.name} must hold plain files and folders; it holds {member.name!r}"
                )
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            else:  # without owner and mode, which may be setuid
                tar.extract(member, into, set_attrs=False)
        # An archive ends with a block of zeros; `tarfile` takes any unreadable header for the end.
        stream: Any = tar.fileobj
        stream.seek(tar.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("its end is missing")


def _move_up(unpacked: pathlib.Path, whole: pathlib.Path) -> None:
    """Archives hold a single folder, named after the set or not: only its content is kept."""
    inside = list(unpacked.iterdir())
    top = inside[0] if len(inside) == 1 and inside[0].is_dir() else unpacked
    for one in top.iterdir():
        shutil.move(one, whole / one.name)


def _cut_off(folder: pathlib.Path) -> list[str]:
    """The `.npy` files in a folder that are shorter than their headers say, or have none."""
    names = []
    for path in sorted(folder.glob("*.npy")):
        try:
            np.lib.format.open_memmap(path, mode="r")
        except published.NOT_WHOLE:
            names.append(path.name)
    return names
