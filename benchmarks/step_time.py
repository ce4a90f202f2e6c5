"""Cost of a training step of each method beside the ideal made of its parts, in one run.

Run: python benchmarks/step_time.py [--batch-size 128] [--rounds 10] [--net resnet_20]
         [--steps 5] [--methods NAME ...] [--policy float32] [--jit-compile]

Steps are `tf.function`s of `train_step` on one batch, interleaved, so that a slow moment of the
machine meets all of them; medians. The unit is one plain Keras step on B images. The ideals are
measured on the same net: plain Keras `train_step` on B, 2B and 3B images, and a forward pass with
the gradient of the input in inference mode on B. What an augmentation costs is measured by itself
(`views` without an attack) and belongs to the ideal where the method is defined by it: AugMix,
NoisyMix and AugMax.

AugMax takes --steps steps and none less ("stop=None"), so that the ideal can be counted; "augmax
(early stop)" goes on with the images that are not yet fooled, as in training.
"""

import argparse
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

from tfrobust import attacks, augment, methods, nets
from tfrobust.layers import route
from tfrobust.registries import METHODS, NETS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--net", default="resnet_20", choices=list(NETS))
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--policy", default="float32")
    parser.add_argument("--jit-compile", action="store_true")
    given = parser.parse_args()
    keras.mixed_precision.set_global_policy(given.policy)
    keras.utils.set_random_seed(0)

    make = NETS[given.net]
    shape, classes = make().input_shape[1:], 10
    random = np.random.default_rng(0)
    images = tf.constant(random.random([given.batch_size, *shape], "float32"))
    labels = tf.constant(np.arange(given.batch_size) % classes, tf.int32)

    def new_net(dual=False):
        keras.utils.set_random_seed(0)
        net = make(shape, classes)
        return nets.convert_norms(net, "dubn") if dual else net

    parts = {
        f"plain {n}B": plain_step(new_net(), *(tf.concat([x] * n, 0) for x in (images, labels)))
        for n in (1, 2, 3)
    }
    parts["input gradient"] = input_gradient(new_net(), images, labels)
    dual = new_net(dual=True)
    parts["input gradient, dual"] = input_gradient(dual, images, labels)
    parts["three routed passes"] = routed_step(new_net(dual=True), images, labels)

    calls, ideals = dict(parts), {}
    for name, (model, ideal) in method_table(given, new_net).items():
        model.compile(keras.optimizers.SGD(1e-4, momentum=0.9), jit_compile=given.jit_compile)
        calls[name] = method_step(model, images, labels)
        augmentation = f"{name}: augmentation"
        calls[augmentation] = views_alone(model, images)
        ideals[name] = [augmentation if part == "augmentation" else part for part in ideal]

    for call in calls.values():
        for _ in range(3):  # traces
            call()
    times = {name: [] for name in calls}
    for _ in range(given.rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    unit = median["plain 1B"]
    print(
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {given.net}, batch of "
        f"{given.batch_size}, {given.policy}, jit_compile={given.jit_compile}, "
        f"{given.rounds} rounds"
    )
    print(f"{'':34}{'ms':>8}{'plain steps':>13}{'ideal':>8}{'ratio':>7}")
    for name in calls:
        if name in ideals:
            ideal = sum(median[part] for part in ideals[name])
            what = " + ".join(short(ideals[name]))
            more = f"{ideal / unit:8.2f}{median[name] / ideal:7.2f}  {what}"
        else:
            more = ""
        print(f"{name:34}{1000 * median[name]:8.1f}{median[name] / unit:13.2f}{more}")


def method_table(given, new_net):
    """Method and what its ideal is the sum of, for each name that was asked for."""
    noise = augment.GaussianNoise(0.075)
    settings = {"dual_norms": True}
    steps = ["input gradient, dual"] * given.steps

    def augmax(stop):
        return attacks.AugMaxAttack(steps=given.steps, stop=stop)

    table = {
        "baseline": (lambda: methods.Baseline(new_net()), ["plain 1B"]),
        "augmentation_training": (
            lambda: methods.AugmentationTraining(new_net(), augment=noise),
            ["plain 2B"],
        ),
        "stability_training": (
            lambda: methods.StabilityTraining(new_net(), augment=noise),
            ["plain 2B"],
        ),
        "adversarial_training": (
            lambda: methods.AdversarialTraining(new_net(), attack=attacks.FGSM()),
            ["plain 2B", "input gradient"],
        ),
        "feature_map_augmentation": (
            lambda: methods.FeatureMapAugmentation(new_net(), augment=noise),
            ["plain 2B"],
        ),
        "feature_contrastive": (
            lambda: methods.FeatureContrastive(new_net()),
            ["plain 3B", "input gradient"],
        ),
        "augmix_training": (
            lambda: methods.AugMixTraining(new_net()),
            ["plain 3B", "augmentation"],
        ),
        "noisymix": (lambda: methods.NoisyMix(new_net()), ["plain 3B", "augmentation"]),
        "augmax": (
            lambda: methods.AugMax(new_net(dual=True), attack=augmax(None), **settings),
            ["three routed passes", *steps, "augmentation"],
        ),
        "augmax (early stop)": (
            lambda: methods.AugMax(new_net(dual=True), attack=augmax("image"), **settings),
            ["three routed passes", *steps, "augmentation"],
        ),
        "augmix_pgdat": (
            lambda: methods.AugMixPGDAT(
                new_net(dual=True), attack=attacks.PGD(steps=given.steps), **settings
            ),
            ["three routed passes", *steps, "augmentation"],
        ),
    }
    return {
        name: (make(), ideal)
        for name, (make, ideal) in table.items()
        if name.partition(" ")[0] in given.methods
    }


def plain_step(net, images, labels):
    """Keras' own step, with its own loss."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.SGD(1e-4, momentum=0.9), loss=loss, jit_compile=False)
    step = tf.function(lambda: net.train_step((images, labels)))
    return lambda: [np.asarray(value) for value in step().values()]


def routed_step(net, images, labels):
    """A step on three batches of B, two of them through the clean norms."""
    optimizer = keras.optimizers.SGD(1e-4, momentum=0.9)
    optimizer.build(net.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            with route("auxiliary"):
                total = loss(labels, net(images, training=True))
            for _ in range(2):
                total += loss(labels, net(images, training=True))
        gradients = tape.gradient(total, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables))
        return total

    return lambda: step().numpy()


def input_gradient(net, images, labels):
    """A forward pass in inference mode and the gradient of the images."""

    @tf.function
    def gradient(images):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = tf.cast(net(images, training=False), tf.float32)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tf.reduce_sum(tape.gradient(loss, images))

    return lambda: gradient(images).numpy()


def method_step(model, images, labels):
    step = tf.function(lambda: model.train_step((images, labels)))
    return lambda: np.asarray(step()["loss"])


def views_alone(model, images):
    """All that a method draws from its augmentations in a step, without attacks and the net."""
    augments = []
    if model.augment is not None:
        count = 2 if isinstance(model, (methods.AugMixTraining, methods.NoisyMix)) else 1
        augments = [lambda: model.augment(images, training=True)] * count
    chains = getattr(getattr(model, "attack", None), "augmix", None)
    if chains is not None:
        augments.append(lambda: chains.chains(images, chains.draw(images)))
    make = tf.function(lambda: tf.add_n([tf.reduce_sum(a()) for a in augments] or [0.0]))
    return lambda: make().numpy()


def short(parts):
    """Parts with their numbers."""
    for part in dict.fromkeys(parts):
        count = parts.count(part)
        yield f"{count} x {part}" if count > 1 else part.rpartition(": ")[2]


if __name__ == "__main__":
    main()
