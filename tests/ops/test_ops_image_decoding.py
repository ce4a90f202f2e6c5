"""Decoding, resizing and cropping, against Pillow."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tests.reference import random_boxes as reference
from tfrobust.ops import image_decoding, random_boxes

RESAMPLING = PIL.Image.Resampling


def photo(height, width, channels=3, seed=0):
    """A smooth random field with edges and some noise, uint8."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, [5, 5, channels], "uint8")
    planes = [
        np.asarray(PIL.Image.fromarray(plane).resize((width, height), RESAMPLING.BICUBIC))
        for plane in np.moveaxis(coarse, -1, 0)
    ]
    image = np.stack(planes, -1) + random.normal(0, 8, [height, width, channels])
    image[height // 3 : height // 2] = 255 - image[height // 3 : height // 2]
    return np.clip(np.rint(image), 0, 255).astype("uint8")


def encoded(image, kind="PNG", **options):
    """Encodes an image; returns the bytes and the image that Pillow decodes from them."""
    file = io.BytesIO()
    if not isinstance(image, PIL.Image.Image):
        image = PIL.Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    image.save(file, kind, **options)
    return file.getvalue(), PIL.Image.open(file)


# Decoding


def test_decode_by_hand():
    image = np.array([[[0, 1, 2], [253, 254, 255]]], "uint8")
    found = image_decoding.decode(encoded(image)[0])
    assert found.dtype == tf.uint8
    np.testing.assert_array_equal(found, image)
    np.testing.assert_array_equal(image_decoding.to_float(found), image.astype("float32") / 255)


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 90},
        {"quality": 30, "subsampling": 0},
        {"quality": 75, "subsampling": 1},
        {"quality": 75, "progressive": True},
    ],
)
@pytest.mark.parametrize("size", [(40, 57), (7, 9), (1, 1)])
def test_jpegs_match_pillow(size, options):
    contents, image = encoded(photo(*size), "JPEG", **options)
    np.testing.assert_array_equal(image_decoding.decode(contents), np.asarray(image))


def of_palette(image):
    return PIL.Image.fromarray(image).quantize(16)


def with_alpha(image):
    alpha = np.random.default_rng(1).integers(0, 256, [*image.shape[:2], 1], "uint8")
    return PIL.Image.fromarray(np.concatenate([image, alpha], -1))


@pytest.mark.parametrize(
    "make, kind",
    [
        (PIL.Image.fromarray, "PNG"),
        (PIL.Image.fromarray, "BMP"),
        (of_palette, "PNG"),
        (of_palette, "GIF"),
        (with_alpha, "PNG"),
        (lambda image: with_alpha(image).convert("LA"), "PNG"),
        (lambda image: PIL.Image.fromarray(image).convert("L"), "PNG"),
        (lambda image: PIL.Image.fromarray(image).convert("L"), "JPEG"),
        (lambda image: PIL.Image.fromarray(image).convert("1"), "PNG"),
    ],
)
def test_all_kinds_become_rgb(make, kind):
    contents, image = encoded(make(photo(12, 17)), kind)
    found = image_decoding.decode(contents)
    assert found.shape == [12, 17, 3]
    np.testing.assert_array_equal(found, image.convert("RGB"))


def test_inks_become_rgb():
    contents, image = encoded(PIL.Image.fromarray(photo(24, 30)).convert("CMYK"), "JPEG")
    found = image_decoding.decode(contents).numpy().astype(int)
    assert np.abs(found - np.asarray(image.convert("RGB"))).max() <= 1


