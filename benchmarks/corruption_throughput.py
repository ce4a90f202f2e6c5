"""Images per second of every corruption at severity 3, at 32 and at 224 pixels.

Run: python benchmarks/corruption_throughput.py [rounds] [name ...]. In one run, rounds interleaved:
`tfrobust.corruptions.corrupt`, 8-bit images in and out, beside the package imagecorruptions in two
processes (median over the rounds of the best of three calls). Needs
`pip install imagecorruptions numba` (with --no-deps where an OpenCV stands already).

imagecorruptions 1.1.2, the newest on PyPI, does not run beside current libraries: what has
another name there is put in its place. Its glass blur is a loop in Python; its newest source
compiles that loop with Numba, and so does this script, so that the peer is measured at its best. It
takes the severities of 224 pixels at every size.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import statistics
import sys
import time
import types
from concurrent.futures import ProcessPoolExecutor

import numpy as np

SIZES = {32: 256, 224: 32}  # image side to batch size
SEVERITY = 3


def start_peer() -> None:
    """Imports imagecorruptions into a worker, with what has gone from its libraries."""
    import pathlib

    import scipy.ndimage
    import skimage.filters
    from numba import njit

    np.float_ = np.float64
    sys.modules["scipy.ndimage.interpolation"] = scipy.ndimage
    if "pkg_resources" not in sys.modules:
        resources = types.ModuleType("pkg_resources")
        resources.resource_filename = lambda package, name: str(
            pathlib.Path(sys.modules[package.split(".")[0]].__file__).parent / name
        )
        sys.modules["pkg_resources"] = resources
    import imagecorruptions.corruptions as peer

    def gaussian(image, sigma, multichannel=False, **options):
        axis = -1 if multichannel else None
        return skimage.filters.gaussian(image, sigma=sigma, channel_axis=axis, **options)

    @njit
    def mix(image, delta, iterations):
        height, width = image.shape[:2]
        for _ in range(iterations):
            for h in range(height - delta, delta, -1):
                for w in range(width - delta, delta, -1):
                    dy = np.random.randint(-delta, delta)
                    dx = np.random.randint(-delta, delta)
                    image[h, w] = image[h + dy, w + dx]
        return image

    def glass_blur(image, severity=1):
        sigma, delta, iterations = [
            (0.7, 1, 2),
            (0.9, 2, 1),
            (1, 2, 3),
            (1.1, 3, 2),
            (1.5, 4, 2),
        ][severity - 1]
        image = np.uint8(gaussian(np.array(image) / 255.0, sigma, multichannel=True) * 255)
        mixed = mix(image, delta, iterations)
        return np.clip(gaussian(mixed / 255.0, sigma, multichannel=True), 0, 1) * 255

    peer.gaussian = gaussian
    peer.glass_blur = glass_blur
    sys.modules["imagecorruptions"].corruption_dict["glass_blur"] = glass_blur


def peer_corrupt(name: str, images: np.ndarray) -> int:
    """Corrupts the images one after the other, and says how many there were."""
    import imagecorruptions

    results = [
        imagecorruptions.corrupt(image, corruption_name=name, severity=SEVERITY) for image in images
    ]
    return len(np.stack(results))


def smooth_images(count: int, side: int) -> np.ndarray:
    """Random colour gradients with some noise, uint8."""
    from PIL import Image

    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, [count, 5, 5, 3], "uint8")
    images = [np.asarray(Image.fromarray(c).resize((side, side), Image.BICUBIC)) for c in coarse]
    images = np.stack(images) + random.normal(0, 6, [count, side, side, 3])
    return np.clip(images, 0, 255).astype("uint8")


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def memory() -> float:
    """Most memory that this process ever held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(rounds: int = 5, *names: str) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context, initializer=start_peer) as pool:
        # The workers are up before TensorFlow takes the threads.
        warm = np.zeros([2, 32, 32, 3], "uint8")
        list(pool.map(peer_corrupt, ["glass_blur", "contrast"] * 2, [warm] * 4))
        import tensorflow as tf

        from tfrobust.corruptions import CORRUPTIONS, corrupt

        print(f"TensorFlow {tf.__version__}, severity {SEVERITY}")
        for side, count in SIZES.items():
            images = smooth_images(count, side)
            tensor = tf.constant(images)
            halves = np.split(images, 2)
            before = memory()
            print(f"\n{side} x {side}, batch of {count}: images/s")
            print(f"{'':20}{'tfrobust':>10}{'imagecorruptions':>18}{'ratio':>8}")
            ratios, ours, theirs = [], [], []
            for name in names or CORRUPTIONS:

                def mine(name=name, tensor=tensor):
                    return corrupt(tensor, name, SEVERITY).numpy()

                def peers(name=name, halves=halves):
                    return list(pool.map(peer_corrupt, [name] * 2, halves))

                for function in (mine, mine, peers):
                    function()
                times = {mine: [], peers: []}
                for _ in range(rounds):
                    for function in times:
                        times[function].append(min(seconds(function) for _ in range(3)))
                speed = [count / statistics.median(times[f]) for f in (mine, peers)]
                ratios.append(speed[0] / speed[1])
                ours.append(speed[0])
                theirs.append(speed[1])
                print(f"{name:20}{speed[0]:10,.0f}{speed[1]:18,.0f}{ratios[-1]:8.2f}", flush=True)
            mean = [math.exp(statistics.fmean(map(math.log, v))) for v in (ours, theirs, ratios)]
            print(f"{'geometric mean':20}{mean[0]:10,.0f}{mean[1]:18,.0f}{mean[2]:8.2f}")
            print(f"least ratio {min(ratios):.2f}; memory rose by {memory() - before:.0f} MiB")


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:2]), *sys.argv[2:])
