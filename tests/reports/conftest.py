"""Run folders as an evaluation writes them, for the tests of the reports."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tfrobust import rows as result_rows
from tfrobust.registries import CORRUPTION_GROUPS, CORRUPTIONS, TEST_CORRUPTIONS
from tfrobust.reports.results import ATTACKS
from tfrobust.rows import Row

PERTURBATIONS = ("gaussian_noise", "motion_blur", "snow", "brightness", "translate", "tilt")


def accuracy_of(k, i, severity):
    """Made up: model k under the i-th corruption; noise hurts the first models most."""
    drop = 0.02 + 0.028 * severity * (1.6 - 0.35 * k) * (0.5 + abs(math.sin(2.1 * i + 1)))
    return round(0.95 - 0.006 * k - (1.5 - 0.3 * k if i < 3 else 1.0) * drop, 4)


def evaluation_rows(models, *, dataset="cifar10/test", n=10000, baseline="none", protocol=None):
    protocol = {
        "data": "9f2c41d7e0b3",
        "classes": 10,
        "table": "cifar, 32 pixels",
        "frost": "made",
        **(protocol or {}),
    }
    rows = []

    def add(k, corruption, severity, metric, value, **more):
        provenance = {"model": f"{k:012x}", "output": "logits", "tensorflow": "2.15.1"}
        provenance.update(keras="2.15.0", tfrobust="0.1", numpy="1.26.4", python="3.11.9")
        common = {"n": n, "seed": 0, "protocol": {**protocol, **more}, "provenance": provenance}
        row = Row(models[k], dataset, corruption, severity, metric, value, **common)
        rows.append(row)

    for k in range(len(models)):
        grid = {c: [accuracy_of(k, i, s) for s in range(1, 6)] for i, c in enumerate(CORRUPTIONS)}
        add(k, "clean", 0.0, "accuracy", 0.95 - 0.006 * k)
        add(k, "clean", 0.0, "expected_calibration_error", 0.04 - 0.01 * k)
        add(k, "clean", 0.0, "rms_calibration_error", 0.06 - 0.01 * k)
        add(k, "clean", 0.0, "aurra", 0.98 + 0.001 * k)
        for corruption, values in grid.items():
            for severity, value in enumerate(values, start=1):
                add(k, corruption, severity, "accuracy", value)
                add(k, corruption, severity, "expected_calibration_error", (1 - value) / 2)
                add(k, corruption, severity, "rms_calibration_error", (1 - value) / 1.8)
                add(k, corruption, severity, "aurra", 1 - (1 - value) / 2)
        groups = {
            "test": TEST_CORRUPTIONS,
            **CORRUPTION_GROUPS,
            "without_noise": TEST_CORRUPTIONS[3:],
        }
        for group, names in groups.items():
            value = float(np.mean([grid[name] for name in names]))
            add(k, group, None, "robust_accuracy", value)
        error = 100 * (1 - float(np.mean([grid[name] for name in TEST_CORRUPTIONS])))
        scale = 1.0 if baseline == "none" else 1.7
        add(k, "test", None, "mean_corruption_error", scale * error, baseline=baseline)
        relative = scale * (error - 5 - 0.6 * k)
        add(k, "test", None, "relative_mean_corruption_error", relative, baseline=baseline)
        for sigma in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3):
            value = 0.1 + 0.85 * math.exp(-max(9 - 2.5 * k, 1) * sigma)
            add(k, "GN", sigma, "accuracy", value)
        for attack, size, value in zip(ATTACKS, (8 / 255, 8 / 255, None), (0.21, 0.01, 0.48)):
            add(k, attack, size, "accuracy", value + 0.08 * k)
        for i, name in enumerate(PERTURBATIONS):
            value = 0.02 + 0.01 * i * (1 - 0.2 * k)
            add(k, name, 1, "flip_probability", value)
        add(k, "perturbations", None, "mean_flip_probability", 0.045 - 0.01 * k)
    return rows


def reliability_records(models, *, dataset="cifar10/test", bins=15):
    edges = np.linspace(0, 1, bins + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    records = []
    for k, model in enumerate(models):
        for corruption, drop in (("clean", 0.03), ("test", 0.18 - 0.05 * k)):
            accuracy = np.clip(centres - drop * np.sin(np.pi * centres) - 0.02, 0, 1)
            count = np.round(9000 * centres**4 / np.sum(centres**4) + 20).astype(int)
            count[0] = 0
            records.append(
                {
                    "model": model,
                    "dataset": dataset,
                    "corruption": corruption,
                    "severity": None,
                    "edges": edges.tolist(),
                    "confidence": [None, *centres[1:].tolist()],
                    "accuracy": [None, *accuracy[1:].tolist()],
                    "count": count.tolist(),
                }
            )
    return records


def difference_records(models, *, dataset="cifar10/test"):
    records = []
    for model in models[1:]:
        for corruption, value, half in (("clean", -0.006, 0.0041), ("test", 0.083, 0.0016)):
            record = {"model": model, "baseline": models[0], "dataset": dataset}
            record.update(corruption=corruption, severity=None, difference=value)
            record.update(low=value - half, high=value + half, level=0.95, n=10000)
            records.append(record)
    return records


def answer_records(models, *, dataset="cifar10/test"):
    records = []
    conditions = [
        {"corruption": name, "severity": severity, "accuracy": 0.4 + 0.1 * severity}
        for name in ("fog", "snow")
        for severity in (1, 2, 3)
    ]
    for k, model in enumerate(models):
        for kind, places, value in (("clean", [], 0.95), ("corruptions", conditions, 0.6)):
            record = {"model": model, "dataset": dataset, "kind": kind, "conditions": places}
            record.update(n=10000, level=0.95, accuracy=value, low=value - 0.01, high=value + 0.01)
            names = ("difference", "difference_low", "difference_high")
            record.update(baseline=models[0], **dict(zip(names, (0.02 * k, 0.01 * k, 0.03 * k))))
            if k == 0:
                record.update(dict.fromkeys(("baseline", *names)))
            records.append(record)
    return records


def write_worst(folder, models, *, examples=6, size=32, name=str):
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:size, 0:size][..., None] / size
    phase = random.random([examples * len(models), 1, 1, 3]) * 6
    clean = 127 + 100 * np.sin(phase + 9 * x * (1 + phase[:, :, :, ::-1] / 6) + 7 * y)
    noise = 60 * random.standard_normal(clean.shape)
    changed = np.clip(clean + noise, 0, 255)
    arrays = {"clean": clean.astype(np.uint8), "changed": changed.astype(np.uint8)}
    np.savez(folder / "worst.npz", **arrays)
    records = [
        {
            "model": model,
            "corruption": list(CORRUPTIONS)[(5 * i) % 19],
            "severity": 1 + i % 5,
            "label": name("automobile"),
            "predicted": name("ship"),
            "confidence": 0.999 - 0.01 * i,
        }
        for model in models
        for i in range(examples)
    ]
    (folder / "worst.json").write_text(json.dumps(records))


@pytest.fixture(scope="session")
def write_evaluation():
    """Writes a folder of an evaluation: every file that the contract knows of."""

    def write(folder, *, models=("baseline", "AugMix", "FMA/CA"), name=str, **options):
        folder.mkdir(exist_ok=True)
        models = tuple(map(name, models))
        dataset = {"dataset": name("cifar10/test")}
        result_rows.write(evaluation_rows(models, **dataset, **options), folder / "rows.jsonl")
        files = {
            "reliability.json": reliability_records(models, **dataset),
            "differences.json": difference_records(models, **dataset),
            "data.json": {"name": name("cifar10"), "note": name("a sample"), "sizes": {"test": 1}},
            "settings.json": {name("seed"): 0, "corruptions": [name("test")]},
        }
        for file, content in files.items():
            (folder / file).write_text(json.dumps(content))
        answers = json.dumps(answer_records(models))
        (folder / "answers.json").write_text(answers)
        write_worst(folder, models, name=name)
        return folder

    return write


@pytest.fixture
def sample_rows():
    return evaluation_rows(("baseline", "AugMix", "FMA/CA"))
