"""CIFAR-10-P, CIFAR-100-P and ImageNet-P: short sequences in which an image changes slowly.

Hendrycks and Dietterich 2019 (arXiv:1903.12261), section 3. They measure how often the predicted
class changes from frame to frame, so no labels are needed.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.corruptions.perturbations import frame_count
from tfrobust.datasets import pipeline, published
from tfrobust.files import PathLike
from tfrobust.ops import image_decoding
from tfrobust.registries import HELD_OUT_PERTURBATIONS, NOISE_PERTURBATIONS, PERTURBATIONS

#: All published perturbations. In ImageNet-P snow is averaged and spatter held out; the evaluation
#: script of CIFAR-P does the opposite.
ALL = PERTURBATIONS + HELD_OUT_PERTURBATIONS

_CIFAR_P = ("CIFAR-10-P", "CIFAR-100-P")
_GROUPS = ("noise", "blur", "weather", "digital", "validation", "extra")


def cifar_p(folder: PathLike, perturbation: str, *, difficulty: int = 1) -> np.ndarray:
    """The sequences of one perturbation of CIFAR-10-P or CIFAR-100-P from its `.npy` file.

    Args:
        folder: With the file of the perturbation, such as `tilt.npy`.
        perturbation: One of `tfrobust.corruptions.PERTURBATIONS` or
            `HELD_OUT_PERTURBATIONS`.
        difficulty: 1 to 3 for the noises, which come in three strengths, such as
            `shot_noise_2.npy`; 1 for the others.

    Returns:
        uint8 [N, frames, 32, 32, 3], memory-mapped and read-only, one sequence for each of the
        10,000 test images in their order. 31 frames; 21 of `motion_blur`, 16 of `translate`.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: An unknown perturbation or difficulty; the file is truncated or has another
            shape or type.
    """
    name = _file_name(perturbation, difficulty)
    path = published.find_file(folder, f"{name}.npy", _CIFAR_P)
    frames = frame_count(published.plain_name(perturbation), 32)
    return published.open_array(path, np.uint8, f"[N, {frames}, 32, 32, 3]", _CIFAR_P)


def imagenet_p(
    folder: PathLike,
    perturbation: str,
    *,
    difficulty: int = 1,
    wnids: Optional[Sequence[str]] = None,
) -> tf.data.Dataset:
    """The sequences of one perturbation of ImageNet-P from folders of frames.

    ImageNet-P is published as MP4 videos, `perturbation/wnid/video.mp4`, which must be unpacked to
    frames first, `perturbation/wnid/video/001.png` and so on. With FFmpeg, in the folder of the
    perturbation:

        for v in */*.mp4; do mkdir "${v%.mp4}"; ffmpeg -i "$v" "${v%.mp4}/%03d.png"; done

    Args:
        folder: With a subfolder per perturbation, or with the groups `noise/`, `blur/`, `weather/`,
            `digital/`, `validation/`.
        perturbation: One of `tfrobust.corruptions.PERTURBATIONS` or
            `HELD_OUT_PERTURBATIONS`.
        difficulty: 1 to 3 for the noises, 1 for the others.
        wnids: WordNet names of the classes in the order of the labels. By default the sorted names
            of the subfolders, which must then be 1,000 or 200.

    Returns:
        `tf.data.Dataset` of single sequences: (frames float32 [F, H, W, 3] in [0, 1], label).

    Raises:
        FileNotFoundError: A folder is missing or empty.
        ValueError: The videos are still MP4 files, or differ in their number of frames.
    """
    classes = imagenet_p_classes(folder, perturbation, difficulty, wnids)
    videos = [(video, label) for label, c in enumerate(classes) for video in _videos(c)]
    paths, owners = published.image_files([video for video, _ in videos])
    counts = np.bincount(owners)
    if np.any(counts != counts[0]):
        odd = int(np.argmax(counts != counts[0]))
        raise ValueError(
            f"all sequences of {perturbation} must have as many frames; {videos[0][0]} has "
            f"{counts[0]}, {videos[odd][0]} has {counts[odd]}"
        )
    labels = np.array([label for _, label in videos], "int32")
    read = published.same_size(paths[0])

    def frame(path: tf.Tensor) -> tf.Tensor:
        return image_decoding.to_float(read(tf.io.read_file(path)))

    return pipeline.from_frames(paths, labels, frame, int(counts[0]))


def imagenet_p_classes(
    folder: PathLike, perturbation: str, difficulty: int = 1, wnids: Optional[Sequence[str]] = None
) -> list[pathlib.Path]:
    """The folder of each class that `imagenet_p` reads."""
    name = _file_name(perturbation, difficulty)
    place = published.find_folder(folder, (name,), _GROUPS, ("ImageNet-P",))
    return published.class_folders(place, wnids, (1000, 200))


def _file_name(perturbation: str, difficulty: int) -> str:
    name = validation.check_choice("perturbation", published.plain_name(perturbation), ALL)
    validation.check_whole(
        f"difficulty of {name}", difficulty, 1, 3 if name in NOISE_PERTURBATIONS else 1
    )
    return name if difficulty == 1 else f"{name}_{int(difficulty)}"


def _videos(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folder of frames of each video."""
    found = published.natural_order(place.name for place in folder.iterdir() if place.is_dir())
    if found:
        return [folder / name for name in found]
    if any(place.suffix.lower() == ".mp4" for place in folder.iterdir()):
        raise ValueError(
            f"the videos in {folder} must be unpacked to frames first, because there is no decoder "
            "of MP4 here; with FFmpeg, in the folder of the perturbation: for v in */*.mp4; do "
            'mkdir "${v%.mp4}"; ffmpeg -i "$v" "${v%.mp4}/%03d.png"; done'
        )
    raise FileNotFoundError(f"{folder} must hold a folder of frames for each video; it holds none")
