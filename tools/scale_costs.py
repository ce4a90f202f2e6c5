"""What a training and an evaluation cost on GPUs: the numbers and the arithmetic of docs/SCALE.md.

What is counted comes from benchmarks/scale.json (tools/scale_counts.py). All else that they rest
on are the constants below; each says whether it was measured, printed by a paper, or is assumed.
Pairs are (what makes a run short, what makes it long); `end` is 0 or 1, which of them.
"""

from __future__ import annotations

from typing import Any

Counts = dict[str, Any]
Pair = tuple[float, float]

#: Measured, 2026-11-20: parts of a step in plain steps of B images. ResNet-20, B = 128,
#: TensorFlow 2.15, 2 CPU cores (AMD EPYC, Zen 4); see docs/README.md, "What a step costs".
PARTS = {
    "1B": 1.0, "2B": 2.0, "3B": 2.96, "JSD 3B": 3.06, "routed": 2.85, "gradient": 0.72,
    "forward": 0.30,
}  # fmt: skip
#: Passes through the net that a part starts one after the other, in plain ones.
STARTED = {**dict.fromkeys(PARTS, 1.0), "routed": 3.0, "gradient": 0.72, "forward": 0.30}
#: Measured, 2026-11-21, `benchmarks/step_time.py --batch-size 64`: the library's step beside the
#: sum of its parts in the same run. TensorFlow 2.21, the same machine. AdvMix and AdvMax were not
#: measured and have AugMax's.
RATIOS = {
    "baseline": (1.0, 1.0), "augmentation_training": (1.0, 1.03), "stability_training": (0.99, 1.0),
    "feature_map_augmentation": (1.0, 1.06), "adversarial_training": (0.98, 1.0),
    "feature_contrastive": (1.0, 1.01), "augmix_training": (0.83, 1.0), "noisymix": (1.0, 1.05),
    "augmax": (0.67, 1.06), "augmix_pgdat": (0.97, 1.0), "advmix": (1.0, 1.06),
    "advmax": (0.67, 1.06),
}  # fmt: skip
#: Printed: AugMax paper, Table 7, seconds an epoch of ImageNet, ResNet-18, one RTX A6000.
TABLE_7 = {"Normal": 2669, "AugMix": 3622, "AugMax": 5264}
IMAGENET = 1_281_167
#: Printed: FMA paper, section 5.2, AT/CA: 30 epochs of VGG-16 on ImageNet-200 on a GTX 1080 Ti.
FMA_SECONDS, FMA_EPOCHS = 6 * 86_400, 30
#: Makers' figures, fp32 FLOP a second.
PEAK = {"RTX A6000": 38.7e12, "GTX 1080 Ti": 11.3e12}
#: Measured, 2026-11-21, `benchmarks/input_pipeline.py`, and 2026-11-20,
#: `benchmarks/augment_throughput.py`: images a second on 2 cores.
DECODED, AUGMIXED = (3305, 3215), {32: (22_000, 17_000), 224: (680, 570)}
#: Measured, 2026-11-21, `benchmarks/evaluation_time.py`: seconds of 2,000 images of 32 pixels under
#: 75 conditions, ResNet-20, on 2 cores; `benchmarks/device_time.py`: a step on two logical devices.
EVALUATED, DEVICES = (71, 89), (1.0, 1.18)
#: Assumed.
SMALL_IMAGES = (0.7, 0.2)  # speed of arithmetic on images under 224 pixels, in parts of that on 224
LAUNCH = (5e-5, 1.5e-4)  # seconds a layer with weights and pass through the net, however few images
AUGMIX_GPU = (30, 5)  # AugMix on a GPU, in 2 cores
LINK = (12e9, 5e9)  # bytes a second between GPUs of one machine, without NVLink
CORES = 8  # of the CPU for each GPU
EVALUATION_CORES = (8, 2)


def ratio(training: Counts, end: int) -> float:
    """The library's step beside the sum of its parts; only a search can stop early."""
    searches = training["method"] not in ("augmax", "advmax") or training["parts"].get("gradient")
    return RATIOS[training["method"]][end] if searches or end else 1.0


def steps(training: Counts, end: int, gpus: int = 1) -> float:
    """Plain steps that a step costs, the mean over a training."""
    cost = sum(PARTS[part] * n for part, n in training["parts"].items() if part in PARTS)
    late = training["late"] if gpus == 1 else 0.0  # nothing is left out under a strategy
    return late + (1 - late) * cost * ratio(training, end)


