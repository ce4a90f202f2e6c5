"""Whether a training step with a batch fits into the memory of this machine."""

from __future__ import annotations

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import saving
from tfrobust.layers.inner_layers import every_layer
from tfrobust.methods.base import RobustModel

#: What a step holds of each image beside the outputs of the layers: their gradients, and as much
#: for each view of the image. Steps that this puts below a quarter of the free memory are taken to
#: fit, and are not measured.
_COPIES, _SURELY_FITS = 6, 0.25


def check_step_fits(method: RobustModel, batch_size: int) -> None:
    """Refuses a batch that a training step has not enough memory for.

    The memory of a step is measured in another process with two small batches, and grows with the
    batch along a straight line. It is only measured where the outputs of the layers are so large
    that it may not fit; on GPUs, whose memory is not this machine's, it is not.

    Args:
        method: The method, built on its net.
        batch_size: Number of images on this machine.

    Raises:
        ValueError: The batch does not fit; the message names the largest that does.
    """
    free = free_memory()
    if free is None or tf.config.list_physical_devices("GPU"):
        return
    if _COPIES * batch_size * output_bytes(method.net) < _SURELY_FITS * free:
        return
    print("measuring the memory of a training step", flush=True)
    batches = (4, 16)
    peaks = measured(method, batches)
    if peaks is None:
        print("it could not be measured: whether a batch fits will be seen")
        return
    largest = largest_batch(batches, peaks, free)
    if largest < batch_size:
        way_out = f"the largest batch that fits is {largest}: --batch-size {_round(largest)}"
        raise ValueError(
            f"a training step of {batch_size} images needs more memory than is free here "
            f"({free / 2**30:.1f} GiB); {way_out if largest else 'not even one image fits'}"
        )


def output_bytes(net: keras.Model) -> int:
    """Bytes of the outputs of all layers of a net for one image, as far as they are known."""
    total = 0
    for layer in every_layer(net):
        try:
            shapes = tf.nest.flatten(layer.output)
        except (AttributeError, ValueError):  # subclassed, or called more than once
            continue
        sides = [[side or 1 for side in each.shape[1:]] for each in shapes]
        total += sum(4 * math.prod(each) for each in sides)
    return total


def free_memory() -> Optional[int]:
    """Bytes of memory that are free on this machine and for this process; None if not known."""
    try:
        free = 1024 * _kilobytes("/proc/meminfo", "MemAvailable")
    except (OSError, StopIteration, ValueError):
        return None
    group = pathlib.Path("/sys/fs/cgroup")  # of a container
    try:
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
    except (OSError, ValueError):  # none, or "max"
        return free
    return min(free, limit - used)


def largest_batch(batches: tuple[int, int], peaks: tuple[int, int], free: int) -> int:
    """The largest batch whose step fits, from the memory that two smaller ones took.

    Example:

    >>> largest_batch((2, 4), (1000, 1400), 3000)
    12
    """
    slope = max((peaks[1] - peaks[0]) / (batches[1] - batches[0]), 1.0)
    return max(0, math.floor(batches[0] + (free - peaks[0]) / slope))


def measured(method: RobustModel, batches: tuple[int, int]) -> Optional[tuple[int, int]]:
    """Bytes at the peak of a process that trains on a batch, for two sizes, the smaller first.

    None if it does not get that far, as with layers that only the program of the caller knows.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "method.keras")
        saving.save_model(method, file)
        command = [sys.executable, "-m", __name__, str(file), *map(str, batches)]
        folders = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "PYTHONPATH": folders}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode < 0:  # ended by the system for its memory
        return 2**62, 2**62
    if done.returncode:
        return None
    first, second = json.loads(done.stdout.splitlines()[-1])
    return first, second


def _kilobytes(file: str, name: str) -> int:
    """A number of Linux. Of a process not `ru_maxrss`, which begins with that of its parent."""
    lines = pathlib.Path(file).read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def _round(batch_size: int) -> int:
    """A batch size as people choose them, not larger: a power of 2, or one and a half of it."""
    power = 2 ** int(math.log2(max(batch_size, 1)))
    return 3 * power // 2 if 3 * power // 2 <= batch_size else power


def main(file: str, *batches: str) -> None:
    """Prints the bytes at the peak after a step with each batch, as JSON."""
    method: Any = saving.load_model(file)
    method.compile(keras.optimizers.SGD(1e-6, momentum=0.9))
    peaks = []
    for size in map(int, batches):
        images = np.random.default_rng(0).random([size, *method.net.input_shape[1:]], "float32")
        labels = np.arange(size) % method.net.output_shape[-1]
        method.fit(images, labels, batch_size=size, epochs=1, verbose=0)
        peaks.append(_kilobytes("/proc/self/status", "VmHWM") * 1024)
    print(json.dumps(peaks))


if __name__ == "__main__":
    main(*sys.argv[1:])
