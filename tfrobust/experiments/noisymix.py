"""NoisyMix (NoisyMix paper): Tables 1 to 14; the toy problem is in `toy.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Optional

import keras

from tfrobust import datasets, rows
from tfrobust.datasets import IMAGENET_R_CLASSES
from tfrobust.evaluation import Evaluator, corrupted, flips
from tfrobust.evaluation.condition import Condition
from tfrobust.evaluation.predictions import METRICS
from tfrobust.experiments import augmax, printed
from tfrobust.experiments.experiment import (
    EVALUATION_BATCH,
    Experiment,
    ExperimentConfig,
    ModelSpec,
    Run,
    Training,
)
from tfrobust.experiments.printed import SEQUENCES
from tfrobust.experiments.tables import Column, PaperTable, accuracy, metric, robust
from tfrobust.methods.noisymix import ABLATION
from tfrobust.registries import CORRUPTION_GROUPS, NETS, TEST_CORRUPTIONS
from tfrobust.rows import CLEAN

Printed = Mapping[str, Sequence[Optional[float]]]

_CIFAR = ExperimentConfig(
    seeds=tuple(range(5)),
    net="preact_resnet_18",
    training=Training(200, 128, plan="noisymix_cifar"),
    numbers={"steps": 10, "stop_after": 1, "jsd_weight": 10.0, "flip_images": None},
)
_SMALL = augmax.SMALL.replace(
    seeds=(0, 1), numbers={**augmax.SMALL.numbers, "flip_images": 0},
    lines=("Baseline", "AugMix", "AugMax-DuBIN", "NoisyMix"),
)  # fmt: skip
_QUICK = augmax.QUICK.replace(
    numbers={**augmax.QUICK.numbers, "flip_images": 0}, lines=("Baseline", "NoisyMix")
)


def noisymix(name: str, entry: str, seed: int) -> ModelSpec:
    """NoisyMix, or an ablation of it (Table 4)."""
    if entry == "baseline":
        return ModelSpec(name)
    return ModelSpec(name, "noisymix", {**ABLATION[entry], "seed": seed})


class Cifar10(Experiment):
    """NoisyMix paper, Tables 2, 7 and 13: CIFAR-10, PreAct-ResNet-18.

    Command: `tfrobust reproduce noisymix_cifar10`; with `--net wrn_28_2` Tables 3, 9 and 14. The
    full setting is 200 epochs, 128 images per step, 5 seeds; the small one finetunes a trained
    ResNet-20 for 4 epochs on 10,000 images. The patch mixing of other papers (CutMix, PuzzleMix)
    is not included; AugMax-DuBIN is trained here, while the paper quotes its numbers.

    The paper, RA, PreAct-ResNet-18: Baseline 73.8, AugMix 88.8, AugMax 90.4, NoisyMix 91.2.

    Its `numbers`: those of AugMax; `flip_images`, the number of test images for flip probabilities
    (None for all, 0 for none).

    Ours, small, 2026-11-21, commit 86fd3486f8, seed 0, RA: Baseline 70.3, AugMix 76.2, AugMax-DuBIN
    77.9, NoisyMix 70.8, and 76.0 after 12 epochs (commit 757b895b58); about 45 minutes on one
    shared CPU core.
    The full setting's cost is estimated in docs/SCALE.md.
    """

    paper = "NoisyMix"
    shows = "Tables 2, 3, 7, 9, 13 and 14"
    full, small, quick = _CIFAR, _SMALL, _QUICK
    title = "CIFAR-10"
    published: ClassVar[Mapping[str, Printed]] = {
        "preact_resnet_18": {
            "Baseline": (95.3, 73.8),
            "Mixup": (95.8, 80.4),
            "Manifold Mixup": (95.9, 77.7),
            "CutMix": (96.5, 73.0),
            "Puzzle Mix": (96.5, 84.1),
            "NFM": (95.4, 83.3),
            "AugMix": (95.5, 88.8),
            "AugMax-DuBIN": (None, 90.36),
            "NoisyMix": (95.3, 91.2),
        },
        "wrn_28_2": {
            "Baseline": (96.0, 74.9),
            "Mixup": (96.7, 80.8),
            "Manifold Mixup": (96.6, 77.7),
            "CutMix": (96.7, 71.6),
            "Puzzle Mix": (97.0, 82.6),
            "NFM": (96.2, 82.3),
            "AugMix": (96.5, 90.2),
            "NoisyMix": (96.3, 91.8),
        },
    }

    by_corruption: ClassVar[Mapping[str, Printed]] = {
        "preact_resnet_18": printed.CIFAR10_C_RESNET,
        "wrn_28_2": printed.CIFAR10_C_WRN,
    }
    by_sequence: ClassVar[Mapping[str, Printed]] = {
        "preact_resnet_18": printed.CIFAR10_P_RESNET,
        "wrn_28_2": printed.CIFAR10_P_WRN,
    }

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        return [
            ModelSpec("Baseline"),
            noisymix("Mixup", "mixup", seed),
            noisymix("Manifold Mixup", "manifold_mixup", seed),
            noisymix("NFM", "nfm", seed),
            augmax.augmix(seed),
            augmax.augmax(run, seed),
            noisymix("NoisyMix", "noisymix", seed),
        ]

    def conditions(self, run: Run) -> list[Condition]:
        return corrupted("test", severities=run.setting.severities)

    def more_rows(self, run: Run, line: ModelSpec, seed: int, model: keras.Model) -> list[rows.Row]:
        count = run.setting.numbers["flip_images"]
        if count == 0:
            return []
        images = run.data().test.map(lambda images, labels: images)
        if count is not None:
            images = images.unbatch().take(count).batch(EVALUATION_BATCH)
        return flips(model, images, model_name=line.name, seed=run.setting.seed)

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        net = setting.net if setting.net in self.published else "preact_resnet_18"
        first = [accuracy(self.title, CLEAN), robust(f"{self.title}-C")]
        found = [
            PaperTable(
                f"NoisyMix, Tables 2 and 3 ({self.title}); the paper's {net}",
                first,
                self.published[net],
            ),
            PaperTable(
                f"NoisyMix, Tables 7 to 10: {self.title}-C by corruption; the paper's {net}",
                [accuracy(name, name) for name in TEST_CORRUPTIONS],
                self.by_corruption[net],
                digits=1,
            ),
        ]
        if setting.numbers["flip_images"] != 0:
            title = f"NoisyMix, Tables 13 and 14: flip probabilities on {self.title}-P"
            theirs = self.by_sequence.get(net, {})
            found.append(PaperTable(title, _flips("flip_probability"), theirs, digits=1))
        return found


def _flips(kind: str) -> list[Column]:
    """Columns for the ten sequences, in percent, and for their mean."""
    columns = [metric(name, name, kind, scale=100.0) for name in SEQUENCES]
    return [*columns, metric("mean", "perturbations", f"mean_{kind}", scale=100.0)]


class Cifar100(Cifar10):
    """NoisyMix paper, Tables 2, 3, 8 and 10: CIFAR-100.

    Command: `tfrobust reproduce noisymix_cifar100`, settings as for CIFAR-10; the small one starts
    from random weights, for 30 epochs.

    The paper, RA, PreAct-ResNet-18: Baseline 48.4, AugMix 64.6, AugMax 65.8, NoisyMix 71.0.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Tables 2, 3, 8 and 10"
    full = _CIFAR.replace(dataset="cifar100")
    small = _SMALL.replace(
        dataset="cifar100", weights=None, training=Training(30, 128, learning_rate=0.1)
    )
    title = "CIFAR-100"
    published: ClassVar[Mapping[str, Printed]] = {
        "preact_resnet_18": {
            "Baseline": (77.7, 48.4),
            "Mixup": (79.7, 54.2),
            "Manifold Mixup": (80.3, 53.4),
            "CutMix": (79.3, 47.9),
            "Puzzle Mix": (79.4, 57.4),
            "NFM": (79.4, 59.7),
            "AugMix": (77.0, 64.6),
            "AugMax-DuBIN": (None, 65.75),
            "NoisyMix": (79.7, 71.0),
        },
        "wrn_28_2": {
            "Baseline": (79.0, 47.4),
            "Mixup": (80.9, 53.9),
            "Manifold Mixup": (81.8, 53.2),
            "CutMix": (80.3, 48.5),
            "Puzzle Mix": (81.2, 56.3),
            "NFM": (80.2, 58.7),
            "AugMix": (80.5, 66.7),
            "NoisyMix": (81.3, 71.9),
        },
    }
    by_corruption: ClassVar[Mapping[str, Printed]] = {
        "preact_resnet_18": printed.CIFAR100_C_RESNET,
        "wrn_28_2": printed.CIFAR100_C_WRN,
    }
    by_sequence: ClassVar[Mapping[str, Printed]] = {}


