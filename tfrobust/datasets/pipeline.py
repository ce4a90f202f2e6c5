"""The one place where `tf.data` is tuned."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import mmap
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import numpy as np
import psutil
import tensorflow as tf

from tfrobust import epochs, files, validation
from tfrobust.datasets import reading
from tfrobust.datasets.element_seeds import element_seeds
from tfrobust.datasets.reading import Read

#: Decoded images are cached in memory if they take at most this fraction of what is free. Training,
#: validation and test images are considered separately.
CACHE_FRACTION = 0.25

#: Maximum bytes of encoded images in a shuffle buffer, or `CACHE_FRACTION` if that is less.
SHUFFLE_BYTES = 2**30

#: Batches made in parallel, and batches prefetched. Fixed numbers, because tf.data's own tuning
#: (AUTOTUNE) has a price: at the end of an epoch it may wait for the tuning thread, for as long as
#: a quarter of the epoch took.
_CALLS = min(os.cpu_count() or 1, 4)
_AHEAD = 2

#: Of an image while it is decoded and resized: 8 bits and, of all rows at once, floats.
_BYTES_PER_PIXEL = 15

#: Number of elements sampled to estimate their size, and the overhead of one in bytes.
_LOOKED_AT = 32
_ELEMENT_BYTES = 200

#: Files with the memory limit and the memory usage of a container.
_CONTAINER_MEMORY = [
    [f"/sys/fs/cgroup/{name}" for name in names]
    for names in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    )
]


@dataclasses.dataclass(frozen=True)
class PipelineOptions:
    """Options of an input pipeline.

    Args:
        batch_size: Images per batch; the last batch may be smaller.
        shuffle_seed: Gives each epoch another order, which follows from this seed and the number of
            the epoch (`epochs`); None keeps the order.
        cache: Whether images from files are kept decoded: True in memory, a path in folders whose
            names begin with it (delete them when the images change), False not at all. None, the
            default, in memory if they take at most `CACHE_FRACTION` of what is free. Arrays are in
            memory already; memory-mapped ones are read from their file unless this is True.
        deterministic: Whether the order of the images depends on the seed alone. False lets
            batches overtake one another, and record files if a data set consists of several.
        on_error: What to do about an image that cannot be decoded: "raise" raises an error that
            names it; "skip" leaves it out, and warns at the end of the epoch how many there were.
        device: Device to prefetch batches to, such as "/GPU:0". Not under a distribution strategy,
            which does that itself.
        random_crops: Whether images from files are random resized crops, drawn anew in each epoch
            from `shuffle_seed`. They cannot be cached.
        largest: Pixels of the largest image file, if known. So many are decoded at once as take at
            most `CACHE_FRACTION` of the free memory.

    Raises:
        ValueError: A value is out of range, or random crops are to be cached.

    Example:

    >>> PipelineOptions(batch_size=64, shuffle_seed=0).cache is None
    True
    """

    batch_size: int = 128
    shuffle_seed: Optional[int] = None
    cache: Union[bool, str, None] = None
    deterministic: bool = True
    on_error: str = "raise"
    device: Optional[str] = None
    random_crops: bool = False
    largest: int = 0

    def __post_init__(self):
        size = self.batch_size
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
            raise ValueError(f"batch_size must be 1 or more; received {size!r}")
        if self.shuffle_seed is not None:
            validation.check_whole("shuffle_seed", self.shuffle_seed, 0, 2**31 - 1)
        if not (self.cache is None or isinstance(self.cache, (bool, str, os.PathLike))):
            raise ValueError(f"cache must be True, False, None or a path; received {self.cache!r}")
        if not isinstance(self.deterministic, (bool, np.bool_)):
            raise ValueError(
                f"deterministic must be True or False; received {self.deterministic!r}"
            )
        validation.check_choice("on_error", self.on_error, ("raise", "skip"))
        if not (self.device is None or isinstance(self.device, str)):
            raise ValueError(f"device must be a name or None; received {self.device!r}")
        if self.random_crops and self.cache not in (None, False):
            raise ValueError(
                f"random crops differ in each epoch and cannot be cached; received {self.cache!r}"
            )


def from_arrays(
    images: np.ndarray, labels: np.ndarray, *, classes: int, settings: PipelineOptions
) -> tf.data.Dataset:
    """Batches of arrays.

    Only indices are shuffled, and a batch is gathered at once. Memory-mapped images are never
    loaded as a whole: they are read one after another and shuffled in a buffer of at most
    `SHUFFLE_BYTES`; if all fit in, the order is that of the same array in memory.

    Args:
        images: [N, H, W, C]: float32 in [0, 1], or uint8, which takes a quarter of the memory
            and is converted batch by batch.
        labels: [N] class indices, or [N, classes] probabilities.
        classes: Number of classes, to check the labels.
        settings: Options of the pipeline.

    Returns:
        `tf.data.Dataset` of (images float32 [B, H, W, C], labels int32 [B]; probabilities float32).

    Raises:
        ValueError: The arrays are empty, or no such images and labels.

    Example:

    >>> data = from_arrays(
    ...     np.zeros([5, 4, 4, 3], "uint8"), np.arange(5), classes=5, settings=PipelineOptions(2)
    ... )
    >>> [len(y) for x, y in data]
    [2, 2, 1]
    """
    images, labels = np.asanyarray(images), np.asarray(labels)
    if images.dtype == np.uint8:
        validation.check_image_spec(images.shape, tf.float32)
    else:
        validation.check_images(images)
    validation.check_labels(labels, classes)
    if len(images) != len(labels):
        raise ValueError(
            f"there must be a label for each image; received {len(images)} images and "
            f"{len(labels)} labels"
        )
    labels = labels.astype("float32" if _are_probabilities(labels, classes) else "int32")
    return _from_arrays(images, labels, settings)


#: Elements in a fixed order; or a function that makes them of a seed, which may be a tensor, or
#: None for a fixed order.
Elements = Union[tf.data.Dataset, Callable[[Any], tf.data.Dataset]]


def from_elements(
    elements: Elements, count: int, read: Read, *, settings: PipelineOptions
) -> tf.data.Dataset:
    """Batches of images that are decoded one by one, in parallel, from paths or encoded bytes.

    Paths and cached images are shuffled all together, encoded images in a buffer of at most
    `SHUFFLE_BYTES`.

    Args:
        elements: `tf.data.Dataset` of (string, int32 label): a path, or the bytes of an image file.
            Or a function that makes it of a seed, so that files too are shuffled in each epoch.
        count: Number of elements.
        read: Turns the string into an image, uint8 [H, W, C], of a static shape.
        settings: Options of the pipeline.

    Returns:
        `tf.data.Dataset` of (images float32 [B, H, W, C] in [0, 1], labels int32 [B]). During
        iteration a damaged image raises `tf.errors.InvalidArgumentError`, or is left out with a
        `RuntimeWarning` at the end of the epoch that counts them.

    Raises:
        ValueError: `read` does not return uint8 images of a static shape.
    """
    count = validation.check_whole("count", count, 1, 2**62)
    # Tells one cache file from another; without one there is no need to read any elements.
    kept = isinstance(settings.cache, (str, os.PathLike))
    identity = _first(_in_order(elements)) if kept else []
    return _batches(elements, count, read, settings, identity)


def from_files(
    paths: Sequence[str], labels: np.ndarray, read: Read, *, settings: PipelineOptions
) -> tf.data.Dataset:
    """Batches of images from one file each; see `from_elements`.

    Args:
        paths: Paths of the images.
        labels: [N] class indices.
        read: Turns the bytes of a file into an image, uint8 [H, W, C], of a static shape.
        settings: Options of the pipeline.

    Returns:
        As for `from_elements`.

    Raises:
        ValueError: There are no paths, or not as many labels; `read` does not return uint8 images
            of a static shape.
    """
    if not len(paths) == len(labels) > 0:
        raise ValueError(
            "there must be at least one image, and a label for each; received "
            f"{len(paths)} paths and {len(labels)} labels"
        )
    names = [os.fspath(path) for path in paths]
    elements = tf.data.Dataset.from_tensor_slices((names, np.asarray(labels, "int32")))

    def read_file(path, *seed):
        return read(tf.io.read_file(path), *seed)

    identity = [names, list(labels)]
    return _batches(elements, len(names), read_file, settings, identity)


def from_frames(
    paths: Sequence[str], labels: np.ndarray, read: Read, frames: int
) -> tf.data.Dataset:
    """Sequences of frames with their labels, from files, in their order.

    Args:
        paths: Paths of all frames, sequence by sequence.
        labels: int32, one per sequence.
        read: Turns a path into an image, float32 [H, W, 3], always of the same size.
        frames: Frames per sequence.
    """
    images = tf.data.Dataset.from_tensor_slices(list(paths))
    images = images.map(read, num_parallel_calls=reading.CALLS)
    images = images.batch(frames, drop_remainder=True)
    data = tf.data.Dataset.zip((images, tf.data.Dataset.from_tensor_slices(labels)))
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options).prefetch(_AHEAD)


def from_sequences(frames: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Batches of sequences of frames with their numbers, in their order; see `from_arrays`.

    Args:
        frames: [N, F, H, W, C].
        batch_size: Sequences per batch.

    Returns:
        `tf.data.Dataset` of (frames float32 [B, F, H, W, C] in [0, 1], numbers int32 [B]).
    """
    numbers = np.arange(len(frames), dtype="int32")
    return _from_arrays(frames, numbers, PipelineOptions(batch_size))


