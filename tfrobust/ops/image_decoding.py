"""Encoded images to pixels, with the geometry of Pillow and torchvision.

Everything here works on one image, inside `tf.data.map`, and keeps 8 bits: batches become float32
in `pipeline.py`.
"""

from __future__ import annotations

from typing import Callable

import tensorflow as tf

from tfrobust import validation
from tfrobust.compat.graphs import one_operation

#: From the bytes of a file to its image, or from image to image.
Change = Callable[[tf.Tensor], tf.Tensor]

#: A JPEG file is at most 65,535 pixels long; times this it is still an int32.
_LONGEST = 2**15

#: Colour is stored at half the resolution, and pixels at the edge of a decoded window lack their
#: neighbours' colour.
_EDGE = 4


def decode(contents: tf.Tensor, channels: int = 3) -> tf.Tensor:
    """The image in the bytes of a JPEG, PNG, BMP or GIF file.

    JPEGs come out as from Pillow: accurate integer transform, smoothly upsampled colour; grey ones
    and those of inks (CMYK) in RGB. Of PNGs with 16 bits the upper 8 are kept, and transparency is
    dropped. Of an animation the first frame is taken. A note on orientation (Exif) is not followed.

    Args:
        contents: String scalar, the bytes of the file.
        channels: 3 for RGB, 1 for grey.

    Returns:
        uint8 [H, W, channels].

    Raises:
        tf.errors.InvalidArgumentError: The bytes are no whole image of these kinds.

    Example:

    >>> decode(tf.io.encode_png(tf.zeros([4, 6, 1], tf.uint8))).shape
    TensorShape([4, 6, 3])
    """
    validation.check_whole("channels", channels, 1, 3)
    image = tf.cond(
        tf.io.is_jpeg(contents),
        lambda: tf.io.decode_jpeg(contents, channels, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(contents, channels, expand_animations=False),
    )
    return tf.ensure_shape(image, [None, None, channels])


def to_float(images: tf.Tensor) -> tf.Tensor:
    """8 bits to float32 in [0, 1]."""
    return tf.cast(images, tf.float32) / 255


def exact_size(height: int, width: int) -> Change:
    """Makes a function that gives back an image of one size and refuses all others.

    Args:
        height: Pixels.
        width: Pixels.

    Returns:
        A function of an image [H, W, C], which it returns with its shape known while it is traced.
        It raises `tf.errors.InvalidArgumentError` when the image has another size.

    Example:

    >>> exact_size(4, 6)(tf.zeros([4, 6, 3], tf.uint8)).shape
    TensorShape([4, 6, 3])
    """
    validation.check_whole("height", height, 1, _LONGEST)
    validation.check_whole("width", width, 1, _LONGEST)
    said = f"all images must have {height}x{width} pixels; received"

    def check(image):
        size = tf.shape(image)[:2]
        if tf.executing_eagerly():
            if size.numpy().tolist() != [height, width]:
                text = f"{said} {size[0]}x{size[1]}"
                raise tf.errors.InvalidArgumentError(None, None, text)
            return image
        right = tf.debugging.Assert(tf.reduce_all(size == [height, width]), [said, size])
        with tf.control_dependencies([right]):
            image = tf.identity(image)
        image.set_shape([height, width, None])
        return image

    return check


def resize_and_crop(resize: int = 256, crop: int = 224) -> Change:
    """Makes a function that resizes the shorter side and cuts out the centre.

    The same pixels as torchvision's `Resize` and `CenterCrop` on images of Pillow, up to rounding:
    bilinear, smoothed when it makes smaller; the longer side is rounded down, the corner of the
    crop to the nearest pixel. Only what will be seen is resized.

    Args:
        resize: Pixels of the shorter side.
        crop: Pixels of both sides of the result.

    Returns:
        A function uint8 [H, W, C] -> uint8 [crop, crop, C].

    Raises:
        ValueError: `crop` exceeds `resize`.

    Example:

    >>> resize_and_crop(8, 6)(tf.zeros([30, 40, 3], tf.uint8)).shape
    TensorShape([6, 6, 3])
    """
    return _of_image(_shorter_side(resize, crop))


def resize_to(height: int, width: int) -> Change:
    """Makes a function that resizes an image until it covers a size, and cuts out the centre.

    Nothing is stretched: what is too much on two sides is cut off. Resized as by `resize_and_crop`.

    Args:
        height: Pixels of the result.
        width: Pixels of the result.

    Returns:
        A function uint8 [H, W, C] -> uint8 [height, width, C].

    Example:

    >>> resize_to(8, 6)(tf.zeros([30, 40, 3], tf.uint8)).shape
    TensorShape([8, 6, 3])
    """
    return _of_image(_covering(height, width))


def decode_resize_and_crop(resize: int = 256, crop: int = 224) -> Change:
    """`resize_and_crop` of `decode`, the same pixels in less time.

    Of a JPEG only what will be seen is decoded to pixels.

    Args:
        resize: Pixels of the shorter side.
        crop: Pixels of both sides of the result.

    Returns:
        A function of the bytes of a file, string scalar -> uint8 [crop, crop, 3].

    Raises:
        ValueError: `crop` exceeds `resize`.

    Example:

    >>> contents = tf.io.encode_jpeg(tf.zeros([30, 40, 3], tf.uint8))
    >>> decode_resize_and_crop(8, 6)(contents).shape
    TensorShape([6, 6, 3])
    """
    return _of_contents(_shorter_side(resize, crop))


def decode_resize_to(height: int, width: int) -> Change:
    """`resize_to` of `decode`, the same pixels in less time.

    Args:
        height: Pixels of the result.
        width: Pixels of the result.

    Returns:
        A function of the bytes of a file, string scalar -> uint8 [height, width, 3].

    Example:

    >>> contents = tf.io.encode_jpeg(tf.zeros([30, 40, 3], tf.uint8))
    >>> decode_resize_to(8, 6)(contents).shape
    TensorShape([8, 6, 3])
    """
    return _of_contents(_covering(height, width))


class _Geometry:
    """Which part of an image the result shows, and how it is scaled; float32 [2] throughout.

    Few operations on few numbers: on small images they would take longer than the pixels.

    Args:
        size: int32 [2], height and width of the image.
        resized: int32 [2], the same after resizing.
        result: Height and width of the result.
    """

    def __init__(self, size: tf.Tensor, resized: tf.Tensor, result: tuple[int, int]):
        self.result = result
        self.same = tf.reduce_all(size == resized)
        size, resized = tf.cast(size, tf.float32), tf.cast(resized, tf.float32)
        result = tf.constant(result, tf.float32)
        self.scale = resized / size
        #: First row and column of the crop; halves are rounded to even, as in Python.
        self.corner = tf.round((resized - result) * 0.5)
        # What the result depends on: that far an output pixel reaches, and then a margin.
        step = size / resized
        reach = tf.maximum(step, 1.0) + _EDGE
        self.first = tf.maximum(tf.floor(self.corner * step - reach), 0.0)
        end = tf.minimum(tf.math.ceil((self.corner + result) * step + reach), size)
        self.window = tf.cast(tf.concat([self.first, end - self.first], 0), tf.int32)


def _shorter_side(resize: int, crop: int) -> Callable[[tf.Tensor], _Geometry]:
    resize = validation.check_whole("resize", resize, 1, _LONGEST)
    crop = validation.check_whole("crop", crop, 1, resize)
    return lambda size: _Geometry(size, resize * size // tf.reduce_min(size), (crop, crop))


def _covering(height: int, width: int) -> Callable[[tf.Tensor], _Geometry]:
    height = validation.check_whole("height", height, 1, _LONGEST)
    width = validation.check_whole("width", width, 1, _LONGEST)

    def geometry(size):
        # Of the two ways to fit one side the one that makes the other side long enough, or both.
        by_height = height * size // size[0]
        by_width = width * size // size[1]
        return _Geometry(size, tf.maximum(by_height, by_width), (height, width))

    return geometry


def _of_image(geometry_of: Callable[[tf.Tensor], _Geometry]) -> Change:
    def change(image):
        geometry = geometry_of(tf.shape(image)[:2])
        top, left, height, width = tf.unstack(geometry.window)
        return _resample(image[top : top + height, left : left + width], geometry)

    return change


def _of_contents(geometry_of: Callable[[tf.Tensor], _Geometry]) -> Change:
    def decode_window(contents):
        geometry = geometry_of(tf.io.extract_jpeg_shape(contents)[:2])
        image = tf.io.decode_and_crop_jpeg(
            contents, geometry.window, 3, dct_method="INTEGER_ACCURATE"
        )
        return _resample(image, geometry)

    long_way = one_operation(lambda contents: _of_image(geometry_of)(decode(contents)))

    def change(contents):
        # A file that is cut off below the window would pass, so its end is looked for. Some have
        # more after the end; they take the long way.
        whole = tf.io.is_jpeg(contents) & (tf.strings.substr(contents, -2, 2) == b"\xff\xd9")
        return tf.cond(whole, lambda: decode_window(contents), lambda: long_way(contents))

    return change


def _resample(image: tf.Tensor, geometry: _Geometry) -> tf.Tensor:
    """Resizes the window of an image and cuts out the result, uint8 [*result, C]."""
    height, width = geometry.result
    channels = image.shape[-1]

    def cut():
        top, left = tf.unstack(tf.cast(geometry.corner - geometry.first, tf.int32))
        return tf.ensure_shape(
            image[top : top + height, left : left + width], [height, width, channels]
        )

    @one_operation
    def resize(image, scale, first, corner):
        # One axis after the other, each as a row of few long pixels: on those the operation is
        # several times faster than on many of three numbers.
        shift = scale * first - corner
        rows = tf.reshape(image, [1, 1, tf.shape(image)[0], -1])
        rows = _scaled(rows, height, scale[0], shift[0])
        columns = tf.transpose(tf.reshape(rows, [height, -1, channels]), [1, 0, 2])
        columns = tf.reshape(columns, [1, 1, -1, height * channels])
        columns = _scaled(columns, width, scale[1], shift[1])
        columns = tf.reshape(columns, [width, height, channels])
        return tf.cast(tf.transpose(columns, [1, 0, 2]) + 0.5, tf.uint8)

    parts = image, geometry.scale, geometry.first, geometry.corner
    return tf.cond(geometry.same, cut, lambda: resize(*parts))


def _scaled(row: tf.Tensor, length: int, scale: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """A row of pixels [1, 1, W, C] resized, bilinear and smoothed: float32 [1, 1, length, C]."""
    return tf.raw_ops.ScaleAndTranslate(
        images=row,
        size=[1, length],
        scale=tf.stack([1.0, scale]),
        translation=tf.stack([0.0, shift]),
        kernel_type="triangle",
        antialias=True,
    )
