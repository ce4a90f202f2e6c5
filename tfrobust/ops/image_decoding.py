"""Decoding and resizing of single images, with the geometry of Pillow and torchvision.

These functions run on one image inside `tf.data.map` and keep 8 bits; batches are converted to
float32 in `pipeline.py`.
"""

from __future__ import annotations

from typing import Callable

import tensorflow as tf

from tfrobust import validation
from tfrobust.compat.graphs import one_operation
from tfrobust.ops import random_boxes

#: A function from the bytes of a file to an image, or from image to image.
Change = Callable[[tf.Tensor], tf.Tensor]

#: A side of a JPEG is at most 65,535 pixels; its product with this still fits in an int32.
_MAX_SIDE = 2**15

#: Margin in pixels around a decoded window. Chroma is stored at half the resolution, and pixels at
#: the edge of a window lack their neighbours' chroma.
_MARGIN = 4


def decode(contents: tf.Tensor, channels: int = 3) -> tf.Tensor:
    """Decodes the bytes of a JPEG, PNG, BMP or GIF file.

    JPEGs decode as in Pillow, with the accurate integer transform and smooth chroma upsampling;
    grey and CMYK ones are converted to RGB. Of 16-bit PNGs the upper 8 bits are kept; transparency
    is dropped. Of an animation, the first frame is decoded. The Exif orientation is ignored.

    Args:
        contents: String scalar, the bytes of the file.
        channels: 3 for RGB (default), 1 for grey.

    Returns:
        uint8 [H, W, channels].

    Raises:
        tf.errors.InvalidArgumentError: The bytes are not a complete image in one of these formats.

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
    """Converts 8-bit images to float32 in [0, 1]."""
    return tf.cast(images, tf.float32) / 255


def exact_size(height: int, width: int) -> Change:
    """Makes a function that passes images of one size through and rejects all others.

    Args:
        height: Height in pixels.
        width: Width in pixels.

    Returns:
        A function that returns its argument, an image [H, W, C], with static height and width. It
        raises `tf.errors.InvalidArgumentError` if the image has another size.

    Example:

    >>> exact_size(4, 6)(tf.zeros([4, 6, 3], tf.uint8)).shape
    TensorShape([4, 6, 3])
    """
    validation.check_whole("height", height, 1, _MAX_SIDE)
    validation.check_whole("width", width, 1, _MAX_SIDE)
    message = f"all images must have {height}x{width} pixels; received"

    def check(image):
        size = tf.shape(image)[:2]
        if tf.executing_eagerly():
            if size.numpy().tolist() != [height, width]:
                text = f"{message} {size[0]}x{size[1]}"
                raise tf.errors.InvalidArgumentError(None, None, text)
            return image
        right = tf.debugging.Assert(tf.reduce_all(size == [height, width]), [message, size])
        with tf.control_dependencies([right]):
            image = tf.identity(image)
        image.set_shape([height, width, None])
        return image

    return check


def resize_and_crop(resize: int = 256, crop: int = 224) -> Change:
    """Makes a function that resizes the shorter side and crops the centre.

    Up to rounding it returns the same pixels as torchvision's `Resize` and `CenterCrop` on Pillow
    images: bilinear with antialiasing; the longer side is rounded down, the corner of the crop to
    the nearest pixel. Only the visible part is resized.

    Args:
        resize: Length of the shorter side in pixels.
        crop: Side of the square result in pixels.

    Returns:
        A function uint8 [H, W, C] -> uint8 [crop, crop, C].

    Raises:
        ValueError: `crop` exceeds `resize`.

    Example:

    >>> resize_and_crop(8, 6)(tf.zeros([30, 40, 3], tf.uint8)).shape
    TensorShape([6, 6, 3])
    """
    return _transform_image(_fit_shorter_side(resize, crop))


def resize_to(height: int, width: int) -> Change:
    """Makes a function that resizes an image until it covers a size, then crops the centre.

    The aspect ratio is kept; what exceeds the size is cropped on both sides. The interpolation is
    that of `resize_and_crop`.

    Args:
        height: Height of the result in pixels.
        width: Width of the result in pixels.

    Returns:
        A function uint8 [H, W, C] -> uint8 [height, width, C].

    Example:

    >>> resize_to(8, 6)(tf.zeros([30, 40, 3], tf.uint8)).shape
    TensorShape([8, 6, 3])
    """
    return _transform_image(_cover(height, width))


def decode_resize_and_crop(resize: int = 256, crop: int = 224) -> Change:
    """Makes a function that computes `decode` and `resize_and_crop` in less time.

    The pixels are the same, but of a JPEG only the visible part is decoded.

    Args:
        resize: Length of the shorter side in pixels.
        crop: Side of the square result in pixels.

    Returns:
        A function from the bytes of a file, a string scalar, to uint8 [crop, crop, 3].

    Raises:
        ValueError: `crop` exceeds `resize`.

    Example:

    >>> contents = tf.io.encode_jpeg(tf.zeros([30, 40, 3], tf.uint8))
    >>> decode_resize_and_crop(8, 6)(contents).shape
    TensorShape([6, 6, 3])
    """
    return _transform_contents(_fit_shorter_side(resize, crop))


def decode_resize_to(height: int, width: int) -> Change:
    """Makes a function that computes `decode` and `resize_to` in less time.

    The pixels are the same, but of a JPEG only the visible part is decoded.

    Args:
        height: Height of the result in pixels.
        width: Width of the result in pixels.

    Returns:
        A function from the bytes of a file, a string scalar, to uint8 [height, width, 3].

    Example:

    >>> contents = tf.io.encode_jpeg(tf.zeros([30, 40, 3], tf.uint8))
    >>> decode_resize_to(8, 6)(contents).shape
    TensorShape([8, 6, 3])
    """
    return _transform_contents(_cover(height, width))


def decode_random_resized_crop(
    size: int = 224,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Callable[..., tf.Tensor]:
    """Makes a function that decodes and resizes a random box of an image.

    As `augment.RandomResizedCrop`, up to rounding; of a JPEG only the box is decoded.

    Args:
        size: Side of the square result in pixels.
        scale: Smallest and largest area of the box, as fractions of the image's.
        ratio: Smallest and largest width/height of the box.

    Returns:
        A function from the bytes of a file, a string scalar, and a seed, int32[2], to uint8
        [size, size, 3].

    Example:

    >>> contents = tf.io.encode_jpeg(tf.zeros([30, 40, 3], tf.uint8))
    >>> decode_random_resized_crop(8)(contents, [3, 4]).shape
    TensorShape([8, 8, 3])
    """
    size = validation.check_whole("size", size, 1, _MAX_SIDE)

    def read(contents, seed=(0, 0)):
        def geometry(whole):
            boxes = random_boxes.draw_boxes(seed, 1, whole[0], whole[1], scale, ratio)
            return _Box(whole, tf.concat(boxes, 0), size)

        return _transform_contents(geometry)(contents)

    return read


class _Geometry:
    """The window of an image that the result shows, and its scale; float32 [2] throughout.

    It uses few operations: on small images these could take longer than those on the pixels.

    Args:
        size: int32 [2], height and width of the image.
        resized: int32 [2], height and width after resizing.
        result: Height and width of the result.
    """

    def __init__(self, size: tf.Tensor, resized: tf.Tensor, result: tuple[int, int]):
        self.result = result
        self.same = tf.reduce_all(size == resized)
        size, resized = tf.cast(size, tf.float32), tf.cast(resized, tf.float32)
        result = tf.constant(result, tf.float32)
        self.scale = resized / size
        #: First row and column of the crop; halves round to even, as in Python.
        self.corner = tf.round((resized - result) * 0.5)
        # The window holds every input pixel that an output pixel depends on, and a margin.
        step = size / resized
        reach = tf.maximum(step, 1.0) + _MARGIN
        self.first = tf.maximum(tf.floor(self.corner * step - reach), 0.0)
        end = tf.minimum(tf.math.ceil((self.corner + result) * step + reach), size)
        self.window = tf.cast(tf.concat([self.first, end - self.first], 0), tf.int32)

    def shown(self, window: tf.Tensor) -> tf.Tensor:
        """The pixels of the decoded window that the result may depend on."""
        return window


class _Box(_Geometry):
    """A box whose whole content is resized, without the pixels around it.

    Args:
        size: int32 [2], height and width of the image.
        box: float32 [4]: top, left, height and width of the box.
        result: Height and width of the result.
    """

    def __init__(self, size: tf.Tensor, box: tf.Tensor, result: int):
        self.result = (result, result)
        self.first, length = box[:2], box[2:]
        self.scale = result / length
        self.same = tf.reduce_all(length == result)
        self.corner = self.first * self.scale
        start = tf.maximum(self.first - _MARGIN, 0.0)
        end = tf.minimum(self.first + length + _MARGIN, tf.cast(size, tf.float32))
        self.window = tf.cast(tf.concat([start, end - start], 0), tf.int32)
        self._inside = tf.cast(tf.concat([self.first - start, length], 0), tf.int32)

    def shown(self, window: tf.Tensor) -> tf.Tensor:
        top, left, height, width = tf.unstack(self._inside)
        return window[top : top + height, left : left + width]


def _fit_shorter_side(resize: int, crop: int) -> Callable[[tf.Tensor], _Geometry]:
    resize = validation.check_whole("resize", resize, 1, _MAX_SIDE)
    crop = validation.check_whole("crop", crop, 1, resize)
    return lambda size: _Geometry(size, resize * size // tf.reduce_min(size), (crop, crop))


def _cover(height: int, width: int) -> Callable[[tf.Tensor], _Geometry]:
    height = validation.check_whole("height", height, 1, _MAX_SIDE)
    width = validation.check_whole("width", width, 1, _MAX_SIDE)

    def geometry(size):
        # Fit the height or the width, whichever leaves the other side long enough.
        by_height = height * size // size[0]
        by_width = width * size // size[1]
        return _Geometry(size, tf.maximum(by_height, by_width), (height, width))

    return geometry


def _transform_image(geometry_of: Callable[[tf.Tensor], _Geometry]) -> Change:
    def change(image):
        geometry = geometry_of(tf.shape(image)[:2])
        top, left, height, width = tf.unstack(geometry.window)
        window = image[top : top + height, left : left + width]
        return _resample(geometry.shown(window), geometry)

    return change


def _transform_contents(geometry_of: Callable[[tf.Tensor], _Geometry]) -> Change:
    def decode_window(contents):
        geometry = geometry_of(tf.io.extract_jpeg_shape(contents)[:2])
        image = tf.io.decode_and_crop_jpeg(
            contents, geometry.window, 3, dct_method="INTEGER_ACCURATE"
        )
        return _resample(geometry.shown(image), geometry)

    decode_fully = one_operation(lambda contents: _transform_image(geometry_of)(decode(contents)))

    def change(contents):
        # A file truncated below the window would decode, so check for the end marker. Some files
        # have data after the marker; they are decoded in full.
        whole = tf.io.is_jpeg(contents) & (tf.strings.substr(contents, -2, 2) == b"\xff\xd9")
        return tf.cond(whole, lambda: decode_window(contents), lambda: decode_fully(contents))

    return change


def _resample(image: tf.Tensor, geometry: _Geometry) -> tf.Tensor:
    """Resizes the window of an image and crops the result, uint8 [*result, C]."""
    height, width = geometry.result
    channels = image.shape[-1]

    def cut():
        top, left = tf.unstack(tf.cast(geometry.corner - geometry.first, tf.int32))
        return tf.ensure_shape(
            image[top : top + height, left : left + width], [height, width, channels]
        )

    @one_operation
    def resize(image, scale, first, corner):
        # One axis at a time, each as a row of few pixels with many channels: that is several times
        # faster than many pixels with three channels.
        shift = scale * first - corner
        rows = tf.reshape(image, [1, 1, tf.shape(image)[0], -1])
        rows = _resize_row(rows, height, scale[0], shift[0])
        columns = tf.transpose(tf.reshape(rows, [height, -1, channels]), [1, 0, 2])
        columns = tf.reshape(columns, [1, 1, -1, height * channels])
        columns = _resize_row(columns, width, scale[1], shift[1])
        columns = tf.reshape(columns, [width, height, channels])
        return tf.cast(tf.transpose(columns, [1, 0, 2]) + 0.5, tf.uint8)

    parts = image, geometry.scale, geometry.first, geometry.corner
    return tf.cond(geometry.same, cut, lambda: resize(*parts))


def _resize_row(row: tf.Tensor, length: int, scale: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Resizes a row of pixels [1, 1, W, C], bilinear with antialiasing, to `length` pixels."""
    return tf.raw_ops.ScaleAndTranslate(
        images=row,
        size=[1, length],
        scale=tf.stack([1.0, scale]),
        translation=tf.stack([0.0, shift]),
        kernel_type="triangle",
        antialias=True,
    )
