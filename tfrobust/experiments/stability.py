"""Stability training versus data augmentation (stability-training paper): Figures 1 to 3."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from tfrobust import augment, reports, rows
from tfrobust.attacks import FGSM
from tfrobust.augment import presets
from tfrobust.callbacks import RestoreBest
from tfrobust.evaluation import attacked, swept
from tfrobust.evaluation.condition import Condition
from tfrobust.experiments.bands import bands
from tfrobust.experiments.experiment import Experiment, ExperimentConfig, ModelSpec, Run, Training
from tfrobust.experiments.settings import DIGITS, RESNET_20
from tfrobust.experiments.tables import PaperTable, accuracy, training_seed
from tfrobust.rows import CLEAN

BASELINE = "Baseline"
#: The paper's name to layer, parameter of Table 2, and the unit of its strengths.
DISTORTIONS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "Gauss": (augment.GaussianNoise, "gaussian_noise", "standard deviation, images in [0, 1]"),
    "JPEG": (augment.Jpeg, "jpeg", "quality"),
    "Thumb": (augment.Thumbnail, "thumbnail", "side in pixels"),
    "Rotation": (augment.Rotation, "rotation", "degrees, at most"),
    "Crops": (augment.ShiftedCrop, "shifted_crop", "pixels, at most"),
    "FGSM": (FGSM, "fgsm", "size, images in [0, 1]"),
}
#: Those for which the divergence is symmetric [6].
TRANSFORMATIONS = ("Rotation", "Crops")
#: The practical strengths of Table 1.
PRACTICAL = {"Gauss": 0.05, "JPEG": 30, "Thumb": 150, "Rotation": 30, "Crops": 3, "FGSM": 0.001}
#: One strength per distortion that costs a trained net some points on 32-pixel images.
NOTABLE = {"Gauss": 0.1, "JPEG": 30, "Thumb": 20, "Rotation": 30, "Crops": 4, "FGSM": 0.01}

_FULL = ExperimentConfig(
    dataset="tifs",
    flips_and_crops=False,
    net="resnet_18",
    net_options={"stem": "imagenet"},
    training=Training(30, 128, plan="stability_training"),
    finetuning=Training(10, 128, plan="stability_training"),
    numbers={
        "alpha": tuple(presets.stability_grid("alpha")),
        "probability": tuple(presets.stability_grid("probability")),
        "strengths": {
            name: tuple(presets.stability_grid(grid)) for name, (_, grid, _) in DISTORTIONS.items()
        },
        "practical": PRACTICAL,
        "tests": {
            "Gauss": (0.01, 0.025, 0.05, 0.1, 0.2, 0.4),
            "JPEG": (90, 70, 50, 30, 20, 10, 5),
            "Thumb": (200, 175, 150, 100, 50, 25),
            "Rotation": (5, 15, 30, 60, 90, 180),
            "Crops": (1, 3, 6, 10, 15),
            "FGSM": (0.001, 0.003, 0.01, 0.03, 0.1),
        },
    },
)
_SMALL = _FULL.replace(
    dataset="cifar10",
    **RESNET_20,
    net_options={},
    images={"train": 10_000, "validation": 1_000, "test": 2_000},
    training=Training(3, 128, learning_rate=0.01),
    finetuning=Training(3, 128, learning_rate=0.01),
    numbers={
        **_FULL.numbers,
        "strengths": {name: (strength,) for name, strength in NOTABLE.items()},
        "practical": {**PRACTICAL, "Thumb": 20, "FGSM": 0.01},
        "tests": {
            "Gauss": (0.01, 0.025, 0.05, 0.1, 0.15, 0.2),
            "JPEG": (90, 70, 50, 30, 20, 10),
            "Thumb": (28, 24, 20, 16, 12),
            "Rotation": (5, 15, 30, 45, 60, 90),
            "Crops": (1, 3, 6, 10),
            "FGSM": (0.001, 0.003, 0.01, 0.03),
        },
    },
)
_QUICK = _SMALL.replace(
    **DIGITS,
    images={"train": 480, "test": 120},
    training=Training(2, 64, learning_rate=0.05),
    finetuning=Training(1, 64, learning_rate=0.05),
    numbers={**_SMALL.numbers, "alpha": (1.0,), "probability": (0.5,)},
)


class _Stability(Experiment):
    """One training distortion, evaluated under test distortions of increasing strength.

    A baseline, then for each strength of the training distortion one ST per α and one DA per p,
    each keeping the epoch that is best on clean validation images. For transformations ST
    has two forms: KL [5] and, as "symmetric ST", its symmetric form [6].

    Its `numbers`: `alpha` and `probability`, the grids of Table 2; `strengths` for training,
    `practical` strengths for comparison, and `tests`, the strengths evaluated, each by distortion.
    Crops shift the window over images that are already cropped, with reflected borders; the paper
    shifts it over images of 256 pixels.
    """

    paper = "stability training"
    full, small, quick = _FULL, _SMALL, _QUICK
    trained: ClassVar[tuple[str, ...]] = ()
    tested: ClassVar[tuple[str, ...]] = ("Gauss", "JPEG", "Thumb", "Rotation", "Crops")

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        found = [ModelSpec(BASELINE, callbacks=_best_on_clean)]
        for label, layer in self.layers(run, seed).items():
            found += self.of_one(run, label, layer, seed)
        return found

    def layers(self, run: Run, seed: int) -> dict[str, Callable[[], Any]]:
        """Label to what creates a layer to train with, for each distortion and strength."""
        return {
            f"{name} {strength:g}": functools.partial(_layer, name, strength, seed)
            for name in self.trained
            for strength in run.setting.numbers["strengths"][name]
        }

    def of_one(self, run: Run, label: str, layer: Callable[[], Any], seed: int) -> list[ModelSpec]:
        """One ST per α, in both forms for transformations, and one DA per p."""
        numbers, found = run.setting.numbers, []
        for form in (False, True) if label.startswith(TRANSFORMATIONS) else (False,):
            for alpha in numbers["alpha"]:
                name = f"{'symmetric ' if form else ''}ST {label}, α={alpha:g}"
                settings = {"augment": layer(), "alpha": alpha, "symmetric": form}
                found.append(_finetuning(name, "stability_training", settings))
        for probability in numbers["probability"]:
            name = f"DA {label}, p={probability:g}"
            settings = {"augment": layer(), "probability": probability, "seed": seed}
            found.append(_finetuning(name, "augmentation_training", settings))
        return found

    def conditions(self, run: Run) -> list[Condition]:
        found: list[Condition] = []
        for name in self.tested:
            strengths = run.setting.numbers["tests"][name]
            if name == "FGSM":
                found += [c for strength in strengths for c in attacked({name: FGSM(strength)})]
            else:
                found += swept(name, DISTORTIONS[name][0](), strengths)
        return found

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        practical = setting.numbers["practical"]
        columns = [accuracy("Clean", CLEAN)]
        columns += [
            accuracy(f"{name} {practical[name]:g}", name, practical[name]) for name in self.tested
        ]
        title = f"{' and '.join(self.trained)} → test distortions, each run"
        return [PaperTable(title, columns, {}, digits=1)]

    def text(self, measured: list[rows.Row], setting: ExperimentConfig) -> str:
        table = bands(self.tables(setting)[0].columns, measured, _method).to_markdown()
        title = f"### {' and '.join(self.trained)} → test distortions, worst and best run\n\n"
        return title + table + "\n" + super().text(measured, setting)

    def pictures(self, run: Run) -> dict[str, Any]:
        seed = run.setting.seeds[0]
        first = [row for row in self.measured(run) if training_seed(row) == seed]
        methods: dict[str, list[str]] = {}
        for model in dict.fromkeys(row.model for row in first):
            methods.setdefault(_method(model), []).append(model)
        return {
            f"{name.lower()}.png": reports.strength_curves(
                first,
                name,
                band=methods,
                title=f"{' and '.join(self.trained)} → {name}",
                unit=DISTORTIONS[name][-1],
            )
            for name in self.tested
        }


class Gauss(_Stability):
    """Stability-training paper, Figure 1a and supplementary Figure 1: Gaussian noise → all.

    Command: `tfrobust reproduce stability_gauss`. The full setting is ResNet-18 on the 200 classes
    of Tiny ImageNet at full size: 30 epochs, then 10 for each of 12 ST and 8 DA; the small one
    finetunes a trained ResNet-20 for 3 epochs on 10,000 images of CIFAR-10, with σ = 0.1 alone.

    The paper has curves, no numbers: ST's band is narrower than DA's, and no ST falls below the
    baseline.

    Ours, small, 2026-11-21, commit cdadb584e1, seed 0, under noise of 0.1: baseline 48.1, ST with α
    0.316 75.6, DA with p = ½ 78.0; as thumbnails of 20 pixels 63.0, 68.0, 66.8, DA with p = 1 37.4;
    38 minutes on one shared CPU core.
    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Figure 1a, supplementary Figure 1"
    trained = ("Gauss",)


