"""Loading data sets by name."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Optional, Union

import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.datasets.damaged import check_pictures
from tfrobust.datasets.pipeline import PipelineOptions
from tfrobust.datasets.source import Arrays, Files, Source
from tfrobust.files import PathLike
from tfrobust.registries import DATASETS

_SPLITS = ("train", "validation", "test")

#: Number of images after which the measurement of pixel statistics ends.
_SAMPLE = 10_000


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Pixel statistics of training images in [0, 1].

    Args:
        mean: Mean of each channel.
        std: Standard deviation of each channel over pixels and images.
        images: Number of images measured.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    images: int


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set, ready for `model.fit`.

    Args:
        name: Its name.
        train: Batched (images, labels), shuffled anew each epoch; None for a test set.
        validation: Batched, held out from train, for every choice. None for a test set.
        test: Batched, for the final measurement only. None if there is no such split.
        class_names: Name of each class.
        image_shape: (height, width, channels).
        sizes: Number of images of each split.
        note: What must accompany any number measured on it; "" for nothing.
        chosen: What was chosen at random when it was made, such as classes.
        digests: Returns by split what tells whether its images are those of an earlier run.
        batch_size: Images per batch; needed if `train` does not know its number of batches.
    """

    name: str
    train: tf.data.Dataset
    validation: tf.data.Dataset
    test: tf.data.Dataset
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    sizes: dict[str, int]
    note: str = ""
    chosen: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    batch_size: Optional[int] = None
    digests: Callable[[], Mapping[str, str]] = dict

    @property
    def steps(self) -> int:
        """Number of batches of training images in an epoch.

        At most that, where damaged pictures are skipped: how many is not known before they are
        read.

        Raises:
            ValueError: Nothing tells it, or the training images have no end.
        """
        steps = int(self.split("train").cardinality())
        if steps == tf.data.UNKNOWN_CARDINALITY and self.batch_size is not None:
            steps = math.ceil(self.sizes["train"] / self.batch_size)
        if steps < 1:
            endless = steps == tf.data.INFINITE_CARDINALITY
            raise ValueError(
                f"the training images of {self.name} must come in a known number of batches; "
                + ("they have no end" if endless else "it is not known (give batch_size)")
            )
        return steps

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def split(self, name: str) -> tf.data.Dataset:
        """One split, which must exist.

        Args:
            name: "train", "validation" or "test".

        Raises:
            ValueError: The data set has no such split.
        """
        validation.check_choice("split", name, _SPLITS)
        found = getattr(self, name)
        if found is None:
            raise ValueError(
                f"{self.name} has no {name} images; it has: {', '.join(self.sizes)}"
                + (" (train and choose on the set that it belongs to)" if not self.train else "")
            )
        return found

    @functools.cached_property
    def statistics(self) -> Statistics:
        """Mean and standard deviation of each channel over about 10,000 training images, or all.

        Measured on first access; on test images if there are no training images.

        Example:

        >>> [round(value, 2) for value in load("digits").statistics.mean]
        [0.54, 0.56, 0.51]
        """
        count, total, squares = 0, 0.0, 0.0
        for images, _ in self.train or self.split("test"):
            values = images.numpy().astype("float64")
            values = values.reshape(-1, values.shape[-1])
            total = total + values.sum(axis=0)
            squares = squares + np.square(values).sum(axis=0)
            count += len(images)
            if count >= _SAMPLE:
                break
        pixels = count * (values.size // values.shape[-1] // len(images))
        mean = total / pixels
        std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
        return Statistics(tuple(mean.tolist()), tuple(std.tolist()), count)

    def describe(self) -> dict[str, Any]:
        """What a run records about its data: plain values for JSON."""
        return {
            "name": self.name,
            "sizes": dict(self.sizes),
            "image_shape": list(self.image_shape),
            "class_names": list(self.class_names),
            "note": self.note,
            "chosen": dict(self.chosen),
            "digests": dict(self.digests()),
        }


def load(
    name: str,
    *,
    data_dir: Optional[PathLike] = None,
    batch_size: int = 128,
    seed: int = 0,
    cache: Union[bool, str, None] = None,
    deterministic: bool = True,
    on_error: str = "raise",
    device: Optional[str] = None,
    images: Union[int, Mapping[str, int], None] = None,
    random_crops: bool = False,
    **options: Any,
) -> Data:
    """Load a data set.

    Images are float32 in [0, 1], not normalized, and augmented only by `random_crops`. Validation
    images are always held out from the published training images.

    Args:
        name: One of `DATASETS`.
        data_dir: The folder of TensorFlow Datasets, or that of the data set's own files. By default
            below `TFDS_DATA_DIR` or `TFROBUST_DATA_DIR` from the environment.
        batch_size: Images per batch.
        seed: Seed of the order of the training images. It changes neither the split nor anything
            random in how the data is made: two runs see the same test images.
        cache: Whether images from files are kept decoded: True (in memory), False, or the path of
            a cache file. Default: in memory if they take little of it.
        deterministic: Whether the order of the images depends on the seed alone. Otherwise images
            that are read faster may overtake others.
        on_error: What to do about an image file that cannot be decoded: "raise", or "skip" with a
            warning that counts them.
        device: Device to prefetch batches to, such as "/GPU:0". Not under a distribution strategy,
            which does that itself.
        images: Split name to the number of its images to take: a stratified sample, always the
            same; or the most to take of any split. Not for data in record files.
        random_crops: Whether training images are random resized crops instead of central ones, new
            in each epoch: see `augment.RandomResizedCrop`. Only for photographs of any size, such
            as "imagenet" and "folder"; for others use that layer.
        **options: Further options of the data set: see its function in `DATASETS`.

    Returns:
        A `Data` with train, validation and test.

    Raises:
        ValueError: The name or an option is unknown, a value is out of range, or picture files are
            damaged; the message names them.
        FileNotFoundError: The data is not on this machine; the message says how to get it.

    Example:

    >>> load("digits").image_shape
    (32, 32, 3)
    """
    make = DATASETS[name]
    settings = PipelineOptions(batch_size, None, cache, deterministic, on_error, device)
    validation.check_whole("seed", seed, 0, 2**31 - 1)
    takes = inspect.signature(make).parameters
    own = [option for option in takes if option != "data_dir"]
    validation.check_known(f"the data set {name}", "option", options, own)
    if "data_dir" in takes:
        options["data_dir"] = data_dir
    source = _smaller(make(**options), {} if images is None else images)
    pictures = [part for part in source.parts.values() if isinstance(part, Files)]
    largest = check_pictures([path for part in pictures for path in part.paths], on_error)
    settings = dataclasses.replace(settings, largest=largest)
    classes = len(source.class_names)

    def batches(split: str) -> Any:
        if split not in source.parts:
            return None
        if split != "train":
            return source.parts[split].batches(classes, settings)
        part: Any = source.parts[split]
        if random_crops and getattr(part, "crop", None) is None:
            raise ValueError(
                f"random_crops needs photographs that are cropped when they are read; those of "
                f"{name} are not (use augment.RandomResizedCrop)"
            )
        part = dataclasses.replace(part, read=part.crop) if random_crops else part
        training = dataclasses.replace(settings, shuffle_seed=seed, random_crops=random_crops)
        return part.batches(classes, training)

    return Data(
        name=name,
        **{split: batches(split) for split in _SPLITS},
        class_names=source.class_names,
        image_shape=source.image_shape,
        sizes={split: len(source.parts[split]) for split in _SPLITS if split in source.parts},
        note=source.note,
        chosen=source.chosen,
        batch_size=batch_size,
        digests=lambda: {split: part.digest() for split, part in source.parts.items()},
    )


def _smaller(source: Source, images: Union[int, Mapping[str, int]]) -> Source:
    parts = dict(source.parts)
    if not isinstance(images, Mapping):
        most = validation.check_whole("images", images, 1, 2**31 - 1)
        images = {split: most for split, part in parts.items() if len(part) > most}
    for split, count in images.items():
        validation.check_choice("split", split, tuple(parts))
        part = parts[split]
        if not isinstance(part, (Arrays, Files)):
            raise ValueError(
                "a number of images can be taken of data in memory or in image files; received "
                f"{split}={count} for data in {type(part).__name__.lower()}"
            )
        parts[split] = part.take(count)
    return dataclasses.replace(source, parts=parts)