class Ablation(Cifar10):
    """NoisyMix paper, Table 4: ablation.

    Command: `tfrobust reproduce noisymix_ablation`. The full setting is WRN-28-2 on CIFAR-100, 200
    epochs; the small one finetunes a trained ResNet-20 on CIFAR-10.

    The paper, CIFAR-100-C: 47.4 with none, 58.7 NFM, 66.9 AugMix and JSD, 68.6 AugMix and NFM,
    71.9 all.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 4"
    full = _CIFAR.replace(dataset="cifar100", net="wrn_28_2")
    small = _SMALL.replace(seeds=(0,), lines=None)
    quick = _QUICK.replace(lines=("none", "all"))
    #: Name to entry of the method's `ABLATION`, and the printed numbers.
    rows_of_table: ClassVar[Mapping[str, tuple[str, float, float]]] = {
        "none": ("baseline", 79.0, 47.4),
        "noise": ("noise", 79.1, 49.5),
        "mixing": ("manifold_mixup", 81.8, 53.2),
        "mixing, noise": ("nfm", 80.2, 58.7),
        "augmentations": ("augmix", 79.1, 64.0),
        "augmentations, noise, JSD": ("augmix_noise_jsd", 80.9, 66.7),
        "augmentations, JSD": ("augmix_jsd", 80.5, 66.9),
        "augmentations, mixing, noise": ("augmix_nfm", 80.4, 68.6),
        "augmentations, mixing, JSD": ("augmix_manifold_mixup_jsd", 82.1, 69.3),
        "all": ("noisymix", 81.3, 71.9),
    }

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        return [noisymix(name, row[0], seed) for name, row in self.rows_of_table.items()]

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        printed = {name: row[1:] for name, row in self.rows_of_table.items()}
        return [PaperTable("NoisyMix, Table 4", [accuracy("Clean", CLEAN), robust("RA")], printed)]


class ImageNet(Experiment):
    """NoisyMix paper, Tables 1, 6, 11 and 12: ImageNet, ImageNet-C, -R and -P, ResNet-50.

    Command: `tfrobust reproduce noisymix_imagenet --data-dir IMAGENET --set renditions=FOLDER`
    (ImageNet-R) `--set sequences=FOLDER` (ImageNet-P). The full setting is ResNet-50 with weight
    decay 1e-4 for 90 epochs, as for AugMix; the paper does not print their number. It needs
    ImageNet and was not run. Models that the paper quotes have only their printed numbers.

    The paper, ImageNet-C / -R / -P (mFR): Baseline 39.2 / 36.2 / 58.0, AugMix 48.3 / 41.0 / 37.6,
    NoisyMix 52.3 / 45.7 / 28.5.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    paper = "NoisyMix"
    shows = "Tables 1, 6, 11 and 12"
    full = ExperimentConfig(
        dataset="imagenet",
        flips_and_crops=False,
        net="resnet_50",
        training=Training(90, 256, plan="augmix_imagenet"),
        numbers={"renditions": "", "sequences": ""},
    )
    small = full.replace(dataset="imagenet200", training=Training(10, 64, plan="augmix_imagenet"))
    quick = _QUICK.replace(numbers=full.numbers)
    published: ClassVar[Printed] = {
        "Baseline": (76.1, 39.2, 42.3, 36.2, 58.0, 19.7, 64.6),
        "Adversarial Trained": (63.9, 32.1, 35.4, 38.9, 33.3, 8.9, 68.8),
        "Stylized ImageNet": (74.9, 45.2, 46.6, 41.5, 54.4, 16.2, 69.7),
        "AutoAugment": (77.6, 45.7, 47.3, 39.0, 56.5, 19.9, 67.6),
        "Mixup": (77.5, 46.2, 48.4, 39.6, 56.4, 17.5, 68.6),
        "Manifold Mixup": (76.7, 43.9, 46.5, 39.7, 56.0, 5.0, 68.7),
        "CutMix": (78.6, 41.0, 43.1, 34.8, 58.6, 13.6, 63.2),
        "Puzzle Mix": (78.7, 44.6, 46.4, 39.5, 55.5, 15.8, 68.8),
        "AugMix": (77.5, 48.3, 50.5, 41.0, 37.6, 14.5, 70.1),
        "NoisyMix": (77.6, 52.3, 52.4, 45.7, 28.5, 3.9, 74.8),
    }

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        return [
            ModelSpec("Baseline"),
            noisymix("Mixup", "mixup", seed),
            noisymix("Manifold Mixup", "manifold_mixup", seed),
            augmax.augmix(seed),
            noisymix("NoisyMix", "noisymix", seed),
        ]

    def conditions(self, run: Run) -> list[Condition]:
        return corrupted("test", severities=run.setting.severities)

    def more_rows(self, run: Run, line: ModelSpec, seed: int, model: keras.Model) -> list[rows.Row]:
        found: list[rows.Row] = []
        numbers = run.setting.numbers
        if numbers["renditions"]:
            data = datasets.load(
                "imagenet_r", data_dir=numbers["renditions"], batch_size=EVALUATION_BATCH
            )
            evaluator = Evaluator([], metrics=METRICS)
            measured = evaluator.rows(
                model, data, classes=IMAGENET_R_CLASSES, model_name=line.name, seed=seed
            )
            found += [rows.Row(**{**vars(row), "corruption": "ImageNet-R"}) for row in measured]
        if numbers["sequences"]:
            found += flips(
                model,
                published=("imagenet_p", numbers["sequences"]),
                baseline="alexnet",
                model_name=line.name,
                seed=seed,
            )
        return found

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        quiet = tuple(name for name in TEST_CORRUPTIONS if name not in CORRUPTION_GROUPS["noise"])
        rates = _flips("flip_rate")
        columns = [
            accuracy("ImageNet", CLEAN),
            robust("ImageNet-C"),
            robust("without noise", quiet),
            accuracy("ImageNet-R", "ImageNet-R"),
            dataclasses.replace(rates[-1], label="ImageNet-P, mFR"),
            metric("RMS calibration error, ImageNet-R", "ImageNet-R", "rms_calibration_error", 100),
            metric("AURRA, ImageNet-R", "ImageNet-R", "aurra", 100),
        ]
        single = [accuracy(name, name) for name in TEST_CORRUPTIONS]
        return [
            PaperTable("NoisyMix, Tables 1 and 11", columns, self.published, digits=1),
            PaperTable(
                "NoisyMix, Table 6: ImageNet-C by corruption", single, printed.IMAGENET_C, digits=1
            ),
            PaperTable(
                "NoisyMix, Table 12: flip rates on ImageNet-P", rates, printed.IMAGENET_P, digits=1
            ),
        ]


