"""ImageNet, and the subsets of it that the papers train on."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, Callable, Optional

import numpy as np
import tensorflow as tf

from tfrobust import files, validation
from tfrobust.dataset_facts import TINY_IMAGENET_CLASSES
from tfrobust.datasets import catalog, folders, prepared, published, splitting
from tfrobust.datasets.source import Records, Source
from tfrobust.files import PathLike
from tfrobust.ops import image_decoding

_NAME = "imagenet2012"


def imagenet(
    data_dir: Optional[PathLike] = None,
    *,
    resize: int = 256,
    crop: int = 224,
    validation_fraction: float = 0.02,
    extra: Sequence[PathLike] = (),
) -> Source:
    """ImageNet (ILSVRC2012): photographs of 1,000 classes.

    Read from TensorFlow Datasets (`imagenet2012`) or from folders `train/<wnid>/*.JPEG` and
    `val/<wnid>/*.JPEG`. The published validation images, whose labels are public, serve as test
    images; the validation images are a stratified fraction of the training images, drawn from a
    fixed seed. The shorter side is resized (antialiased bilinear), then the centre is cropped.

    Args:
        data_dir: Folder of TensorFlow Datasets, or the folder that holds `train` and `val`. By
            default `TFDS_DATA_DIR` from the environment or `~/tensorflow_datasets`, then the
            folder `imagenet` of `TFROBUST_DATA_DIR` or `~/tfrobust_datasets`.
        resize: Length of the shorter side in pixels. Default 256.
        crop: Height and width of the crop in pixels. Default 224.
        validation_fraction: Fraction of the training images held out for validation. Default 0.02:
            about 26 per class.
        extra: Further folders of training images, one subfolder per class, such as DeepAugment's
            (only for ImageNet as folders); see `folder`.

    Raises:
        FileNotFoundError: ImageNet is not there, or a class is missing.
        ValueError: An argument is out of range.
    """
    return _imagenet("imagenet", data_dir, resize, crop, validation_fraction, extra)


def imagenet200(
    data_dir: Optional[PathLike] = None,
    *,
    classes: int = 200,
    choice_seed: int = 0,
    resize: int = 256,
    crop: int = 224,
    validation_fraction: float = 0.05,
    extra: Sequence[PathLike] = (),
) -> Source:
    """200 classes of ImageNet, chosen at random (FMA paper, section 4).

    The paper does not list them. Here they are drawn from a seed, and the list is stored with each
    run. Read in the same way as `imagenet`.

    Args:
        data_dir: As for `imagenet`.
        classes: Number of classes, from 2 to 1,000.
        choice_seed: Seed of the choice.
        resize: As for `imagenet`.
        crop: As for `imagenet`.
        validation_fraction: As for `imagenet`; default 0.05.
        extra: As for `imagenet`.

    Raises:
        FileNotFoundError: As `imagenet`.
        ValueError: An argument is out of range.
    """
    validation.check_whole("classes", classes, 2, 1000)
    validation.check_whole("choice_seed", choice_seed, 0, 2**31 - 1)
    choose = functools.partial(_choose, count=classes, seed=choice_seed)
    return _imagenet("imagenet200", data_dir, resize, crop, validation_fraction, extra, choose)


def tifs(
    data_dir: Optional[PathLike] = None,
    *,
    train_images: int = 450,
    validation_images: int = 50,
    resize: int = 256,
    crop: int = 224,
) -> Source:
    """Tiny ImageNet Full-Sized: its 200 classes at ImageNet's resolution (stability training, 4.1).

    500 training images of ImageNet per class, 450 for training and 50 for validation, drawn from a
    fixed seed (the paper's draw is not published). ImageNet's validation images of these classes
    are the test images. Read in the same way as `imagenet`.

    Args:
        data_dir: As for `imagenet`.
        train_images: Training images per class.
        validation_images: Validation images per class.
        resize: As for `imagenet`.
        crop: As for `imagenet`.

    Raises:
        FileNotFoundError: As `imagenet`.
        ValueError: An argument is out of range, or a class has fewer images.
    """
    counts = (
        validation.check_whole("train_images", train_images, 1, 1300),
        validation.check_whole("validation_images", validation_images, 1, 1300),
    )
    return _imagenet("tifs", data_dir, resize, crop, choose=_tiny, counts=counts)


def _choose(names: Sequence[str], count: int, seed: int) -> list[str]:
    if count > len(names):
        raise ValueError(f"classes must be at most the {len(names)} that there are; got {count}")
    return sorted(np.random.default_rng(seed).choice(sorted(names), count, replace=False).tolist())


def _tiny(names: Sequence[str]) -> list[str]:
    if missing := sorted(set(TINY_IMAGENET_CLASSES) - set(names)):
        raise FileNotFoundError(
            "ImageNet must have the 200 classes of Tiny ImageNet; "
            f"{len(missing)} are missing, such as {missing[0]}"
        )
    return list(TINY_IMAGENET_CLASSES)


def _imagenet(
    name: str,
    data_dir: Optional[PathLike],
    resize: int,
    crop: int,
    validation_fraction: float = 0.1,
    extra: Sequence[PathLike] = (),
    choose: Optional[Callable[[Sequence[str]], list[str]]] = None,
    counts: Optional[tuple[int, int]] = None,
) -> Source:
    """ImageNet, or the classes that `choose` picks from its names.

    `counts` are the numbers of training and validation images per class; None takes all images.
    """
    folders.check_crop(resize, crop)
    validation.check_in_range("validation_fraction", validation_fraction, 0, 1)
    read = image_decoding.decode_resize_and_crop(resize, crop)

    def split(labels: np.ndarray) -> dict[str, np.ndarray]:
        """Indices of the images of each split."""
        if counts is None:
            train, validation = splitting.split_off(labels, validation_fraction)
        else:
            drawn = splitting.pick(labels, np.full(labels.max() + 1, sum(counts)))
            first, second = splitting.split_off(labels[drawn], counts[1] / sum(counts))
            train, validation = drawn[first], drawn[second]
        return {"train": train, "validation": validation}

    if (catalog.tfds_folder(data_dir) / _NAME).is_dir():
        if extra:
            raise ValueError(
                "extra folders need ImageNet as folders of images, because their images must be "
                "told from those for validation by name; received ImageNet in TensorFlow Datasets"
            )
        builder = prepared.builder(_NAME, data_dir)
        all_names = builder.info.features["label"].names
        names = tuple(choose(all_names) if choose else all_names)
        parts: dict[str, Any] = {**_records(builder, all_names, names, split, read)}
        at_random = image_decoding.decode_random_resized_crop(crop)
        parts["train"] = dataclasses.replace(parts["train"], crop=at_random)
        source = Source(parts, names, (crop, crop, 3))
    else:
        place = catalog.own_folder(name, data_dir)
        test = folders.subfolder(place, ("val", "validation"))
        if not (place / "train").is_dir() or test is None:
            raise FileNotFoundError(
                f"ImageNet is neither in {catalog.tfds_folder(data_dir) / _NAME} nor as train/ and "
                f"val/ in {place}; {catalog.how_to_get(name)}"
            )
        all_names = folders.class_names(place / "train")
        names = tuple(choose(all_names) if choose else all_names)
        images = published.class_files(place / "train", names, read=read)
        parts = {part: images.at(places) for part, places in split(images.labels).items()}
        parts["test"] = published.class_files(test, names, read=read)
        source = folders.source(parts, names, crop, extra)
    return dataclasses.replace(source, chosen={"classes": list(names)}) if choose else source


def _records(
    builder: Any, all_names: Sequence[str], names: Sequence[str], split: Any, read: Any
) -> dict[str, Records]:
    # Our label of each class of ImageNet; -1 for classes that are left out.
    ours = np.array([names.index(one) if one in names else -1 for one in all_names], "int32")

    def records(part: str, wanted: np.ndarray) -> Records:
        select = functools.partial(_selected, builder, part, wanted)
        return Records(select, int((wanted >= 0).sum()), read)

    labels = ours[_labels_in_order(builder, "train")]
    here = np.flatnonzero(labels >= 0)
    parts = {}
    for part, places in split(labels[here]).items():
        wanted = np.full_like(labels, -1)
        wanted[here[places]] = labels[here[places]]
        parts[part] = records("train", wanted)
    parts["test"] = records("validation", ours[_labels_in_order(builder, "validation")])
    return parts


def _selected(builder: Any, split: str, wanted: np.ndarray, seed: Optional[int]) -> tf.data.Dataset:
    """Contents and label of the images with a label in `wanted`, which is in order of shards."""
    firsts = tf.constant(_firsts(builder, split), tf.int64)
    table = tf.constant(wanted)

    def label_of(name: tf.Tensor, contents: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shard, number = _place(name)
        return contents, table[firsts[shard] + number]

    data = prepared.with_names(builder, split, seed)
    data = data.map(label_of, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return data.filter(lambda contents, label: label >= 0)


def _place(name: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Shard, and index in it, from a name: `imagenet2012-train.tfrecord-00003-of-01024__17`."""
    shard = tf.strings.regex_replace(name, r"^.*-(\d+)-of-\d+__\d+$", r"\1")
    number = tf.strings.regex_replace(name, r"^.*__(\d+)$", r"\1")
    return tf.strings.to_number(shard, tf.int64), tf.strings.to_number(number, tf.int64)


def _firsts(builder: Any, split: str) -> np.ndarray:
    lengths = builder.info.splits[split].shard_lengths
    return np.cumsum([0, *lengths[:-1]])


def _labels_in_order(builder: Any, split: str) -> np.ndarray:
    """The label of every image in order of shards, found in one pass over the files and cached."""
    info = builder.info.splits[split]
    state = f"{builder.data_path} {builder.info.full_name} {split} {info.shard_lengths}"
    digest = files.Digest().add(state).hex(16)
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    kept = home / "tfrobust" / f"{builder.info.name}-{split}-{digest}.npy"
    if kept.is_file():
        found: np.ndarray = np.load(kept, allow_pickle=False)
        if found.shape == (info.num_examples,):
            return found
    print(
        f"tfrobust: reading the labels of {info.num_examples} images once, to split them; kept in "
        f"{kept}",
        file=sys.stderr,
    )
    labels = np.full(info.num_examples, -1, "int16")
    firsts = _firsts(builder, split)
    data = prepared.with_names(builder, split).map(lambda name, _, label: (*_place(name), label))
    for shards, numbers, values in data.batch(10_000).as_numpy_iterator():
        labels[firsts[shards] + numbers] = values
    kept.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(kept) as partial, open(partial, "wb") as stream:
        np.save(stream, labels)
    return labels
