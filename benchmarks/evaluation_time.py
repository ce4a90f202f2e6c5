"""What an evaluation costs beside the forward passes and the corruptions that it is made of.

    python benchmarks/evaluation_time.py [--images 2000] [--rounds 2] [--net resnet_20]

Prints, for each round, the seconds of the bare parts (the same corruptions called one after the
other, then the same number of images through the net as a `tf.function`) and of `benchmark` on the
15 corruptions at 5 severities, and their ratio: in a process that has traced nothing yet ("first"),
and again in the same process ("again"). Parts and whole take turns, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

BATCH = 250
#: What is traced once in a process.
KEPT: dict = {}


def parts(images, labels, net):
    """Seconds of the corruptions alone, and of the forward passes alone."""
    import tensorflow as tf

    from tfrobust import corruptions

    def batches():
        for start in range(0, len(images), BATCH):
            yield images[start : start + BATCH]

    started = time.perf_counter()
    for name in corruptions.TEST_CORRUPTIONS:
        for severity in range(1, 6):
            for number, batch in enumerate(batches()):
                index = range(number * BATCH, number * BATCH + len(batch))
                corruptions.corrupt(batch, name, severity, index=list(index)).numpy()
    corrupted = time.perf_counter()
    if "forward" not in KEPT:
        KEPT["forward"] = tf.function(lambda x: net(x, training=False))
    for _ in range(75):
        for batch in batches():
            KEPT["forward"](tf.cast(batch, tf.float32) / 255.0).numpy()
    return corrupted - started, time.perf_counter() - corrupted


def whole(images, labels, net):
    """Seconds of the benchmark."""
    from tfrobust import evaluation

    if "evaluator" not in KEPT:
        KEPT["evaluator"] = evaluation.Evaluator(evaluation.corrupted())
    floats = images.astype("float32") / 255
    started = time.perf_counter()
    KEPT["evaluator"].rows(net, (floats, labels), model_name="net")
    return (time.perf_counter() - started,)


def child(what: str, count: int, net_name: str) -> None:
    import numpy as np

    from tfrobust import nets

    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, [count, 8, 8, 3])
    images = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2).astype("uint8")
    labels = random.integers(0, 10, count)
    net = nets.NETS[net_name]()
    function = {"parts": parts, "whole": whole}[what]
    told = {name: function(images, labels, net) for name in ("first", "again")}
    told["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(told))


def run(what: str, count: int, net: str) -> dict:
    command = [sys.executable, __file__, "--child", what, "--images", str(count), "--net", net]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--net", default="resnet_20")
    parser.add_argument("--child", choices=["parts", "whole"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.images, arguments.net)
        return
    print(f"{arguments.net}, {arguments.images} images, 15 corruptions at 5 severities")
    for number in range(1, arguments.rounds + 1):
        told = {what: run(what, arguments.images, arguments.net) for what in ("parts", "whole")}
        for time_ in ("first", "again"):
            corrupting, forward = told["parts"][time_]
            (together,) = told["whole"][time_]
            print(
                f"round {number}, {time_}: corruptions {corrupting:.1f} s + forward {forward:.1f} "
                f"s = {corrupting + forward:.1f} s; benchmark {together:.1f} s; ratio "
                f"{together / (corrupting + forward):.2f}"
            )
        memory = ", ".join(f"{name} {one['memory']:.0f} MB" for name, one in told.items())
        print(f"round {number}, most memory: {memory}")


if __name__ == "__main__":
    main()
