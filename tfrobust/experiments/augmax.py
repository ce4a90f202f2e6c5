"""AugMax and DuBIN (AugMax paper): Tables 1 to 11, Figure 1."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from tfrobust import rows
from tfrobust.attacks import FAT, PGD, Spatial
from tfrobust.evaluation import attacked
from tfrobust.evaluation.condition import Condition
from tfrobust.experiments import other_sets, variances
from tfrobust.experiments.augmix_lines import CIFAR, QUICK, SMALL, augmax, augmix
from tfrobust.experiments.embeddings import figure_1
from tfrobust.experiments.experiment import Experiment, ExperimentConfig, ModelSpec, Run, Training
from tfrobust.experiments.settings import PLAIN, WHITENED
from tfrobust.experiments.tables import (
    SA_RA,
    WITHOUT_NOISE,
    PaperTable,
    accuracy,
    mce,
    paper_table,
    robust,
)
from tfrobust.registries import TEST_CORRUPTIONS
from tfrobust.rows import CLEAN

_FEWER_EPOCHS = SMALL.replace(training=Training(2, 128, learning_rate=0.02))


class _AugMax(Experiment):
    """Normal, AugMix and AugMax-DuBIN on clean images and the 15 corruptions.

    Its `numbers`: `steps` n and `stop_after` k of the attack, and λ, `jsd_weight`. CE(x*) has the
    paper's weight ½; the released code omits the term.
    """

    paper = "AugMax"
    full, small, quick = CIFAR, SMALL, QUICK

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        return [ModelSpec("Normal"), augmix(seed), augmax(run, seed)]


class Cifar10(_AugMax):
    """AugMax paper, Table 2 and Figure 1: CIFAR-10, Normal, AugMix and AugMax-DuBIN.

    Command: `tfrobust reproduce augmax_cifar10`, with `--net resnet_18` or `resnext_29` for the
    table's other nets. The full setting is WRN-40-2 for 200 epochs, 256 images per step; the small
    one finetunes a trained ResNet-20 for 4 epochs on 10,000 images.

    The paper, WRN-40-2, RA: Normal 73.7, AugMix 89.0, AugMax-DuBIN 90.7.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 2, Figure 1"
    title, printed = "AugMax, Table 2 (CIFAR-10)", "augmax_table2"

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        net = setting.net if setting.net in ("resnet_18", "resnext_29") else "wrn_40_2"
        title = f"{self.title}; the paper's {net}"
        return [paper_table(title, SA_RA, self.printed, {"net": net})]

    def pictures(self, run: Run) -> dict[str, Any]:
        """Figure 1: features of clean and changed images in a normally trained net."""
        seed = run.setting.seeds[0]
        if not run.model_file("Normal", seed).exists():
            return {}
        return {"figure_1.png": figure_1(run, run.model("Normal", seed).net)}


class Cifar100(Cifar10):
    """AugMax paper, Table 3: CIFAR-100, Normal, AugMix and AugMax-DuBIN.

    Command: `tfrobust reproduce augmax_cifar100`; settings as for Table 2, λ = 1 for `resnet_18`
    (`--set jsd_weight=1`). The small one starts from random weights, for 30 epochs.

    The paper, WRN-40-2, RA: Normal 46.8, AugMix 64.6, AugMax-DuBIN 66.4.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 3"
    title, printed = "AugMax, Table 3 (CIFAR-100)", "augmax_table3"
    full = CIFAR.replace(dataset="cifar100")
    small = SMALL.replace(
        dataset="cifar100", weights=None, training=Training(30, 128, learning_rate=0.1)
    )

    def pictures(self, run: Run) -> dict[str, Any]:
        return {}


class Norms(_AugMax):
    """AugMax paper, Table 8: norms with AugMix and with AugMax; and Table 1 for these models.

    Command: `tfrobust reproduce augmax_table8`. The full setting is WRN-40-2, 200 epochs, 3 seeds,
    on CIFAR-10 (`--dataset cifar100` for the other column); the small one finetunes a trained
    ResNet-20 for 2 epochs on 10,000 images.

    The paper, RA on CIFAR-10-C: AugMix-BN 89.0, IBN 89.2, DuBN 89.1, DuBIN 89.7; AugMax-DuBN 89.6,
    AugMax-DuBIN 90.7.

    Ours, small, 2026-11-21, commit cdadb584e1, seed 0, RA: AugMix-BN 74.3, IBN 74.5; AugMax-DuBN
    73.2, AugMax-DuBIN 75.8; 53 minutes on one shared CPU core.
    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 8, and Table 1 on the same data"
    full = CIFAR.replace(seeds=(0, 1, 2))
    small = _FEWER_EPOCHS
    quick = QUICK.replace(lines=("AugMix-DuBIN", "AugMax-DuBIN"))

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        names = {"bn": "BN", "ibn": "IBN", "dubn": "DuBN", "dubin": "DuBIN"}
        return [
            *(augmix(seed, norm=norm, name=f"AugMix-{short}") for norm, short in names.items()),
            augmax(run, seed, norm="dubn", name="AugMax-DuBN"),
            augmax(run, seed),
        ]

    def more_rows(self, run: Run, line: ModelSpec, seed: int, model: keras.Model) -> list[rows.Row]:
        return variances.of_model(model, line.name, run.setting.dataset, seed)

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        where = {"data": "cifar100" if setting.dataset == "cifar100" else "cifar10"}
        eight = paper_table("AugMax, Table 8", SA_RA, "augmax_table8", where)
        return [eight, variances.table_1()]


