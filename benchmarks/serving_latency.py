"""Time of a SavedModel's `serving_default` beside the bare forward pass of the net, in one run.

Run: python benchmarks/serving_latency.py [--net resnet_20] [--batch-sizes 1 64] [--seconds 40]

The bare pass is a `tf.function` of the Keras net in inference mode, traced for a batch of any size
like the signature. Both get the same batch and hand back the logits as NumPy. They take turns in
an order drawn anew for each round, so that a slow moment of the machine meets both; short calls
get more rounds, as they fit into --seconds.
Medians; "throughput" is that of the SavedModel divided by that of the bare pass (target: 0.95).
Beside them, without a target: the signature `uint8`, and the bare pass with the same outputs as
the signature, logits and probabilities. "bare, again" is the bare pass a second time: how far its
ratio is from 1 is what the machine adds.
"""

import argparse
import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from tfrobust import serving
from tfrobust.registries import NETS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--net", default="resnet_20", choices=list(NETS))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--seconds", type=float, default=40)
    given = parser.parse_args()
    keras.utils.set_random_seed(0)
    net = NETS[given.net]()
    shape = net.input_shape[1:]
    print(
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {given.net}, images of "
        f"{'x'.join(map(str, shape))}"
    )
    print(f"{'':34}{'ms':>9}{'images/s':>11}{'throughput':>12}")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "net")
        serving.export(net, path)
        loaded = tf.saved_model.load(str(path))
    for batch_size in given.batch_sizes:
        measure(net, loaded, batch_size, given.seconds)


def measure(net: keras.Model, loaded, batch_size: int, seconds: float) -> None:
    """Prints the medians for one batch size."""
    pixels = np.random.default_rng(0).integers(0, 256, [batch_size, *net.input_shape[1:]], "uint8")
    bytes_, images = tf.constant(pixels), tf.constant(pixels.astype("float32") / 255)
    serve, serve_bytes = (loaded.signatures[name] for name in ("serving_default", "uint8"))

    @tf.function(input_signature=[tf.TensorSpec([None, *net.input_shape[1:]], tf.float32)])
    def bare(images):
        return net(images, training=False)

    @tf.function(input_signature=[tf.TensorSpec([None, *net.input_shape[1:]], tf.float32)])
    def bare_softmax(images):
        logits = net(images, training=False)
        return {"logits": logits, "probabilities": tf.nn.softmax(logits)}

    calls = {
        "bare": lambda: bare(images).numpy(),
        "bare, again": lambda: bare(images).numpy(),
        "bare with softmax": lambda: bare_softmax(images)["logits"].numpy(),
        "SavedModel": lambda: serve(images=images)["logits"].numpy(),
        "SavedModel, uint8": lambda: serve_bytes(images=bytes_)["logits"].numpy(),
    }
    wanted = calls["bare"]()
    for call in calls.values():
        for _ in range(3):
            np.testing.assert_allclose(call(), wanted, rtol=1e-3, atol=1e-4)
    times: dict[str, list[float]] = {name: [] for name in calls}
    random, rounds, end = np.random.default_rng(0), 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        rounds += 1
        for name in random.permutation(list(calls)):
            start = time.perf_counter()
            calls[name]()
            times[name].append(time.perf_counter() - start)
    median = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"batch {batch_size}: {rounds} rounds")
    for name, taken in median.items():
        print(
            f"  {name:32}{1000 * taken:9.2f}{batch_size / taken:11.1f}"
            f"{median['bare'] / taken:12.3f}"
        )


if __name__ == "__main__":
    main()
