"""A preview of augmentations as a grid of images."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from tfrobust import datasets, files, validation
from tfrobust.augment import naming
from tfrobust.ops import sampling
from tfrobust.reports import figures
from tfrobust.rows import CLEAN

#: Size of the centre crop of an image file, as for ImageNet.
SIDE = 224


def preview(
    augmentations: Sequence[str],
    out: files.PathLike,
    *,
    dataset: str = "digits",
    data_dir: Optional[files.PathLike] = None,
    data_options: Optional[Mapping[str, Any]] = None,
    limit: Optional[int] = None,
    images: Optional[Sequence[files.PathLike]] = None,
    examples: int = 4,
    draws: int = 1,
    seed: int = 0,
) -> pathlib.Path:
    """Plots images and their augmented versions, as in the FMA paper's Figure 3.

    Args:
        augmentations: Names, one column each; see `augment.naming.by_name` and `expand`.
        out: PNG file to write.
        dataset: Data set whose first validation images (test images, if it is a test set) are
            used.
        data_dir: Its folder; see `datasets.load`.
        data_options: Its options; see `datasets.load`.
        limit: As `images` of `datasets.load`.
        images: Image files (JPEG, PNG) to use instead: their central square at 224 pixels.
        examples: Number of images, one row each; image files are all shown.
        draws: Number of draws, one column each, per augmentation.
        seed: Seed of the draws.

    Returns:
        Path of the file.

    Raises:
        ValueError: A name is unknown, a strength out of range, or a file is not an image.
        FileExistsError: `out` already exists.
        FileNotFoundError: An image file does not exist.
    """
    out = pathlib.Path(out)
    if out.exists():
        raise FileExistsError(f"{out} exists; give another file with --out")
    examples = validation.check_whole("examples", examples, 1, 100)
    draws = validation.check_whole("draws", draws, 1, 100)
    layers = {}
    for name in augmentations:
        layers.update(naming.expand(name, seed=seed))
    if images:
        batch = tf.stack([_read(path) for path in images])
        source = ", ".join(pathlib.Path(path).name for path in images[:3])
        source += ", ..." if len(images) > 3 else ""
    else:
        given = {"data_dir": data_dir, "images": limit, **(data_options or {})}
        data = datasets.load(dataset, batch_size=examples, **given)
        batch = next(iter(data.validation or data.split("test")))[0]
        source = dataset
    columns = [np.asarray(batch)]
    names = [CLEAN]
    for name, layer in layers.items():
        for draw in range(draws):
            own_seed = sampling.fold_in(sampling.seed_pair(seed, draw), name)
            drawn = layer.draw(batch, own_seed)
            columns.append(np.asarray(layer.apply(batch, drawn)))
            names.append(name)
    figure = figures.augmentation_grid(
        np.stack(columns, axis=1), names, title=f"Augmentations of {source} (seed {seed})"
    )
    with files.replacing(out) as temporary:
        temporary.write_bytes(figures.encoded(figure, "png"))
    return out


def _read(path: files.PathLike) -> tf.Tensor:
    """Reads the central square of an image file: [224, 224, 3] in [0, 1]."""
    content = pathlib.Path(path).read_bytes()
    try:
        image = tf.io.decode_image(content, channels=3, expand_animations=False)
    except tf.errors.InvalidArgumentError:
        raise ValueError(f"{path} must be a JPEG, PNG, GIF or BMP picture; it is none") from None
    side = min(image.shape[0], image.shape[1])
    square = tf.image.resize_with_crop_or_pad(image, side, side)
    resized = tf.image.resize(tf.cast(square, tf.float32), [SIDE, SIDE], antialias=True)
    return tf.clip_by_value(resized / 255.0, 0.0, 1.0)