def _to_float(images: tf.Tensor) -> tf.Tensor:
    """Converts uint8 to float32 in [0, 1]; float32 is returned unchanged."""
    return tf.cast(images, tf.float32) / 255 if images.dtype == tf.uint8 else images


def _shuffled(data: Elements, size: int, settings: PipelineOptions) -> tf.data.Dataset:
    if settings.shuffle_seed is None:
        return _in_order(data)
    return epochs.shuffled(data, size, settings.shuffle_seed)


def _in_order(elements: Elements) -> tf.data.Dataset:
    return elements(None) if callable(elements) else elements


def _finished(data: tf.data.Dataset, settings: PipelineOptions) -> tf.data.Dataset:
    options = tf.data.Options()
    # Each worker reads all data and uses its part: there may be fewer files than workers.
    policy = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = policy
    options.deterministic = bool(settings.deterministic)
    options.autotune.enabled = False
    data = data.with_options(options)
    if settings.device is not None:
        return data.apply(tf.data.experimental.prefetch_to_device(settings.device))
    return data.prefetch(_AHEAD)


# Arrays


def _are_probabilities(labels: np.ndarray, classes: int) -> bool:
    return labels.ndim == 2 and labels.shape[1] == classes and classes > 1


def _from_arrays(
    images: np.ndarray, labels: np.ndarray, settings: PipelineOptions
) -> tf.data.Dataset:
    place = None if settings.cache is True else _place_in_file(images)
    if place is None:
        data = _gathered(images, labels, settings)
    else:
        data = _records(*place, images, labels, settings)
    return _finished(data, settings)


