"""Writer of corrupted data sets in the layout of CIFAR-10-C."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any, Callable, Optional

import numpy as np
import tensorflow as tf

from tfrobust import files, validation
from tfrobust.corruptions.corrupt import corrupt
from tfrobust.corruptions.frost_textures import frost_source
from tfrobust.corruptions.severities import choose_table, parameters
from tfrobust.ops.compiled import compiled_at_once
from tfrobust.registries import CORRUPTIONS
from tfrobust.version import __version__

SEVERITIES = (1, 2, 3, 4, 5)
SETTINGS_FILE, LABELS_FILE = "settings.json", "labels.npy"
#: Pixels in a batch: about 200 MB of floating-point numbers.
_BATCH_PIXELS = 256 * 32 * 32
#: Batches between two progress marks on disk.
_BATCHES_PER_MARK = 16


@files.one_at_a_time("folder")
def write_set(
    images: np.ndarray,
    labels: np.ndarray,
    folder: files.PathLike,
    *,
    names: Optional[Sequence[str]] = None,
    seed: int = 0,
    table: Optional[int] = None,
    frost_folder: Optional[files.PathLike] = None,
    about: Optional[dict[str, Any]] = None,
    progress: Optional[Callable[[int, int], None]] = None,
) -> list[pathlib.Path]:
    """Writes one `NAME.npy` per corruption and `labels.npy`, as CIFAR-10-C is published.

    Each file holds uint8 [5·N, H, W, 3]: the N images in order at severity 1, then 2, up to 5.
    `labels.npy` repeats the N labels five times, and `settings.json` records how the set was made.

    An interrupted call resumes when repeated with the same arguments and ends with the same bytes.
    The files are written through memory maps, so memory does not grow with N.

    Args:
        images: uint8 [N, H, W, 3]; may be memory-mapped.
        labels: [N] class indices.
        folder: Output folder, created if missing.
        names: Corruptions. Default: all of `CORRUPTIONS`.
        seed: Seed of the random numbers. Default 0.
        table: The severities of 32, 64 or 224 pixels. Required for images of another size.
        frost_folder: As in `corrupt`.
        about: Further entries of `settings.json`, such as the name of the data set.
        progress: Called repeatedly with (images done, images in total).

    Returns:
        The files of the corruptions.

    Raises:
        ValueError: A name is unknown, the images are not uint8 [N, H, W, 3], the number of labels
            differs, or the folder holds a set with other settings.
        OSError: The folder cannot be written.
    """
    folder = pathlib.Path(folder)
    names = list(CORRUPTIONS) if names is None else list(names)
    images, labels = _checked(images, labels)
    table = choose_table((images.shape[1], images.shape[2]), table)
    for name in names:
        parameters(name, 1, table)
    validation.check_whole("seed", seed, 0, 2**31 - 1)
    if "frost" in names:  # fails early if the images are too large for the textures
        corrupt(images[:1], "frost", 1, table=table, frost_folder=frost_folder)
    files.check_writable(folder)
    settings = {
        **(about or {}),
        "images": list(images.shape),
        "sha256": _fingerprint(images, labels),
        "seed": seed,
        "table": table,
        "frost": str(frost_source(frost_folder).label),
        "tfrobust": __version__,
        "tensorflow": tf.__version__,
    }
    _write_or_check_settings(folder / SETTINGS_FILE, settings)
    with files.replacing(folder / LABELS_FILE) as temporary:
        np.save(temporary, np.tile(labels, len(SEVERITIES)))

    rows = len(SEVERITIES) * len(images)
    for number, name in enumerate(names):

        def report(done: int, before: int = number * rows) -> None:
            if progress is not None:
                progress(before + done, len(names) * rows)

        _write_one(images, name, folder, report, seed=seed, table=table, frost_folder=frost_folder)
    return [folder / f"{name}.npy" for name in names]


def _write_one(
    images: np.ndarray,
    name: str,
    folder: pathlib.Path,
    report: Callable[[int], None],
    **options: Any,
) -> None:
    target, partial = folder / f"{name}.npy", folder / f".{name}.partial.npy"
    mark = folder / f".{name}.done.json"
    count, size = len(images), images.shape[1:3]
    shape = (len(SEVERITIES) * count, *images.shape[1:])
    if target.exists():
        mark.unlink(missing_ok=True)
        report(shape[0])
        return
    out, done = _open_partial(partial, mark, shape)
    report(done)
    batch = max(1, min(count, _BATCH_PIXELS // (size[0] * size[1])))
    starts = [(s, i) for s in SEVERITIES for i in range(0, count, batch)]
    for number, (severity, start) in enumerate(starts, start=1):
        index = np.arange(start, start + batch)
        stop = min(start + batch, count)
        row = (severity - 1) * count + start
        if row + stop - start <= done:
            continue
        # The last batch is padded, because every batch size is compiled separately.
        part = images[np.minimum(index, count - 1)]
        with compiled_at_once():
            corrupted = corrupt(part, name, severity, index=index, **options)
        out[row : row + stop - start] = corrupted[: stop - start].numpy()
        report(row + stop - start)
        if number % _BATCHES_PER_MARK == 0:
            out.flush()  # before the mark, which promises that these images are on disk
            files.write_json(row + stop - start, mark)
    out.flush()
    del out
    partial.replace(target.resolve())  # a link is followed
    mark.unlink(missing_ok=True)


def _open_partial(
    partial: pathlib.Path, mark: pathlib.Path, shape: tuple[int, ...]
) -> tuple[np.memmap, int]:
    """Opens the partial file; also returns how many of its images are done."""
    if mark.exists() and partial.exists():
        try:
            out = np.lib.format.open_memmap(partial, mode="r+")
            if out.shape == shape and out.dtype == np.uint8:
                return out, int(mark.read_text(encoding="utf-8"))
        except ValueError:  # damaged: start again
            pass
    out = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
    files.reserve(partial)
    return out, 0


def _checked(images: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    if not (isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.ndim == 4):
        raise ValueError(
            "images must be a NumPy array, uint8 [images, height, width, 3]; received "
            f"{getattr(images, 'dtype', type(images).__name__)} {getattr(images, 'shape', '')}"
        )
    labels = np.asarray(labels)
    if len(images) == 0 or labels.shape != (len(images),):
        raise ValueError(
            f"there must be one label per image and at least one image; received "
            f"{len(images)} images and labels of shape {labels.shape}"
        )
    return images, labels.astype(np.uint8 if labels.max() < 256 else np.int64)


def _fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    digest = files.Digest().add(labels)
    for start in range(0, len(images), 1000):  # reads a memory-mapped file in pieces
        digest.add(images[start : start + 1000])
    return digest.hex()


def _write_or_check_settings(path: pathlib.Path, settings: dict[str, Any]) -> None:
    """Writes the settings, or checks that they equal those of the existing set."""
    images = [one for one in path.parent.glob("*.npy") if one.name != LABELS_FILE]
    if not images:  # hidden ones, of which a part is written, are among them
        files.write_json(settings, path)
        return
    if not path.exists():
        raise ValueError(
            f"{path.parent} holds {images[0].name} and no {path.name}: it is no set of tfrobust; "
            "give another folder"
        )
    there = files.read_json(path)
    for key, value in settings.items():
        if there.get(key) != value:
            raise ValueError(
                f"{path.parent} holds a set with {key} {there.get(key)!r}; this one has {value!r}: "
                "give another folder"
            )
