"""The models of NoisyMix' tables, by their names there."""

from __future__ import annotations

from typing import Any

from tfrobust.experiments.augmix_lines import augmax, augmix
from tfrobust.experiments.experiment import ModelSpec, Run
from tfrobust.methods.noisymix import ABLATION

#: Settings of the models of the tables. Baselines take the parameters of their own papers
#: (section 4), the rows of the ablation those of NoisyMix.
SCHEMES: dict[str, dict[str, Any]] = {
    "Mixup": ABLATION["mixup"],
    "Manifold Mixup": {**ABLATION["manifold_mixup"], "mixing_points": (0, 1, 2)},
    "NFM": {**ABLATION["nfm"], "additive": 0.4, "multiplicative": 0.2, "sparse": 0.0},
    "NoisyMix": ABLATION["noisymix"],
    "mixing, noise": ABLATION["nfm"],
    "noise": ABLATION["noise"],
    "mixing": ABLATION["manifold_mixup"],
    "augmentations": ABLATION["augmix"],
    "augmentations, noise, JSD": ABLATION["augmix_noise_jsd"],
    "augmentations, JSD": ABLATION["augmix_jsd"],
    "augmentations, mixing, noise": ABLATION["augmix_nfm"],
    "augmentations, mixing, JSD": ABLATION["augmix_manifold_mixup_jsd"],
    "all": ABLATION["noisymix"],
}
#: The number of a setting that is the α of a baseline.
_ALPHAS = {"Mixup": "mixup", "Manifold Mixup": "manifold_mixup"}


def line_of_name(run: Run, name: str, seed: int) -> ModelSpec:
    """A model of a table: of `SCHEMES`, AugMix, AugMax, or plainly trained under any other name."""
    if name == "AugMix":
        return augmix(seed)
    if name == "AugMax-DuBIN":
        return augmax(run, seed)
    if name not in SCHEMES:
        return ModelSpec(name)
    settings = {**SCHEMES[name], "seed": seed}
    if name in _ALPHAS:
        settings["alpha"] = run.setting.numbers[_ALPHAS[name]]
    return ModelSpec(name, "noisymix", settings)
