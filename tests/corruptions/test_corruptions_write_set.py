"""Corrupted data sets on disk."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from tfrobust.corruptions import corrupt, write_set

NAMES = ["gaussian_noise", "contrast"]
IMAGES = np.random.default_rng(0).integers(0, 256, [11, 32, 32, 3], "uint8")
LABELS = np.arange(11) % 10


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    module = sys.modules["tfrobust.corruptions.write_set"]
    monkeypatch.setattr(module, "_BATCH_PIXELS", 4 * 32 * 32)
    monkeypatch.setattr(module, "_BATCHES_PER_MARK", 2)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_layout(tmp_path):
    paths = write_set(IMAGES, LABELS, tmp_path, names=NAMES, seed=5)
    assert [path.name for path in paths] == ["gaussian_noise.npy", "contrast.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), np.tile(LABELS, 5))
    for name in NAMES:
        written = np.load(tmp_path / f"{name}.npy")
        assert written.shape == (55, 32, 32, 3) and written.dtype == np.uint8
        for severity in (1, 5):
            block = written[(severity - 1) * 11 : severity * 11]
            np.testing.assert_array_equal(block, corrupt(IMAGES, name, severity, 5))
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["seed"] == 5 and settings["table"] == 32 and settings["images"][0] == 11
    assert {path.name for path in tmp_path.iterdir()} == {
        "labels.npy",
        "settings.json",
        *(path.name for path in paths),
    }


@pytest.mark.parametrize("after", [1, 4, 20])
def test_interrupted_and_called_again_gives_the_same_bytes(tmp_path, after):
    write_set(IMAGES, LABELS, tmp_path / "whole", names=NAMES)
    calls = []

    def stop(done, total):
        assert 0 <= done <= total == 110
        calls.append(done)
        if len(calls) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_set(IMAGES, LABELS, tmp_path / "stopped", names=NAMES, progress=stop)
    assert contents(tmp_path / "stopped") != contents(tmp_path / "whole")
    again = []
    write_set(
        IMAGES,
        LABELS,
        tmp_path / "stopped",
        names=NAMES,
        progress=lambda done, total: again.append(done),
    )
    assert again[-1] == 110 and again == sorted(again)
    if after == 20:  # what was there was not made again
        assert len(again) < len(calls)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_damaged_file_is_started_again(tmp_path):
    write_set(IMAGES, LABELS, tmp_path / "whole", names=NAMES[1:])

    def stop(done, total):
        if done > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_set(IMAGES, LABELS, tmp_path / "cut", names=NAMES[1:], progress=stop)
    partial = tmp_path / "cut" / ".contrast.partial.npy"
    assert (tmp_path / "cut" / ".contrast.done.json").exists()
    partial.write_bytes(partial.read_bytes()[:100])
    write_set(IMAGES, LABELS, tmp_path / "cut", names=NAMES[1:])
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_another_set_in_the_folder_is_refused(tmp_path):
    write_set(IMAGES, LABELS, tmp_path, names=NAMES[1:])
    before = contents(tmp_path)
    for options, what in (({"seed": 1}, "seed"), ({"table": 64}, "table")):
        with pytest.raises(ValueError, match=f"holds a set with {what}"):
            write_set(IMAGES, LABELS, tmp_path, names=NAMES, **options)
    with pytest.raises(ValueError, match="sha256"):
        write_set(255 - IMAGES, LABELS, tmp_path, names=NAMES)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "images, labels, options, message",
    [
        (IMAGES / 255.0, LABELS, {}, "uint8.*received float64"),
        (IMAGES[..., 0], LABELS, {}, r"received uint8 \(11, 32, 32\)"),
        (IMAGES, LABELS[:4], {}, "11 images and labels of shape"),
        (IMAGES[:0], LABELS[:0], {}, "at least one image"),
        (IMAGES[:, :30], LABELS, {}, "name a table"),
        (IMAGES, LABELS, {"names": ["snows"]}, "unknown corruption 'snows'"),
        (IMAGES, LABELS, {"seed": -1}, "seed must be .* received -1"),
        (IMAGES.repeat(4, 1).repeat(4, 2), LABELS, {"table": 32}, "smaller than each texture"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_written(
    tmp_path, images, labels, options, message
):
    with pytest.raises(ValueError, match=message):
        write_set(images, labels, tmp_path / "set", **options)
    assert not (tmp_path / "set").exists()


def test_killed_process_leaves_a_set_that_can_be_resumed(tmp_path):
    code = """
import sys, numpy as np
from tfrobust import corruptions
sys.modules["tfrobust.corruptions.write_set"]._BATCH_PIXELS = 4 * 32 * 32
sys.modules["tfrobust.corruptions.write_set"]._BATCHES_PER_MARK = 2
images = np.random.default_rng(0).integers(0, 256, [11, 32, 32, 3], "uint8")
def slow(done, total):
    import time
    time.sleep(0.2)
corruptions.write_set(images, np.arange(11) % 10, sys.argv[1], names=["contrast"], progress=slow)
"""
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "killed")])
    mark = tmp_path / "killed" / ".contrast.done.json"
    for _ in range(1200):
        if mark.exists() or child.poll() is not None:
            break
        time.sleep(0.05)
    child.kill()
    child.wait()
    assert mark.exists() and not (tmp_path / "killed" / "contrast.npy").exists()
    for folder in ("killed", "whole"):
        write_set(IMAGES, LABELS, tmp_path / folder, names=["contrast"])
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
