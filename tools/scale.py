"""What the papers' experiments cost at their full settings: the tables of docs/SCALE.md.

    python tools/scale.py write   puts the tables into docs/SCALE.md
    python tools/scale.py check   fails where they are not those of the numbers

Tables stand between `<!-- scale: NAME -->` and `<!-- end of scale -->`; prose is by hand.
The arithmetic, and what it rests on, is in tools/scale_costs.py; what is counted of experiments,
in benchmarks/scale.json (tools/scale_counts.py). TensorFlow is not needed.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys

import scale_costs as costs
from scale_costs import Counts

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE, COUNTS = ROOT / "docs/SCALE.md", ROOT / "benchmarks/scale.json"
_PLACE = re.compile(r"(<!-- scale: (\w+) -->\n).*?(<!-- end of scale -->)", re.DOTALL)


def rounded(value: float) -> str:
    """Two digits: more would be made up."""
    if value < 0.095:
        return f"{value:.1g}" if value else "0"
    return f"{float(f'{value:.2g}'):,.10g}"


def markdown(heads: list[str], rows: list[list[str]], texts: int = 1) -> str:
    """A table; all columns but the first few are numbers."""
    line = ["---"] * texts + ["---:"] * (len(heads) - texts)
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, line, *rows])


def nets_table(counts: Counts) -> str:
    """Counted: multiply-adds, parameters, layers."""
    rows = []
    for name, net in sorted(counts["nets"].items()):
        rows.append([
            name, f"{net['multiply_adds'] / 1e9:.3g}", f"{net['parameters'] / 1e6:.3g}",
            str(net["layers"]),
        ])  # fmt: skip
    heads = ["net", "GMAC an image", "million parameters", "layers"]
    return markdown(heads, rows)


def methods_table(counts: Counts) -> str:
    """Method to plain steps, from its parts."""
    found = {}
    for one in counts["experiments"].values():
        for training in one["trainings"]:
            text = " + ".join(f"{n} × {p}" if n > 1 else p for p, n in training["parts"].items()
                              if p in costs.PARTS and n)  # fmt: skip
            ideal = sum(
                costs.PARTS[p] * n for p, n in training["parts"].items() if p in costs.PARTS
            )
            low, high = (ideal * costs.ratio(training, end) for end in (0, 1))
            views = str(training["parts"].get("views", 0))
            found[training["method"], text] = [f"{ideal:.2f}", f"{low:.2f}–{high:.2f}", views]
    rows = [[f"`{m}`", text, *cells] for (m, text), cells in sorted(found.items())]
    return markdown(["method", "parts", "ideal", "with ratio", "AugMix views"], rows, 2)


def speeds_table(counts: Counts) -> str:
    """What the printed times amount to."""
    rows = []
    for name, (high, low) in costs.anchors(counts).items():
        gpu = "GTX 1080 Ti" if name == "AT/CA" else "RTX A6000"
        both = [low] if low == high else [low, high]
        text = ["–".join(rounded(v / unit) for v in both) for unit in (1e12, costs.PEAK[gpu] / 100)]
        rows.append([name, gpu, *text])
    return markdown(["run", "GPU", "TFLOP/s", "% of its peak"], rows, 2)


def experiments_table(counts: Counts) -> str:
    """Experiment to its cost on 1, 4 and 8 GPUs."""
    rows = []
    for name, one in counts["experiments"].items():
        passes, flops = costs.work(counts, one)
        both = [[costs.hours(counts, one, n, end)[0] for end in (0, 1)] for n in (1, 4, 8)]
        spans = ["–".join(map(rounded, pair)) for pair in both]
        models = str(sum(training["models"] for training in one["trainings"]))
        first, last = (costs.binds(counts, one, n) for n in (1, 8))
        limit = first if first == last else f"{first}; on 8: {last}"
        rows.append(
            [f"`{name}`", limit, models, rounded(passes / 1e6), rounded(flops / 1e18), *spans]
        )
    heads = ["experiment", "what binds", "models", "million passes", "exaFLOP",
             "hours, 1 GPU", "4 GPUs", "8 GPUs"]  # fmt: skip
    return markdown(heads, rows, 2)


#: Experiment and method of the rows of the table of bottlenecks.
SHOWN = (
    ("augmax_imagenet", "baseline"), ("augmax_imagenet", "augmix_training"),
    ("augmax_imagenet", "augmax"), ("fma_imagenet200", "feature_map_augmentation"),
    ("fcl_imagenet", "feature_contrastive"), ("augmax_cifar10", "augmix_training"),
    ("augmax_cifar10", "augmax"), ("fcl_cifar10", "feature_contrastive"),
)  # fmt: skip


def bottlenecks_table(counts: Counts) -> str:
    """Milliseconds of a step by stage, and the cores that a GPU keeps busy."""
    rows = []
    for name, method in SHOWN:
        one = counts["experiments"][name]
        training = next(t for t in one["trainings"] if t["method"] == method)
        for gpus in (1, 8):
            ends = [costs.stages(counts, training, one["size"], gpus, end) for end in (0, 1)]
            cells = ["–".join(rounded(1000 * stage[key]) for stage in ends) for key in ends[0]]
            fast = costs.step_time({**ends[0], "decoding": 0.0}, gpus, 0)
            needed = training["batch"] / gpus / fast
            views = training["parts"].get("views", 0) * needed
            cores = [needed / (costs.DECODED[0] / 2) if one["size"] >= 224 else 0.0,
                     views / (costs.augmix_rate(one["size"], 0) / 2)]  # fmt: skip
            rows.append([f"`{name}`", f"`{method}`", str(gpus), *cells, *map(rounded, cores)])
    heads = ["experiment", "method", "GPUs", *(f"{key}, ms" for key in ends[0]),
             "cores a GPU: decoding", "AugMix, if on the CPU"]  # fmt: skip
    return markdown(heads, rows, 2)


TABLES = {"nets": nets_table, "methods": methods_table, "speeds": speeds_table,
          "experiments": experiments_table, "bottlenecks": bottlenecks_table}  # fmt: skip


def page(text: str, counts: Counts) -> str:
    """The page with all its tables written anew."""
    return _PLACE.sub(lambda m: f"{m[1]}\n{TABLES[m[2]](counts)}\n\n{m[3]}", text)


def main(argv: list[str]) -> int:
    """Runs one command; the exit code is 1 where `check` finds another text."""
    if argv not in (["write"], ["check"]):
        sys.exit(__doc__)
    found = PAGE.read_text(encoding="utf-8")
    wanted = page(found, json.loads(COUNTS.read_text(encoding="utf-8")))
    if argv == ["check"]:
        if found != wanted:
            print(f"{PAGE} does not show the numbers: run python tools/scale.py write")
        return int(found != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
