"""The published test sets, read from small files of the same layout."""

from __future__ import annotations

import hashlib

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tfrobust import dataset_facts, datasets
from tfrobust.datasets import published
from tfrobust.registries import CORRUPTIONS

RANDOM = np.random.default_rng(0)
LABELS = np.array([3, 0, 9, 1])


def some_images(*shape):
    return RANDOM.integers(0, 256, shape).astype("uint8")


def picture(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(image).save(path, "PNG" if path.suffix == ".png" else "JPEG")


# Names


@pytest.mark.parametrize(
    "name, expected",
    [
        ("fog", "fog"),
        ("frosted_glass_blur", "glass_blur"),
        ("elastic", "elastic_transform"),
        ("jpeg", "jpeg_compression"),
        ("JPEG Compression", "jpeg_compression"),
        ("Gaussian-Noise", "gaussian_noise"),
        (" zoom  blur.npy", "zoom_blur"),
    ],
)
def test_canonical_name(name, expected):
    assert datasets.canonical_name(name) == expected


def test_names_are_consistent():
    assert all(datasets.canonical_name(name) == name for name in CORRUPTIONS)
    assert set(published.ALIASES.values()) <= set(CORRUPTIONS)
    assert not set(published.ALIASES) & set(CORRUPTIONS)
    for sums in dataset_facts.FILE_MD5.values():
        assert set(sums) == {*CORRUPTIONS, "labels"}
        assert len(set(sums.values())) == 20
        assert all(len(bytes.fromhex(md5)) == 16 for md5 in sums.values())
    with pytest.raises(ValueError, match="unknown corruption 'rain'; choose from: gaussian_noise"):
        datasets.canonical_name("rain")


# CIFAR-10-C


@pytest.fixture
def cifar_c(tmp_path):
    images = some_images(20, 32, 32, 3)
    np.save(tmp_path / "glass_blur.npy", images)
    np.save(tmp_path / "labels.npy", np.tile(LABELS, 5))
    return tmp_path, images


@pytest.mark.parametrize("severity", [1, 2, 5])
def test_cifar_c(cifar_c, severity):
    folder, all_images = cifar_c
    images, labels = datasets.cifar_c(folder, "Frosted glass blur", severity)
    np.testing.assert_array_equal(images, all_images[4 * severity - 4 : 4 * severity])
    assert isinstance(images, np.memmap) and not images.flags.writeable
    np.testing.assert_array_equal(labels, LABELS)
    assert labels.dtype == np.int32


def test_cifar_c_with_each_label_once(cifar_c):
    folder, all_images = cifar_c
    np.save(folder / "labels.npy", LABELS)
    images, labels = datasets.cifar_c(str(folder), "glass_blur", 3)
    np.testing.assert_array_equal(images, all_images[8:12])
    np.testing.assert_array_equal(labels, LABELS)


def refused(error, said, function, *arguments, **options):
    with pytest.raises(error, match=said) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_cifar_c_missing_files(cifar_c, tmp_path):
    folder, _ = cifar_c
    said = r"fog.npy must stand in the folder; looked for .*fog.npy; get it from .*2535967 \(CIFAR"
    refused(FileNotFoundError, said, datasets.cifar_c, folder, "fog", 1)
    (folder / "labels.npy").unlink()
    refused(FileNotFoundError, "labels.npy must", datasets.cifar_c, folder, "glass_blur", 1)
    refused(FileNotFoundError, "glass_blur.npy must", datasets.cifar_c, tmp_path / "no", "glass", 1)
    refused(ValueError, "severity must be .* received 6", datasets.cifar_c, folder, "glass", 6)
    refused(ValueError, "unknown corruption", datasets.cifar_c, folder, "rain", 1)


@pytest.mark.parametrize("keep", [0, 5, 60, 200, 40_000])
def test_cifar_c_cut_off(cifar_c, keep):
    folder, _ = cifar_c
    path = folder / "glass_blur.npy"
    path.write_bytes(path.read_bytes()[:keep])
    said = "glass_blur.npy must be a whole .npy file of plain numbers; reading it failed"
    refused(ValueError, said, datasets.cifar_c, folder, "glass_blur", 1)


@pytest.mark.parametrize(
    "array, said",
    [
        (np.zeros([20, 32, 32], "uint8"), r"uint8 of shape \[N, 32, 32, 3\]; it holds uint8 of"),
        (np.zeros([20, 3, 32, 32], "uint8"), r"of shape \[20, 3, 32, 32\]"),
        (np.zeros([20, 32, 32, 3], "float32"), r"holds float32 of shape \[20, 32, 32, 3\]"),
        (np.zeros([0, 32, 32, 3], "uint8"), "must"),
        (np.zeros([19, 32, 32, 3], "uint8"), "they hold 19 images and 20 labels"),
        (np.zeros([4, 32, 32, 3], "uint8"), "they hold 4 images and 20 labels"),
        (np.array([{}]), "plain numbers"),
    ],
)
def test_cifar_c_other_content(cifar_c, array, said):
    folder, _ = cifar_c
    np.save(folder / "glass_blur.npy", array, allow_pickle=True)
    refused(ValueError, said, datasets.cifar_c, folder, "glass_blur", 1)


@pytest.mark.parametrize(
    "labels, said",
    [
        (np.arange(20), "must repeat the labels of one severity 5 times"),
        (np.tile(LABELS, 5) / 2, r"whole numbers of shape \[N\]; it holds float64"),
        (np.tile(LABELS, 5) - 1, "class indices from 0; it holds -1"),
        (np.eye(20, dtype=int), r"of shape \[20, 20\]"),
    ],
)
def test_cifar_c_other_labels(cifar_c, labels, said):
    folder, _ = cifar_c
    np.save(folder / "labels.npy", labels)
    refused(ValueError, said, datasets.cifar_c, folder, "glass_blur", 1)


def test_published_as(cifar_c, monkeypatch):
    folder, images = cifar_c
    assert datasets.published_as(folder) is None
    said = "must have the published MD5; they have others"
    refused(ValueError, said, datasets.cifar_c, folder, "glass_blur", 1, verify=True)
    md5 = {
        name: hashlib.md5((folder / f"{name}.npy").read_bytes()).hexdigest()
        for name in ("labels", "glass_blur")
    }
    monkeypatch.setitem(dataset_facts.FILE_MD5["CIFAR-100-C"], "labels", md5["labels"])
    assert datasets.published_as(folder) is None
    monkeypatch.setitem(dataset_facts.FILE_MD5["CIFAR-100-C"], "glass_blur", md5["glass_blur"])
    assert datasets.published_as(folder) == "CIFAR-100-C"
    assert datasets.published_as(folder, ["frosted_glass_blur"]) == "CIFAR-100-C"
    found, _ = datasets.cifar_c(folder, "glass_blur", 5, verify=True)
    np.testing.assert_array_equal(found, images[16:])
    images[0, 0, 0, 0] ^= 1
    np.save(folder / "glass_blur.npy", images)
    assert datasets.published_as(folder) is None
    refused(FileNotFoundError, "fog.npy must", datasets.published_as, folder, ["fog"])
    refused(FileNotFoundError, "no file of a", datasets.published_as, folder / "none")


def test_cifar10_corrupted(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    said = "cifar10_corrupted/frosted_glass_blur_2 is not prepared in"
    refused(FileNotFoundError, said, datasets.cifar10_corrupted, "glass_blur", 2, data_dir=tmp_path)
    builder = tfds.builder("cifar10_corrupted/elastic_4", data_dir=str(tmp_path))
    images = some_images(3, 32, 32, 3)
    path = builder.data_path
    path.mkdir(parents=True)
    with tf.io.TFRecordWriter(f"{path}/cifar10_corrupted-test.tfrecord-00000-of-00001") as writer:
        for image, label in zip(images, LABELS):
            features = {
                "image": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[tf.io.encode_png(image).numpy()])
                ),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    builder.info.set_splits(
        tfds.core.SplitDict(
            [
                tfds.core.SplitInfo(
                    name="test",
                    shard_lengths=[3],
                    num_bytes=9999,
                    filename_template=tfds.core.ShardedFileTemplate(
                        data_dir=path,
                        dataset_name="cifar10_corrupted",
                        split="test",
                        filetype_suffix="tfrecord",
                    ),
                )
            ]
        )
    )
    builder.info.write_to_directory(path)
    found, labels = datasets.cifar10_corrupted("elastic_transform", 4, data_dir=tmp_path)
    np.testing.assert_array_equal(found, images)
    np.testing.assert_array_equal(labels, LABELS[:3])
    assert labels.dtype == np.int32


# ImageNet-C

WNIDS = ["n03", "n01", "n02"]


def tree(folder, size=(6, 8)):
    """Two images for each of three classes; the class is the level of red."""
    for i, wnid in enumerate(sorted(WNIDS)):
        for name in ("b.JPEG", "a10.JPEG", "a9.JPEG"):
            image = np.full([*size, 3], 20, "uint8")
            image[..., 0] = 100 * i
            image[..., 1] = {"a": 60, "b": 200}[name[0]]
            picture(folder / wnid / name, image)
        (folder / wnid / "notes.txt").write_text("not an image")


@pytest.mark.parametrize("group", ["", "extra/", "weather/"])
def test_imagenet_c(tmp_path, group):
    tree(tmp_path / f"{group}elastic_transform/3")
    data = datasets.imagenet_c(tmp_path, "elastic", 3, batch_size=4, wnids=sorted(WNIDS))
    assert data.element_spec[0].shape.as_list() == [None, 6, 8, 3]
    batches = list(data.as_numpy_iterator())
    assert [len(labels) for _, labels in batches] == [4, 4, 1]
    images, labels = (np.concatenate(parts) for parts in zip(*batches))
    assert images.dtype == np.float32 and labels.dtype == np.int32
    assert images.min() >= 0 and images.max() <= 1
    np.testing.assert_array_equal(labels, np.repeat([0, 1, 2], 3))
    np.testing.assert_allclose(images[:, 0, 0, 0] * 255, 100 * labels, atol=3)
    np.testing.assert_allclose(images[:, 0, 0, 1] * 255, [60, 60, 200] * 3, atol=3)


def test_imagenet_c_decodes_as_pillow(tmp_path):
    image = some_images(40, 56, 3)
    path = tmp_path / "fog/1/n01/x.JPEG"
    picture(path, image)
    (images, _) = next(iter(datasets.imagenet_c(tmp_path, "fog", 1, wnids=["n01"])))
    np.testing.assert_array_equal(np.round(images[0] * 255), np.asarray(PIL.Image.open(path)))


def test_imagenet_c_part_of_the_classes(tmp_path):
    tree(tmp_path / "fog/1")
    data = datasets.imagenet_c(tmp_path, "fog", 1, wnids=["n03", "n01"])
    images, labels = next(data.as_numpy_iterator())
    np.testing.assert_array_equal(labels, [0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(images[:, 0, 0, 0] * 255, 200 * (1 - labels), atol=3)


def test_imagenet_c_refuses(tmp_path):
    read = datasets.imagenet_c
    said = r"fog/1 must be a folder; there is none, also below noise, .*2235448 \(ImageNet-C\)"
    refused(FileNotFoundError, said, read, tmp_path, "fog", 1)
    (tmp_path / "fog/1").mkdir(parents=True)
    refused(FileNotFoundError, "a folder for each class; it holds none", read, tmp_path, "fog", 1)
    tree(tmp_path / "fog/1")
    said = "each of 1000 or 200 classes; it holds 3"
    refused(ValueError, said, read, tmp_path, "fog", 1)
    said = "1 are missing, such as n09"
    refused(FileNotFoundError, said, read, tmp_path, "fog", 1, wnids=["n01", "n09"])
    (tmp_path / "fog/1/n04").mkdir()
    said = "n04 must hold images .* it holds none"
    refused(FileNotFoundError, said, read, tmp_path, "fog", 1, wnids=["n01", "n04"])
    refused(ValueError, "batch_size must", read, tmp_path, "fog", 1, wnids=["n01"], batch_size=0)
    picture(tmp_path / "fog/1/n04/big.JPEG", some_images(9, 8, 3))
    data = read(tmp_path, "fog", 1, wnids=["n01", "n04"])
    with pytest.raises(tf.errors.InvalidArgumentError, match="6x8 pixels"):
        list(data)


# Perturbations


def test_cifar_p(tmp_path):
    for name, frames in {"tilt": 31, "motion_blur": 21, "shot_noise_3": 31}.items():
        np.save(tmp_path / f"{name}.npy", some_images(2, frames, 32, 32, 3))
    assert datasets.cifar_p(tmp_path, "Motion blur").shape == (2, 21, 32, 32, 3)
    np.testing.assert_array_equal(
        datasets.cifar_p(tmp_path, "shot_noise", difficulty=3),
        np.load(tmp_path / "shot_noise_3.npy"),
    )
    assert isinstance(datasets.cifar_p(tmp_path, "tilt"), np.memmap)
    np.save(tmp_path / "translate.npy", some_images(2, 31, 32, 32, 3))
    said = r"uint8 of shape \[N, 16, 32, 32, 3\]; it holds uint8 of shape \[2, 31, 32, 32, 3\]"
    refused(ValueError, said, datasets.cifar_p, tmp_path, "translate")
    said = r"rotate.npy must stand .* https://\S+ \(CIFAR-10-P\)"
    refused(FileNotFoundError, said, datasets.cifar_p, tmp_path, "rotate")
    refused(ValueError, "perturbation must be one of gauss", datasets.cifar_p, tmp_path, "fog")
    said = "difficulty of tilt must be a whole number from 1 to 1; received 2"
    refused(ValueError, said, datasets.cifar_p, tmp_path, "tilt", difficulty=2)


def sequences(folder, frames=3):
    for i, wnid in enumerate(["n01", "n02"]):
        for j, video in enumerate(["v10", "v9"]):
            for frame in range(frames):
                image = np.full([5, 4, 3], [100 * i, 100 * j, 10 * frame], "uint8")
                picture(folder / wnid / video / f"{frame + 8}.png", image)


@pytest.mark.parametrize("group", ["", "noise/"])
def test_imagenet_p(tmp_path, group):
    sequences(tmp_path / f"{group}shot_noise_2")
    data = datasets.imagenet_p(tmp_path, "shot_noise", difficulty=2, wnids=["n01", "n02"])
    assert data.element_spec[0].shape.as_list() == [3, 5, 4, 3]
    found = list(data.as_numpy_iterator())
    assert [int(label) for _, label in found] == [0, 0, 1, 1]
    levels = np.round(np.stack([frames[:, 0, 0] for frames, _ in found]) * 255)
    np.testing.assert_array_equal(levels[:, :, 2], [[0, 10, 20]] * 4)  # 8, 9, 10
    np.testing.assert_array_equal(levels[:, 0, :2], [[0, 100], [0, 0], [100, 100], [100, 0]])


def test_imagenet_p_refuses(tmp_path):
    def read():
        return datasets.imagenet_p(tmp_path, "tilt", wnids=["n01"])

    refused(FileNotFoundError, "tilt must be a folder; there is none", read)
    (tmp_path / "tilt/n01").mkdir(parents=True)
    refused(FileNotFoundError, "a folder of frames for each video; it holds none", read)
    (tmp_path / "tilt/n01/x.mp4").write_bytes(b"")
    refused(ValueError, "must be unpacked to frames first, .* ffmpeg -i", read)
    sequences(tmp_path / "tilt")
    picture(tmp_path / "tilt/n01/v9/more.png", some_images(5, 4, 3))
    refused(ValueError, "as many frames; .*v9 has 4, .*v10 has 3", read)


# Other photographs


@pytest.mark.parametrize("version, count", [("v6", 2000), ("v4", 2021)])
def test_cifar10_1(tmp_path, version, count):
    images, labels = some_images(count, 32, 32, 3), np.arange(count, dtype="int32") % 10
    np.save(tmp_path / f"cifar10.1_{version}_data.npy", images)
    np.save(tmp_path / f"cifar10.1_{version}_labels.npy", labels)
    found, found_labels = datasets.cifar10_1(tmp_path, version)
    np.testing.assert_array_equal(found, images)
    np.testing.assert_array_equal(found_labels, labels)
    np.save(tmp_path / f"cifar10.1_{version}_labels.npy", labels[1:])
    said = f"must hold {count} class indices from 0 to 9; it holds {count - 1} up to 9"
    refused(ValueError, said, datasets.cifar10_1, tmp_path, version)
    np.save(tmp_path / f"cifar10.1_{version}_data.npy", images[1:])
    refused(ValueError, f"of shape .{count}, 32", datasets.cifar10_1, tmp_path, version)


def test_cifar10_1_refuses(tmp_path):
    said = "cifar10.1_v6_data.npy must stand .*modestyachts"
    refused(FileNotFoundError, said, datasets.cifar10_1, tmp_path)
    refused(ValueError, "version must be one of v4, v6", datasets.cifar10_1, tmp_path, "v5")


@pytest.mark.parametrize("read", [datasets.imagenet_r, datasets.imagenet_a])
def test_pictures(tmp_path, read):
    refused(FileNotFoundError, "must be a folder", read, tmp_path / "none")
    refused(ValueError, "crop must", read, tmp_path, resize=20, crop=30)
    for i in reversed(range(200)):
        picture(tmp_path / f"n{i:08}/x.jpg", np.full([8 + i % 3, 9, 3], i, "uint8"))
    images, labels = next(iter(read(tmp_path, batch_size=200, resize=8, crop=6)))
    assert images.shape == (200, 6, 6, 3)
    np.testing.assert_array_equal(labels, range(200))
    np.testing.assert_allclose(images[:, 3, 3, 1] * 255, labels, atol=1)
    (tmp_path / "n00000007/x.jpg").unlink()
    (tmp_path / "n00000007").rmdir()
    refused(ValueError, "each of 200 classes; it holds 199", read, tmp_path)


def test_class_lists():
    for classes in (datasets.IMAGENET_R_CLASSES, datasets.IMAGENET_A_CLASSES):
        assert len(classes) == 200 and list(classes) == sorted(set(classes))
        assert min(classes) >= 0 and max(classes) < 1000
    assert datasets.IMAGENET_R_CLASSES[:3] == (1, 2, 4)
    assert datasets.IMAGENET_A_CLASSES[:3] == (6, 11, 13)
