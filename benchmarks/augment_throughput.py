"""Images per second of every augmentation, at 32 and at 224 pixels.

Run: python benchmarks/augment_throughput.py [rounds] [name ...]. In one run, rounds interleaved,
the median over the rounds of the best of three calls: AugMix beside the same AugMix made with
Pillow in two processes, and every augmentation beside x·a + b, the plain pass over the memory, and
beside the bare TensorFlow operations it is made of. The images are smooth random fields, so that
equalize and JPEG have something to do.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from PIL import Image, ImageOps

SIZES = {32: 256, 224: 32}  # image side to batch size
OPERATORS = (
    lambda image, level, sign: ImageOps.autocontrast(image),
    lambda image, level, sign: ImageOps.equalize(image),
    lambda image, level, sign: ImageOps.posterize(image, 4 - int(level * 4 / 10)),
    lambda image, level, sign: image.rotate(sign * int(level * 3), Image.BILINEAR),
    lambda image, level, sign: ImageOps.solarize(image, 256 - int(level * 25.6)),
    lambda image, level, sign: _affine(image, (1, sign * level * 0.03, 0, 0, 1, 0)),
    lambda image, level, sign: _affine(image, (1, 0, 0, sign * level * 0.03, 1, 0)),
    lambda image, level, sign: _affine(
        image, (1, 0, sign * int(level * image.size[0] / 30), 0, 1, 0)
    ),
    lambda image, level, sign: _affine(
        image, (1, 0, 0, 0, 1, sign * int(level * image.size[0] / 30))
    ),
)


def _affine(image, matrix):
    return image.transform(image.size, Image.AFFINE, matrix, resample=Image.BILINEAR)


def pillow_augmix(images: np.ndarray, seed: int) -> np.ndarray:
    """AugMix of uint8 images, one after the other, in the order of the released code.

    Each chain is scaled and normalised before it is mixed, as there, and so is the image.
    """
    random = np.random.default_rng(seed)
    count, height, width, channels = images.shape
    results = np.empty([count, channels, height, width], np.float32)
    for i, pixels in enumerate(images):
        image = Image.fromarray(pixels)
        weights = random.dirichlet([1.0] * 3).astype("float32")
        share = np.float32(random.beta(1.0, 1.0))
        mixture = np.zeros(results.shape[1:], np.float32)
        for weight in weights:
            chain = image
            for _ in range(random.integers(1, 4)):
                operator = OPERATORS[random.integers(len(OPERATORS))]
                sign = 1 if random.random() < 0.5 else -1
                chain = operator(chain, random.uniform(0.1, 3.0), sign)
            mixture += weight * normalised(np.asarray(chain))
        results[i] = (1 - share) * normalised(pixels) + share * mixture
    return results


def normalised(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W, C] to float32 [C, H, W] in [-1, 1]."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32) / 255
    return (planes - 0.5) / 0.5


def smooth_images(count: int, side: int) -> np.ndarray:
    """Random colour gradients with some noise, float32 in [0, 1]."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, [count, 5, 5, 3], "uint8")
    images = [np.asarray(Image.fromarray(c).resize((side, side), Image.BICUBIC)) for c in coarse]
    images = np.stack(images) + random.normal(0, 6, [count, side, side, 3])
    return (np.clip(images, 0, 255) / 255).astype("float32")


