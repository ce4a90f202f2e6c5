"""Registries of everything that can be chosen by name.

Reading the names imports neither TensorFlow nor the registered objects. The registries feed the
command line, the tuner, the contract tests and the tables: a new method, augmentation, net or data
set takes one file and one line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfrobust.validation import nearest


class Registry(Mapping[str, Any]):
    """Mapping from names to classes or functions, which are imported on first use.

    Args:
        kind: What an entry is called in messages, such as `"augmentation"`.
        entries: Maps each name to its location, `"package.module:attribute"` below tfrobust, and a
            one-line description.

    Raises:
        ValueError: On look-up, if the name is not registered; the message lists the valid names.

    Example:

    >>> ATTACKS["fsgm"]
    Traceback (most recent call last):
    ...
    ValueError: unknown attack 'fsgm'; choose from: fgsm, pgd, apgd, ... (did you mean fgsm?)
    """

    def __init__(self, kind: str, entries: dict[str, tuple[str, str]]):
        self.kind = kind
        self._entries = entries

    def __getitem__(self, name: str) -> Any:
        # Not a KeyError: Mapping.get would swallow it, and its message is printed in quotes.
        if name not in self._entries:
            near = nearest(name, self)
            raise ValueError(f"unknown {self.kind} {name!r}; choose from: {', '.join(self)}{near}")
        module, attribute = self._entries[name][0].split(":")
        return getattr(importlib.import_module(f"tfrobust.{module}"), attribute)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def describe(self, name: str) -> str:
        """Returns the one-line description of an entry."""
        return self._entries[name][1]


#: Augmentation layers.
AUGMENTS = Registry(
    "augmentation",
    {
        "brightness": ("augment.brightness:Brightness", "adds a constant to all channels"),
        "exposure": (
            "augment.exposure:Exposure",
            "multiplies the light, as a camera's exposure does",
        ),
        "gamma": ("augment.gamma:Gamma", "raises every value to a power"),
        "saturation": ("augment.saturation:Saturation", "multiplies the saturation in HSL"),
        "contrast": ("augment.contrast:Contrast", "scales the distance from the mean luminance"),
        "color": ("augment.color:Color", "scales the distance from each pixel's luminance"),
        "gaussian_noise": ("augment.gaussian_noise:GaussianNoise", "adds Gaussian noise"),
        "salt_and_pepper": (
            "augment.salt_and_pepper:SaltAndPepper",
            "adds or subtracts a constant at random values",
        ),
        "speckle_noise": (
            "augment.speckle_noise:SpeckleNoise",
            "adds Gaussian noise in proportion to the value",
        ),
        "patch_gaussian": (
            "augment.patch_gaussian:PatchGaussian",
            "adds Gaussian noise in a random square",
        ),
        "fourier_basis": (
            "augment.fourier_basis:FourierBasis",
            "adds a plane wave to each channel (AFA)",
        ),
        "uniform_noise": (
            "augment.uniform_noise:UniformNoise",
            "replaces pixels anywhere by random greys",
        ),
        "nonuniform_noise": (
            "augment.nonuniform_noise:NonuniformNoise",
            "replaces pixels that vary little by random greys",
        ),
        "gaussian_blur": ("augment.gaussian_blur:GaussianBlur", "convolves with a Gaussian"),
        "jpeg": ("augment.jpeg:Jpeg", "compresses to JPEG and decompresses"),
        "thumbnail": ("augment.thumbnail:Thumbnail", "resizes to a thumbnail and back"),
        "rotation": ("augment.rotation:Rotation", "rotates by a random angle"),
        "shear": ("augment.shear:Shear", "shears along both axes by random amounts"),
        "translation": ("augment.translation:Translation", "shifts by random whole pixels"),
        "shifted_crop": (
            "augment.shifted_crop:ShiftedCrop",
            "moves the crop window away from the centre",
        ),
        "flip": ("augment.flip:Flip", "mirrors left to right with some probability"),
        "pad_and_crop": (
            "augment.pad_and_crop:PadAndCrop",
            "pads with black and cuts a random window",
        ),
        "random_resized_crop": (
            "augment.random_resized_crop:RandomResizedCrop",
            "resizes a random box, as is usual for ImageNet",
        ),
        "mixup": ("augment.mixup:Mixup", "mixes each image with another of its batch"),
        "cutmix": ("augment.cutmix:CutMix", "replaces a box by that of another image of its batch"),
        "random_erasing": (
            "augment.random_erasing:RandomErasing",
            "replaces a box by random values with some probability",
        ),
        "augmix": ("augment.augmix:AugMix", "mixes chains of random 8-bit operators"),
        "pixmix": ("augment.pixmix:PixMix", "mixes images with fractals, by sums and products"),
        "prime": ("augment.prime:Prime", "mixes chains of random filters, warps and colour maps"),
        "trivial_augment": (
            "augment.trivial_augment:TrivialAugment",
            "one random 8-bit operator; overlaps with two corruptions",
        ),
    },
)

#: Functions that build nets.
NETS = Registry(
    "net",
    {
        "small_cnn": ("nets.small_cnn:small_cnn", "a VGG in small: six convolutions, for a CPU"),
        "lenet": ("nets.lenet:lenet", "two convolutions and two dense layers (FCL, MNIST)"),
        "vgg_16": ("nets.vgg:vgg_16", "VGG-16 with tf-slim's normalization (FMA)"),
        "resnet_18": ("nets.resnet:resnet_18", "ResNet-18 with one of three stems (AugMax, ST)"),
        "resnet_20": ("nets.cifar_resnet:resnet_20", "CIFAR ResNet of 20 layers"),
        "resnet_32": ("nets.cifar_resnet:resnet_32", "CIFAR ResNet of 32 layers"),
        "resnet_44": ("nets.cifar_resnet:resnet_44", "CIFAR ResNet of 44 layers"),
        "resnet_50": ("nets.resnet:resnet_50", "ResNet-50 v1.5 (NoisyMix on ImageNet)"),
        "resnet_v2_50": (
            "nets.resnet_v2:resnet_v2_50",
            "pre-activation ResNet-50 as in tf-slim (FCL on ImageNet)",
        ),
        "resnet_56": ("nets.cifar_resnet:resnet_56", "CIFAR ResNet of 56 layers (FCL)"),
        "preact_resnet_18": (
            "nets.preact_resnet:preact_resnet_18",
            "pre-activation ResNet-18 for CIFAR (NoisyMix)",
        ),
        "wrn_28_2": ("nets.wide_resnet:wrn_28_2", "wide ResNet 28-2 (NoisyMix)"),
        "wrn_28_4": ("nets.wide_resnet:wrn_28_4", "wide ResNet 28-4 (NoisyMix's released code)"),
        "wrn_40_2": ("nets.wide_resnet:wrn_40_2", "wide ResNet 40-2 (AugMix, AugMax)"),
        "resnext_29": ("nets.resnext:resnext_29", "ResNeXt-29, 4x32d (AugMix, AugMax)"),
    },
)

#: Training methods.
METHODS = Registry(
    "method",
    {
        "baseline": ("methods.baseline:Baseline", "cross-entropy on clean images"),
        "augmentation_training": (
            "methods.augmentation_training:AugmentationTraining",
            "AT: cross-entropy on clean and on augmented images",
        ),
        "stability_training": (
            "methods.stability_training:StabilityTraining",
            "ST: the prediction must not change with the image",
        ),
        "adversarial_training": (
            "methods.adversarial_training:AdversarialTraining",
            "cross-entropy on clean and on attacked images",
        ),
        "feature_map_augmentation": (
            "methods.feature_map_augmentation:FeatureMapAugmentation",
            "FMA: no feature map may change with the image",
        ),
        "feature_contrastive": (
            "methods.feature_contrastive:FeatureContrastive",
            "FCL: the embedding must move with useful inputs alone",
        ),
        "augmix_training": (
            "methods.augmix_training:AugMixTraining",
            "AugMix: predictions on an image and two AugMix views must agree",
        ),
        "noisymix": (
            "methods.noisymix:NoisyMix",
            "NoisyMix: AugMix through noisy feature mixup",
        ),
        "augmax": (
            "methods.augmax:AugMax",
            "AugMax: training on the worst mixture of AugMix chains",
        ),
        "augmix_pgdat": (
            "methods.augmix_pgdat:AugMixPGDAT",
            "AugMix+PGDAT: AugMix and adversarial images side by side",
        ),
        "advmix": (
            "methods.advmix:AdvMix",
            "AdvMix: training on the worst levels of AugMix chains",
        ),
        "advmax": ("methods.advmax:AdvMax", "AdvMax: the worst levels, then the worst mixture"),
    },
)

#: Attacks, for training and evaluation.
ATTACKS = Registry(
    "attack",
    {
        "fgsm": ("attacks.fgsm:FGSM", "one step up the loss, as large in every value"),
        "pgd": ("attacks.pgd:PGD", "steps up the loss inside a small cube"),
        "apgd": ("attacks.apgd:APGD", "PGD that chooses its step sizes itself (APGD-CE, -DLR)"),
        "fat": ("attacks.fat:FAT", "PGD that stops where the net begins to be wrong"),
        "spatial": ("attacks.spatial:Spatial", "the worst of k rotations and shifts (STA)"),
        "augmax_attack": (
            "attacks.augmax_attack:AugMaxAttack",
            "the worst mixture of an image's AugMix chains",
        ),
    },
)

#: Data sets, by the names that `datasets.load` accepts.
DATASETS = Registry(
    "data set",
    {
        "digits": ("datasets.digits:digits", "handwritten digits in random colours, 32 pixels"),
        "corner_digits": (
            "datasets.corners:corner_digits",
            "digits with a small one in a corner, 28 pixels",
        ),
        "mnist": ("datasets.small:mnist", "handwritten digits, grey, 28 pixels"),
        "corner_mnist": (
            "datasets.corners:corner_mnist",
            "FCL's synthetic MNIST: digits with a small one in a corner",
        ),
        "cifar10": ("datasets.small:cifar10", "photographs of ten classes, 32 pixels"),
        "cifar100": ("datasets.small:cifar100", "photographs of a hundred classes, 32 pixels"),
        "tiny_imagenet": (
            "datasets.tiny_imagenet:tiny_imagenet",
            "200 classes of ImageNet, 64 pixels",
        ),
        "imagenet": ("datasets.imagenet:imagenet", "photographs of 1,000 classes"),
        "imagenet200": ("datasets.imagenet:imagenet200", "200 classes chosen by chance (FMA)"),
        "tifs": (
            "datasets.imagenet:tifs",
            "the classes of Tiny ImageNet in full size (stability training)",
        ),
        "folder": ("datasets.folders:folder", "a folder of your own images"),
        "cifar10_1": ("datasets.test_sets:cifar10_1", "test: CIFAR-10 collected anew"),
        "cifar10_c": ("datasets.test_sets:cifar10_c", "test: a corruption of CIFAR-10-C"),
        "cifar100_c": ("datasets.test_sets:cifar100_c", "test: a corruption of CIFAR-100-C"),
        "tiny_imagenet_c": (
            "datasets.test_sets:tiny_imagenet_c",
            "test: a corruption of Tiny-ImageNet-C",
        ),
        "imagenet_c": ("datasets.test_sets:imagenet_c", "test: a corruption of ImageNet-C"),
        "cifar10_p": ("datasets.test_sets:cifar10_p", "test: sequences of CIFAR-10-P"),
        "cifar100_p": ("datasets.test_sets:cifar100_p", "test: sequences of CIFAR-100-P"),
        "imagenet_p": ("datasets.test_sets:imagenet_p", "test: sequences of ImageNet-P"),
        "imagenet_r": ("datasets.test_sets:imagenet_r", "test: renditions of 200 classes"),
        "imagenet_a": ("datasets.test_sets:imagenet_a", "test: photographs that nets get wrong"),
    },
)

#: Common corruptions in the order of the papers: the fifteen of the benchmark, then the four held
#: out.
CORRUPTIONS = Registry(
    "corruption",
    {
        "gaussian_noise": ("corruptions.noise:gaussian_noise", "adds Gaussian noise"),
        "shot_noise": ("corruptions.noise:shot_noise", "counts photons: Poisson noise"),
        "impulse_noise": ("corruptions.noise:impulse_noise", "sets values to black or white"),
        "defocus_blur": ("corruptions.blur:defocus_blur", "blurs with a disk"),
        "glass_blur": ("corruptions.glass:glass_blur", "swaps neighbouring pixels"),
        "motion_blur": ("corruptions.motion:motion_blur", "blurs along a random direction"),
        "zoom_blur": ("corruptions.zoom:zoom_blur", "averages zooms into the centre"),
        "snow": ("corruptions.weather:snow", "adds falling flakes"),
        "frost": ("corruptions.weather:frost", "adds photographs of frost"),
        "fog": ("corruptions.weather:fog", "adds a plasma fractal"),
        "brightness": ("corruptions.digital:brightness", "adds to the value in HSV"),
        "contrast": ("corruptions.digital:contrast", "scales the distance from the mean"),
        "elastic_transform": ("corruptions.elastic:elastic_transform", "stretches small regions"),
        "pixelate": ("corruptions.digital:pixelate", "shrinks and enlarges"),
        "jpeg_compression": ("corruptions.digital:jpeg_compression", "compresses to JPEG"),
        "speckle_noise": ("corruptions.noise:speckle_noise", "adds noise in proportion to values"),
        "gaussian_blur": ("corruptions.blur:gaussian_blur", "blurs with a Gaussian"),
        "spatter": ("corruptions.spatter:spatter", "adds drops of water or mud"),
        "saturate": ("corruptions.digital:saturate", "scales the saturation in HSV"),
    },
)

#: The fifteen corruptions that results are reported on, by group.
CORRUPTION_GROUPS = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
}
#: The fifteen corruptions that results are reported on, in the order of the papers' tables.
TEST_CORRUPTIONS = tuple(name for group in CORRUPTION_GROUPS.values() for name in group)
#: The four held-out corruptions, for choosing settings.
HELD_OUT_CORRUPTIONS = ("speckle_noise", "gaussian_blur", "spatter", "saturate")

#: The perturbation sequences of the -P benchmarks; the mean flip rate averages over them.
PERTURBATIONS = (
    *("gaussian_noise", "shot_noise", "motion_blur", "zoom_blur", "snow"),
    *("brightness", "translate", "rotate", "tilt", "scale"),
)
#: The held-out sequences, for choosing settings.
HELD_OUT_PERTURBATIONS = ("speckle_noise", "gaussian_blur", "spatter", "shear")
#: The noise sequences. Their frames are independent, so each prediction is compared with the one
#: for the first frame, the clean image; in the other sequences, with the one for the frame before.
NOISE_PERTURBATIONS = ("gaussian_noise", "shot_noise", "speckle_noise")

#: Distribution strategies; `devices.strategy` makes them.
STRATEGIES = {
    "none": "one device: the first GPU, or the CPU",
    "mirrored": "all GPUs of this machine; without GPUs, all its logical CPU devices",
    "multiworker": "several machines, named in TF_CONFIG",
    "tpu": "the TPU that TensorFlow finds; untested",
}

#: Ways in which a search chooses values; KerasTuner's.
TUNERS = ("grid", "random", "hyperband", "bayesian")

#: The papers' experiments, by the names that `tfrobust reproduce` accepts.
EXPERIMENTS = Registry(
    "experiment",
    {
        "fma_table2": (
            "experiments.fma:IndividualAugmentations",
            "FMA, Table 2: one augmentation at a time, AT, ST and FMA",
        ),
        "fma_table3": (
            "experiments.fma:CombinedAugmentation",
            "FMA, Table 3 and Figures 3 and 4: combined augmentation on CIFAR-10",
        ),
        "fma_imagenet200": (
            "experiments.fma:CombinedOnImageNet200",
            "FMA, Table 3: combined augmentation on ImageNet-200",
        ),
        "fcl_table1": (
            "experiments.fcl:SyntheticMNIST",
            "FCL, Table 1 and Figure 4: rare classes of synthetic MNIST",
        ),
        "fcl_cifar10": (
            "experiments.fcl:Cifar10",
            "FCL, Tables 2 to 4: noisy and corrupted CIFAR-10",
        ),
        "fcl_cifar100": (
            "experiments.fcl:Cifar100",
            "FCL, Tables 2 to 4: noisy and corrupted CIFAR-100",
        ),
        "fcl_imagenet": (
            "experiments.fcl:ImageNet",
            "FCL, Tables 3 and 4: corrupted ImageNet",
        ),
        "noisymix_cifar10": (
            "experiments.noisymix:Cifar10",
            "NoisyMix, Tables 2, 3, 7, 9: CIFAR-10, CIFAR-10-C and -P",
        ),
        "noisymix_cifar100": (
            "experiments.noisymix:Cifar100",
            "NoisyMix, Tables 2, 3, 8, 10: CIFAR-100 and CIFAR-100-C",
        ),
        "noisymix_ablation": (
            "experiments.noisymix:Ablation",
            "NoisyMix, Table 4: parts of it switched off",
        ),
        "noisymix_imagenet": (
            "experiments.noisymix:ImageNet",
            "NoisyMix, Tables 1, 6, 11, 12: ImageNet, -C, -R and -P",
        ),
        "augmax_table1": (
            "experiments.augmax:Statistics",
            "AugMax, Table 1: variances on the routes of DuBN and DuBIN",
        ),
        "augmax_cifar10": (
            "experiments.augmax:Cifar10",
            "AugMax, Table 2: CIFAR-10 and CIFAR-10-C",
        ),
        "augmax_cifar100": (
            "experiments.augmax:Cifar100",
            "AugMax, Table 3: CIFAR-100 and CIFAR-100-C",
        ),
        "augmax_imagenet": (
            "experiments.augmax:ImageNet",
            "AugMax, Table 4: ImageNet and ImageNet-C",
        ),
        "augmax_tiny_imagenet": (
            "experiments.augmax:TinyImageNet",
            "AugMax, Tables 5 and 6: Tiny ImageNet",
        ),
        "augmax_table8": ("experiments.augmax:Norms", "AugMax, Table 8: norms of the net"),
        "augmax_table9": (
            "experiments.augmax:Hyperparameters",
            "AugMax, Table 9: steps, early stop and weight",
        ),
        "augmax_table10": (
            "experiments.augmax:Strategies",
            "AugMax, Table 10: diversity, hardness and both",
        ),
        "augmax_table11": (
            "experiments.augmax:Shifts",
            "AugMax, Table 11: CIFAR-10.1 and rotations and shifts",
        ),
        "stability_gauss": (
            "experiments.stability:Gauss",
            "stability training, Figure 1a: Gaussian noise",
        ),
        "stability_jpeg": (
            "experiments.stability:Jpeg",
            "stability training, Table 2: JPEG",
        ),
        "stability_thumb": (
            "experiments.stability:Thumb",
            "stability training, Figure 1b: thumbnails",
        ),
        "stability_rotation": (
            "experiments.stability:Rotation",
            "stability training, Figure 3a: rotation",
        ),
        "stability_crops": (
            "experiments.stability:Crops",
            "stability training, Figure 3b: displaced crops",
        ),
        "stability_fgsm": (
            "experiments.stability:Adversarial",
            "stability training, Figure 2a: FGSM",
        ),
        "stability_gauss_rotation": (
            "experiments.stability:GaussAndRotation",
            "stability training, Figure 2b: two at once",
        ),
        "noisymix_transfer": (
            "experiments.noisymix:Transfer",
            "NoisyMix, Table 5: robustness that finetuned models inherit",
        ),
        "noisymix_toy": (
            "experiments.toy:ToyProblem",
            "NoisyMix, appendix A: six schemes on points of the plane",
        ),
    },
)
