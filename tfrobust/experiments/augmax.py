"""AugMax and DuBIN (AugMax paper): Tables 1 to 11, Figure 1."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Optional

import keras
import numpy as np
import sklearn.manifold
import tensorflow as tf

from tfrobust import datasets, evaluation, reports, rows
from tfrobust.attacks import FAT, PGD, AugMaxAttack, Spatial
from tfrobust.augment import AugMix
from tfrobust.compat.layers import every_layer
from tfrobust.evaluation import Evaluator, attacked, corrupted
from tfrobust.evaluation.condition import Condition
from tfrobust.experiments.experiment import (
    EVALUATION_BATCH,
    RESNET_20_WEIGHTS,
    Experiment,
    ExperimentConfig,
    ModelSpec,
    Run,
    Training,
)
from tfrobust.experiments.tables import Column, PaperTable, accuracy, metric, robust
from tfrobust.layers.dual_batch_normalization import DualBatchNormalization, mean_batch_variance
from tfrobust.layers.embedding import Embedding
from tfrobust.registries import CORRUPTION_GROUPS, TEST_CORRUPTIONS
from tfrobust.rows import CLEAN

Printed = Mapping[str, Sequence[Optional[float]]]

_CIFAR = ExperimentConfig(
    net="wrn_40_2",
    training=Training(200, 256, plan="augmax_cifar"),
    numbers={"steps": 10, "stop_after": 1, "jsd_weight": 10.0},
)
#: Shared by the small settings of AugMax and NoisyMix: pretrained weights, because two CPU cores
#: cannot train their nets from scratch; five attack steps.
SMALL = _CIFAR.replace(
    net="resnet_20",
    weights=RESNET_20_WEIGHTS,
    images={"train": 10_000, "validation": 500, "test": 1_000},
    training=Training(4, 128, learning_rate=0.02),
    precision="mixed_bfloat16",
    numbers={**_CIFAR.numbers, "steps": 5},
)
QUICK = SMALL.replace(
    dataset="digits",
    weights=None,
    images={"train": 256, "validation": 100, "test": 100},
    training=Training(1, 64, learning_rate=0.05),
    precision="float32",
    severities=(3,),
    numbers={**SMALL.numbers, "steps": 2},
)


def augmix(seed: int, *, norm: str = "bn", weight: float = 12.0, name: str = "AugMix") -> ModelSpec:
    """AugMix with a given norm; with dual norms one AugMix view takes the auxiliary route.

    With dual norms the paper routes AugMix images through the auxiliary ones. Here this is AugMax
    without search steps (Algorithm 1 with n = 0): one of the two AugMix views takes the auxiliary
    route, and the labels are used only on the clean images.
    """
    if norm in ("bn", "ibn"):
        return ModelSpec(
            name, "augmix_training", {"jsd_weight": weight, "seed": seed}, {"norm": norm}
        )
    settings = {
        "attack": AugMaxAttack(steps=0, seed=seed),
        "jsd_weight": weight,
        "adversarial_weight": 0.0,
        "seed": seed,
    }
    return ModelSpec(name, "augmax", settings, {"norm": norm})


def augmax(run: Run, seed: int, *, norm: str = "dubin", name: str = "", **other: Any) -> ModelSpec:
    """AugMax with the numbers of the setting, overridden by `other`."""
    numbers = {**run.setting.numbers, **other}
    attack = AugMaxAttack(steps=numbers["steps"], stop_after=numbers["stop_after"], seed=seed)
    settings = {"attack": attack, "jsd_weight": numbers["jsd_weight"], "seed": seed}
    return ModelSpec(name or "AugMax-DuBIN", "augmax", settings, {"norm": norm})


class _Corrupted(Experiment):
    """Models evaluated on clean images and the 15 corruptions.

    Its `numbers`: `steps` n and `stop_after` k of the attack, and λ, `jsd_weight`. CE(x*) has the
    paper's weight ½; the released code omits the term.
    """

    paper = "AugMax"

    def conditions(self, run: Run) -> list[Condition]:
        return corrupted("test", severities=run.setting.severities)


class _OnCifar(_Corrupted):
    #: Net to model to (SA, RA) in the paper.
    published: ClassVar[Mapping[str, Printed]] = {}
    title = ""

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        return [ModelSpec("Normal"), augmix(seed), augmax(run, seed)]

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        printed = self.published.get(setting.net, self.published["wrn_40_2"])
        columns = [accuracy("SA", CLEAN), robust("RA")]
        net = setting.net if setting.net in self.published else "wrn_40_2"
        return [PaperTable(f"{self.title}; the paper's {net}", columns, printed)]


class Cifar10(_OnCifar):
    """AugMax paper, Table 2 and Figure 1: CIFAR-10, Normal, AugMix and AugMax-DuBIN.

    Command: `tfrobust reproduce augmax_cifar10`, with `--net resnet_18` or `resnext_29` for the
    table's other nets. The full setting is WRN-40-2 for 200 epochs, 256 images per step; the small
    one finetunes a trained ResNet-20 for 4 epochs on 10,000 images.

    The paper, WRN-40-2, RA: Normal 73.7, AugMix 89.0, AugMax-DuBIN 90.7.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 2, Figure 1"
    title = "AugMax, Table 2 (CIFAR-10)"
    full, small, quick = _CIFAR, SMALL, QUICK
    published: ClassVar[Mapping[str, Printed]] = {
        "resnet_18": {
            "Normal": (95.56, 74.75), "AugMix": (95.79, 89.49), "AugMax-DuBIN": (95.76, 90.36),
        },
        "wrn_40_2": {
            "Normal": (94.78, 73.71), "AugMix": (95.67, 89.01), "AugMax-DuBIN": (95.68, 90.67),
        },
        "resnext_29": {
            "Normal": (95.60, 71.70), "AugMix": (96.25, 89.08), "AugMax-DuBIN": (96.39, 92.11),
        },
    }  # fmt: skip

    def pictures(self, run: Run) -> dict[str, Any]:
        """Figure 1: features of clean and changed images in a normally trained net."""
        seed = run.setting.seeds[0]
        if not run.model_file("Normal", seed).exists():
            return {}
        return {"figure_1.png": _figure_1(run, run.model("Normal", seed).net)}


