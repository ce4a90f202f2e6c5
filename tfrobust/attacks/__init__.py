"""Attacks: image perturbations that are optimised against a net."""

from tfrobust.attacks.apgd import APGD
from tfrobust.attacks.augmax_attack import AugMaxAttack
from tfrobust.attacks.base import Attack
from tfrobust.attacks.fat import FAT
from tfrobust.attacks.fgsm import FGSM
from tfrobust.attacks.pgd import PGD
from tfrobust.attacks.spatial import Spatial
from tfrobust.attacks.utility import sensitivity, utility, utility_per_class
from tfrobust.attacks.worst_of_k import WorstOfK
from tfrobust.registries import ATTACKS

__all__ = [
    "APGD",
    "ATTACKS",
    "FAT",
    "FGSM",
    "PGD",
    "Attack",
    "AugMaxAttack",
    "Spatial",
    "WorstOfK",
    "sensitivity",
    "utility",
    "utility_per_class",
]