def test_sixteen_bits():
    image = np.array([[[0, 255, 256], [65535, 257, 40000]]], "uint16")
    found = image_decoding.decode(tf.io.encode_png(image))
    np.testing.assert_array_equal(found, image // 256)


def test_first_frame():
    frames = [PIL.Image.fromarray(photo(8, 9, seed=seed)).quantize(16) for seed in range(2)]
    contents, _ = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(image_decoding.decode(contents), frames[0].convert("RGB"))


def test_grey():
    contents, _ = encoded(photo(5, 6, 1))
    np.testing.assert_array_equal(image_decoding.decode(contents, channels=1), photo(5, 6, 1))
    with pytest.raises(ValueError, match="channels must be a whole number from 1 to 3"):
        image_decoding.decode(contents, channels=4)


@pytest.mark.parametrize("contents", [b"", b"no image", encoded(photo(9, 9), "JPEG")[0][:200]])
def test_no_image(contents):
    for read in (image_decoding.decode, image_decoding.decode_resize_and_crop(8, 8)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            read(contents)


def test_exact_size():
    check = image_decoding.exact_size(4, 6)
    image = photo(4, 6)
    np.testing.assert_array_equal(check(tf.constant(image)), image)
    said = "all images must have 4x6 pixels; received 6x4"
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        check(tf.constant(photo(6, 4)))
    traced = tf.function(check, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    assert traced.get_concrete_function().structured_outputs.shape == [4, 6, 3]
    np.testing.assert_array_equal(traced(image), image)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"4x6 pixels; received\] \[6 4\]"):
        traced(photo(6, 4))


# Resizing and cropping


def of_torchvision(image, resize, crop):
    """Torchvision's Resize and CenterCrop of a Pillow image."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    other = int(resize * long / short)
    size = (resize, other) if width <= height else (other, resize)
    if size != image.size:
        image = image.resize(size, RESAMPLING.BILINEAR)
    left, top = (round((side - crop) / 2.0) for side in image.size)
    return np.asarray(image.crop((left, top, left + crop, top + crop)))


def close(found, expected):
    """Pillow rounds to 8 bits between the two axes; this implementation does not."""
    assert found.dtype == tf.uint8 and found.shape == expected.shape
    far = np.abs(found.numpy().astype(int) - expected)
    assert far.max() <= 2 and far.mean() < 0.4


def test_resize_by_hand():
    # From 4 pixels to 2: each weighs four by their distance over 2, and the fourth is out of reach.
    column = np.array([0, 100, 200, 40], "uint8")
    image = np.tile(column[:, None, None], [1, 4, 3])
    expected = [(75 + 50) / 1.75, (25 + 150 + 30) / 1.75]
    for turned in (image, image.transpose([1, 0, 2])):
        found = image_decoding.resize_and_crop(2, 2)(turned)
        axis = 0 if turned is image else 1
        for values in np.moveaxis(found.numpy(), axis, -1).reshape(-1, 2):
            np.testing.assert_array_equal(values, np.rint(expected))


@pytest.mark.parametrize("resize, crop", [(32, 28), (8, 8), (31, 2), (64, 63)])
@pytest.mark.parametrize(
    "height, width",
    [
        (40, 61),
        (61, 40),
        (30, 30),
        (20, 33),
        (7, 9),
        (1, 1),
        (3, 70),
        (32, 32),
        (32, 47),
        (130, 97),
    ],
)
def test_pixels_of_torchvision(height, width, resize, crop):
    image = photo(height, width)
    found = image_decoding.resize_and_crop(resize, crop)(tf.constant(image))
    close(found, of_torchvision(PIL.Image.fromarray(image), resize, crop))


def test_corner_is_rounded_to_even():
    # 28 columns of which 25 are cut off on both sides, 12.5 each: from column 12.
    image = np.tile(np.arange(28, dtype="uint8")[None, :, None], [3, 1, 3])
    found = image_decoding.resize_and_crop(3, 3)(image)
    np.testing.assert_array_equal(found[0, :, 0], [12, 13, 14])
    found = image_decoding.resize_and_crop(3, 3)(image[:, :26])  # 11.5: from column 12
    np.testing.assert_array_equal(found[0, :, 0], [12, 13, 14])


@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
@pytest.mark.parametrize("size", [(50, 30), (5, 8)])
def test_flat_images_stay(level, size):
    image = np.full([*size, 3], level, "uint8")
    np.testing.assert_array_equal(image_decoding.resize_and_crop(20, 16)(image), image[0, 0, 0])


def test_one_bright_pixel_keeps_its_place():
    image = np.zeros([60, 90, 3], "uint8")
    image[20, 40, 1] = 255
    found = image_decoding.resize_to(30, 45)(image).numpy()
    assert np.unravel_index(found.argmax(), found.shape) == (10, 20, 1)
    assert not found[..., [0, 2]].any()


@pytest.mark.parametrize("height, width", [(12, 20), (20, 12), (9, 9), (40, 61), (80, 3)])
def test_resize_to(height, width):
    image = photo(40, 61)
    scale = max(height / 40, width / 61)
    size = [max(int(61 * scale + 1e-9), width), max(int(40 * scale + 1e-9), height)]
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    expected = PIL.Image.fromarray(image)
    if expected.size != tuple(size):
        expected = expected.resize(size, RESAMPLING.BILINEAR)
    expected = np.asarray(expected.crop((left, top, left + width, top + height)))
    close(image_decoding.resize_to(height, width)(tf.constant(image)), expected)


FILES = {
    "JPEG": ("JPEG", {"quality": 85}),
    "all colours": ("JPEG", {"quality": 85, "subsampling": 0}),
    "half the colours": ("JPEG", {"quality": 85, "subsampling": 1}),
    "progressive": ("JPEG", {"progressive": True}),
    "PNG": ("PNG", {}),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "height, width",
    slow_unless(
        [(190, 251), (1, 1)],
        [(190, 251), (251, 190), (60, 77), (32, 32), (1, 1)],
        several=True,
    ),
)
def test_window_gives_the_same_pixels(name, height, width):
    """Decoding a window is exact, although colours at its edge depend on pixels beyond it."""
    kind, options = FILES[name]
    contents, image = encoded(photo(height, width), kind, **options)
    parts = image_decoding.resize_and_crop(60, 32)(image_decoding.decode(contents))
    found = image_decoding.decode_resize_and_crop(60, 32)(contents)
    np.testing.assert_array_equal(found, parts)
    close(found, of_torchvision(image.convert("RGB"), 60, 32))
    parts = image_decoding.resize_to(30, 50)(image_decoding.decode(contents))
    np.testing.assert_array_equal(image_decoding.decode_resize_to(30, 50)(contents), parts)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_window_of_other_colours(mode):
    contents, _ = encoded(PIL.Image.fromarray(photo(90, 120)).convert(mode), "JPEG")
    parts = image_decoding.resize_and_crop(60, 32)(image_decoding.decode(contents))
    np.testing.assert_array_equal(image_decoding.decode_resize_and_crop(60, 32)(contents), parts)


def test_window_of_a_file_with_more_behind():
    contents, _ = encoded(photo(90, 120), "JPEG")
    read = image_decoding.decode_resize_and_crop(60, 32)
    np.testing.assert_array_equal(read(contents + b"more"), read(contents))


@pytest.mark.parametrize("share", [0.5, 0.98])
def test_cut_off_file_is_refused(share):
    """Even if the missing part would not be visible."""
    contents, _ = encoded(photo(200, 120), "JPEG")
    read = image_decoding.decode_resize_and_crop(60, 8)
    with pytest.raises(tf.errors.InvalidArgumentError):
        read(contents[: int(share * len(contents))])


def test_same_in_tf_data():
    files = [encoded(photo(*size), "JPEG")[0] for size in [(50, 70), (70, 50), (40, 40)]]
    for read in (
        image_decoding.decode_resize_and_crop(32, 28),
        image_decoding.decode_resize_to(20, 30),
    ):
        data = tf.data.Dataset.from_tensor_slices(files).map(read)
        assert data.element_spec.shape.is_fully_defined()
        for contents, image in zip(files, data):
            np.testing.assert_array_equal(image, read(contents))


def test_refuses():
    for make in (image_decoding.resize_and_crop, image_decoding.decode_resize_and_crop):
        with pytest.raises(ValueError, match="crop must be a whole number from 1 to 20; received"):
            make(20, 30)
        with pytest.raises(ValueError, match="resize must be a whole number from 1 to 32768"):
            make(0, 0)
    for make in (
        image_decoding.resize_to,
        image_decoding.decode_resize_to,
        image_decoding.exact_size,
    ):
        with pytest.raises(ValueError, match="height must be a whole number"):
            make(0, 5)
        with pytest.raises(ValueError, match="width must be a whole number"):
            make(5, 1.5)


# Random resized crops


@pytest.mark.parametrize("kind, options", [("JPEG", {"quality": 90}), ("PNG", {})])
@pytest.mark.parametrize(
    "height, width", slow_unless([(60, 83)], [(60, 83), (9, 31), (40, 40)], several=True)
)
def test_random_boxes_are_those_of_the_decoded_image(kind, options, height, width):
    contents, image = encoded(photo(height, width), kind, **options)
    crop = image_decoding.decode_random_resized_crop(24)
    found = []
    for number in range(4):
        seed = tf.constant([7, number])
        found.append(crop(contents, seed).numpy())
        boxes = random_boxes.draw_boxes(seed, 1, height, width, (0.08, 1.0), (3 / 4, 4 / 3))
        place = [int(x[0]) for x in boxes]
        expected = reference.crop(np.asarray(image, "float32"), place, (24, 24))
        np.testing.assert_allclose(found[-1], expected, atol=0.51)
    assert len({one.tobytes() for one in found}) == 4