class Jpeg(_Stability):
    """Stability-training paper, the grid of Table 2 for JPEG → all.

    Command: `tfrobust reproduce stability_jpeg`; settings as for Gaussian noise.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Table 2, JPEG"
    trained = ("JPEG",)


class Thumb(_Stability):
    """Stability-training paper, Figure 1b and supplementary Figure 2: thumbnails → all.

    Command: `tfrobust reproduce stability_thumb`; settings as for Gaussian noise. In the paper DA
    with thumbnails loses nearly 10 points under JPEG, ST nothing.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Figure 1b, supplementary Figure 2"
    trained = ("Thumb",)


class Rotation(_Stability):
    """Stability-training paper, Figure 3a and supplementary Figure 3: rotation → all.

    Command: `tfrobust reproduce stability_rotation`; settings as for Gaussian noise. In the paper
    the symmetric form is better than KL at every angle.

    Ours, small, 2026-11-21, commit 60873daca3, seed 0, at 60°: baseline 52.8, ST 63.2, symmetric ST
    66.0 (α = 0.32); with α = 10 it collapses.
    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Figure 3a, supplementary Figure 3"
    trained = ("Rotation",)


class Crops(_Stability):
    """Stability-training paper, Figure 3b and supplementary Figure 4: displaced crops → all.

    Command: `tfrobust reproduce stability_crops`; settings as for Gaussian noise. In the paper
    symmetric ST is best under rotation as well.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Figure 3b, supplementary Figure 4"
    trained = ("Crops",)


