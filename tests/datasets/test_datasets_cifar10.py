"""CIFAR-10 as TensorFlow Datasets hands it over."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import registered

from tfrobust import datasets
from tfrobust.datasets.cifar10 import cifar10


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A small CIFAR-10 in the format of TensorFlow Datasets: 10,000 images of noise."""
    folder = tmp_path_factory.mktemp("tfds")
    features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(32, 32, 3)),
            "label": tfds.features.ClassLabel(names=[f"class {i}" for i in range(10)]),
        }
    )
    random = np.random.default_rng(0)

    def examples(split, count):
        image = random.integers(0, 256, [32, 32, 3], "uint8")  # one for all: quick to write
        for i in range(count):
            marked = image.copy()
            marked[0, 0] = i % 256, i // 256, 0
            yield {"id": f"{split}_{i}", "image": marked, "label": i % 10}

    with registered.skip_registration():
        builder = make_builder(features, examples)(data_dir=folder)
    builder.download_and_prepare()
    return folder


def make_builder(features, examples):
    class Cifar10(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("3.0.2")

        def _info(self):
            return self.dataset_info_from_configs(
                features=features, supervised_keys=("image", "label")
            )

        def _split_generators(self, manager):
            return {
                "train": self._generate_examples("train"),
                "test": self._generate_examples("test"),
            }

        def _generate_examples(self, split):
            for example in examples(split, 6000 if split == "train" else 40):
                yield example["id"], example

    return Cifar10


def test_splits(prepared):
    splits, names = cifar10(prepared)
    assert names == tuple(f"class {i}" for i in range(10))
    assert {split: len(labels) for split, (_, labels) in splits.items()} == {
        "train": 1000,
        "validation": 5000,
        "test": 40,
    }
    seen = []
    for split, (images, labels) in splits.items():
        assert images.dtype == np.uint8 and labels.dtype == np.int32
        number = images[:, 0, 0, 0].astype(int) + 256 * images[:, 0, 0, 1].astype(int)
        np.testing.assert_array_equal(number % 10, labels)  # an image keeps its label
        assert len(set(np.bincount(labels))) == 1  # stratified
        if split != "test":
            seen.extend(number)
    assert sorted(seen) == list(range(6000))
    again, _ = cifar10(prepared)
    for split in splits:
        np.testing.assert_array_equal(splits[split][0], again[split][0])


def test_loaded_by_name(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    data = datasets.load("cifar10", batch_size=40)
    assert data.classes == 10 and data.image_shape == (32, 32, 3)
    images, _ = next(iter(data.test))
    raw = cifar10(prepared)[0]["test"][0]
    np.testing.assert_array_equal(images, raw.astype("float32") / 255)


def test_not_there(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"not prepared in .*tfds build cifar10.*TFDS_DATA"):
        cifar10(tmp_path)
