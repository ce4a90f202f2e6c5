"""PixMix against Pillow and NumPy, picture by picture."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.reference import augmix as reference
from tests.reference.data_folders import write_picture
from tfrobust.augment import PixMix
from tfrobust.ops import chains, picture_mixing
from tfrobust.ops.fractals import COUNT, SIDE, fractals

PIXELS = reference.smooth_images(40, 18, 22)
IMAGES = PIXELS.astype("float32") / 255


def mixed(x, y, a, b, multiply):
    """One mixing of two images in float64, as the released code does it."""
    with np.errstate(all="ignore"):
        out = (a * (2 * x - 1) + b * (2 * y - 1) + 1) / 2
        if multiply:
            out = (2 * x) ** a * np.clip(2 * y, 1e-37, None) ** b / 2
    return np.clip(np.where(np.isnan(out), 0, out), 0, 1)


def by_hand(image, picture, draws, i):
    def changed(number):
        name = chains.OPERATORS[draws["operators"][i, number]]
        return reference.operate(name, image, float(draws["levels"][i, number])) / 255

    x = changed(0) if draws["changed"][i, 0] else image / 255
    for k in range(draws["count"][i]):
        y = changed(k + 1) if draws["changed"][i, k + 1] else picture
        x = mixed(x, y, *(float(draws[name][i, k]) for name in "ab"), draws["multiply"][i, k])
    return x


def test_mixes_as_the_released_code():
    layer = PixMix()
    draws = layer.draw(IMAGES)
    result = layer.apply(IMAGES, draws).numpy()
    drawn = {key: value.numpy() for key, value in draws.items()}
    off = []
    for i, image in enumerate(PIXELS):
        top, left = (
            int(np.float32(drawn[name][i]) * np.float32(SIDE - size + 1))
            for name, size in (("top", 18), ("left", 22))
        )
        picture = fractals()[drawn["picture"][i], top : top + 18, left : left + 22] / 255
        off.append(np.abs(result[i] - by_hand(image, picture, drawn, i)))
    off = np.array(off)
    # A value one off after a warp may be anywhere after a power.
    assert np.mean(off > 0.02) < 0.01 and np.median(off) < 1e-5
    assert {0, 1, 2, 3, 4} == set(drawn["count"])


@pytest.mark.parametrize("multiply", [False, True])
def test_mixings_against_numpy(multiply):
    random = np.random.default_rng(0)
    x, y = random.random([2, 500, 2, 2, 3])
    x[:50], y[25:75], x[90:95] = 0, 0, 1
    a, b = random.uniform(0, 2, 500), random.uniform(-1, 1, 500)
    given = [
        v.reshape(500, -1, 2 if v.ndim > 1 else 1, x.shape[-1] if v.ndim > 1 else 1)
        for v in (x, y, a, b)
    ]
    result = picture_mixing.mix(*(tf.constant(v, tf.float32) for v in given), multiply).numpy()
    assert np.isfinite(result).all()
    expected = [mixed(x[i], y[i], a[i], b[i], multiply) for i in range(500)]
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_weights_have_the_papers_distributions():
    a, b = (v.numpy() for v in picture_mixing.draw_weights(tf.constant([1, 2]), [20_000], 3.0))
    within = a < 1
    assert abs(within.mean() - 0.5) < 5 * 0.5 / np.sqrt(20_000)
    assert (np.sign(b) == np.where(within, 1, -1)).all()
    for values, distribution in (
        (a[within], scipy.stats.beta(3, 1)),
        (b[within], scipy.stats.beta(1, 3)),
        (a[~within] - 1, scipy.stats.beta(1, 3)),
        (-b[~within], scipy.stats.beta(1, 3)),
    ):
        assert scipy.stats.kstest(values, distribution.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(a[within], b[within])[0, 1]) < 0.05


def test_fractals_are_structured_and_always_the_same():
    pictures = fractals()
    assert pictures.shape == (COUNT, SIDE, SIDE, 3) and pictures.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures}) == COUNT
    assert pictures.reshape(COUNT, -1).std(axis=1).min() > 8
    # They have more at low frequencies than noise has, and more at high ones than a gradient.
    spectrum = np.abs(np.fft.fft2(pictures.mean(axis=-1) - pictures.mean((1, 2, 3))[:, None, None]))
    low, high = spectrum[:, :8, :8].mean((1, 2)), spectrum[:, 24:72, 24:72].mean((1, 2))
    assert (low > 5 * high).mean() > 0.8 and (high > 20).mean() > 0.8


def test_pictures_of_a_folder(tmp_path):
    red = np.zeros([20, 30, 3], "uint8")
    red[..., 0] = 200
    write_picture(tmp_path / "a" / "red.png", red)
    layer = PixMix(str(tmp_path))
    assert PixMix.from_config(layer.get_config()).pictures == str(tmp_path)
    draws = layer.draw(IMAGES)
    draws["count"], draws["changed"] = tf.ones([40], tf.int32), tf.fill([40, 5], False)
    draws["multiply"] = tf.fill([40, 4], False)
    draws["a"], draws["b"] = tf.zeros([40, 4]), tf.ones([40, 4])
    expected = np.broadcast_to(red[0, 0] / 255, IMAGES.shape)
    np.testing.assert_allclose(layer.apply(IMAGES, draws), expected, atol=1e-5)


def test_wrong_input_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="pictures must be a folder"):
        PixMix(str(tmp_path / "none"))
    with pytest.raises(ValueError, match="it holds none"):
        PixMix(str(tmp_path))
    (tmp_path / "x.png").write_bytes(b"none")
    with pytest.raises(ValueError, match="cannot be read"):
        PixMix(str(tmp_path))
    with pytest.raises(ValueError, match="1 or 3 channels; received 2"):
        PixMix()(tf.zeros([1, 8, 8, 2]), training=True)
    for wrong in ({"rounds": 0}, {"beta": 0}, {"severity": 11}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            PixMix(**wrong)