class Adversarial(_Stability):
    """Stability-training paper, Figure 2a: FGSM → FGSM, with adversarial training (AT) [7].

    Command: `tfrobust reproduce stability_fgsm`; settings as for Gaussian noise; AT has μ = 0.5. In
    the paper ST is best at small ε, AT at middle ones; DA does not generalize.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Figure 2a"
    trained = ("FGSM",)
    tested = ("FGSM", "Gauss")

    def of_one(self, run: Run, label: str, layer: Callable[[], Any], seed: int) -> list[ModelSpec]:
        settings = {"attack": layer(), "mu": 0.5}
        adversarial = _finetuning(f"AT {label}", "adversarial_training", settings)
        return [*super().of_one(run, label, layer, seed), adversarial]


class GaussAndRotation(_Stability):
    """Stability-training paper, Figure 2b: Gaussian noise and rotation together → rotation.

    Command: `tfrobust reproduce stability_gauss_rotation`; settings as for Gaussian noise. Models
    trained with rotation alone are included for comparison. In the paper symmetric ST with both is
    best over all angles.

    The full setting's cost is estimated in docs/SCALE.md.
    """

    shows = "Figure 2b"
    trained = ("Rotation", "Gauss")
    tested = ("Rotation", "Gauss")

    def layers(self, run: Run, seed: int) -> dict[str, Callable[[], Any]]:
        strengths = run.setting.numbers["strengths"]
        found: dict[str, Callable[[], Any]] = {}
        for degrees in strengths["Rotation"]:
            rotation = functools.partial(_layer, "Rotation", degrees, seed)
            found[f"Rotation {degrees:g}"] = rotation
            for sigma in strengths["Gauss"]:

                def both(sigma: float = sigma, rotation: Callable[[], Any] = rotation) -> Any:
                    return augment.Sequence([_layer("Gauss", sigma, seed), rotation()], seed=seed)

                found[f"Rotation {degrees:g} + Gauss {sigma:g}"] = both
        return found


def _finetuning(name: str, method: str, settings: dict[str, Any]) -> ModelSpec:
    return ModelSpec(name, method, settings, start=BASELINE, callbacks=_best_on_clean)


def _layer(name: str, strength: float, seed: int) -> Any:
    return DISTORTIONS[name][0](float(strength), seed=seed)


def _best_on_clean(data: Any) -> list[Any]:
    return [RestoreBest("val_accuracy")]


def _method(model: str) -> str:
    """The method that the name of a line starts with."""
    found = [name for name in ("symmetric ST", "ST", "DA", "AT") if model.startswith(f"{name} ")]
    method = found[0] if found else model
    return f"{method}, both" if found and " + " in model else method
