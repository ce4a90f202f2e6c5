"""Cost of a training step on two logical devices beside that on one, in one run.

Run: python benchmarks/device_time.py [--batch-size 128] [--rounds 10] [--net resnet_20]
         [--methods NAME ...]

The devices are logical CPU devices, which share the cores: a step of the same global batch has the
same work, so that the ratio is what the strategy itself costs (copies of the weights, gradients
added up, two smaller batches instead of one). What several GPUs gain is another question, which
this machine cannot answer. Steps are `tf.function`s of `strategy.run(train_step)`, interleaved;
medians.
"""

import argparse
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

from tfrobust import augment, methods
from tfrobust.provenance import library_versions
from tfrobust.registries import NETS

#: Method to a function that makes it on a net.
MADE = {
    "baseline": methods.Baseline,
    "augmentation_training": lambda net: methods.AugmentationTraining(net, augment=noise()),
    "stability_training": lambda net: methods.StabilityTraining(net, augment=noise()),
    "feature_map_augmentation": lambda net: methods.FeatureMapAugmentation(net, augment=noise()),
    "noisymix": methods.NoisyMix,
}


def noise():
    return augment.GaussianNoise(0.1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=128, help="of both devices together")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--net", default="resnet_20", choices=list(NETS))
    parser.add_argument("--methods", nargs="+", default=list(MADE), choices=list(MADE))
    given = parser.parse_args()
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    random = np.random.default_rng(0)
    images = random.random([given.batch_size, *NETS[given.net]().input_shape[1:]], "float32")
    labels = np.arange(given.batch_size) % 10

    calls = {}
    for name in given.methods:
        for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
            strategy = tf.distribute.MirroredStrategy(devices)
            calls[name, len(devices)] = step(strategy, name, given.net, images, labels)
    for call in calls.values():
        for _ in range(3):  # traces
            call()
    times = {key: [] for key in calls}
    for _ in range(given.rounds):
        for key, call in calls.items():
            start = time.perf_counter()
            call()
            times[key].append(time.perf_counter() - start)
    median = {key: statistics.median(seconds) for key, seconds in times.items()}

    print(", ".join(f"{name} {version}" for name, version in library_versions().items()))
    print(f"{given.net}, {given.batch_size} images per step, median of {given.rounds}")
    print(f"{'method':30}{'one, ms':>10}{'two, ms':>10}{'ratio':>8}")
    for name in given.methods:
        one, two = median[name, 1], median[name, 2]
        print(f"{name:30}{1000 * one:10.1f}{1000 * two:10.1f}{two / one:8.2f}")


def step(strategy, name, net, images, labels):
    """A call that makes one step of a method."""
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = MADE[name](NETS[net]())
        model.compile(keras.optimizers.SGD(1e-4, momentum=0.9))
        model.optimizer.build(model.trainable_variables)
    replicas = strategy.num_replicas_in_sync

    def part(array):
        parts = np.array_split(array, replicas)
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )

    data = part(images), part(labels)

    @tf.function
    def run(data):
        return strategy.run(model.train_step, args=(data,))

    def call():
        logs = run(data)
        strategy.experimental_local_results(logs["loss"])[0].numpy()

    return call


if __name__ == "__main__":
    main()