def _gathered(images: np.ndarray, labels: np.ndarray, settings: PipelineOptions) -> tf.data.Dataset:
    """Batches of arrays in memory: only their indices are processed one by one."""
    if images.dtype != np.uint8:
        images = images.astype("float32", copy=False)
    with tf.device("/CPU:0"):  # not all onto the GPU
        image_rows, label_rows = tf.constant(images), tf.constant(labels)
    data = _shuffled(tf.data.Dataset.range(len(images)), len(images), settings)

    def gather(indices):
        return _to_float(tf.gather(image_rows, indices)), tf.gather(label_rows, indices)

    return data.batch(settings.batch_size).map(gather, num_parallel_calls=_CALLS)


def _place_in_file(array: np.ndarray) -> Optional[tuple[str, int]]:
    """The path of the file that an array is mapped from, and the offset of the array in it.

    None for an array in memory, and for one whose images are not contiguous in the file.
    """
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not (isinstance(root, np.memmap) and isinstance(root.base, mmap.mmap)):
        return None
    plain = array.flags.c_contiguous and array.dtype in (np.uint8, np.float32)
    if not plain or root.filename is None or root.mode == "c":
        return None
    return os.fspath(root.filename), root.offset + array.ctypes.data - root.ctypes.data


def _records(
    path: str, offset: int, images: np.ndarray, labels: np.ndarray, settings: PipelineOptions
) -> tf.data.Dataset:
    """Batches of memory-mapped images, read from their file.

    By TensorFlow, not by NumPy: a prefetched step in Python can keep a program from ending.
    """
    shape = images.shape[1:]
    size = images.dtype.itemsize * math.prod(shape)
    end = offset + size * len(images)
    data = tf.data.FixedLengthRecordDataset(path, size, offset, os.path.getsize(path) - end)
    data = tf.data.Dataset.zip((data, tf.data.Dataset.from_tensor_slices(labels)))
    data = data.apply(tf.data.experimental.assert_cardinality(len(images)))
    data = _shuffled(data, min(len(images), _most_waiting(size)), settings)

    def decode(strings, labels):
        pixels = tf.io.decode_raw(strings, images.dtype)
        return _to_float(tf.reshape(pixels, [-1, *shape])), labels

    return data.batch(settings.batch_size).map(decode, num_parallel_calls=_CALLS)


