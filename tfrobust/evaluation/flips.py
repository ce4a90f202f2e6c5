"""Measures how often the predictions of a model change in perturbation sequences."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Optional, Union

import keras
import numpy as np
import tensorflow as tf

from tfrobust import datasets, validation
from tfrobust.corruptions import perturbation_frames
from tfrobust.corruptions.perturbations import TABLES, frame_count
from tfrobust.corruptions.severities import choose_table
from tfrobust.evaluation import passes, protocol, stability
from tfrobust.evaluation.corruption_error import check_tables, tables_in
from tfrobust.evaluation.predictor import Model, Predictor
from tfrobust.files import Digest, PathLike
from tfrobust.provenance import library_versions
from tfrobust.registries import NOISE_PERTURBATIONS, PERTURBATIONS
from tfrobust.rows import Row

#: Most images that the model is given at a time, and published sequences that are read at a time:
#: of 31 frames, about as many images.
_PIECE, _VIDEOS = 256, 8


def flips(
    model: Union[Model, Predictor],
    data: Any = None,
    *,
    perturbations: Optional[Sequence[str]] = None,
    difficulty: int = 1,
    table: Optional[int] = None,
    crop: Optional[int] = None,
    seed: int = 0,
    index: Optional[Sequence[int]] = None,
    model_name: Optional[str] = None,
    dataset: Optional[str] = None,
    published: Optional[tuple[str, Optional[PathLike]]] = None,
    baseline: Optional[str] = None,
    progress: Optional[Callable[[str], None]] = None,
) -> list[Row]:
    """Flip probabilities of a model on CIFAR-P or ImageNet-P, or on such sequences of any images.

    See `flip_probability` and `tfrobust.corruptions.perturbation_frames`. Sequences are made as
    they are looked at; of each frame the predicted class alone is kept. An image's frames depend
    on its place in the data and the seed, not on the size of the batches.

    Args:
        model: A `Predictor`, or what it takes: a Keras model, the path of a model, a function.
        data: Clean images in colour, float32 in [0, 1]: what `tfrobust.datasets.load` gives (its
            test images), a batched `tf.data.Dataset` of images or of (images, labels) that can be
            read again, an array [N, H, W, 3], or a pair of arrays. Labels are not needed.
        perturbations: Their names. Default: the ten of the benchmark; at 64 pixels it has nine.
        difficulty: 1 to 3, as in the authors' script: stronger noise, and for the others frames
            that are so far apart.
        table: 32, 64 or 224: which benchmark's sequences, for frames of another size.
        crop: Height and width of the frames in pixels, where the images are larger.
        seed: Seed of the sequences.
        index: Index of each image in the whole data, where `data` is a part of it, so that they are
            changed as they are there. Default: their places in `data`.
        model_name: Name of the model in the rows. Default: the model's own.
        dataset: Name of the data in the rows. Default: such as "digits/test", or "data".
        published: In place of `data`, published sequences: "cifar10_p", "cifar100_p" or
            "imagenet_p", and their folder or None, as for `tfrobust.datasets.load`.
        baseline: "alexnet" (for ImageNet-P, difficulty 1, table 224): rates are reported too.
            Default: none.
        progress: Called with the name of each perturbation when it is done.

    Returns:
        A row "flip_probability" (a fraction, its severity the difficulty) for each perturbation,
        and "mean_flip_probability" where the ten are among them; with a baseline "flip_rate" and
        "mean_flip_rate", times 100. `n` counts sequences.

    Raises:
        ValueError: Images that are not in colour, not in [0, 1] or not of the size that the model
            takes, no images, an index that is not one number per image, an unknown perturbation,
            table, baseline or data set, or outputs that are not finite.
        TypeError: Integer images, or a model that is none.
        FileNotFoundError: The published files are not there.

    Example:

    >>> images = np.full([1, 32, 32, 3], 0.5, "float32")
    >>> def bright(images):  # logits of "dark" and "bright"
    ...     return tf.stack([0.49 + tf.zeros(len(images)), images[:, 0, 0, 0]], axis=1)
    >>> [row] = flips(bright, images, perturbations=["brightness"])
    >>> row.corruption, row.severity, round(row.value * 30)  # one flip in 30 steps
    ('brightness', 1, 1)
    """
    validation.check_whole("difficulty", difficulty, 1, 3)
    if baseline is not None:
        validation.check_choice("baseline", baseline, tuple(stability.FLIP_BASELINES))
        validation.check_whole("difficulty, where rates are asked for,", difficulty, 1, 1)
    if (data is None) == (published is None):
        given = "none" if data is None else "both"
        raise ValueError(f"flips needs either data or published sequences; received {given}")
    predictor = model if isinstance(model, Predictor) else Predictor(model)
    names = PERTURBATIONS if perturbations is None else stability.select(perturbations)
    # The sequences of a perturbation: frames [B, H, W, 3] one after the other, and how many count.
    videos: Callable[[str, int], Iterator[tuple[Iterable[tf.Tensor], int]]]
    if published is not None:
        name, place = published
        known = ("cifar10_p", "cifar100_p", "imagenet_p")
        validation.check_choice("published sequences", name, known)
        dataset, told = dataset or f"{name}/test", {"files": name, "difficulty": difficulty}
        check_tables(tables_in([told]), baseline)
        videos = functools.partial(_read, name, place)
    else:
        if isinstance(data, datasets.Data):
            dataset, data = dataset or f"{data.name}/test", data.split("test")
        size, count, marked = _look_at(data, predictor, crop)
        places = protocol.check_index(range(count) if index is None else index, count)
        table = choose_table(size, table)
        check_tables({table}, baseline)
        if perturbations is None:
            names = tuple(name for name in names if name in TABLES[table])
        _ = [frame_count(name, table) for name in names]  # says what there is not
        told = {"images": marked, "table": table, "difficulty": difficulty}
        if crop is not None:
            told["crop"] = crop
        videos = functools.partial(_make, data, seed, places, table, crop)

    probabilities = {}
    for name in names:
        noise = name in NOISE_PERTURBATIONS
        found = videos(name, difficulty if noise else 1)
        classes = np.concatenate([_watch(predictor, *video, name) for video in found])
        probabilities[name] = stability.flip_probability(classes, noise=noise, step=difficulty)
        if progress is not None:
            progress(name)

    return [
        Row(
            model=model_name or predictor.name,
            dataset=dataset or "data",
            corruption=name,
            severity=difficulty if name in probabilities else None,
            metric=metric,
            value=value,
            n=len(classes),
            seed=seed,
            protocol={**told, **({"baseline": baseline} if "rate" in metric else {})},
            provenance={**predictor.provenance, **library_versions()},
        )
        for metric, name, value in stability.metrics_of(probabilities, baseline)
    ]


def _watch(predictor: Predictor, frames: Iterable[tf.Tensor], count: int, name: str) -> np.ndarray:
    """The class of each frame of the first `count` sequences: [count, frames]."""
    frames, found, group, batch = iter(frames), [], 1, 0
    while part := list(itertools.islice(frames, group)):
        images, batch = tf.concat(part, 0), len(part[0])
        group = max(_PIECE // batch, 1)
        for start in range(0, len(images), _PIECE):
            classes, uncertainties = predictor.answers(images[start : start + _PIECE])
            if np.isnan(uncertainties).any():  # they would count as one class, which does not flip
                given = f"received NaN or infinite ones ({name})"
                raise ValueError(f"the outputs of {predictor.name} must be finite; {given}")
            found.append(classes.numpy())
    return np.concatenate(found).reshape(-1, batch).T[:count]


def _read(
    dataset: str, place: Optional[PathLike], name: str, difficulty: int
) -> Iterator[tuple[Iterable[tf.Tensor], int]]:
    options: dict[str, Any] = {"perturbation": name, "difficulty": difficulty}
    for frames, _ in datasets.load(dataset, data_dir=place, batch_size=_VIDEOS, **options).test:
        yield tf.unstack(frames, axis=1), len(frames)


def _make(
    data: Any,
    seed: int,
    index: np.ndarray,
    table: int,
    crop: Optional[int],
    name: str,
    difficulty: int,
) -> Iterator[tuple[Iterable[tf.Tensor], int]]:
    seen, full = 0, 0
    for images in _batches(data):
        images, count = np.asarray(images), len(images)
        full = full or count
        # What makes frames is compiled for each size of a batch, so the last one is filled up.
        missing = max(full - count, 0)
        images = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)], mode="edge")
        own = np.pad(index[seen : seen + count], (0, missing), mode="edge")
        frames = functools.partial(perturbation_frames, images, name, seed, table=table, crop=crop)
        yield frames(index=own, difficulty=difficulty), count
        seen += count


def _batches(data: Any) -> Iterator[Any]:
    if isinstance(data, (tf.data.Dataset, keras.utils.Sequence)):
        data = passes.batches_of(data)
    else:
        images = np.asarray(data[0] if isinstance(data, (tuple, list)) else data)
        data = (images[start : start + _PIECE] for start in range(0, len(images), _PIECE))
    return (passes.as_float32(x[0] if isinstance(x, (tuple, list)) else x) for x in data)


def _look_at(
    data: Any, predictor: Predictor, crop: Optional[int]
) -> tuple[tuple[int, int], int, str]:
    """Checks all images: the size of the frames, their number, and a hash of them in 8 bits."""
    digest, size, count = Digest(), None, 0
    for images in _batches(data):
        validation.check_images(images)
        digest.add(np.rint(np.clip(images, 0, 1) * np.float32(255)).astype("uint8"))
        size, count = (
            tuple(images.shape[1:3]) if crop is None else (crop, crop),
            count + len(images),
        )
        shape = (*size, images.shape[3])
        validation.check_fits(shape, predictor.image_shape, taker=predictor.name)
    if size is None:
        raise ValueError("the evaluation data are empty: the data set gives no batch")
    return size, count, digest.hex(16)
