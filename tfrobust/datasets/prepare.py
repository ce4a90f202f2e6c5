"""Fetching a data set: the only place that uses the network, and only when asked."""

from __future__ import annotations

import pathlib
import shutil
import socket
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from typing import Optional

from tfrobust import files
from tfrobust.dataset_facts import CATALOG, Download
from tfrobust.datasets import catalog
from tfrobust.files import PathLike

_BLOCK = 2**20


def prepare(name: str, *, data_dir: Optional[PathLike] = None) -> pathlib.Path:
    """Downloads a data set, once, and puts it where `load` finds it.

    Sets of TensorFlow Datasets are prepared by it; others are downloaded, compared with their
    published MD5 where there is one, and unpacked. What is there already is left alone; a killed
    download begins anew.

    Args:
        name: One of `DATASETS`.
        data_dir: As for `load`.

    Returns:
        The folder with the data set.

    Raises:
        ValueError: There is no such data set; a file has another MD5 than published.
        ConnectionError: Downloading failed.
        FileNotFoundError: It cannot be fetched, because its terms must be agreed to, or it is made
            by a script; the message says what to do by hand.
    """
    present = catalog.is_present(name, data_dir)
    entry = CATALOG[name]
    place = catalog.own_folder(name, data_dir) if entry.folder else catalog.tfds_folder(data_dir)
    if name == "folder":
        raise FileNotFoundError(f"'folder' is a folder of your own: {catalog.how_to_get(name)}")
    if present:
        return place
    if entry.by_hand:
        raise FileNotFoundError(f"{name} cannot be fetched for you: {entry.by_hand} ({place})")
    for one in entry.prepared:
        _check_online(one, entry.source)
        _prepare_tfds(one, place)
    if entry.downloads:
        _download_all(name, entry.downloads, place)
    return place


def _check_online(name: str, url: str) -> None:
    # TensorFlow Datasets tries again for minutes. Behind a proxy names may not be resolved here.
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

    files.check_writable(data_dir)
    builder = tfds.builder(name, data_dir=data_dir)
    try:
        builder.download_and_prepare()
    except (OSError, tfds.download.DownloadError) as error:
        raise ConnectionError(
            f"preparing {name} needs the network; TensorFlow Datasets failed: {error}"
        ) from error


def _download_all(name: str, downloads: tuple[Download, ...], place: pathlib.Path) -> None:
    files.check_writable(place)
    with files.replacing(place) as whole:
        scratch = whole.parent / "downloads"
        scratch.mkdir()
        whole.mkdir()
        for download in downloads:
            fetched = scratch / download.url.rpartition("/")[2]
            _fetch(name, download, fetched)
            if download.unpack:
                _unpack(fetched, scratch / "unpacked")
                fetched.unlink()
            else:
                shutil.move(fetched, whole / fetched.name)
        if (scratch / "unpacked").is_dir():
            _move_up(scratch / "unpacked", whole)


def _fetch(name: str, download: Download, path: pathlib.Path) -> None:
    md5 = files.Digest("md5")
    try:
        with urllib.request.urlopen(download.url) as answer, open(path, "wb") as stream:
            while block := answer.read(_BLOCK):
                md5.add(block)
                stream.write(block)
    except (urllib.error.URLError, OSError) as error:
        raise ConnectionError(
            f"downloading {name} from {download.url} failed: {getattr(error, 'reason', error)} "
            "(without a network, fetch it on another machine: see `tfrobust datasets`)"
        ) from error
    if download.md5 is not None and md5.hex() != download.md5:
        raise ValueError(
            f"{download.url} must have the MD5 {download.md5}; it has {md5.hex()} (a broken "
            "download?)"
        )


def _unpack(archive: pathlib.Path, into: pathlib.Path) -> None:
    into.mkdir(exist_ok=True)
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
            tar.extract(member, into)


def _move_up(unpacked: pathlib.Path, whole: pathlib.Path) -> None:
    """Archives hold one folder, whose name is that of the set or not: its content counts."""
    inside = list(unpacked.iterdir())
    top = inside[0] if len(inside) == 1 and inside[0].is_dir() else unpacked
    for one in top.iterdir():
        shutil.move(one, whole / one.name)
