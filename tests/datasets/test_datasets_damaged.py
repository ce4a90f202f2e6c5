"""Damaged pictures are found before anything is read."""

import os

import PIL.Image
import pytest
import tensorflow as tf

from tests.reference.data_folders import flat, write_picture
from tfrobust import datasets
from tfrobust.datasets import pipeline
from tfrobust.datasets.damaged import check_pictures, look


def fault(path):
    return look(path)[0]


def picture(path, encode=tf.io.encode_jpeg):
    path.write_bytes(encode(tf.zeros([20, 20, 3], tf.uint8)).numpy())
    return path


def test_pictures_have_no_fault(tmp_path):
    for name, encode in (("a.jpg", tf.io.encode_jpeg), ("a.png", tf.io.encode_png)):
        assert fault(str(picture(tmp_path / name, encode))) is None
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    assert fault(str(tmp_path / "link.jpg")) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_sizes_are_read_and_bound_what_is_decoded_at_once(tmp_path, monkeypatch, kind):
    for width in (20, 300):
        PIL.Image.new("RGB", (width, 9)).save(tmp_path / f"{width}.jpg", kind)
    paths = [str(path) for path in tmp_path.iterdir()]
    assert check_pictures(paths) == 2700 and sorted(look(path)[1] for path in paths) == [180, 2700]
    (tmp_path / "x.jpg").write_bytes((tmp_path / "20.jpg").read_bytes()[:9])
    look(str(tmp_path / "x.jpg"))
    monkeypatch.setattr(pipeline, "_free_memory", lambda: 4 * 15 * 2**20)
    assert [pipeline._calls(size) for size in (2**18, 2**20, 2**30)] == [4, 1, 1]
    assert pipeline._calls(0) >= 128


def test_a_pipe_is_refused_though_damaged_ones_are_skipped(tmp_path):
    paths = [str(picture(tmp_path / "a.jpg")), str(tmp_path / "b.jpg"), str(tmp_path / "c.jpg")]
    (tmp_path / "b.jpg").write_bytes(b"text")
    os.mkfifo(tmp_path / "c.jpg")
    with pytest.raises(ValueError, match=r"1 of 3 .*c\.jpg \(not a file\)"):
        check_pictures(paths, "skip")


def test_a_name_that_is_not_utf_8(tmp_path):
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9.jpg"))
    with open(path, "wb") as file:
        file.write(picture(tmp_path / "a.jpg").read_bytes())
    for on_error in ("raise", "skip"):
        with pytest.raises(ValueError, match=r"1 of 1 .* is not UTF-8\); remove or rename"):
            check_pictures([path], on_error)


def test_the_end_of_a_jpeg(tmp_path):
    path = picture(tmp_path / "a.jpg")
    whole = path.read_bytes()
    small = b"\xff\xe1\x00\x08\xff\xd8\xff\xd9.."  # as cameras put into the Exif data
    path.write_bytes(whole[:2] + small + whole[2:] + 99 * b"more")
    assert fault(str(path)) is None
    for end in (len(whole) // 2, len(whole) - 2):
        path.write_bytes(whole[:2] + small + whole[2:end])
        assert fault(str(path)) == "cut off"


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "empty"),
        (b"hello", "not a picture"),
        (b"RIFF1234WEBPVP8 ", "a WebP file"),
        (b"II*\x00 tiff", "a TIFF file"),
        (b"\xff\xd8\xff\xe0", "cut off"),
        (b"\x89PNG\r\n\x1a\n and no end", "cut off"),
    ],
)
def test_faults(tmp_path, content, words):
    (tmp_path / "a.jpg").write_bytes(content)
    assert fault(str(tmp_path / "a.jpg")) == words


def test_what_is_no_file(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")  # reading it would wait for ever
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    found = [
        fault(str(tmp_path / f"{name}.jpg")) for name in ("folder", "pipe", "dangling", "loop")
    ]
    assert found[:3] == ["a folder", "not a file", "no such file or directory"]
    assert "symbolic links" in found[3]


def test_all_are_named_in_one_sentence(tmp_path):
    paths = [str(picture(tmp_path / f"{i}.jpg")) for i in range(30)]
    check_pictures(paths)
    for path in paths[3:15]:
        with open(path, "w", encoding="utf-8") as file:
            file.write("text")
    with pytest.raises(
        ValueError, match=r"12 of 30 .*/3\.jpg \(not a picture\).* and 2 more; .*skip"
    ):
        check_pictures(paths)


def test_a_folder_with_damaged_pictures_is_refused_at_once(tmp_path):
    for kind in ("cat", "dog"):
        for i in range(10):
            write_picture(tmp_path / kind / f"{i}.png", flat(10 * i))
    (tmp_path / "cat" / "3.png").write_text("text")
    options = {"data_dir": tmp_path, "resize": 16, "crop": 16}
    with pytest.raises(ValueError, match=r"1 of 20 pictures .*cat/3\.png \(not a picture\)"):
        datasets.load("folder", **options)
    assert datasets.load("folder", on_error="skip", **options).classes == 2
