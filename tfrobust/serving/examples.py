"""Example images and the outputs of the Keras model, stored with the SavedModel."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.layers import route
from tfrobust.nets.input_adapter import adapter_of, original_of, returned_by, taken_by
from tfrobust.serving.manifest import EXTRA

EXAMPLES = f"{EXTRA}/examples.npz"
OUTPUTS = ("logits", "probabilities")

_COUNT = 4
_CELLS = 8  # per side: coarse patterns are classified more differently than noise
_ANY_SIZE = 64  # pixels per side, for a net that accepts any size
_BATCH = 32


def example_images(net: Any, examples: Any, image_size: Optional[Sequence[int]]) -> np.ndarray:
    """Returns the images to record: those given, or four patterns from a fixed seed.

    Args:
        net: The net that will classify them.
        examples: [B, H, W, C], uint8 or float32 in [0, 1], or None.
        image_size: (height, width) for a net that accepts any size, or None.

    Returns:
        [B, H, W, C], uint8 or float32.

    Raises:
        ValueError: The examples are not images, or do not fit the net.
        TypeError: The examples are neither uint8 nor floating-point numbers.
    """
    shape = net.input_shape[1:]
    if examples is None:
        random = np.random.default_rng(0)
        given = image_size or (None, None)
        height, width = (a or b or _ANY_SIZE for a, b in zip(shape, given))
        cells = random.integers(0, 256, [_COUNT, _CELLS, _CELLS, shape[-1]], "uint8")
        rows, columns = (np.arange(side) * _CELLS // side for side in (height, width))
        return cells[:, rows][:, :, columns]
    images = np.asarray(examples)
    if images.dtype != np.uint8:
        validation.check_images(images, "examples")
        images = images.astype("float32")
    if images.ndim != 4 or not len(images):
        raise ValueError(
            "examples must be one image or more, [batch, height, width, channels]; received shape "
            f"{images.shape}"
        )
    validation.check_fits(images.shape[1:], shape, "examples")
    return images


def as_floats(images: np.ndarray) -> np.ndarray:
    """Converts images to the net's input format: float32 in [0, 1]."""
    return images.astype("float32") / 255 if images.dtype == np.uint8 else images


def record(net: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """Runs the net on the example images; the result is what `examples.npz` holds.

    Args:
        net: A Keras model; dual norms take the clean route.
        images: The images that `example_images` returned.

    Returns:
        "images", "probabilities" [B, classes], "logits" if the net ends in logits, and of an
        adapted net "inputs", the images as `serving_default` takes them.

    Raises:
        ValueError: The net returns NaN or infinite values.
    """
    inputs, original = np.asarray(taken_by(net, as_floats(images)), "float32"), original_of(net)
    with route("clean"):
        values = np.concatenate(
            [
                tf.cast(original(tf.constant(part), training=False), tf.float32).numpy()
                for part in np.split(inputs, range(_BATCH, len(images), _BATCH))
            ]
        )
    bad = int(np.size(values) - np.count_nonzero(np.isfinite(values)))
    if bad:
        raise ValueError(
            f"a model for serving must return finite values; on the examples {bad} of "
            f"{values.size} are NaN or infinite"
        )
    given = {name: tensor.numpy() for name, tensor in returned_by(net, tf.constant(values)).items()}
    recorded = {"images": images, **given}
    recorded.setdefault("probabilities", tf.nn.softmax(values).numpy())
    if adapter_of(net) is not None:
        recorded["inputs"] = inputs
    return recorded


def write(recorded: dict[str, np.ndarray], folder: pathlib.Path) -> None:
    """Writes what `record` returned into a SavedModel."""
    np.savez_compressed(folder / EXAMPLES, **recorded)  # type: ignore[arg-type]


def read(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the arrays that `write` wrote, without unpickling anything.

    Raises:
        ValueError: The file is missing, damaged, or does not hold examples.
    """
    path = folder / EXAMPLES
    if not path.is_file():
        raise ValueError(f"{folder} has no {EXAMPLES}; export it again")
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} must hold plain arrays; reading them failed: {error}") from None
    images = found.get("images", np.zeros(0))
    outputs = [found[name] for name in OUTPUTS if name in found]
    fits = all(o.ndim == 2 and len(o) == len(images) and o.dtype.kind == "f" for o in outputs)
    kind = images.dtype in (np.uint8, np.float32)
    if images.ndim != 4 or not len(images) or not outputs or not fits or not kind:
        raise ValueError(
            f"{path} must hold images [batch, height, width, channels] and their logits or "
            f"probabilities [batch, classes]; it holds "
            + (", ".join(f"{k} {v.dtype} {list(v.shape)}" for k, v in found.items()) or "nothing")
        )
    return found
