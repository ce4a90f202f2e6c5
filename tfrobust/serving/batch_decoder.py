"""Decoding of batches of encoded images with TensorFlow operations only."""

from __future__ import annotations

from typing import Callable, Optional

import tensorflow as tf

from tfrobust.ops import image_decoding

#: Messages for images that cannot be served.
EMPTY = "an image must be the bytes of a JPEG or PNG file; received none"
GIF = "an image must be a JPEG or PNG file; received a GIF, which may be animated"
UNKNOWN = "an image must be a JPEG or PNG file; received bytes of another kind"
LARGE = "an image must have at most 67108864 pixels and 65535 a side; received a larger one"
DAMAGED = "an image must be a whole JPEG or PNG file; received one that is damaged or cut off"

_MOST_PIXELS = 2**26  # 200 MB in RGB
_LONGEST = 65535  # of a JPEG
_PIXELS_IN_PARALLEL = 2**22  # 12 MB in RGB; of larger ones one is decoded at a time

#: Number of images decoded in parallel.
_CALLS = 8


def batch_decoder(
    height: int, width: int, channels: int, resize: Optional[int] = None
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Creates a function that decodes a batch and reports the images that it cannot decode.

    Images are decoded and resized like those of image folders (`ops.image_decoding`): resized to
    cover the target size, with antialiasing when shrinking, and center-cropped. An alpha channel
    is dropped and the colour under it kept; 16-bit images are truncated to 8 bits; CMYK is
    converted to RGB; for a greyscale net RGB is converted with Pillow's formula,
    L = (19595 R + 38470 G + 7471 B) / 65536.

    Args:
        height: Height of the result in pixels.
        width: Width of the result in pixels.
        channels: 3 for RGB, 1 for greyscale.
        resize: Length in pixels of the shorter side before the centre crop. Default: the image is
            resized until it just covers height and width.

    Returns:
        A function string [B] -> (uint8 [B, height, width, channels], string [B]). The strings are
        error messages, empty for images that were decoded; the others are black.

    Raises:
        ValueError: `resize` is less than the size, or the size is not square.

    Example:

    >>> good = tf.io.encode_png(tf.fill([4, 6, 3], tf.constant(9, tf.uint8)))
    >>> images, wrong = batch_decoder(2, 2, 3)(tf.stack([good, b"no image"]))
    >>> images[:, 0, 0, 0].numpy().tolist(), wrong[1].numpy() == UNKNOWN.encode()
    ([9, 0], True)
    """
    if resize is not None and height != width:
        raise ValueError(
            f"resize is for nets with square images; received images of {height}x{width}"
        )
    read = _reader(height, width, channels, resize)

    def one(index, contents):
        wrong, alone = _what_is_wrong(contents)
        image = tf.cond(
            wrong != "",
            lambda: tf.zeros([height, width, channels], tf.uint8),
            lambda: tf.cond(alone, lambda: _alone(read, contents), lambda: read(contents)),
        )
        return index, image, wrong

    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True

    def decode(contents):
        count = tf.shape(contents)[0]
        data = tf.data.Dataset.from_tensor_slices((tf.range(count), contents))
        # ignore_errors is TensorFlow's only way to continue after an operation that failed.
        data = data.map(one, num_parallel_calls=_CALLS).ignore_errors()
        # One more element, which stands in for failed images and keeps the batch from being empty.
        black = tf.zeros([height, width, channels], tf.uint8)
        data = data.concatenate(tf.data.Dataset.from_tensors((count, black, DAMAGED)))
        data = data.batch(tf.cast(count, tf.int64) + 1).with_options(options)
        index, images, wrong = data.get_single_element()
        found = tf.size(index)
        place = tf.tensor_scatter_nd_update(
            tf.fill([count + 1], found - 1), index[:, tf.newaxis], tf.range(found)
        )[:count]
        return tf.gather(images, place), tf.gather(wrong, place)

    return decode


def _reader(height: int, width: int, channels: int, resize: Optional[int]) -> image_decoding.Change:
    if channels == 3:
        if resize is None:
            return image_decoding.decode_resize_to(height, width)
        return image_decoding.decode_resize_and_crop(resize, height)
    change = (
        image_decoding.resize_to(height, width)
        if resize is None
        else image_decoding.resize_and_crop(resize, height)
    )
    return lambda contents: change(_grey(image_decoding.decode(contents)))


def _alone(read: image_decoding.Change, contents: tf.Tensor) -> tf.Tensor:
    """Reads a picture while no other large one is read, in any request that is served."""
    lock = tf.raw_ops.MutexLock(mutex=tf.raw_ops.MutexV2(shared_name="tfrobust_large_picture"))
    with tf.control_dependencies([lock]):
        contents = tf.identity(contents)
    image = read(contents)
    # The lock ends with its tensor, also after an error, and would be gone without a last use.
    with tf.control_dependencies([image]):
        released = tf.raw_ops.ConsumeMutexLock(mutex_lock=lock)
    with tf.control_dependencies([released] if released is not None else []):
        return tf.identity(image)


def _grey(image: tf.Tensor) -> tf.Tensor:
    weighted = tf.cast(image, tf.int32) * tf.constant([19595, 38470, 7471])
    total = tf.reduce_sum(weighted, axis=-1, keepdims=True)
    return tf.cast((total + 0x8000) // 0x10000, tf.uint8)


def _what_is_wrong(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """An error message or "", and whether the picture must be read alone.

    From the header, before memory is allocated for the pixels.
    """
    # Padded, so that every substring below lies within the string.
    padded = contents + tf.constant(b"\0" * 24)
    is_png = tf.strings.substr(padded, 0, 8) == tf.constant(b"\x89PNG\r\n\x1a\n")
    is_jpeg = tf.io.is_jpeg(padded)

    def png_size():
        numbers = tf.io.decode_raw(tf.strings.substr(padded, 16, 8), tf.uint8)
        numbers = tf.reshape(tf.cast(numbers, tf.int64), [2, 4])
        return tf.reduce_sum(numbers * tf.constant([2**24, 2**16, 2**8, 1], tf.int64), axis=1)

    def jpeg_size():
        return tf.cast(tf.io.extract_jpeg_shape(contents)[:2], tf.int64)

    def of_size():
        size = tf.cond(is_jpeg, jpeg_size, png_size)
        pixels = tf.reduce_prod(tf.minimum(size, _LONGEST + 1))  # clipped: it cannot overflow
        large = tf.reduce_any(size > _LONGEST) | (pixels > _MOST_PIXELS)
        return tf.where(large, LARGE, ""), pixels > _PIXELS_IN_PARALLEL

    def of_others():
        is_gif = tf.strings.substr(padded, 0, 4) == tf.constant(b"GIF8")
        return tf.where(contents == "", EMPTY, tf.where(is_gif, GIF, UNKNOWN)), False

    return tf.cond(is_jpeg | is_png, of_size, of_others)
