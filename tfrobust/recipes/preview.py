"""What augmentations look like: a grid of pictures."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from tfrobust import datasets, files, validation
from tfrobust.augment import naming
from tfrobust.evaluation.conditions import evaluation_seed
from tfrobust.reports import figures
from tfrobust.rows import CLEAN

#: For a picture file; the centre of the image is cut out at this size, as for ImageNet.
SIDE = 224


def preview(
    augmentations: Sequence[str],
    out: files.PathLike,
    *,
    dataset: str = "digits",
    data_dir: Optional[files.PathLike] = None,
    data_options: Optional[Mapping[str, Any]] = None,
    images: Optional[Sequence[files.PathLike]] = None,
    examples: int = 4,
    draws: int = 1,
    seed: int = 0,
) -> pathlib.Path:
    """Draws images and what augmentations make of them, as the FMA paper's Figure 3.

    Args:
        augmentations: Names, each a column: see `augment.naming.by_name` and `expand`.
        out: PNG file to write.
        dataset: Where the images come from: the first of its validation images (of a test set, of
            its test images).
        data_dir: Where it is; see `datasets.load`.
        data_options: Its options; see `datasets.load`.
        images: Picture files (JPEG, PNG) to take instead; their middle square, at 224 pixels.
        examples: Number of images, each a row; picture files are all shown.
        draws: How often each augmentation is drawn: so many columns.
        seed: Seed of the draws.

    Returns:
        The path of the file.

    Raises:
        ValueError: An unknown name, a strength out of its range, or a file that is no picture.
        FileExistsError: `out` is there already.
        FileNotFoundError: A picture file is not there.
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
        options = dict(data_options or {})
        data = datasets.load(dataset, data_dir=data_dir, batch_size=examples, **options)
        batch = next(iter(data.validation or data.split("test")))[0]
        source = dataset
    columns = [np.asarray(batch)]
    names = [CLEAN]
    for name, layer in layers.items():
        for draw in range(draws):
            drawn = layer.draw(batch, evaluation_seed(seed, name, draw))
            columns.append(np.asarray(layer.apply(batch, drawn)))
            names.append(name)
    figure = figures.augmentation_grid(
        np.stack(columns, axis=1), names, title=f"Augmentations of {source} (seed {seed})"
    )
    with files.replacing(out) as temporary:
        temporary.write_bytes(figures.encoded(figure, "png"))
    return out


def _read(path: files.PathLike) -> tf.Tensor:
    """The middle square of a picture file at 224 pixels: [224, 224, 3] in [0, 1]."""
    content = pathlib.Path(path).read_bytes()
    try:
        image = tf.io.decode_image(content, channels=3, expand_animations=False)
    except tf.errors.InvalidArgumentError:
        raise ValueError(f"{path} must be a JPEG, PNG, GIF or BMP picture; it is none") from None
    side = min(image.shape[0], image.shape[1])
    square = tf.image.resize_with_crop_or_pad(image, side, side)
    resized = tf.image.resize(tf.cast(square, tf.float32), [SIDE, SIDE], antialias=True)
    return tf.clip_by_value(resized / 255.0, 0.0, 1.0)
