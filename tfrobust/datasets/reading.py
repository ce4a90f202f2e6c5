"""Reading images one by one, in parallel, and saying which of them is damaged.

An image that cannot be read is an error inside `tf.data`, which drops the element and with it what
would name it. So elements are numbered before they are read, and carry the string of the one before
them: a gap in the numbers shows that one was damaged, and which. A last element, which is no image,
does this for the last image. All but the reading is done for many elements at once, because calling
a function costs more than what these do.
"""

from __future__ import annotations

import os
import re
import warnings
from typing import Callable

import tensorflow as tf

#: Makes an image, uint8 [H, W, C], of a string: a path, or the bytes of an image file.
Read = Callable[[tf.Tensor], tf.Tensor]

#: Elements that are numbered, and images that are cached, at a time: both are handed on one by one
#: again, so it changes nothing but how often a function is called.
CHUNK = 16

#: Images that are read at the same time. More than there are cores: a core that is done need not
#: wait for the one whose image comes first.
CALLS = max(128, 2 * (os.cpu_count() or 1))

#: Stands behind the last element, and is no image.
_END = b"\0the end"


def read_batches(
    elements: tf.data.Dataset,
    count: int,
    read: Read,
    shape: tuple[int, ...],
    *,
    on_error: str,
    batch_size: int,
) -> tf.data.Dataset:
    """Batches of the images, read in parallel, in their order.

    Args:
        elements: `tf.data.Dataset` of (string, label).
        count: Number of elements.
        read: The string to an image.
        shape: Of an image.
        on_error: "raise" or "skip", as in `pipeline.PipelineOptions`.
        batch_size: Images a batch.

    Returns:
        `tf.data.Dataset` of (images uint8 [B, *shape], labels int32 [B]).
    """
    data = _numbered(elements)

    def read_one(index, before, string, label):
        last = string == _END
        image = tf.cond(last, lambda: tf.zeros(shape, tf.uint8), lambda: read(string))
        return index, before, last, image, tf.cast(label, tf.int32)

    # In order whatever the options say, or the numbers would not show what is missing.
    data = data.map(read_one, num_parallel_calls=CALLS, deterministic=True)
    data = data.ignore_errors(log_warning=True).batch(batch_size)
    zero = tf.constant(0, tf.int64)
    data = data.scan((zero, zero, zero, "", ""), _notice_gaps(read, count, on_error))
    data = data.map(_raise).take_while(lambda images, labels: len(labels) > 0)
    if on_error == "raise":
        batches = -(-count // batch_size)
        data = data.apply(tf.data.experimental.assert_cardinality(batches))
    return data


def _numbered(elements: tf.data.Dataset) -> tf.data.Dataset:
    """Elements with their number and the string of the one before."""
    spec = elements.element_spec[1]
    end = tf.data.Dataset.from_tensors((_END, tf.zeros(spec.shape, spec.dtype)))

    def number(state, element):
        index, before = state
        strings, labels = element
        size = tf.size(strings, tf.int64)
        befores = tf.concat([[before], strings[:-1]], 0)
        return (index + size, strings[-1]), (index + tf.range(size), befores, strings, labels)

    # The end has a chunk of its own: an error in `elements` takes the whole chunk with it.
    data = elements.batch(CHUNK).concatenate(end.batch(1))
    return data.scan((tf.constant(0, tf.int64), ""), number).unbatch()


def _notice_gaps(read: Read, count: int, on_error: str) -> Callable:
    """A step of a scan of batches that notices missing numbers, and hands on what is wrong.

    With "raise" it says which image is the first that is missing; with "skip" it counts them, and
    warns at the end. It does not raise: `_raise` does. The state of a scan stays what it was when a
    step fails, and the next steps, which are made ahead, would ask Python again; when a program
    ends meanwhile, it waits for them for ever.
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
        # How many numbers are missing before each that is there, and where the first gap is.
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
        # Not an image is damaged then, but what the images are read from.
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
    """A sentence about an image that cannot be read; `end` is the number behind its own."""
    name = _name(end - 1, string)
    try:
        read(tf.constant(string))
    except Exception as error:  # whatever it is, it is what shall be said
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
