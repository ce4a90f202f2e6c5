"""Cost of a training step of each method, in plain steps.

Run: python benchmarks/step_time.py [batch size]. The unit is one step of `Baseline` on the same
batch, measured in the same run, rounds interleaved; "views" is the augmentation alone. A method
that looks at two views of every image can cost no less than about 2.
"""

import statistics
import sys
import time

import keras
import tensorflow as tf

from tfrobust import augment, datasets, nets
from tfrobust.recipes.training import build_method
from tfrobust.registries import METHODS


def main(batch_size: int = 64, rounds: int = 30) -> None:
    data = datasets.load("digits", batch_size=batch_size)
    images, labels = next(iter(data.train))
    steps = {}
    for name in METHODS:
        layer = augment.combined(augment.table_1())
        model = build_method(name, nets.small_cnn(), layer, {})
        model.compile(keras.optimizers.SGD(1e-4, momentum=0.9), jit_compile=False)
        steps[name] = tf.function(lambda x, y, model=model: model.train_step((x, y))["loss"])
        if model.augment is not None:
            steps["views"] = tf.function(lambda x, y, model=model: model.views(x, y)["augmented"])
    times = {name: [] for name in steps}
    for step in steps.values():
        step(images, labels)
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step(images, labels).numpy()
            times[name].append(time.perf_counter() - start)
    unit = statistics.median(times["baseline"])
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}, batch of {batch_size}")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{name:28}{1000 * median:8.1f} ms{median / unit:8.2f} plain steps")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