# Files


def _batches(
    elements: Elements,
    count: int,
    read: Read,
    settings: PipelineOptions,
    identity: list[Any],
) -> tf.data.Dataset:
    shape = _image_shape(read)
    keep = False if settings.random_crops else settings.cache
    if keep is None:
        keep = count * math.prod(shape) <= CACHE_FRACTION * _free_memory()
    if keep is False:
        size = settings.batch_size
        data = _shuffled(elements, _buffer_size(_in_order(elements), count, settings), settings)
    else:
        size, data = reading.CHUNK, _in_order(elements)
    data = reading.read_batches(
        data,
        count,
        read,
        shape,
        on_error=settings.on_error,
        batch_size=size,
        calls=_calls(settings.largest),
        seeds=element_seeds(settings.shuffle_seed or 0) if settings.random_crops else None,
    )
    if keep is not False:
        mark = [identity, count, shape, settings.on_error]
        path = "" if keep is True else _cache_file(keep, mark)
        data = data.unbatch()
        if settings.on_error == "raise":
            data = data.apply(tf.data.experimental.assert_cardinality(count))
        data = _shuffled(data.cache(path), count, settings).batch(settings.batch_size)
    data = data.map(lambda images, labels: (_to_float(images), labels), num_parallel_calls=_CALLS)
    return _finished(data, settings)


def _calls(largest: int) -> int:
    """How many images are decoded at once, of which the largest has so many pixels."""
    most = CACHE_FRACTION * _free_memory() / max(_BYTES_PER_PIXEL * largest, 1)
    return int(min(max(most, 1), reading.CALLS))


def _image_shape(read: Read) -> tuple[int, ...]:
    """The static shape of the images that a function returns, found by tracing it."""
    traced = tf.function(read).get_concrete_function(tf.TensorSpec([], tf.string))
    spec = traced.structured_outputs
    if not (spec.dtype == tf.uint8 and spec.shape.rank == 3 and spec.shape.is_fully_defined()):
        raise ValueError(
            "read must make uint8 images [height, width, channels] of a known shape; it makes "
            f"{spec.dtype.name} of shape {spec.shape}"
        )
    return tuple(spec.shape.as_list())


def _first(elements: tf.data.Dataset) -> list[Any]:
    return list(elements.take(_LOOKED_AT).as_numpy_iterator())


def _buffer_size(elements: tf.data.Dataset, count: int, settings: PipelineOptions) -> int:
    """Size of the shuffle buffer, estimated from the first elements."""
    if settings.shuffle_seed is None:
        return count
    size = np.mean([len(string) for string, _ in _first(elements)] or [0])
    return min(count, _most_waiting(float(size)))


def _most_waiting(size: float) -> int:
    """How many elements of a size in bytes may be in the shuffle buffer."""
    most = min(SHUFFLE_BYTES, CACHE_FRACTION * _free_memory())
    return max(int(most / (size + _ELEMENT_BYTES)), 1)


def _cache_file(path: Union[str, os.PathLike[str]], identity: list[Any]) -> str:
    """A file in a folder of its own: several splits and runs are given the same path.

    TensorFlow writes it in the first pass over the images. Until it is whole, only one process may
    use it; what a killed one has left, with TensorFlow's own lock, is removed.
    """
    folder = f"{os.fspath(path)}.{files.Digest('md5').add(repr(identity)).hex(12)}"
    file = os.path.join(folder, "images")
    if not os.path.exists(f"{file}.index") and files.hold(folder, "path for cache"):
        for left in os.scandir(folder):
            os.unlink(left)
    return file


def _free_memory() -> int:
    """Bytes of memory that are free on the machine and in its container."""
    free = [psutil.virtual_memory().available]
    for limit, used in _CONTAINER_MEMORY:
        with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
            sizes_read = [int(pathlib.Path(path).read_text("ascii")) for path in (limit, used)]
            free.append(sizes_read[0] - sizes_read[1])
    return max(min(free), 0)