class Statistics(Norms):
    """AugMax paper, Table 1: feature variance on the two routes of DuBN and of DuBIN.

    Command: `tfrobust reproduce augmax_table1`. σ̄² is the mean over the channels of a batch norm's
    moving variance. The full setting is WRN-40-2 on CIFAR-100; the paper does not
    identify its layers, such as "Block 1 layer 2", so all layers with dual norms are measured and
    the table shows their mean.

    The paper: σ̄²_a is above σ̄²_c, by 27 to 30% in DuBN and by 11 to 16% in DuBIN.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 1"
    full, small, quick = CIFAR.replace(dataset="cifar100"), SMALL, QUICK

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        return super().lines(run, seed)[-2:]

    def conditions(self, run: Run) -> list[Condition]:
        return []

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        return [variances.table_1()]


class Hyperparameters(_AugMax):
    """AugMax paper, Table 9: steps n, early stop k and weight λ of AugMax-DuBIN.

    Command: `tfrobust reproduce augmax_table9`. The full setting is WRN-40-2 on CIFAR-10.

    The paper, RA: n = 5 90.5, n = 10 90.7; k = 2 90.4, k = 3 90.2; λ = 1 88.9, λ = 15 90.3.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 9"
    quick = QUICK.replace(lines=("n=10, k=1, λ=10", "λ=1"))

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        other = {
            "n=10, k=1, λ=10": {},
            "n=5": {"steps": max(run.setting.numbers["steps"] // 2, 1)},
            "k=2": {"stop_after": 2},
            "k=3": {"stop_after": 3},
            "λ=1": {"jsd_weight": 1.0},
            "λ=15": {"jsd_weight": 15.0},
        }
        return [augmax(run, seed, name=name, **numbers) for name, numbers in other.items()]

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        steps = setting.numbers["steps"]
        note = f"n=10 stands for the setting's n of {steps}, n=5 for its half."
        notes = () if steps == 10 else (note,)
        return [paper_table("AugMax, Table 9", SA_RA, "augmax_table9", notes=notes)]


class Strategies(_AugMax):
    """AugMax paper, Table 10: diversity, hardness, and both.

    Command: `tfrobust reproduce augmax_table10`. The full setting is ResNet-18 on CIFAR-100, λ = 1.

    The paper, RA: Normal 48.5, AugMix 62.7, PGDAT 47.7, FAT 48.7, AdvMax 38.7, AugMix+PGDAT 51.4,
    AdvMix 56.9, AugMax-DuBIN 64.0.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 10"
    table = ("AugMax, Table 10", SA_RA, "augmax_table10")
    full = CIFAR.replace(
        dataset="cifar100", net="resnet_18", numbers={**CIFAR.numbers, "jsd_weight": 1.0}
    )
    small = _FEWER_EPOCHS
    quick = QUICK.replace(lines=("Normal", "PGDAT"))

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        def against(name: str, attack: Any) -> ModelSpec:
            return ModelSpec(name, "adversarial_training", {"attack": attack, "mu": 0.0})

        def routed(name: str, method: str) -> ModelSpec:
            settings = {"jsd_weight": run.setting.numbers["jsd_weight"], "seed": seed}
            return ModelSpec(name, method, settings, {"norm": "dubin"})

        return [
            ModelSpec("Normal"),
            augmix(seed),
            against("PGDAT", PGD(seed=seed)),
            against("FAT", FAT(seed=seed)),
            routed("AdvMax", "advmax"),
            routed("AugMix+PGDAT", "augmix_pgdat"),
            routed("AdvMix", "advmix"),
            augmax(run, seed),
        ]


class Shifts(_AugMax):
    """AugMax paper, Table 11: CIFAR-10.1 and the worst of 10 rotations and shifts (STA).

    Command: `tfrobust reproduce augmax_table11 --set cifar10_1=FOLDER`. The full setting is
    ResNeXt-29 on CIFAR-10. Without a folder of CIFAR-10.1 its column stays empty.

    The paper, CIFAR-10.1 / STA: Normal 88.9 / 30.3, AugMix 88.9 / 54.3, AugMax-DuBIN 90.6 / 63.2.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 11"
    table = (
        "AugMax, Table 11",
        [
            accuracy("Clean", CLEAN),
            accuracy("CIFAR-10.1", "CIFAR-10.1"),
            accuracy("CIFAR-10-STA", "STA"),
        ],
        "augmax_table11",
    )
    full = CIFAR.replace(net="resnext_29", numbers={**CIFAR.numbers, "cifar10_1": ""})
    small = SMALL.replace(numbers={**SMALL.numbers, "cifar10_1": ""})
    quick = QUICK.replace(numbers={**QUICK.numbers, "cifar10_1": ""}, lines=("Normal",))

    def conditions(self, run: Run) -> list[Condition]:
        return attacked({"STA": Spatial()})

    def more_rows(self, run: Run, line: ModelSpec, seed: int, model: keras.Model) -> list[rows.Row]:
        return other_sets.cifar10_1(run, line, model)


class ImageNet(_AugMax):
    """AugMax paper, Table 4: ImageNet.

    Command: `tfrobust reproduce augmax_imagenet --data-dir IMAGENET`, with
    `--set deep_augment=FOLDER,FOLDER` for the two lines with DeepAugment images. The full
    setting is ResNet-18 for 90 epochs, 5 steps of the attack, λ = 12. It needs ImageNet and was not
    run. docs/SCALE.md takes the speed of a GPU from Table 7 (seconds per epoch on an A6000: Normal
    2,669, AugMix 3,622, AugMax 5,264).

    The paper, RA / mCE: Normal 30.9 / 87.5, AugMix 34.6 / 83.1, AugMax-DuBIN 35.0 / 82.6.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Tables 4 and 7"
    table = (
        "AugMax, Table 4 (ImageNet)",
        [*SA_RA, mce("mCE", TEST_CORRUPTIONS, "alexnet")],
        "augmax_table4",
    )
    full = ExperimentConfig(
        dataset="imagenet",
        net="resnet_18",
        net_options={"stem": "imagenet", **WHITENED},
        training=Training(90, 256, plan="augmax_imagenet", crops="resized"),
        numbers={
            "steps": 5, "stop_after": 1, "jsd_weight": 12.0, "deep_augment": (), "deep_epochs": 30,
        },
    )  # fmt: skip
    small = full.replace(
        dataset="imagenet200",
        training=Training(10, 64, plan="augmax_imagenet", crops="resized"),
        numbers={**full.numbers, "deep_epochs": 3},
    )
    quick = QUICK.replace(numbers={**QUICK.numbers, "deep_augment": (), "deep_epochs": 1})

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        normal, *others = super().lines(run, seed)
        numbers = run.setting.numbers
        if not numbers["deep_augment"]:
            return [normal, *others]
        # Released code: fewer passes over the images and their two copies.
        own: dict[str, Any] = {
            "data": {"extra": tuple(numbers["deep_augment"])},
            "training": dataclasses.replace(run.setting.training, epochs=numbers["deep_epochs"]),
        }
        deep = [
            dataclasses.replace(line, name=f"DeepAugment + {line.name}", **own) for line in others
        ]
        return [normal, *others, *deep]


class TinyImageNet(ImageNet):
    """AugMax paper, Tables 5 and 6: Tiny ImageNet; mCE relative to Normal.

    Command: `tfrobust reproduce augmax_tiny_imagenet --data-dir FOLDER`. The full setting is
    ResNet-18 (stem of stride 2) for 200 epochs. It needs Tiny ImageNet and was not run. ANT, a line
    of Table 6, is from another paper and not included.

    The paper, RA / mCE: Normal 23.9 / 100, AugMix 36.9 / 83.0, AugMax-DuBIN 38.7 / 80.7.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Tables 5 and 6"
    full = ImageNet.full.replace(
        dataset="tiny_imagenet",
        net_options={"stem": "tiny_imagenet", **PLAIN},
        training=Training(200, 256, plan="augmax_tiny_imagenet"),
        numbers={**ImageNet.full.numbers, "steps": 10, "jsd_weight": 10.0, "deep_epochs": 200},
    )
    small = full.replace(
        training=Training(20, 64, plan="augmax_tiny_imagenet"),
        numbers={**full.numbers, "deep_epochs": 20},
    )

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        five = [*SA_RA, mce("mCE", TEST_CORRUPTIONS, "Normal")]
        six = [
            accuracy("SA", CLEAN),
            robust("RA", WITHOUT_NOISE),
            mce("mCE", WITHOUT_NOISE, "Normal"),
        ]
        return [
            paper_table("AugMax, Table 5 (Tiny ImageNet)", five, "augmax_table5"),
            paper_table("AugMax, Table 6 (Tiny ImageNet without noise)", six, "augmax_table6"),
        ]