def bare_operations(images):
    """For each augmentation the bare TensorFlow operations that it is, or could be, made of."""
    import tensorflow as tf

    from tfrobust.ops import sampling

    shape = images.shape
    batch, side = shape[0], shape[1]
    seed = tf.constant([1, 2])
    amount = tf.random.stateless_uniform([batch, 1, 1, 1], [3, 4], 0.1, 0.3)
    rotation = tf.tile([[0.94, -0.34, 4.0, 0.34, 0.94, -3.0, 0.0, 0.0]], [batch, 1])
    kernel = tf.ones([3, 1, 3, 1]) / 3
    rows = tf.tile(tf.range(side)[tf.newaxis] // 2, [batch, 1])
    small = [2 * side // 3] * 2

    def warp(x):
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=x,
            transforms=rotation,
            output_shape=[side, side],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )

    def blur(x):
        x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT")
        x = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "VALID")
        return tf.nn.depthwise_conv2d(x, tf.transpose(kernel, [1, 0, 2, 3]), [1] * 4, "VALID")

    def normal(x):
        return tf.clip_by_value(x + amount * sampling.normal(seed, shape), 0.0, 1.0)

    def uniform(x):
        return tf.where(sampling.uniform(seed, [*shape[:3], 1]) < 0.1, 0.5, x)

    def resize(x):
        return tf.image.resize(tf.image.resize(x, small, antialias=True), [side, side])

    def jpeg(x):
        return tf.map_fn(lambda one: tf.image.adjust_jpeg_quality(one, 30), x)

    def gather_rows_and_columns(x):
        x = tf.gather(tf.reshape(x, [batch, side, -1]), rows, batch_dims=1)
        x = tf.gather(tf.reshape(x, shape), side // 2 - rows // 2, axis=2, batch_dims=1)
        return x

    return {
        "brightness": lambda x: tf.clip_by_value(x + amount, 0.0, 1.0),
        "exposure": lambda x: tf.image.adjust_gamma(x, 2.0),
        "gamma": lambda x: tf.image.adjust_gamma(x, 2.0),
        "contrast": lambda x: tf.image.adjust_contrast(x, 0.5),
        "color": lambda x: tf.image.adjust_saturation(x, 0.5),
        "saturation": lambda x: tf.image.adjust_saturation(x, 0.5),
        "gaussian_noise": normal,
        "speckle_noise": normal,
        "patch_gaussian": normal,
        "salt_and_pepper": lambda x: tf.clip_by_value(
            x + tf.cast(sampling.uniform(seed, shape) < 0.1, tf.float32), 0.0, 1.0
        ),
        "uniform_noise": uniform,
        "nonuniform_noise": uniform,
        "gaussian_blur": blur,
        "jpeg": jpeg,
        "thumbnail": resize,
        "rotation": warp,
        "shear": warp,
        "translation": gather_rows_and_columns,
        "shifted_crop": gather_rows_and_columns,
        "pad_and_crop": gather_rows_and_columns,
        "flip": lambda x: tf.where(amount < 0.2, tf.reverse(x, [2]), x),
        "mixup": lambda x: amount * x + (1 - amount) * tf.gather(x, tf.range(batch)[::-1]),
    }


def seconds(function, argument) -> float:
    start = time.perf_counter()
    result = function(argument)
    if hasattr(result, "numpy"):
        result[0, 0].numpy()  # waits for a GPU; on the CPU it is done by now
    return time.perf_counter() - start


def main(rounds: int = 15, *names: str) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        # The workers are up before TensorFlow takes the threads.
        list(pool.map(pillow_augmix, [np.zeros([1, 32, 32, 3], "uint8")] * 4, range(4)))
        import tensorflow as tf

        from tfrobust import augment

        print(f"TensorFlow {tf.__version__}")
        for side, count in SIZES.items():
            images = tf.constant(smooth_images(count, side))
            halves = np.split(np.rint(images.numpy() * 255).astype("uint8"), 2)
            cases = {
                "AugMix of Pillow, two processes": lambda x, halves=halves: list(
                    pool.map(pillow_augmix, halves, (1, 2))
                ),
                "x * a + b": tf.function(lambda x: x * 0.9 + 0.05),
            }
            bare = bare_operations(images)
            for name in names or augment.AUGMENTS:
                kind = augment.AUGMENTS[name]
                layer = kind(2 * side // 3) if name == "thumbnail" else kind()
                cases[name] = tf.function(lambda x, layer=layer: layer(x, training=True))
                if name in bare:
                    cases[f"bare {name}"] = tf.function(bare[name])
            times = {case: [] for case in cases}
            for function in cases.values():
                for _ in range(2):
                    seconds(function, images)
            for _ in range(rounds):
                for case, function in cases.items():
                    seconds(function, images)  # what ran before has left the caches to others
                    times[case].append(min(seconds(function, images) for _ in range(3)))
            speed = {case: count / statistics.median(t) for case, t in times.items()}
            print(f"\n{side} x {side}, batch of {count}: images/s")
            pillow = speed["AugMix of Pillow, two processes"]
            for case, value in speed.items():
                if case.startswith("bare "):
                    continue
                of_bare = f"{value / speed[f'bare {case}']:8.2f} of bare" if case in bare else ""
                of_pillow = f"{value / pillow:8.2f} of Pillow" if case == "augmix" else ""
                print(f"{case:34}{value:12,.0f}{of_bare}{of_pillow}", flush=True)


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:2]), *sys.argv[2:])
