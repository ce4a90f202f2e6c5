"""Published errors and flip probabilities of the benchmarks' baseline nets."""

from __future__ import annotations

from typing import Union

from tfrobust.rows import CLEAN

#: Errors of the nets that normalise corruption errors: severity 1 to 5, or their mean.
#:
#: "alexnet", for ImageNet-C: errors per severity from github.com/hendrycks/robustness/issues/10
#: (their means are the numbers in its ImageNet-C/test.py); means of the four held-out corruptions
#: from github.com/clovaai/assembled-cnn. The clean error is that of the weights that the author
#: reports using (github.com/hendrycks/robustness/issues/38), torchvision's with 56.522 % accuracy.
#: "tiny_imagenet_resnet18", for Tiny-ImageNet-C: means from test.py of
#: github.com/VITA-Group/AugMax; the clean error is that of "Normal" in Table 5 of its paper
#: (arXiv:2110.13771), whose robust accuracy agrees with these means.
BASELINES: dict[str, dict[str, Union[float, tuple[float, ...]]]] = {
    "alexnet": {
        CLEAN: 0.43478,
        "gaussian_noise": (0.69528, 0.82542, 0.93554, 0.98138, 0.99452),
        "shot_noise": (0.71224, 0.85108, 0.93574, 0.98182, 0.99146),
        "impulse_noise": (0.78374, 0.89808, 0.94870, 0.98720, 0.99548),
        "defocus_blur": (0.65624, 0.73202, 0.85036, 0.91364, 0.94714),
        "glass_blur": (0.64308, 0.75054, 0.88806, 0.91622, 0.93344),
        "motion_blur": (0.58430, 0.70048, 0.82108, 0.89750, 0.92638),
        "zoom_blur": (0.70008, 0.76992, 0.80784, 0.84198, 0.87198),
        "snow": (0.71726, 0.88392, 0.86468, 0.91870, 0.94952),
        "frost": (0.61390, 0.79734, 0.88790, 0.89942, 0.93430),
        "fog": (0.67474, 0.76050, 0.84378, 0.87260, 0.94500),
        "brightness": (0.45140, 0.48502, 0.54048, 0.62166, 0.72440),
        "contrast": (0.64548, 0.76150, 0.88874, 0.97760, 0.99270),
        "elastic_transform": (0.52596, 0.70116, 0.55686, 0.64076, 0.80554),
        "pixelate": (0.52218, 0.54620, 0.73728, 0.87092, 0.91262),
        "jpeg_compression": (0.51002, 0.54718, 0.57294, 0.65458, 0.74778),
        "speckle_noise": 0.8454,
        "gaussian_blur": 0.7871,
        "spatter": 0.7175,
        "saturate": 0.6583,
    },
    "tiny_imagenet_resnet18": {
        CLEAN: 0.3836,
        "gaussian_noise": 0.8037,
        "shot_noise": 0.7597,
        "impulse_noise": 0.7758,
        "defocus_blur": 0.8426,
        "glass_blur": 0.8274,
        "motion_blur": 0.7907,
        "zoom_blur": 0.8212,
        "snow": 0.7497,
        "frost": 0.7381,
        "fog": 0.7433,
        "brightness": 0.6800,
        "contrast": 0.8939,
        "elastic_transform": 0.7308,
        "pixelate": 0.6121,
        "jpeg_compression": 0.6452,
    },
}

#: The size of the images of each baseline in pixels, which is the table of severities that its
#: numbers are for; and that of each published benchmark.
BASELINE_TABLES = {"alexnet": 224, "tiny_imagenet_resnet18": 64}
PUBLISHED_TABLES = {
    "cifar10_c": 32,
    "cifar100_c": 32,
    "tiny_imagenet_c": 64,
    "imagenet_c": 224,
    "cifar10_p": 32,
    "cifar100_p": 32,
    "imagenet_p": 224,
}

#: Flip probabilities of the nets that normalise flip rates. "alexnet", for ImageNet-P, is from
#: ImageNet-P/test.py of github.com/hendrycks/robustness, including the held-out perturbations.
FLIP_BASELINES: dict[str, dict[str, float]] = {
    "alexnet": {
        "gaussian_noise": 0.23653,
        "shot_noise": 0.30062,
        "motion_blur": 0.09297,
        "zoom_blur": 0.05942,
        "snow": 0.11928,
        "brightness": 0.04889,
        "translate": 0.11007,
        "rotate": 0.13104,
        "tilt": 0.07050,
        "scale": 0.23531,
        "speckle_noise": 0.18649,
        "gaussian_blur": 0.02775,
        "spatter": 0.05053,
        "shear": 0.10658,
    },
}
