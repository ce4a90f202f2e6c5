"""What is known of the data sets, whether they are here, and fetching them."""

import dataclasses
import errno
import hashlib
import http.server
import importlib
import io
import re
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import download_manager, extractor

from tfrobust import dataset_facts, datasets
from tfrobust.datasets import prepare
from tfrobust.registries import DATASETS


def test_every_data_set_is_in_the_catalog():
    assert set(dataset_facts.CATALOG) == set(DATASETS)
    for name, entry in dataset_facts.CATALOG.items():
        assert entry.images and entry.size and entry.source and entry.licence, name
        here = not entry.prepared and not entry.folder  # comes with the package, or is the user's
        assert here or entry.prepared or entry.downloads or entry.by_hand, name
        for download in entry.downloads:
            assert download.url.startswith("http")
            assert download.md5 is None or len(bytes.fromhex(download.md5)) == 16


def test_present(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TFROBUST_DATA_DIR", str(tmp_path))
    assert datasets.is_present("digits") and datasets.is_present("corner_digits")
    for name in set(DATASETS) - {"digits", "corner_digits"}:
        assert not datasets.is_present(name), name
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    (tmp_path / "mnist" / "3.0.1" / "dataset_info.json").write_text("{}")
    assert datasets.is_present("mnist") and datasets.is_present("corner_mnist")
    (tmp_path / "CIFAR-10-C").mkdir()
    assert not datasets.is_present("cifar10_c")
    (tmp_path / "CIFAR-10-C" / "fog.npy").touch()
    assert datasets.is_present("cifar10_c")
    (tmp_path / "imagenet" / "train").mkdir(parents=True)
    assert datasets.is_present("imagenet", tmp_path / "imagenet")
    assert datasets.is_present("folder", tmp_path)
    with pytest.raises(ValueError, match="unknown data set 'cifar'"):
        datasets.is_present("cifar")


@pytest.mark.parametrize("name", sorted(set(DATASETS) - {"digits", "corner_digits", "folder"}))
def test_what_is_missing_is_said_with_the_way_to_get_it(name, tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        datasets.load(name, data_dir=tmp_path / "nowhere")
    said = str(raised.value)
    assert str(tmp_path) in said and "--data-dir" in said
    assert "tfrobust datasets prepare" in said or "http" in said
    assert "TFDS_DATA_DIR" in said or "TFROBUST_DATA_DIR" in said


# Fetching


def archive(kind, members):
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as zipped:
            for name, content in members.items():
                zipped.writestr(name, content)
    else:
        with tarfile.open(fileobj=stream, mode="w:gz" if kind == "tar.gz" else "w") as tar:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o6777  # setuid
                tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


FOG = npy(np.zeros([5, 32, 32, 3], "uint8"))
LABELS = npy(np.full(5, 7))


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what `server.answers` holds of a path: an action, or a body and its length."""

    def do_GET(self):
        answer = self.server.answers.get(self.path[1:])
        if answer is None:
            self.send_error(404)
        elif callable(answer):
            answer(self)
        else:
            body, length = answer
            self.send_response(200)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def published(server, tmp_path, monkeypatch):
    """Publishes files, and makes them what "cifar10_c" is fetched from."""

    def publish(files, md5=True, unpack=True):
        # As they are served whole; a test may then change what the server answers.
        server.answers = {name: (content, len(content)) for name, content in files.items()}
        entry = dataset_facts.Entry(
            "4",
            "1 kB",
            "here",
            "none",
            folder="C",
            downloads=tuple(
                dataset_facts.Download(
                    f"http://127.0.0.1:{server.server_port}/{name}",
                    hashlib.md5(content).hexdigest() if md5 is True else md5,
                    unpack,
                )
                for name, content in files.items()
            ),
        )
        monkeypatch.setitem(dataset_facts.CATALOG, "cifar10_c", entry)
        monkeypatch.setenv("TFROBUST_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        return tmp_path / "data" / "C"

    return publish


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_fetched_unpacked_and_loaded(kind, published):
    files = {"CIFAR-10-C/fog.npy": FOG, "CIFAR-10-C/labels.npy": LABELS}
    place = published({f"C.{kind}": archive(kind, files)})
    assert prepare("cifar10_c") == place
    assert names(place) == ["fog.npy", "labels.npy"]
    assert datasets.load("cifar10_c", corruption="fog", severity=1).sizes == {"test": 1}
    mine = npy(np.ones(3))
    (place / "fog.npy").write_bytes(mine)
    prepare("cifar10_c")  # what is there is left alone
    assert (place / "fog.npy").read_bytes() == mine
    modes = [stat.S_IMODE(path.stat().st_mode) for path in place.rglob("*") if path.is_file()]
    assert not any(mode & 0o6111 for mode in modes)  # nothing to run, and nobody's rights


def test_files_that_are_no_archive(published):
    place = published({"a.npy": FOG, "b.npy": LABELS}, md5=None, unpack=False)
    prepare("cifar10_c")
    assert names(place) == ["a.npy", "b.npy"]
    assert (place / "a.npy").read_bytes() == FOG


# What goes wrong on the way is a ConnectionError and leaves nothing behind; the next call succeeds.


def reset(handler):
    """Closes the connection in the middle of the body so that the other side is told so."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.wfile.write(b"x" * 1000)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def silent(handler):
    handler.server.released.wait(10)


def stalled(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.wfile.write(b"x" * 1000)
    silent(handler)


def unfinished_chunks(handler):
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"400\r\n" + b"x" * 100)
    handler.close_connection = True


def failing(code):
    return lambda handler: handler.send_error(code)


def check_broken(place, said):
    with pytest.raises(ConnectionError, match=said) as raised:
        prepare("cifar10_c")
    assert re.match(
        r"downloading cifar10_c from http://127\.0\.0\.1:\d+/\S+ failed: .*; nothing was kept",
        str(raised.value),
    )
    assert "0x" not in str(raised.value)  # no addresses of Python objects
    assert not datasets.is_present("cifar10_c")
    assert not place.parent.exists() or not names(place.parent)


@pytest.mark.parametrize("md5", [True, None])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "404"),
        (failing(503), "503"),
        (reset, "reset|IncompleteRead|bytes arrived"),
        (silent, "timed out"),
        (stalled, "timed out"),
        (unfinished_chunks, "IncompleteRead|InvalidChunkLength"),
    ],
)
def test_failed_transfers(answer, said, md5, published, server, monkeypatch):
    content = archive("tar", {"C/fog.npy": FOG, "C/labels.npy": LABELS})
    place = published({"C.tar": content}, md5=md5)
    server.answers["C.tar"] = answer
    server.released = threading.Event()
    monkeypatch.setattr(importlib.import_module("tfrobust.datasets.prepare"), "_TIMEOUT", 0.3)
    check_broken(place, said)
    server.released.set()
    server.answers["C.tar"] = content, len(content)
    prepare("cifar10_c")
    assert names(place) == ["fog.npy", "labels.npy"]


