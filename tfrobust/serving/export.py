"""Export for serving: a SavedModel that needs TensorFlow alone."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import files, validation
from tfrobust.layers import route
from tfrobust.nets.classifier import check_classifier
from tfrobust.nets.input_adapter import adapter_of
from tfrobust.serving import card, manifest
from tfrobust.serving import examples as recording
from tfrobust.serving.server import Server


def export(
    model: keras.Model,
    path: files.PathLike,
    *,
    class_names: Optional[Sequence[str]] = None,
    version: Optional[int] = None,
    image_size: Optional[tuple[int, int]] = None,
    resize: Optional[int] = None,
    name: Optional[str] = None,
    dataset: Optional[str] = None,
    rows: Optional[card.Rows] = None,
    licence: str = card.NOT_STATED,
    examples: Any = None,
    overwrite: bool = False,
) -> None:
    """Writes the plain net as a SavedModel, whole or not at all.

    All signatures take `images`, of any batch size:

    - `serving_default`: float32 [B, H, W, C] in [0, 1];
    - `uint8`: uint8 [B, H, W, C] from 0 to 255;
    - `serving_bytes`: string [B], the bytes of JPEG or PNG files of any size and kind (grey,
      transparent, CMYK, 16 bits), decoded and resized as by `serving.batch_decoder`. Not
      there for nets of 2 or 4 channels and more, nor for those of any image size without
      `image_size`;
    - `features`: as `serving_default`, returns `features`, what the layer of that name returns or,
      without one, what the last Dense layer takes. Not there if the net has neither.

    The others return `probabilities` [B, classes], `logits` [B, classes] where the net ends in
    logits, and `class` [B], the name of the most probable one, where `class_names` are given.
    `serving_bytes` also returns `ok` [B] and `error` [B]: what is wrong with an image that cannot
    be decoded. Its probabilities are NaN, its class is empty; the others of the batch are served.
    So it is with images that hold NaN or infinite numbers, or of which the net makes such.

    Images of another shape are an error; an empty batch gets empty answers.

    A net that `nets.adapt` made is served as the model that it was made of: `serving_default` takes
    the pixels that the model takes, and returns probabilities alone if it ended in a softmax. The
    images of `uint8` and `serving_bytes` are converted.

    Of dual normalizations the clean route is exported. The training method, its augmentation and
    its losses are not part of it.

    In the folder's `assets.extra`, which TensorFlow Serving does not serve, stand the model card
    (`card.json`, `card.md`), a few images with what the Keras model says of them (`examples.npz`)
    and the hashes of all files (`manifest.json`), for `verify`.

    Args:
        model: A tfrobust method or any Keras model with one image input and one output.
        path: Folder to write.
        class_names: Name of each class, in the order of the outputs. Default: those of an adapted
            net, if it has any.
        version: Writes the folder `path/version`, as TensorFlow Serving wants it. Default: `path`.
        image_size: (height, width) that encoded images get. Default: that of the net.
        resize: Pixels of the shorter side of encoded images before the centre is cut out, such as
            256 for ImageNet's 224. Default: an image is made to just cover the size.
        name: Name of the model in its card. Default: that of the folder `path`.
        dataset: Name of the data set that the model is for, for the card; of one in `DATASETS` the
            licence is told with it. Default: not stated.
        rows: What was measured of it, for the card: the path of a `rows.jsonl`, or rows. Taken are
            those with the weights of the model, or else those of the model `name` that do not say
            which weights. Default: not measured.
        licence: Licence of the model, for the card. Default "not stated".
        examples: The images to record, [B, H, W, C], uint8 or float32 in [0, 1]; whoever gets the
            folder can see them. Default: four coarse patterns from a fixed seed.
        overwrite: Replace a SavedModel that stands there. Default False.

    Raises:
        FileExistsError: Something stands at `path`, and `overwrite` is off or it is no SavedModel.
        ValueError: The model is no classifier of images (`nets.classifier.check_classifier`), or
            something else does not fit it, such as rows of another model.
    """
    check_target(path, version=version, overwrite=overwrite)
    net = getattr(model, "net", model)
    check_classifier(net)
    adapter = adapter_of(net)
    names = _checked_names(adapter.class_names if adapter and not class_names else class_names, net)
    server = Server(net, names, _size_of_encoded(net, image_size), resize)
    described = card.model_card(
        model,
        name=pathlib.Path(path).resolve().name if name is None else name,
        dataset=dataset,
        class_names=names,
        rows=rows,
        licence=licence,
        signatures=list(server.functions),
    )
    images = recording.example_images(net, examples, image_size)
    recorded = recording.record(net, images)
    # The functions are traced when they are saved.
    with route("clean"), files.replacing(_folder(path, version)) as temporary:
        tf.saved_model.save(server, str(temporary), signatures=server.functions)
        (temporary / manifest.EXTRA).mkdir()
        card.write_card(described, temporary)
        recording.write(recorded, temporary)
        manifest.write_manifest(temporary)  # last, for it has the hashes of all


def check_target(
    path: files.PathLike, *, version: Optional[int] = None, overwrite: bool = False
) -> None:
    """Raises where `export` would refuse to write, before any time is spent.

    Args:
        path: As given to `export`.
        version: As given to `export`.
        overwrite: As given to `export`.

    Raises:
        FileExistsError: Something stands at `path`, and `overwrite` is off or it is no SavedModel.
        PermissionError: The folder above it is read-only.
        NotADirectoryError: A file stands above it.
        ValueError: `version` is not a whole number from 1.
    """
    target = _folder(path, version)
    if version is not None and pathlib.Path(path, "saved_model.pb").exists():
        raise FileExistsError(
            f"{path} is a SavedModel without versions; give another path for version {version}"
        )
    files.check_writable(target.parent)
    if not target.exists():
        return
    if not overwrite:
        raise FileExistsError(
            f"{target} exists; remove it, or give another place for the SavedModel"
        )
    if not (target / "saved_model.pb").is_file():
        raise FileExistsError(f"{target} exists and is not a SavedModel; give another path")


def _folder(path: files.PathLike, version: Optional[int]) -> pathlib.Path:
    if version is None:
        return pathlib.Path(path)
    return pathlib.Path(path, str(validation.check_whole("version", version, 1, 2**63 - 1)))


def _checked_names(names: Optional[Sequence[str]], net: Any) -> Optional[list[str]]:
    if names is None:
        return None
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"class_names must be a list of texts; received {names!r}")
    classes = net.output_shape[-1]
    if len(names) != classes:
        raise ValueError(
            f"class_names must be as many as the outputs of the net, {classes}; received "
            f"{len(names)}"
        )
    return list(names)


def _size_of_encoded(net: Any, image_size: Optional[tuple[int, int]]) -> Optional[tuple[int, int]]:
    """Height and width that encoded images get; None where they cannot be served."""
    _, *own, channels = net.input_shape
    size = tuple(own) if image_size is None else tuple(image_size)
    validation.check_fits(size, own, "image_size")
    if channels not in (1, 3) or None in size:
        return None
    return validation.check_whole("height", size[0], 1, 2**15), validation.check_whole(
        "width", size[1], 1, 2**15
    )