def anchors(counts: Counts) -> dict[str, Pair]:
    """FLOP a second that the papers' times amount to, at most and at least."""
    plain = 6 * counts["nets"]["resnet_18, 224 pixels"]["multiply_adds"] * IMAGENET
    most = PARTS["routed"] + 5 * PARTS["gradient"]
    least = PARTS["routed"] + PARTS["gradient"]
    vgg = 6 * counts["nets"]["vgg_16, 224 pixels"]["multiply_adds"] * 200 / 1000 * IMAGENET
    once = vgg * FMA_EPOCHS / FMA_SECONDS
    return {
        "Normal": (plain / TABLE_7["Normal"],) * 2,
        "AugMix": (PARTS["JSD 3B"] * plain / TABLE_7["AugMix"],) * 2,
        "AugMax": (most * plain / TABLE_7["AugMax"], least * plain / TABLE_7["AugMax"]),
        "AT/CA": (2 * once, once),
    }


def speed(counts: Counts, size: int, end: int) -> float:
    """FLOP a second of one GPU: what Table 7's AugMax amounts to."""
    return anchors(counts)["AugMax"][end] * (1.0 if size >= 224 else SMALL_IMAGES[end])


def augmix_rate(size: int, end: int) -> float:
    """AugMix views a second on 2 cores; between the measured sizes by the number of pixels."""
    known = 32 if size < 224 else 224
    return AUGMIXED[known][end] * (known / size) ** 2


def all_reduced(parameters: int, gpus: int) -> float:
    """Bytes that each GPU sends in a step: float32 gradients round a ring."""
    return 4 * parameters * 2 * (gpus - 1) / gpus


def stages(counts: Counts, training: Counts, size: int, gpus: int, end: int) -> dict[str, float]:
    """Seconds of a step that each stage needs for itself."""
    net, batch = counts["nets"][training["net"]], training["batch"]
    started = sum(STARTED[part] * n for part, n in training["parts"].items() if part in PARTS)
    flops = 6 * net["multiply_adds"] * batch * steps(training, end, gpus)
    views = training["parts"].get("views", 0) * batch
    return {
        "arithmetic": flops / gpus / speed(counts, size, end),
        "starting layers": started * net["layers"] * LAUNCH[end],
        "AugMix": views / gpus / (augmix_rate(size, end) * AUGMIX_GPU[end]),
        "all-reduce": all_reduced(net["parameters"], gpus) / LINK[end],
        "decoding": batch / (DECODED[end] / 2 * CORES * gpus) if size >= 224 else 0.0,
    }


def step_time(stage: dict[str, float], gpus: int, end: int) -> float:
    """Seconds of a step; only where a run is short does the all-reduce hide behind arithmetic."""
    own = max(stage["arithmetic"], stage["starting layers"]) + stage["AugMix"]
    own *= DEVICES[end] if gpus > 1 else 1.0
    both = own + stage["all-reduce"] if end else max(own, stage["all-reduce"])
    return max(both, stage["decoding"])


def evaluation_time(counts: Counts, one: Counts, end: int) -> float:
    """Seconds to evaluate all models of an experiment: one GPU, and corruptions on the CPU."""
    rate = 75 * 2000 / EVALUATED[end] * (32 / one["size"]) ** 2 * EVALUATION_CORES[end] / 2
    seconds = 0.0
    for training in one["trainings"]:
        macs = counts["nets"][training["net"]]["multiply_adds"]
        passes = one["conditions"] * 2 * macs / speed(counts, one["size"], end)
        seconds += training["models"] * one["test"] * (passes + one["corruptions"] / rate)
    return seconds


def hours(counts: Counts, one: Counts, gpus: int, end: int) -> tuple[float, dict[str, float]]:
    """Of an experiment, and what each stage by itself would take."""
    total, shares = 0.0, {"evaluation": evaluation_time(counts, one, end) / 3600}
    for training in one["trainings"]:
        number = training["models"] * training["epochs"] * one["train"] / training["batch"] / 3600
        stage = stages(counts, training, one["size"], gpus, end)
        total += number * step_time(stage, gpus, end)
        for name, seconds in stage.items():
            shares[name] = shares.get(name, 0.0) + number * seconds
    return total + shares["evaluation"], shares


def work(counts: Counts, one: Counts) -> Pair:
    """Passes over an image in plain ones, and FLOP, of all trainings on one GPU."""
    passes = flops = 0.0
    for training in one["trainings"]:
        number = training["models"] * training["epochs"] * one["train"] * steps(training, 1)
        passes += number
        flops += 6 * number * counts["nets"][training["net"]]["multiply_adds"]
    return passes, flops


def binds(counts: Counts, one: Counts, gpus: int) -> str:
    """The longest stage, in the mean of both estimates."""
    short, long = (hours(counts, one, gpus, end)[1] for end in (0, 1))
    totals = sum(short.values()), sum(long.values())
    return max(short, key=lambda name: short[name] / totals[0] + long[name] / totals[1])