def test_no_connection(published):
    place = published({"C.tar": b""})
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/C.tar"
        entry = dataset_facts.CATALOG["cifar10_c"]
        dataset_facts.CATALOG["cifar10_c"] = dataclasses.replace(
            entry, downloads=(dataset_facts.Download(url),)
        )
        check_broken(place, "refused")


@pytest.mark.parametrize("md5", [True, None])
@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("tar", 1536 + len(LABELS) // 512 * 512),  # between two members; LABELS fill two blocks
        ("tar", 1536 + 100),  # in a header
        ("tar", 700),  # in a member
        ("tar", 0),
        ("tar.gz", -20),
        ("zip", -100),
    ],
)
def test_archives_that_are_cut(kind, kept, announced, md5, published, server):
    content = archive(kind, {"C/labels.npy": LABELS, "C/fog.npy": FOG, "C/snow.npy": FOG})
    place = published({f"C.{kind}": content}, md5=md5)
    server.answers[f"C.{kind}"] = content[:kept], len(content) if announced else None
    check_broken(place, "IncompleteRead|bytes arrived" if announced else "MD5|no whole archive")
    server.answers[f"C.{kind}"] = content, None
    prepare("cifar10_c")
    assert names(place) == ["fog.npy", "labels.npy", "snow.npy"]


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("kept", [len(FOG) // 2, 20, 0])
def test_files_that_are_cut(kept, announced, published, server):
    place = published({"a.npy": LABELS, "b.npy": FOG}, md5=None, unpack=False)
    server.answers["b.npy"] = FOG[:kept], len(FOG) if announced else None
    check_broken(place, "IncompleteRead|bytes arrived" if announced else "b.npy is cut off")
    server.answers["b.npy"] = FOG, None
    prepare("cifar10_c")
    assert names(place) == ["a.npy", "b.npy"]


def test_short_bodies_are_noticed_whatever_the_version_of_urllib3(published, server, monkeypatch):
    place = published({"C.tar": archive("tar", {"C/fog.npy": FOG})}, md5=None)
    server.answers["C.tar"] = FOG[:700], len(FOG)
    monkeypatch.setattr("urllib3.response.HTTPResponse._init_length", lambda self, method: None)
    check_broken(place, f"700 of {len(FOG)} bytes arrived")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_archives_that_are_damaged(kind, published, server):
    content = archive(kind, {"C/fog.npy": FOG, "C/labels.npy": LABELS})
    place = published({f"C.{kind}": content}, md5=None)
    damaged = bytearray(content)
    where = content.index(b"C/labels.npy") if kind == "tar" else content.index(FOG) + 300
    damaged[where] ^= 255
    server.answers[f"C.{kind}"] = bytes(damaged), len(content)
    check_broken(place, "this is no whole archive")


def test_another_md5(published):
    place = published({"C.tar": archive("tar", {"C/fog.npy": FOG})}, md5="0" * 32)
    check_broken(place, r"must have the MD5 0{32}; it has [0-9a-f]{32}")


def test_what_was_stored_half_is_fetched_again(published, capsys):
    content = archive("tar", {"C/fog.npy": FOG, "C/labels.npy": LABELS})
    place = published({"C.tar": content}, md5=None)
    place.mkdir(parents=True)
    (place / "fog.npy").write_bytes(FOG[: len(FOG) // 2])
    (place / "mine.txt").write_text("mine")
    (place / "snow.npy").write_bytes(LABELS)
    assert datasets.is_present("cifar10_c")
    prepare("cifar10_c")
    assert f"{place} is fetched again: fog.npy is cut off" in capsys.readouterr().err
    assert names(place) == ["fog.npy", "labels.npy", "mine.txt", "snow.npy"]
    assert (place / "fog.npy").read_bytes() == FOG
    assert (place / "mine.txt").read_text() == "mine"


def test_what_was_stored_half_stays_where_fetching_fails(published, server):
    place = published({"a.npy": FOG}, md5=None, unpack=False)
    server.answers.clear()
    place.mkdir(parents=True)
    (place / "a.npy").write_bytes(FOG[:500])
    with pytest.raises(ConnectionError, match="404"):
        prepare("cifar10_c")
    assert names(place.parent) == ["C"] and (place / "a.npy").read_bytes() == FOG[:500]


def test_a_full_disk_is_no_fault_of_the_network(published, monkeypatch):
    place = published({"C.tar": archive("tar", {"C/fog.npy": FOG})})

    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "extract", fail)
    with pytest.raises(OSError, match="No space left") as raised:
        prepare("cifar10_c")
    assert not isinstance(raised.value, ConnectionError)
    assert not names(place.parent)


# What archives may hold


@pytest.mark.parametrize("name", ["../../evil", "/evil"])
def test_archives_write_nothing_elsewhere(name, published, tmp_path):
    place = published({"C.tar": archive("tar", {"C/a": b"1", name: b"2"})})
    with pytest.raises(ValueError, match="must hold plain files and folders; it holds"):
        prepare("cifar10_c")
    assert not place.exists() and not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(kind, published):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        member = tarfile.TarInfo("C/link")
        member.type, member.linkname = kind, "/etc"
        tar.addfile(member)
    place = published({"C.tar": stream.getvalue()})
    with pytest.raises(ValueError, match="it holds 'C/link'"):
        prepare("cifar10_c")
    assert not place.exists()


def test_the_downloader_is_imported_when_something_is_downloaded():
    program = "import sys, tfrobust.datasets; sys.exit('pooch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# TensorFlow Datasets


def test_tensorflow_datasets_is_not_asked_without_network(tmp_path, monkeypatch):
    def fail(host, port):
        raise OSError("name or service not known")

    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("socket.getaddrinfo", fail)
    with pytest.raises(ConnectionError, match=r"preparing mnist needs the network; yann.lecun.com"):
        prepare("mnist", data_dir=tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        OSError("no route to host"),
        download_manager.NonMatchingChecksumError("no route to host"),
        extractor.ExtractError("no route to host"),
    ],
)
def test_tensorflow_datasets_fails(error, tmp_path, monkeypatch):
    def fail(self, *args, **kwargs):
        raise error

    monkeypatch.setattr("socket.getaddrinfo", lambda host, port: [])
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(ConnectionError, match=r"preparing mnist needs the network.*no route"):
        prepare("mnist", data_dir=tmp_path)


def test_tensorflow_datasets_prepares(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr("socket.getaddrinfo", lambda host, port: [])
    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "download_and_prepare", lambda self: called.append(self.name)
    )
    assert prepare("corner_mnist", data_dir=tmp_path) == tmp_path
    assert called == ["mnist"]


def test_what_cannot_be_fetched(tmp_path):
    with pytest.raises(FileNotFoundError, match="imagenet cannot be fetched for you: register"):
        prepare("imagenet", data_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match="a folder of your own"):
        prepare("folder")
    with pytest.raises(ValueError, match="unknown data set 'cifar'"):
        prepare("cifar")
    prepare("digits")  # is there
