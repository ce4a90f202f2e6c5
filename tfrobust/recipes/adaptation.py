"""What can be done for a trained model without training: batch norm adaptation, temperature."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Optional

import numpy as np

from tfrobust import datasets, files, nets, saving, validation
from tfrobust.datasets.damaged import check_pictures
from tfrobust.datasets.pipeline import PipelineOptions
from tfrobust.datasets.published import IMAGE_ENDINGS
from tfrobust.datasets.source import Files
from tfrobust.evaluation import temperature
from tfrobust.evaluation.adaptation import Adapted, Prior, find_prior
from tfrobust.evaluation.condition import Condition
from tfrobust.evaluation.conditions import Attacked
from tfrobust.evaluation.metrics import class_indices
from tfrobust.evaluation.predictor import Predictor
from tfrobust.nets.batch_norm_adaptation import BatchNormAdapter
from tfrobust.ops import image_decoding
from tfrobust.recipes import models

#: Photographs that are adapted to at most, as all go through the net at once.
_MOST = 512


def adapt(
    model: files.PathLike,
    photos: files.PathLike,
    data: datasets.Data,
    *,
    out: files.PathLike,
    resize: Optional[int] = None,
    input_range: Optional[str] = None,
    seed: int = 0,
    say: Callable[[str], Any] = print,
) -> Prior:
    """Adapts a model's batch norm to a folder of unlabelled photographs, if that is safe.

    How much of the training's statistics is kept is found on the validation images under held-out
    corruptions (`evaluation.find_prior`). Where nothing is gained there, nothing changes: the file
    that is written holds the model as it was.

    Args:
        model: A `.keras` file.
        photos: Folder of pictures, as the model will meet them; its subfolders count. Of more than
            512, so many are taken, evenly spread.
        data: A data set with validation images, such as those that the model was trained on.
        out: `.keras` file to write: the model as `nets.restore` gives it back.
        resize: Shorter side of the photographs before the centre is cut out, in pixels. Default:
            what just covers the model's images.
        input_range: What the model takes for pixels, a name in `nets.INPUT_RANGES`. Default: it is
            found.
        seed: Seed of the corruptions.
        say: Receives what was found.

    Returns:
        What was found on the validation images.

    Raises:
        FileExistsError: `out` exists.
        FileNotFoundError: The model or the folder does not exist, or holds no picture.
        ValueError: The model has no batch norm, the data have no validation images, or pictures
            are damaged.
    """
    path = _new_file(out)
    paths = _pictures(photos)
    net = _net(model, data, input_range, say)
    adapter = BatchNormAdapter(net)
    height, width, _ = data.image_shape
    validation.check_fits((height, width), net.input_shape[1:3], taker=str(model))
    if height != width:
        raise ValueError(f"photographs become squares; {data.name} has images of {height}×{width}")
    side = height if resize is None else validation.check_whole("resize", resize, height, 2**15)
    validation_images = data.split("validation")
    most = min(len(paths), data.sizes["validation"])
    prior = find_prior(net, validation_images, most, seed=seed)
    say(prior.words)
    if prior.weight < 1:
        read = image_decoding.decode_resize_and_crop(side, height)
        labels = np.zeros(len(paths), "int32")
        batches = Files(paths, labels, read).batches(1, PipelineOptions(cache=False))
        images = np.concatenate([np.asarray(some) for some, _ in batches])
        adapter.adapt(images, prior.weight)
        say(f"batch norm adapted to {len(images)} photographs")
    saving.save_model(nets.restore(net), path)
    return prior


def adapted_predictors(
    predictors: Mapping[str, Predictor],
    data: datasets.Data,
    images: int,
    folder: pathlib.Path,
    seed: int,
    verbose: bool,
    *,
    conditions: Iterable[Condition] = (),
    split: str = "test",
) -> dict[str, Adapted]:
    """The models again, adapted to each condition, if that gains something.

    Raises:
        ValueError: It cannot be done for a model or a condition, or there are too few images.
    """
    attacks = [one.name for one in conditions if isinstance(one, Attacked)]
    if images and attacks:
        raise ValueError(
            f"batch norm is adapted to given images, and {attacks[0]} makes them from the model's "
            "gradients; measure attacks without adapting"
        )
    fewest = min(data.sizes.get(name, images) for name in ("validation", split))
    if images > fewest:
        raise ValueError(
            "the number of images to adapt to must be at most that of the validation and of the "
            f"{split} images, {fewest}; received {images}"
        )
    found: dict[str, Adapted] = {}
    told = {}
    for name, predictor in predictors.items() if images else ():
        prior = find_prior(predictor, data.split("validation"), images, seed=seed)
        told[name] = dataclasses.asdict(prior)
        if verbose:
            print(f"{name}: {prior.words}", file=sys.stderr)
        if prior.weight < 1:
            classes = None if predictor.classes is None else predictor.classes.tolist()
            found[f"{name} adapted"] = Adapted(
                predictor.net, prior, name=f"{name} adapted", classes=classes
            )
    if told:
        files.write_json(told, folder / "adaptation.json")
    return found


def scale_temperature(
    model: files.PathLike,
    data: datasets.Data,
    *,
    out: files.PathLike,
    input_range: Optional[str] = None,
    say: Callable[[str], Any] = print,
) -> temperature.Temperature:
    """Scales a model's logits so that its confidences are right on the validation images.

    The temperature is in the weights of the last layer (`nets.scale_logits`), so that every file
    and export of the model has it. No prediction changes. If two halves of the validation images
    show no gain, the file that is written holds the model as it was.

    Args:
        model: A `.keras` file.
        data: A data set with validation images.
        out: `.keras` file to write: the model as `nets.restore` gives it back.
        input_range: As for `adapt`.
        say: Receives what was found.

    Returns:
        The temperature, and the calibration error before and after.

    Raises:
        FileExistsError: `out` exists.
        ValueError: The last layer makes no logits, or the data have no validation images.
    """
    path = _new_file(out)
    net = _net(model, data, input_range, say)
    predictor = Predictor(net)
    logits, labels = [], []
    for images, some in data.split("validation"):
        predictor.answers(images)
        logits.append(np.asarray(predictor.logits(images, training=False), "float64"))
        labels.append(class_indices(np.asarray(some)))
    found = temperature.fit_temperature(np.concatenate(labels), np.concatenate(logits))
    say(found.words)
    if not math.isclose(found.temperature, 1):
        nets.scale_logits(net, found.temperature)
    saving.save_model(nets.restore(net), path)
    return found


def _net(model: files.PathLike, data: Any, input_range: Optional[str], say: Any) -> Any:
    loaded = models.load(model, lambda: data, input_range=input_range, say=say)
    models.check_classes(loaded, data, model)
    return getattr(loaded, "net", loaded)


def _new_file(out: files.PathLike) -> pathlib.Path:
    path = pathlib.Path(out)
    if path.suffix != ".keras":
        raise ValueError(f"a model file must end in .keras; received {path}")
    if path.exists():
        raise FileExistsError(f"{path} exists; give another file with --out")
    files.check_writable(path.parent)
    return path


def _pictures(photos: files.PathLike) -> list[str]:
    """The pictures in a folder and its subfolders, some of very many, evenly spread."""
    place = pathlib.Path(photos)
    if not place.is_dir():
        raise FileNotFoundError(f"photos must be a folder of pictures; there is none at {place}")
    found = sorted(str(p) for p in place.rglob("*") if p.suffix.lower() in IMAGE_ENDINGS)
    if not found:
        raise FileNotFoundError(
            f"{place} must hold pictures ({', '.join(IMAGE_ENDINGS)}); it holds none"
        )
    count = min(len(found), _MOST)
    found = [found[i * len(found) // count] for i in range(count)]
    check_pictures(found)
    return found