def _figure_1(run: Run, net: keras.Model, *, per_class: int = 100, classes: int = 3) -> Any:
    """Plots features of clean, AugMix, PGD and AugMax training images in two dimensions.

    One joint t-SNE, so that positions are comparable. (The paper's standard view is flipped and
    shifted as well.)
    """
    data = run.data(run.setting.training, seed=0)
    images, labels = (np.concatenate(part) for part in zip(*data.train.as_numpy_iterator()))
    chosen = np.concatenate([np.flatnonzero(labels == c)[:per_class] for c in range(classes)])
    images, labels = tf.constant(images[chosen]), tf.constant(labels[chosen])
    ways = {
        "clean": images,
        "AugMix": AugMix()(images, training=True),
        "PGD": PGD().perturb(net, images, labels),
        "AugMax": AugMaxAttack(steps=run.setting.numbers["steps"]).perturb(net, images, labels),
    }
    embedding, features = Embedding(net), []
    for changed in ways.values():
        with embedding.recorded() as embedded:
            net(changed, training=False)
        features.append(embedded().numpy())
    embedded_points = sklearn.manifold.TSNE(
        init="pca", random_state=0, perplexity=30
    ).fit_transform(np.concatenate(features))
    return reports.embedding_panels(
        dict(zip(ways, np.split(embedded_points, len(ways)))),
        labels.numpy(),
        data.class_names[:classes],
        title="Features of training images in a plainly trained net, t-SNE (AugMax, Figure 1)",
    )


