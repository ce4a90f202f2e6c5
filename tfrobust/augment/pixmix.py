"""PixMix."""

from __future__ import annotations

import functools
import os
import pathlib
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Augment
from tfrobust.ops import chains, geometry, picture_mixing, sampling
from tfrobust.ops.fractals import fractals
from tfrobust.ops.image_decoding import decode_resize_and_crop
from tfrobust.ops.size import height_and_width

#: Endings of pictures, their number at most, and their side in pixels.
_ENDINGS, _MOST, _SIDE = (".jpg", ".jpeg", ".png", ".bmp", ".gif"), 1000, 128


@keras.saving.register_keras_serializable(package="tfrobust")
class PixMix(Augment):
    """Mixes an image several times with pictures of structure, or with itself changed.

    The image or, with probability ½, the image after a random operator of AugMix is mixed 0 to
    `rounds` times with, each half of the time, a picture or the image after another operator; by
    addition or multiplication (`ops.picture_mixing.mix`). No gradient flows through it.

    The pictures are fractals made by formula (`ops.fractals`), not the authors' fractals and
    feature visualizations, or those of a folder. A random window of one picture is
    taken for each image, mirrored where the picture is smaller.

    Args:
        pictures: Folder of JPEG, PNG, BMP or GIF pictures, of which up to 1,000 are taken, the
            central square at 128 pixels. It must be there when a saved layer is loaded. Default:
            fractals.
        rounds: k, the largest number of mixings, from 1 to 20. Default 4, as in the paper.
        beta: β in (0, 100]; smaller values mix more. Default 3, as in the paper.
        severity: Upper end of the operators' levels, from 0.1 to 10. Default 3, the paper's for
            CIFAR (1 for ImageNet).
        all_ops: Whether color, contrast, brightness and sharpness are drawn, which overlap with
            corruptions of the benchmarks. Default False, as in the paper.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: An argument is out of range, the folder holds no picture, or, when called, the
            images do not have 1 or 3 channels.
        FileNotFoundError: There is no such folder.

    Example:

    >>> layer = PixMix()
    >>> images = tf.random.stateless_uniform([2, 32, 32, 3], [1, 2])
    >>> layer(images, training=True).shape
    TensorShape([2, 32, 32, 3])

    Reference: Hendrycks et al., "PixMix: Dreamlike Pictures Comprehensively Improve Safety
    Measures", CVPR 2022. Distributions: github.com/andyzoujm/pixmix.
    """

    def __init__(
        self,
        pictures: Optional[str] = None,
        *,
        rounds: int = 4,
        beta: float = 3.0,
        severity: float = 3.0,
        all_ops: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.rounds = validation.check_whole("rounds", rounds, 1, 20)
        self.beta = validation.check_in_range("beta", beta, 1e-3, 100)
        self.severity = validation.check_in_range("severity", severity, 0.1, 10.0)
        self.all_ops = bool(all_ops)
        self.pictures = None if pictures is None else os.fspath(pictures)
        if self.pictures is not None:
            _words_of(self.pictures)  # read now, for an error to come now

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        """Draws what is mixed with what.

        Returns:
            "count", int32 [B], number of mixings; "changed", bool [B, rounds + 1], whether the
            start and what is mixed in each round is the image after an operator; "operators" and
            "levels", [B, rounds + 1]; "multiply", bool, and "a" and "b", [B, rounds]; "picture",
            int32 [B], and "top" and "left" of its window in [0, 1), [B].
        """
        seed = self._own_seed(seed)
        seeds = [sampling.fold_in(seed, i) for i in range(8)]
        batch = tf.shape(images)[0]
        each, all_ = [batch, self.rounds], [batch, self.rounds + 1]
        number = len(chains.OPERATORS) if self.all_ops else chains.PAPER_OPERATORS
        levels = sampling.uniform(seeds[3], all_, 0.1, self.severity)
        negative = sampling.uniform(seeds[4], all_) < 0.5
        a, b = picture_mixing.draw_weights(seeds[5], each, self.beta)
        where = sampling.uniform(seeds[7], [batch, 3])
        count = len(_words_of(self.pictures))
        return {
            "count": sampling.integers(seeds[0], [batch], 0, self.rounds + 1),
            "changed": sampling.uniform(seeds[1], all_) < 0.5,
            "operators": sampling.integers(seeds[2], all_, 0, number),
            "levels": tf.where(negative, -levels, levels),
            "multiply": sampling.uniform(seeds[6], each) < 0.5,
            "a": a,
            "b": b,
            "picture": tf.cast(tf.floor(where[:, 0] * count), tf.int32),
            "top": where[:, 1],
            "left": where[:, 2],
        }

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        channels = images.shape[-1]
        if channels not in (1, 3):
            raise ValueError(
                f"PixMix needs images of 1 or 3 channels; received {channels} channels"
            )
        changed, used = draws["changed"], tf.range(self.rounds + 1) <= draws["count"][:, tf.newaxis]
        words = chains.run(
            images,
            draws["operators"][..., tf.newaxis],
            draws["levels"][..., tf.newaxis],
            tf.cast(changed & used, tf.int32),
            all_ops=self.all_ops,
        )
        pictures = self._windows(draws, *height_and_width(images))
        drawn = [draws[name] for name in ("count", "a", "b", "multiply")]
        mixed = picture_mixing.mix_in_rounds(images, words, pictures, changed, *drawn)
        return tf.ensure_shape(tf.stop_gradient(mixed), images.shape)

    def _windows(self, draws: dict[str, Any], height: Any, width: Any) -> tf.Tensor:
        """The window of each image's picture, words [B, height, width]."""
        words = tf.constant(_words_of(self.pictures))
        side = words.shape[1]
        chosen = tf.gather(words, draws["picture"])[..., tf.newaxis]
        corners = []
        for name, size in (("top", height), ("left", width)):
            # Anywhere in the picture, or in its mirrored continuation.
            free = tf.where(size <= side, side - size + 1, side)
            corners.append(tf.cast(draws[name] * tf.cast(free, tf.float32), tf.int32))
        return geometry.crop(chosen, corners[0], corners[1], height, width, "mirror")[..., 0]

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("pictures", "rounds", "beta", "severity")}
        return {**super().get_config(), **own, "all_ops": self.all_ops}


@functools.lru_cache(maxsize=8)
def _words_of(folder: Optional[str]) -> np.ndarray:
    """Pictures as words of `ops.pixels`, float32 [N, side, side]."""
    made = fractals() if folder is None else _read(folder)
    parts = made.astype("int32")
    return (parts[..., 0] | parts[..., 1] << 8 | parts[..., 2] << 16).view("float32")


def _read(folder: str) -> np.ndarray:
    place = pathlib.Path(folder).expanduser()
    if not place.is_dir():
        raise FileNotFoundError(f"pictures must be a folder of pictures; there is none at {place}")
    paths = sorted(p for p in place.rglob("*") if p.suffix.lower() in _ENDINGS)
    if not paths:
        raise ValueError(f"{place} must hold pictures ({', '.join(_ENDINGS)}); it holds none")
    count = min(len(paths), _MOST)
    read = decode_resize_and_crop(_SIDE, _SIDE)
    chosen = [paths[i * len(paths) // count] for i in range(count)]
    try:
        return np.stack([read(tf.io.read_file(str(path))).numpy() for path in chosen])
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(f"{place} holds a picture that cannot be read: {error.message}") from None
