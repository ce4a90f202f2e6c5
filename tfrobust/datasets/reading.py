"""Reading images one by one, in parallel, and reporting which of them are damaged.

An image that cannot be read is an error inside `tf.data`, which drops the element together with its
name. So elements are numbered before they are read, and carry the string of the element before
them: a gap in the numbers shows that an image was damaged, and which. A final element that is no
image does this for the last image. Everything but the reading is done for many elements at once,
because calling a function costs more than what it does.
"""

from __future__ import annotations

import os
import re
import warnings
from typing import Callable, Optional

import tensorflow as tf

#: Turns a string, a path or the bytes of an image file, into an image, uint8 [H, W, C]. One that
#: draws random numbers takes a seed, int32[2], too, and has a default for it.
Read = Callable[..., tf.Tensor]

#: Elements that are numbered, and images that are cached, at a time. Both are unbatched again, so
#: this only changes how often a function is called.
CHUNK = 16

#: Images that are read in parallel. More than there are cores, so that no core waits for the one
#: whose image comes first.
CALLS = max(128, 2 * (os.cpu_count() or 1))

#: Marks the end: follows the last element and is no image.
_END = b"\0the end"


def read_batches(
    elements: tf.data.Dataset,
    count: int,
    read: Read,
    shape: tuple[int, ...],
    *,
    on_error: str,
    batch_size: int,
    seeds: Optional[tf.data.Dataset] = None,
    calls: int = CALLS,
) -> tf.data.Dataset:
    """Batches of images, read in parallel, in their order.

    Args:
        elements: `tf.data.Dataset` of (string, label).
        count: Number of elements.
        read: Turns the string into an image.
        shape: Shape of an image.
        on_error: "raise" or "skip", as in `pipeline.PipelineOptions`.
        batch_size: Images per batch.
        seeds: Seeds that `read` takes, one per element; None if it takes none.
        calls: Images that are read at once.

    Returns:
        `tf.data.Dataset` of (images uint8 [B, *shape], labels int32 [B]).
    """
    data = _numbered(elements)
    if seeds is not None:
        data = tf.data.Dataset.zip((data, seeds)).map(lambda element, seed: (*element, seed))

    def read_one(index, before, string, label, *seed):
        last = string == _END
        image = tf.cond(last, lambda: tf.zeros(shape, tf.uint8), lambda: read(string, *seed))
        return index, before, last, image, tf.cast(label, tf.int32)

    # Always in order, or the numbers would not show what is missing.
    data = data.map(read_one, num_parallel_calls=calls, deterministic=True)
    data = data.ignore_errors(log_warning=True).batch(batch_size)
    zero = tf.constant(0, tf.int64)
    data = data.scan((zero, zero, zero, "", ""), _notice_gaps(read, count, on_error))
    data = data.map(_raise).take_while(lambda images, labels: len(labels) > 0)
    if on_error == "raise":
        batches = -(-count // batch_size)
        data = data.apply(tf.data.experimental.assert_cardinality(batches))
    return data


def _numbered(elements: tf.data.Dataset) -> tf.data.Dataset:
    """Elements with their number and the string of the element before."""
    spec = elements.element_spec[1]
    end = tf.data.Dataset.from_tensors((_END, tf.zeros(spec.shape, spec.dtype)))

    def number(state, element):
        index, before = state
        strings, labels = element
        size = tf.size(strings, tf.int64)
        befores = tf.concat([[before], strings[:-1]], 0)
        return (index + size, strings[-1]), (index + tf.range(size), befores, strings, labels)

    # The end is a chunk of its own, because an error in `elements` drops its whole chunk.
    data = elements.batch(CHUNK).concatenate(end.batch(1))
    return data.scan((tf.constant(0, tf.int64), ""), number).unbatch()


def _notice_gaps(read: Read, count: int, on_error: str) -> Callable:
    """A step of a scan over batches that notices missing numbers and passes on what is wrong.

    With "raise" it names the first missing image; with "skip" it counts them, and warns at the end.
    Raising is left to `_raise`: when a step of a scan fails, its state does not change, and the
    prefetched steps that follow would call Python again; a program that ends meanwhile would wait
    for them forever.
    """

    def report(missing, end, before):
        what = _what_failed(read, end, before)
        if on_error == "raise":
            return f"{what} (with on_error='skip' it is left out)".encode()
        warnings.warn(
            f"{missing} of {count} images are left out, because they cannot be read, such as this: "
            f"{what}",
            RuntimeWarning,
            stacklevel=1,
        )
        return b""

    def step(state, element):
        expected, missing, end, example, said = state
        index, before, last, images, labels = element
        # How many numbers are missing before each element, and where the first gap is.
        gaps = index - tf.concat([[expected], index[:-1] + 1], 0)
        first = tf.argmax(gaps > 0)
        new = (missing == 0) & (gaps[first] > 0)
        end = tf.where(new, index[first], end)
        example = tf.where(new, before[first], example)
        missing += tf.reduce_sum(gaps)
        told = tf.cond(
            new if on_error == "raise" else last[-1] & (missing > 0),
            lambda: tf.numpy_function(report, [missing, end, example], tf.string),
            lambda: "",
        )
        # Then no image is damaged, but what the images are read from.
        few = (
            f"there must be {count} images; reading failed (see the log for why), or ended, after "
        )
        few = few + tf.strings.as_string(index[-1])
        told = tf.where((told == "") & last[-1] & (index[-1] < count), few, told)
        said = tf.ensure_shape(tf.where(said == "", told, said), [])
        size = tf.size(last) - tf.cast(last[-1], tf.int32)  # without the end, which is no image
        state = (index[-1] + 1, missing, end, example, said)
        return state, (said, images[:size], labels[:size])

    return step


def _raise(said: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    with tf.control_dependencies([tf.debugging.Assert(said == "", [said])]):
        return tf.identity(images), labels


def _what_failed(read: Read, end: int, string: bytes) -> str:
    """A sentence about an image that cannot be read; `end` is the number after its own."""
    name = _name(end - 1, string)
    try:
        read(tf.constant(string))
    except Exception as error:  # whatever it is, it is reported
        reason = getattr(error, "message", str(error))
        reason = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]| name: *$", "", reason)
        reason = " ".join(reason.split())
        return f"{name} must be an image that can be read; reading it failed: {reason}"
    return f"reading failed after {name} (see the log for why)"


def _name(index: int, string: bytes) -> str:
    name = string.decode("utf-8", "replace")
    if len(string) <= 4096 and name.isprintable():
        return name
    return f"image {index} ({len(string)} bytes)"