class Cifar100(_OnCifar):
    """AugMax paper, Table 3: CIFAR-100, Normal, AugMix and AugMax-DuBIN.

    Command: `tfrobust reproduce augmax_cifar100`; settings as for Table 2, λ = 1 for `resnet_18`
    (`--set jsd_weight=1`). The small one starts from random weights, for 30 epochs.

    The paper, WRN-40-2, RA: Normal 46.8, AugMix 64.6, AugMax-DuBIN 66.4.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 3"
    title = "AugMax, Table 3 (CIFAR-100)"
    full = _CIFAR.replace(dataset="cifar100")
    small = SMALL.replace(
        dataset="cifar100", weights=None, training=Training(30, 128, learning_rate=0.1)
    )
    quick = QUICK
    published: ClassVar[Mapping[str, Printed]] = {
        "resnet_18": {
            "Normal": (77.99, 48.46), "AugMix": (78.23, 62.67), "AugMax-DuBIN": (78.69, 65.75),
        },
        "wrn_40_2": {
            "Normal": (76.19, 46.80), "AugMix": (77.03, 64.56), "AugMax-DuBIN": (76.80, 66.35),
        },
        "resnext_29": {
            "Normal": (79.95, 47.76), "AugMix": (78.58, 65.37), "AugMax-DuBIN": (80.70, 68.86),
        },
    }  # fmt: skip


class Statistics(_Corrupted):
    """AugMax paper, Table 1: feature variance on the two routes of DuBN and of DuBIN.

    Command: `tfrobust reproduce augmax_table1`. σ̄² is the mean over the channels of a batch norm's
    moving variance. The full setting is WRN-40-2 on CIFAR-100; the paper does not
    identify its layers, such as "Block 1 layer 2", so all layers with dual norms are measured and
    the table shows their mean.

    The paper: σ̄²_a is above σ̄²_c, by 27 to 30% in DuBN and by 11 to 16% in DuBIN.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 1"
    full = _CIFAR.replace(dataset="cifar100")
    small, quick = SMALL, QUICK

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        return [
            augmax(run, seed, norm="dubn", name="AugMax-DuBN"),
            augmax(run, seed, norm="dubin", name="AugMax-DuBIN"),
        ]

    def conditions(self, run: Run) -> list[Condition]:
        return []

    def more_rows(self, run: Run, line: ModelSpec, seed: int, model: keras.Model) -> list[rows.Row]:
        return _variances(run, line, seed, model)

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        return [_table_1()]


def _variances(run: Run, line: ModelSpec, seed: int, model: keras.Model) -> list[rows.Row]:
    """σ̄² of both routes of each dual norm, and their means; empty for a net without dual norms."""
    duals = [x for x in every_layer(model) if isinstance(x, DualBatchNormalization)]
    found = {f"norm {i}": mean_batch_variance(dual) for i, dual in enumerate(duals)}
    if found:
        found["all"] = {
            route: sum(each[route] for each in found.values()) / len(duals)
            for route in ("clean", "auxiliary")
        }
    return [
        rows.Row(
            line.name,
            run.setting.dataset,
            CLEAN,
            0.0,
            f"variance, {norm_name}, {route}",
            value,
            n=0,
            seed=seed,
        )
        for norm_name, variances in found.items()
        for route, value in variances.items()
    ]


def _table_1() -> PaperTable:
    def excess(own: Any, _: Any) -> Optional[float]:
        """Mean relative excess of the auxiliary over the clean variance, over the dual norms."""
        ratios = [
            own[CLEAN, 0.0, name.replace("clean", "auxiliary")] / value
            for (_c, _s, name), value in own.items()
            if name.startswith("variance, norm") and name.endswith("clean")
        ]
        return 100 * (sum(ratios) / len(ratios) - 1) if ratios else None

    columns = [
        metric("clean σ̄²", CLEAN, "variance, all, clean"),
        metric("auxiliary σ̄²", CLEAN, "variance, all, auxiliary"),
        Column("auxiliary above clean, %, mean over norms", excess),
    ]
    printed = {
        "AugMax-DuBN": (0.0373, 0.0479, 28.0),
        "AugMax-DuBIN": (0.0324, 0.0369, 13.3),
    }
    return PaperTable(
        "AugMax, Table 1",
        columns,
        printed,
        unit="the units of the headings",
        digits=4,
        notes=("The printed numbers are means over the three layers of the paper's table.",),
        only=tuple(printed),
    )


