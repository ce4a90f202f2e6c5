"""The parts of a data set before they become `tf.data`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional, Union

import numpy as np
import tensorflow as tf

from tfrobust.datasets import pipeline, splitting
from tfrobust.datasets.reading import Read
from tfrobust.files import Digest

Shape = tuple[int, int, int]
#: Of more images or bytes than these, so many tell whether they are the same, evenly spread.
_TELLING, _TELLING_BYTES = 20_000, 2**27
#: Bytes at the end of a file that tell: of a compressed picture, no two are alike.
_END = 256


class _Labelled:
    """Images with known labels. Subclasses select images with `at(indices)`."""

    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self: Any, count: int) -> Any:
        """A stratified sample of `count` images, always the same ones."""
        return self.at(splitting.pick_stratified(self.labels, count))

    def split(self: Any, fraction: float, seed: int = 0) -> tuple[Any, Any]:
        """The images in two stratified parts, `fraction` of them in the second."""
        first, second = splitting.split_off(self.labels, fraction, seed)
        return self.at(first), self.at(second)


@dataclasses.dataclass(frozen=True)
class Arrays(_Labelled):
    """Decoded images.

    Args:
        images: [N, H, W, C] uint8, or float32 in [0, 1]; may be memory-mapped.
        labels: int32 [N].
    """

    images: np.ndarray
    labels: np.ndarray

    def digest(self) -> str:
        """Tells whether images or labels are others than in an earlier run."""
        fewer = max(len(self) // _TELLING, self.images.nbytes // _TELLING_BYTES)
        telling = self.images[:: fewer + 1]
        found = Digest().add(str(self.images.shape), np.asarray(self.labels, "<i4"))
        return found.add(np.ascontiguousarray(telling)).hex(16)

    def at(self, places: np.ndarray) -> Arrays:
        return Arrays(self.images[places], self.labels[places])

    def batches(self, classes: int, settings: pipeline.PipelineOptions) -> tf.data.Dataset:
        """Batches of (images float32 in [0, 1], labels)."""
        return pipeline.from_arrays(self.images, self.labels, classes=classes, settings=settings)


@dataclasses.dataclass(frozen=True)
class Files(_Labelled):
    """Images in one file each.

    Args:
        paths: Paths of the files.
        labels: int32 [N].
        read: Turns the contents of a file into an image, uint8, of the same size for all.
        crop: Turns the contents and a seed into a random crop of that size; None if the images
            have a size of their own.
    """

    paths: Sequence[str]
    labels: np.ndarray
    read: Read
    crop: Optional[Read] = None

    def digest(self) -> str:
        """Tells whether files were renamed, added, removed or replaced since an earlier run.

        By class, name, size and last bytes, wherever the folder is. Of very many files some are
        opened.
        """
        found = Digest().add(np.asarray(self.labels, "<i4"))
        step = len(self) // _TELLING + 1
        for number, path in enumerate(self.paths):
            found.add("/".join(pathlib.PurePath(path).parts[-2:]), "\n")
            if number % step == 0:
                with contextlib.suppress(OSError), open(path, "rb") as file:
                    size = file.seek(0, os.SEEK_END)
                    file.seek(max(size - _END, 0))
                    found.add(str(size), file.read())
        return found.hex(16)

    def at(self, places: np.ndarray) -> Files:
        paths = [self.paths[place] for place in places]
        return dataclasses.replace(self, paths=paths, labels=self.labels[places])

    def batches(self, classes: int, settings: pipeline.PipelineOptions) -> tf.data.Dataset:
        """Batches of (images float32 in [0, 1], labels)."""
        return pipeline.from_files(self.paths, self.labels, self.read, settings=settings)


@dataclasses.dataclass(frozen=True)
class Records:
    """Images in record files.

    Args:
        elements: Makes a `tf.data.Dataset` of (contents of an image file, int32 label), given a
            seed, which may be a tensor, or None for a fixed order.
        count: Number of images.
        read: Turns the contents into an image, uint8, of the same size for all.
        crop: As in `Files`.
    """

    elements: Callable[[Any], tf.data.Dataset]
    count: int
    read: Read
    crop: Optional[Read] = None

    def __len__(self) -> int:
        return self.count

    def digest(self) -> str:
        """Tells the number of images alone: record files are prepared once and not changed."""
        return str(self.count)

    def batches(self, classes: int, settings: pipeline.PipelineOptions) -> tf.data.Dataset:
        """Batches of (images float32 in [0, 1], labels)."""
        return pipeline.from_elements(self.elements, self.count, self.read, settings=settings)


@dataclasses.dataclass(frozen=True)
class Given:
    """Images as a function that makes `tf.data` of them.

    Args:
        data: Makes batches of images or sequences, and labels, given a batch size.
        count: Number of images or sequences.
    """

    data: Callable[[int], tf.data.Dataset]
    count: int

    def __len__(self) -> int:
        return self.count

    def digest(self) -> str:
        """Tells the number of images alone."""
        return str(self.count)

    def batches(self, classes: int, settings: pipeline.PipelineOptions) -> tf.data.Dataset:
        """Batches of (images or sequences, labels)."""
        return self.data(settings.batch_size)


Part = Union[Arrays, Files, Records, Given]


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set, split.

    Args:
        parts: Those of "train", "validation" and "test" that exist. Validation is held out from the
            published training images; test is never used for choosing.
        class_names: Name of each class.
        image_shape: (height, width, channels).
        note: What must accompany any number measured on it, such as that its images are JPEG
            copies.
        chosen: What was chosen at random when the set was made, to be stored with a run.
    """

    parts: Mapping[str, Part]
    class_names: tuple[str, ...]
    image_shape: Shape
    note: str = ""
    chosen: Mapping[str, Any] = dataclasses.field(default_factory=dict)
