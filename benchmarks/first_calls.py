"""What is compiled in the first calls, and what stays in memory of every image size.

    python benchmarks/first_calls.py calls [--side 32] [--batch 256] [--calls 200]
    python benchmarks/first_calls.py sizes [--sizes 200] [--smallest 100] [--largest 300]

"calls" makes AugMix views again and again in a process that has compiled nothing yet: how many
programs XLA compiled, in how many of the calls, and the processor seconds of the first three calls
beside those of later ones. "sizes" runs AugMix and all corruptions, severity 3, once for images of
as many sizes, and the same number of times for images of one size; prints the memory that stays and
the time of both.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def programs(folder: str) -> int:
    """How many programs XLA has compiled so far, by what it wrote into the folder."""
    return len(list(pathlib.Path(folder).glob("module_*.before_optimizations.txt")))


def calls(given: argparse.Namespace, folder: str) -> dict:
    """Views of AugMix, again and again."""
    import numpy as np
    import tensorflow as tf

    from tfrobust import augment

    random = np.random.default_rng(0)
    images = tf.constant(random.random([given.batch, given.side, given.side, 3], "float32"))
    layer = augment.AugMix()
    function = tf.function(lambda x: layer(x, training=True), autograph=False)
    seconds, counts = [], []
    for _ in range(given.calls):
        start = time.process_time()
        function(images)[0, 0].numpy()
        seconds.append(time.process_time() - start)
        counts.append(programs(folder))
    before = [0, *counts]
    return {
        "programs": counts[-1],
        "programs after the third call": counts[-1] - counts[min(2, len(counts) - 1)],
        "calls that compiled": sum(a != b for a, b in zip(before, counts)),
        "first three calls, processor s": round(sum(seconds[:3]), 2),
        "later calls, processor ms": round(1000 * statistics.median(seconds[3:]), 2),
    }


def memory() -> float:
    """Memory of this process, MiB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def sizes(given: argparse.Namespace, folder: str) -> dict:
    """One image of each size through AugMix and all corruptions."""
    import numpy as np

    from tfrobust import augment
    from tfrobust.corruptions import CORRUPTIONS, corrupt

    random = np.random.default_rng(0)
    layer = augment.AugMix()
    names = given.names or ["augmix", *CORRUPTIONS]

    def run(side: tuple[int, int]) -> None:
        image = random.integers(0, 256, [1, *side, 3]).astype("uint8")
        for name in names:
            if name == "augmix":
                layer(image.astype("float32") / 255, training=True)
            else:
                corrupt(image, name, 3, table=224)

    many = random.integers(given.smallest, given.largest + 1, [given.sizes, 2]).tolist()
    middle = round(statistics.fmean(h * w for h, w in many) ** 0.5)
    if given.one:
        many = [(middle, middle)] * given.sizes
    run((32, 32))
    before, start, processor = memory(), time.perf_counter(), time.process_time()
    for side in many:
        run(tuple(side))
    return {
        "wall s": round(time.perf_counter() - start, 1),
        "processor s": round(time.process_time() - processor, 1),
        "memory MiB": round(memory() - before),
        "programs": programs(folder),
    }


def run_child(arguments: list[str]) -> dict:
    """Runs this script in a process that has compiled nothing yet."""
    with tempfile.TemporaryDirectory() as folder:
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to={folder}"
        done = subprocess.run(
            [sys.executable, __file__, *arguments, "--folder", folder],
            env={**os.environ, "XLA_FLAGS": flags},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["calls", "sizes"])
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--sizes", type=int, default=200)
    parser.add_argument("--smallest", type=int, default=100)
    parser.add_argument("--largest", type=int, default=300)
    parser.add_argument("--names", nargs="*", help="of corruptions, and augmix")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        print(json.dumps({"calls": calls, "sizes": sizes}[given.what](given, given.folder)))
        return
    told = {given.what: run_child(sys.argv[1:])}
    if given.what == "sizes":
        told["one size"] = run_child([*sys.argv[1:], "--one"])
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