class Norms(_Corrupted):
    """AugMax paper, Table 8: norms with AugMix and with AugMax; and Table 1 for these models.

    Command: `tfrobust reproduce augmax_table8`. The full setting is WRN-40-2, 200 epochs, 3 seeds,
    on CIFAR-10 (`--dataset cifar100` for the other column); the small one finetunes a trained
    ResNet-20 for 2 epochs on 10,000 images.

    The paper, RA on CIFAR-10-C: AugMix-BN 89.0, IBN 89.2, DuBN 89.1, DuBIN 89.7; AugMax-DuBN 89.6,
    AugMax-DuBIN 90.7.

    Ours, small, 2026-11-21, commit cdadb584e1, seed 0, RA: AugMix-BN 74.3, IBN 74.5, DuBN 72.9,
    DuBIN 74.9; AugMax-DuBN 73.2, AugMax-DuBIN 75.8; 53 minutes on one shared CPU core.
    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 8, and Table 1 on the same data"
    full = _CIFAR.replace(seeds=(0, 1, 2))
    small = SMALL.replace(training=Training(2, 128, learning_rate=0.02))
    quick = QUICK.replace(lines=("AugMix-DuBIN", "AugMax-DuBIN"))

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        names = {"bn": "BN", "ibn": "IBN", "dubn": "DuBN", "dubin": "DuBIN"}
        return [
            *(augmix(seed, norm=norm, name=f"AugMix-{short}") for norm, short in names.items()),
            augmax(run, seed, norm="dubn", name="AugMax-DuBN"),
            augmax(run, seed, norm="dubin", name="AugMax-DuBIN"),
        ]

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        on_100 = setting.dataset == "cifar100"
        printed = {
            "AugMix-BN": (89.01, 64.56),
            "AugMix-IBN": (89.17, 63.94),
            "AugMix-DuBN": (89.11, 64.07),
            "AugMix-DuBIN": (89.74, 65.02),
            "AugMax-DuBN": (89.60, 65.06),
            "AugMax-DuBIN": (90.67, 66.35),
        }
        cells = {name: (None, values[on_100]) for name, values in printed.items()}
        columns = [accuracy("SA", CLEAN), robust("RA")]
        return [PaperTable("AugMax, Table 8", columns, cells), _table_1()]

    def more_rows(self, run: Run, line: ModelSpec, seed: int, model: keras.Model) -> list[rows.Row]:
        return _variances(run, line, seed, model)


class Hyperparameters(_Corrupted):
    """AugMax paper, Table 9: steps n, early stop k and weight λ of AugMax-DuBIN.

    Command: `tfrobust reproduce augmax_table9`. The full setting is WRN-40-2 on CIFAR-10.

    The paper, RA: n = 5 90.5, n = 10 90.7; k = 2 90.4, k = 3 90.2; λ = 1 88.9, λ = 15 90.3.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 9"
    full, small, quick = _CIFAR, SMALL, QUICK.replace(lines=("n=10, k=1, λ=10", "λ=1"))

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        steps = run.setting.numbers["steps"]
        other = {
            "n=10, k=1, λ=10": {},
            "n=5": {"steps": max(steps // 2, 1)},
            "k=2": {"stop_after": 2},
            "k=3": {"stop_after": 3},
            "λ=1": {"jsd_weight": 1.0},
            "λ=15": {"jsd_weight": 15.0},
        }
        return [augmax(run, seed, name=name, **numbers) for name, numbers in other.items()]

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        printed = {
            "n=10, k=1, λ=10": (95.68, 90.67),
            "n=5": (95.78, 90.49),
            "k=2": (95.60, 90.38),
            "k=3": (95.51, 90.21),
            "λ=1": (95.90, 88.89),
            "λ=15": (95.88, 90.30),
        }
        notes = () if setting.numbers["steps"] == 10 else (
            f"n=10 stands for the setting's n of {setting.numbers['steps']}, n=5 for its half.",
        )  # fmt: skip
        columns = [accuracy("SA", CLEAN), robust("RA")]
        return [PaperTable("AugMax, Table 9", columns, printed, notes=notes)]


class Strategies(_Corrupted):
    """AugMax paper, Table 10: diversity, hardness, and both.

    Command: `tfrobust reproduce augmax_table10`. The full setting is ResNet-18 on CIFAR-100, λ = 1.

    The paper, RA: Normal 48.5, AugMix 62.7, PGDAT 47.7, FAT 48.7, AdvMax 38.7, AugMix+PGDAT 51.4,
    AdvMix 56.9, AugMax-DuBIN 64.0.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 10"
    full = _CIFAR.replace(
        dataset="cifar100", net="resnet_18", numbers={**_CIFAR.numbers, "jsd_weight": 1.0}
    )
    small = SMALL.replace(training=Training(2, 128, learning_rate=0.02))
    quick = QUICK.replace(lines=("Normal", "PGDAT"))

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        weight = run.setting.numbers["jsd_weight"]

        def against(name: str, attack: Any) -> ModelSpec:
            return ModelSpec(name, "adversarial_training", {"attack": attack, "mu": 0.0})

        def routed(name: str, method: str) -> ModelSpec:
            return ModelSpec(name, method, {"jsd_weight": weight, "seed": seed}, {"norm": "dubin"})

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

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        printed = {
            "Normal": (77.99, 48.46),
            "AugMix": (78.23, 62.67),
            "PGDAT": (60.94, 47.71),
            "FAT": (61.51, 48.70),
            "AdvMax": (56.61, 38.65),
            "AugMix+PGDAT": (61.68, 51.39),
            "AdvMix": (72.36, 56.89),
            "AugMax-DuBIN": (78.52, 64.02),
        }
        return [PaperTable("AugMax, Table 10", [accuracy("SA", CLEAN), robust("RA")], printed)]


class Shifts(_OnCifar):
    """AugMax paper, Table 11: CIFAR-10.1 and the worst of 10 rotations and shifts (STA).

    Command: `tfrobust reproduce augmax_table11 --set cifar10_1=FOLDER`. The full setting is
    ResNeXt-29 on CIFAR-10. Without a folder of CIFAR-10.1 its column stays empty.

    The paper, CIFAR-10.1 / STA: Normal 88.9 / 30.3, AugMix 88.9 / 54.3, AugMax-DuBIN 90.6 / 63.2.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 11"
    full = _CIFAR.replace(net="resnext_29", numbers={**_CIFAR.numbers, "cifar10_1": ""})
    small = SMALL.replace(numbers={**SMALL.numbers, "cifar10_1": ""})
    quick = QUICK.replace(numbers={**QUICK.numbers, "cifar10_1": ""}, lines=("Normal",))

    def conditions(self, run: Run) -> list[Condition]:
        return attacked({"STA": Spatial()})

    def more_rows(self, run: Run, line: ModelSpec, seed: int, model: keras.Model) -> list[rows.Row]:
        folder = run.setting.numbers["cifar10_1"]
        if not folder:
            return []
        data = datasets.load("cifar10_1", data_dir=folder, batch_size=EVALUATION_BATCH)
        found = Evaluator([]).rows(model, data, model_name=line.name, seed=run.setting.seed)
        return [rows.Row(**{**vars(row), "corruption": "CIFAR-10.1"}) for row in found]

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        printed = {
            "Normal": (None, 88.90, 30.30),
            "AugMix": (None, 88.90, 54.30),
            "AugMax-DuBIN": (None, 90.64, 63.20),
        }
        columns = [
            accuracy("Clean", CLEAN),
            accuracy("CIFAR-10.1", "CIFAR-10.1"),
            accuracy("CIFAR-10-STA", "STA"),
        ]
        return [PaperTable("AugMax, Table 11", columns, printed)]


class _OnImageNet(_Corrupted):
    #: Baseline of mCE: a table of errors known to `evaluation.mean_corruption_error`, or the name
    #: of a line.
    baseline = "alexnet"
    published: ClassVar[Printed] = {}
    title = ""

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        found = [ModelSpec("Normal"), augmix(seed), augmax(run, seed)]
        folders = tuple(run.setting.numbers["deep_augment"])
        if folders:
            found += [
                dataclasses.replace(
                    line, name=f"DeepAugment + {line.name}", data={"extra": folders}
                )
                for line in (augmix(seed), augmax(run, seed))
            ]
        return found

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        columns = [
            accuracy("SA", CLEAN),
            robust("RA"),
            _mce("mCE", TEST_CORRUPTIONS, self.baseline),
        ]
        return [PaperTable(self.title, columns, self.published)]


def _mce(label: str, names: Sequence[str], baseline: str) -> Column:
    """Mean corruption error in percent, relative to AlexNet or to a line."""

    def errors(own: Any) -> Optional[dict[str, list[float]]]:
        found = {}
        for name in names:
            levels = [1 - v for (c, _, m), v in sorted(own.items(), key=str)
                      if c == name and m == "accuracy"]  # fmt: skip
            if len(levels) != 5:
                return None
            found[name] = levels
        return found

    def value(own: Any, models: Any) -> Optional[float]:
        mine = errors(own)
        if baseline == "alexnet":
            if mine is None or tuple(names) != TEST_CORRUPTIONS:
                return None
            return evaluation.mean_corruption_error(mine, "alexnet", values="error")
        theirs = errors(models.get(baseline, {}))
        if mine is None or theirs is None:
            return None
        ratios = [sum(mine[name]) / sum(theirs[name]) for name in names]
        return 100 * sum(ratios) / len(ratios)

    return Column(label, value)


class ImageNet(_OnImageNet):
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
    title = "AugMax, Table 4 (ImageNet)"
    full = ExperimentConfig(
        dataset="imagenet",
        flips_and_crops=False,
        net="resnet_18",
        net_options={"stem": "imagenet"},
        training=Training(90, 256, plan="augmax_imagenet"),
        numbers={"steps": 5, "stop_after": 1, "jsd_weight": 12.0, "deep_augment": ()},
    )
    small = full.replace(dataset="imagenet200", training=Training(10, 64, plan="augmax_imagenet"))
    quick = QUICK.replace(numbers={**QUICK.numbers, "deep_augment": ()})
    published: ClassVar[Printed] = {
        "Normal": (69.83, 30.91, 87.47),
        "AugMix": (68.06, 34.58, 83.08),
        "AugMax-DuBIN": (67.62, 35.01, 82.56),
        "DeepAugment + AugMix": (65.32, 45.84, 69.29),
        "DeepAugment + AugMax-DuBIN": (64.43, 46.55, 68.47),
    }


class TinyImageNet(_OnImageNet):
    """AugMax paper, Tables 5 and 6: Tiny ImageNet; mCE relative to Normal.

    Command: `tfrobust reproduce augmax_tiny_imagenet --data-dir FOLDER`. The full setting is
    ResNet-18 (stem of stride 2) for 200 epochs. It needs Tiny ImageNet and was not run. ANT, a line
    of Table 6, is from another paper and not included.

    The paper, RA / mCE: Normal 23.9 / 100, AugMix 36.9 / 83.0, AugMax-DuBIN 38.7 / 80.7.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Tables 5 and 6"
    title = "AugMax, Table 5 (Tiny ImageNet)"
    baseline = "Normal"
    full = ImageNet.full.replace(
        dataset="tiny_imagenet",
        net_options={"stem": "tiny_imagenet"},
        training=Training(200, 256, plan="augmax_tiny_imagenet"),
        numbers={**ImageNet.full.numbers, "steps": 10},
    )
    small = full.replace(training=Training(20, 64, plan="augmax_tiny_imagenet"))
    quick = ImageNet.quick
    published: ClassVar[Printed] = {
        "Normal": (61.64, 23.91, 100.00),
        "AugMix": (61.79, 36.85, 83.04),
        "AugMax-DuBIN": (62.21, 38.67, 80.72),
        "DeepAugment + AugMix": (59.59, 40.67, 78.28),
        "DeepAugment + AugMax-DuBIN": (59.72, 40.99, 77.83),
    }

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        quiet = tuple(name for name in TEST_CORRUPTIONS if name not in CORRUPTION_GROUPS["noise"])
        columns = [
            accuracy("SA", CLEAN), robust("RA", quiet), _mce("mCE", quiet, self.baseline),
        ]  # fmt: skip
        printed = {
            "Normal": (61.64, 24.38, 100.00),
            "AugMix": (61.79, 37.63, 82.54),
            "ANT": (61.26, 35.30, 85.70),
            "AugMax-DuBIN": (62.21, 38.66, 80.29),
        }
        six = PaperTable("AugMax, Table 6 (Tiny ImageNet without noise)", columns, printed)
        return [*super().tables(setting), six]
