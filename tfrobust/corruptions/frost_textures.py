"""Textures of frost: the authors' photographs, or procedural ones."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import os
import pathlib
import warnings
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrobust.files import PathLike

_COUNT = 5
_ENDINGS = (".png", ".jpg", ".jpeg")
#: Measured height, width, mean and standard deviation (red, green, blue) of the five photographs.
_MEASURED = (
    (600, 900, (78, 149, 166), (27, 17, 15)),
    (315, 560, (201, 205, 215), (21, 22, 23)),
    (315, 560, (201, 205, 215), (21, 22, 23)),
    (350, 527, (138, 153, 165), (29, 29, 30)),
    (495, 660, (112, 123, 135), (44, 43, 42)),
)


@dataclasses.dataclass(frozen=True)
class FrostSource:
    """Source of the frost textures.

    Attributes:
        label: "photographs", or "procedural" for generated textures, whose results are not
            comparable.
        where: The folder of the photographs, or None.
    """

    label: str
    where: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class Textures:
    """Five textures in one buffer, uint8 [N, 3], with the first pixel, height and width of each."""

    pixels: np.ndarray
    starts: np.ndarray
    heights: np.ndarray
    widths: np.ndarray


def frost_source(folder: Optional[PathLike] = None) -> FrostSource:
    """Finds the frost textures: the authors' photographs, or procedural ones.

    The photographs may not be redistributed with this library. They are read from `folder`, or else
    from the package `imagecorruptions` if it is installed (without importing it). Otherwise frost
    is generated procedurally, and results are not comparable with the benchmark's.

    Args:
        folder: Folder with `frost1` to `frost5`, each .png, .jpg or .jpeg.

    Returns:
        The source of the textures.

    Raises:
        FileNotFoundError: `folder` lacks some of the photographs.

    Example:

    >>> frost_source().label in ("photographs", "procedural")
    True
    """
    if folder is not None:
        _photographs(pathlib.Path(folder))
        return FrostSource("photographs", os.fspath(folder))
    spec = importlib.util.find_spec("imagecorruptions")  # found, not imported
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (pathlib.Path(place) / "frost").is_dir():
            _photographs(pathlib.Path(place) / "frost")
            return FrostSource("photographs", os.path.join(place, "frost"))
    return FrostSource("procedural")


@functools.lru_cache(maxsize=8)
def textures(source: FrostSource, scale: float) -> Textures:
    """Loads the five textures of a source and shrinks them; cached for the next batch.

    Args:
        source: See `frost_source`.
        scale: Factor of height and width.

    Returns:
        The textures.
    """
    shrunk = [_shrink(texture, scale) for texture in _originals(source)]
    sizes = np.array([texture.shape[:2] for texture in shrunk], "int32")
    ends = np.cumsum(sizes[:, 0] * sizes[:, 1])
    pixels = np.concatenate([texture.reshape(-1, 3) for texture in shrunk])
    starts = np.concatenate([[0], ends[:-1]]).astype("int32")
    return Textures(pixels, starts, sizes[:, 0], sizes[:, 1])


def _originals(source: FrostSource) -> list[np.ndarray]:
    if source.where is None:
        warnings.warn(
            "frost is made by a formula, because there is neither a folder with the photographs "
            "(frost_folder=) nor the package imagecorruptions: its results are not comparable "
            "with the benchmark's",
            stacklevel=2,
        )
        return [_procedural(number) for number in range(_COUNT)]
    files = _photographs(pathlib.Path(source.where))
    found = []
    for file in files:
        try:
            with tf.init_scope():  # eager, even while a graph is traced
                # Decodes PNG too, dropping alpha; uses the accurate DCT, like the authors' reader.
                image = tf.io.decode_jpeg(file.read_bytes(), 3, dct_method="INTEGER_ACCURATE")
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"{file} must be a photograph of frost; it cannot be read") from error
        found.append(image.numpy())
    return found


def _photographs(folder: pathlib.Path) -> list[pathlib.Path]:
    found, missing = [], []
    for number in range(1, _COUNT + 1):
        files = [folder / f"frost{number}{ending}" for ending in _ENDINGS]
        present = [file for file in files if file.is_file()]
        found += present[:1]
        missing += [] if present else [f"frost{number}"]
    if missing:
        raise FileNotFoundError(
            f"a folder of frost must hold frost1 to frost{_COUNT}, each .png, .jpg or .jpeg; "
            f"{', '.join(missing)} missing in {os.fspath(folder)!r}"
        )
    return found


def _shrink(texture: np.ndarray, scale: float) -> np.ndarray:
    """Resizes bilinearly without antialiasing, to 8 bits.

    Like OpenCV's `resize` with factors, the step is 1/scale even if the size is rounded.
    """
    values = texture.astype("float32")
    for axis in (0, 1):
        count = texture.shape[axis]
        new = round(count * scale)
        if new == count:
            continue
        position = np.clip((np.arange(new) + 0.5) / scale - 0.5, 0, count - 1)
        low = np.minimum(position.astype(int), count - 2)
        fraction = np.reshape(position - low, (-1, 1, 1) if axis == 0 else (1, -1, 1))
        first, second = np.take(values, low, axis), np.take(values, low + 1, axis)
        values = first + fraction.astype("float32") * (second - first)
    return np.floor(values + 0.5).astype("uint8")


def _procedural(number: int) -> np.ndarray:
    """Generates frost: Voronoi cells of needles with random directions over a cloud texture.

    The mean and standard deviation of the colours are those of the photograph of this number.
    """
    height, width, mean, deviation = _MEASURED[number]
    random = np.random.RandomState(1903 + number)  # its sequence is guaranteed to never change
    y, x = np.mgrid[:height, :width].astype("float32")
    # Voronoi cells around one random point per grid square; the nearest is in one of nine squares.
    pitch = 40
    rows, columns = height // pitch + 3, width // pitch + 3
    point = random.uniform(size=(2, rows, columns)).astype("float32") * pitch
    kind = random.randint(_DIRECTIONS, size=(rows, columns))
    nearest = np.full((height, width), np.inf, "float32")
    direction = np.zeros((height, width), int)
    row, column = y.astype(int) // pitch + 1, x.astype(int) // pitch + 1
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            r, c = row + down, column + right
            distance = np.hypot(
                (r - 1) * pitch + point[0, r, c] - y, (c - 1) * pitch + point[1, r, c] - x
            )
            closer = distance < nearest
            nearest = np.where(closer, distance, nearest)
            direction = np.where(closer, kind[r, c], direction)
    spectrum = np.fft.rfft2(random.normal(size=(height, width)))
    v, u = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    needles = np.zeros((height, width))
    for k in range(_DIRECTIONS):
        angle = np.pi * (k + 0.5) / _DIRECTIONS
        along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
        # Needles of 40 by 3 pixels; structures wider than 20 pixels are removed.
        band = np.exp(-((along * 40) ** 2) - (across * 3) ** 2) * (
            1 - np.exp(-((across * 20) ** 2))
        )
        needles = np.where(
            direction == k, _standardize(np.fft.irfft2(spectrum * band, needles.shape)), needles
        )
    rough = 1 / np.maximum(np.hypot(u, v), 1 / width) ** 1.6
    clouds = _standardize(
        np.fft.irfft2(np.fft.rfft2(random.normal(size=(height, width))) * rough, needles.shape)
    )
    field = _standardize(np.abs(needles) + 0.6 * clouds - 0.02 * nearest)
    colours = np.array(mean) + field[..., None] * np.array(deviation)
    return np.floor(np.clip(colours, 0, 255) + 0.5).astype("uint8")


#: Number of needle directions.
_DIRECTIONS = 7


def _standardize(field: np.ndarray) -> np.ndarray:
    return (field - field.mean()) / field.std()