class TransferRun(Run):
    """A run with a second data set, on which the source models are trained."""

    def data(
        self, training: Optional[Training] = None, seed: int = 0, **options: Any
    ) -> datasets.Data:
        if not options.pop("source", False):
            return super().data(training, seed, **options)
        numbers = self.setting.numbers
        where = {"data_dir": numbers["source_dir"]} if numbers["source_dir"] else {}
        return datasets.load(
            numbers["source"],
            **where,
            batch_size=EVALUATION_BATCH if training is None else training.batch_size,
            seed=seed,
        )


class Transfer(Experiment):
    """NoisyMix paper, Table 5: robustness after transfer learning.

    Command: `tfrobust reproduce noisymix_transfer --set source_dir=IMAGENET`. The full setting
    trains ResNet-50 on ImageNet with five schemes, replaces its last layer and finetunes it on
    CIFAR-10 (`--dataset cifar100` for the other column) with plain cross-entropy. It needs ImageNet
    and was not run; the small one does the same with ResNet-20 from CIFAR-100 to CIFAR-10, and was
    not run either. The paper does not print the number of finetuning epochs; it is 30 here.

    The paper, CIFAR-10-C, all / noise / without noise: Baseline 77.1 / 48.8 / 86.5, AugMix
    79.9 / 53.9 / 88.6, NoisyMix 81.8 / 60.3 / 88.9.

    Its `numbers`: `source`, the data set of the source models, and `source_dir`, its folder.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    paper = "NoisyMix"
    shows = "Table 5"
    runs = TransferRun
    full = ExperimentConfig(
        net="resnet_50",
        training=Training(90, 256, plan="augmix_imagenet"),
        finetuning=Training(30, 128, learning_rate=0.01),
        numbers={"source": "imagenet", "source_dir": ""},
    )
    small = full.replace(
        net="resnet_20",
        images={"test": 2_000},
        training=Training(30, 128, learning_rate=0.1),
        finetuning=Training(5, 128, learning_rate=0.01, images=10_000),
        numbers={"source": "cifar100", "source_dir": ""},
    )
    quick = _QUICK.replace(
        lines=("Baseline",),
        finetuning=Training(1, 64, learning_rate=0.05),
        images={"train": 256, "test": 100},
        net="small_cnn",
        numbers={"source": "digits", "source_dir": ""},
    )
    #: Clean, all corruptions, noise, without noise; on CIFAR-10, then on CIFAR-100.
    published: ClassVar[Printed] = {
        "Baseline": (97.0, 77.1, 48.8, 86.5, 84.3, 57.1, 28.0, 66.8),
        "PuzzleMix": (97.1, 77.3, 47.7, 87.2, 84.5, 57.2, 26.1, 67.6),
        "Mixup": (97.1, 78.6, 51.7, 87.6, 84.5, 57.3, 26.4, 67.6),
        "AutoAugment": (97.2, 78.7, 54.6, 86.7, 84.9, 57.6, 27.3, 67.6),
        "AugMix": (97.7, 79.9, 53.9, 88.6, 86.5, 58.8, 24.2, 66.8),
        "NoisyMix": (97.7, 81.8, 60.3, 88.9, 85.9, 60.3, 34.5, 68.8),
    }

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        sources = [
            ModelSpec("Baseline source"),
            noisymix("Mixup source", "mixup", seed),
            noisymix("Manifold Mixup source", "manifold_mixup", seed),
            augmax.augmix(seed, name="AugMix source"),
            noisymix("NoisyMix source", "noisymix", seed),
        ]
        found = []
        for source in sources:
            found += [
                dataclasses.replace(source, data={"source": True}, measured=False),
                ModelSpec(source.name.removesuffix(" source"), start=source.name),
            ]
        return found

    def started(self, run: Run, net: keras.Model, data: datasets.Data) -> keras.Model:
        """The net for the new classes, with all weights but those of the last layer.

        Images of another size are resized to the input size of the source net.
        """
        shape = net.input_shape[1:]
        new = NETS[run.setting.net](shape, data.classes, **run.setting.net_options)
        for layer in new.layers:
            if layer.name != "logits" and layer.weights:
                layer.set_weights(net.get_layer(layer.name).get_weights())
        if tuple(shape) == tuple(data.image_shape):
            return new
        return keras.Sequential(
            [keras.Input(data.image_shape), keras.layers.Resizing(*shape[:2]), new]
        )

    def conditions(self, run: Run) -> list[Condition]:
        return corrupted("test", severities=run.setting.severities)

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        quiet = tuple(name for name in TEST_CORRUPTIONS if name not in CORRUPTION_GROUPS["noise"])
        columns = [
            accuracy("Clean", CLEAN),
            robust("RA"),
            robust("noise", CORRUPTION_GROUPS["noise"]),
            robust("without noise", quiet),
        ]
        cifar_100 = setting.dataset == "cifar100"
        printed = {name: values[4 * cifar_100 :][:4] for name, values in self.published.items()}
        return [PaperTable("NoisyMix, Table 5", columns, printed, digits=1)]
