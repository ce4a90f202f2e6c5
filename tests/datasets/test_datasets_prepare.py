"""What is known of the data sets, whether they are here, and fetching them."""

import hashlib
import io
import tarfile
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

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
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Publishes files, and makes them what "cifar10_c" is fetched from."""

    def publish(files, md5=True, unpack=True):
        downloads = []
        for name, content in files.items():
            path = tmp_path / "web" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            digest = hashlib.md5(content).hexdigest() if md5 is True else md5
            downloads.append(dataset_facts.Download(path.as_uri(), digest, unpack))
        entry = dataset_facts.Entry(
            "4", "1 kB", "here", "none", folder="C", downloads=tuple(downloads)
        )
        monkeypatch.setitem(dataset_facts.CATALOG, "cifar10_c", entry)
        monkeypatch.setenv("TFROBUST_DATA_DIR", str(tmp_path / "data"))
        return tmp_path / "data" / "C"

    return publish


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_fetched_unpacked_and_loaded(kind, published):
    files = {}
    for name, array in (
        ("fog", np.zeros([5, 32, 32, 3], "uint8")),
        ("labels", np.full(5, 7)),
    ):
        stream = io.BytesIO()
        np.save(stream, array)
        files[f"CIFAR-10-C/{name}.npy"] = stream.getvalue()
    place = published({f"C.{kind}": archive(kind, files)})
    assert prepare("cifar10_c") == place
    assert sorted(path.name for path in place.iterdir()) == ["fog.npy", "labels.npy"]
    assert datasets.load("cifar10_c", corruption="fog", severity=1).sizes == {"test": 1}
    (place / "fog.npy").write_bytes(b"mine")
    prepare("cifar10_c")  # what is there is left alone
    assert (place / "fog.npy").read_bytes() == b"mine"


def test_files_that_are_no_archive(published):
    place = published({"a.npy": b"1", "b.npy": b"2"}, md5=None, unpack=False)
    prepare("cifar10_c")
    assert sorted(path.name for path in place.iterdir()) == ["a.npy", "b.npy"]


def test_another_md5(published):
    place = published({"C.tar": archive("tar", {"C/a": b"1"})}, md5="0" * 32)
    with pytest.raises(ValueError, match=r"must have the MD5 0{32}; it has"):
        prepare("cifar10_c")
    assert not place.exists() and not list(place.parent.iterdir())


@pytest.mark.parametrize("name", ["../../evil", "/evil"])
def test_archives_write_nothing_elsewhere(name, published, tmp_path):
    place = published({"C.tar": archive("tar", {"C/a": b"1", name: b"2"})})
    with pytest.raises(ValueError, match="must hold plain files and folders; it holds"):
        prepare("cifar10_c")
    assert not place.exists() and not list(tmp_path.rglob("evil"))


def test_links_are_refused(published):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        member = tarfile.TarInfo("C/link")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(member)
    place = published({"C.tar": stream.getvalue()})
    with pytest.raises(ValueError, match="it holds 'C/link'"):
        prepare("cifar10_c")
    assert not place.exists()


def test_no_network(published, tmp_path):
    place = published({"C.tar": b""})
    (tmp_path / "web" / "C.tar").unlink()
    with pytest.raises(ConnectionError, match=r"downloading cifar10_c from file:.* failed"):
        prepare("cifar10_c")
    assert not place.exists()


def test_tensorflow_datasets_is_not_asked_without_network(tmp_path, monkeypatch):
    def fail(host, port):
        raise OSError("name or service not known")

    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("socket.getaddrinfo", fail)
    with pytest.raises(ConnectionError, match=r"preparing mnist needs the network; yann.lecun.com"):
        prepare("mnist", data_dir=tmp_path)


def test_tensorflow_datasets_fails(tmp_path, monkeypatch):
    def fail(self, *args, **kwargs):
        raise OSError("no route to host")

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
