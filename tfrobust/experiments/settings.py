"""What the settings of several papers' experiments have in common."""

from __future__ import annotations

from typing import Any

#: Evaluation batch size, the same everywhere: the draws of augmentations depend on it.
EVALUATION_BATCH = 250
#: The trained CIFAR ResNet-20 that small settings start from, its weights in the format that
#: `nets.import_torch_resnet` reads. `--weights` sets the path of the file.
RESNET_20: dict[str, Any] = {
    "net": "resnet_20",
    "net_options": {},
    "weights": "cifar10_resnet20.npz",
}
#: Data and a net for quick settings.
DIGITS: dict[str, Any] = {
    "dataset": "digits",
    "net": "small_cnn",
    "net_options": {},
    "weights": None,
}
#: Net options: images in [0, 1] as they are, and with the usual mean and deviation of ImageNet.
PLAIN = {"mean": 0.0, "std": 1.0}
WHITENED = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
