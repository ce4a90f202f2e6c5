"""The conditions of a benchmark: what is done to the images before a model sees them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np
import tensorflow as tf

from tfrobust import datasets, validation
from tfrobust.attacks import FGSM, PGD, Spatial
from tfrobust.attacks.base import Attack
from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.augment.combine import check_leaves_labels
from tfrobust.corruptions import corrupt, frost_source
from tfrobust.corruptions.severities import choose_table
from tfrobust.evaluation.condition import DRAWS, Batch, Condition
from tfrobust.evaluation.corruption_error import SEVERITIES, select
from tfrobust.evaluation.predictor import Predictor
from tfrobust.files import PathLike
from tfrobust.ops import sampling
from tfrobust.ops.compiled import compiled_at_once
from tfrobust.registries import CORRUPTIONS
from tfrobust.rows import CLEAN


class Corrupted(Condition):
    """A common corruption (`tfrobust.corruptions.corrupt`), made as the images are shown."""

    def __init__(
        self,
        name: str,
        severity: int,
        *,
        table: Optional[int] = None,
        frost_folder: Optional[PathLike] = None,
    ):
        super().__init__(name, severity)
        self._level, self._table, self._frost_folder = severity, table, frost_folder

    @compiled_at_once()
    def change(self, batch: Batch, predictor: Predictor, seed: int) -> tf.Tensor:
        pixels = batch.pixels
        changed = corrupt(
            pixels,
            self.name,
            self._level,
            seed,
            index=np.pad(batch.index, (0, len(pixels) - len(batch.index)), mode="edge"),
            table=self._table,
            frost_folder=self._frost_folder,
        )
        return tf.cast(changed[: len(batch.index)], tf.float32) / 255.0

    def protocol(self, batch: Batch) -> dict[str, Any]:
        height, width = batch.images.shape[1:3]
        found: dict[str, Any] = {"table": choose_table((height, width), self._table)}
        if self.name == "frost":
            found["frost"] = frost_source(self._frost_folder).label
        return found

    def check(self, predictor: Predictor, image_shape: Sequence[int]) -> None:
        choose_table((image_shape[0], image_shape[1]), self._table)
        if image_shape[2] != 3:
            raise ValueError(
                "the common corruptions are defined on colours and need images of 3 channels; "
                f"received {image_shape[2]} (measure augmentations instead)"
            )


class Augmented(Condition):
    """An augmentation layer. An image's draws depend on (seed, name, index of the image) alone."""

    def __init__(self, name: str, layer: Augment):
        # A strength drawn from a range, and a combination, have no one number.
        strength = layer.strength if isinstance(layer, StrengthAugment) else None
        super().__init__(name, strength if isinstance(strength, float) else None)
        self.layer = layer
        self._apply = tf.function(functools.partial(_augmented, layer), reduce_retracing=True)

    def change(self, batch: Batch, predictor: Predictor, seed: int) -> tf.Tensor:
        return self._apply(batch.images, sampling.image_seeds(seed, self.name, batch.index))

    def protocol(self, batch: Batch) -> dict[str, Any]:
        return {"draws": DRAWS}


def _augmented(layer: Augment, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    # Not a method or a lambda: TensorFlow warns of a function that it traces for each of several
    # objects. It takes a partial function for one of its own.
    return layer.apply(images, layer.draw(images, seeds))


class Attacked(Condition):
    """An attack on the model that is measured; needs a Keras model, for its gradients.

    What it draws for an image depends on (seed, name, index of the image) alone.
    """

    def __init__(self, name: str, attack: Attack):
        validation.check_type("attack", attack, Attack, "one of tfrobust.attacks, such as PGD()")
        super().__init__(name, getattr(attack, "epsilon", None))
        self.attack = attack
        self._attacks: dict[int, Any] = {}

    def change(self, batch: Batch, predictor: Predictor, seed: int) -> tf.Tensor:
        net, attack = predictor.logits, self.attack
        if id(net) not in self._attacks:
            function = tf.function(functools.partial(attack.perturb, net), reduce_retracing=True)
            self._attacks[id(net)] = net, function  # the net is kept: another could get its id
        if attack.uses_gradients:
            predictor.warn_of_lost_gradients(batch.images, batch.labels)
        _, function = self._attacks[id(net)]
        seeds = sampling.image_seeds(seed, self.name, batch.index)
        return function(batch.images, tf.constant(batch.labels), seeds)

    def protocol(self, batch: Batch) -> dict[str, Any]:
        config = self.attack.get_config()
        told = {k: v for k, v in config.items() if k not in ("name", "dtype", "trainable", "seed")}
        return {"draws": DRAWS, "attack": told}

    def check(self, predictor: Predictor, image_shape: Sequence[int]) -> None:
        if predictor.net is None:
            raise ValueError(
                f"the attack {self.name} needs gradients, so a Keras model or .keras file; "
                f"received {predictor.name}, which is none"
            )


class Published(Condition):
    """Images that stand in files, such as one corruption and severity of CIFAR-10-C."""

    def __init__(self, name: str, severity: Optional[float], data: Callable[[], Any], source: str):
        super().__init__(name, severity)
        self._data, self._source = data, source

    def data(self, clean: Any) -> Any:
        return self._data()

    def change(self, batch: Batch, predictor: Predictor, seed: int) -> tf.Tensor:
        return batch.images

    def protocol(self, batch: Batch) -> dict[str, Any]:
        return {"files": self._source}


def corrupted(
    names: Union[str, Sequence[str]] = "test",
    *,
    severities: Sequence[int] = tuple(range(1, SEVERITIES + 1)),
    table: Optional[int] = None,
    frost_folder: Optional[PathLike] = None,
) -> list[Condition]:
    """The common corruptions as conditions of a benchmark.

    Args:
        names: "test" (the 15 of the benchmark, the default), "noise", "blur", "weather",
            "digital", "without_noise", "held_out" (the 4 for validation), "all", or names of
            corruptions and of such groups.
        severities: Which of 1 to 5. Default: all.
        table: 32, 64 or 224: the severities to take, for images of another size.
        frost_folder: Folder with the photographs of frost; see `tfrobust.corruptions.corrupt`.

    Returns:
        One condition for each corruption and severity.

    Raises:
        ValueError: An unknown name or severity.

    Example:

    >>> len(corrupted()), corrupted(["fog"], severities=[5])
    (75, [<Corrupted fog 5>])
    """
    chosen = [validation.check_whole("severity", s, 1, SEVERITIES) for s in severities]
    return [
        Corrupted(name, severity, table=table, frost_folder=frost_folder)
        for name in select(names)
        for severity in chosen
    ]


def augmented(layers: Mapping[str, Augment]) -> list[Condition]:
    """Augmentation layers as conditions of a benchmark.

    Args:
        layers: Name, as it shall stand in tables, to layer: such as
            `tfrobust.augment.table_1()`, or `{"UN": UniformNoise(0.5)}`.

    Returns:
        One condition for each.

    Raises:
        TypeError: One is no augmentation layer.
        ValueError: One mixes labels, or has the name of a common corruption.
    """
    for name, layer in layers.items():
        validation.check_type(name, layer, Augment, "a layer of tfrobust.augment")
        check_leaves_labels(name, layer)
    _check_names(layers)
    return [Augmented(name, layer) for name, layer in layers.items()]


def swept(name: str, layer: StrengthAugment, strengths: Iterable[float]) -> list[Condition]:
    """One augmentation at several strengths: the points of an accuracy-versus-strength curve.

    Args:
        name: Its name in tables.
        layer: The layer whose `strength` is changed.
        strengths: The strengths.

    Returns:
        One condition for each strength.

    Raises:
        TypeError: The layer has no one strength.
        ValueError: A strength is beyond the layer's limits, or the name is that of a common
            corruption.

    Example:

    >>> from tfrobust import augment
    >>> swept("GN", augment.GaussianNoise(), [0.1, 0.2])
    [<Augmented GN 0.1>, <Augmented GN 0.2>]
    """
    if not isinstance(layer, StrengthAugment):
        raise TypeError(
            "a sweep needs an augmentation with one strength (augment.StrengthAugment); received "
            f"{type(layer).__name__}"
        )
    _check_names([name])
    config = layer.get_config()
    return [
        Augmented(name, type(layer)(**{**config, layer.parameter: float(strength)}))
        for strength in strengths
    ]


def attacked(attacks: Optional[Mapping[str, Attack]] = None) -> list[Condition]:
    """Attacks on the measured model as conditions of a benchmark.

    Accuracy under an attack is an upper bound: another attack may do more. Every image given
    counts (the code released with AugMax attacks the first 1,000 only).

    Args:
        attacks: Name, as it shall stand in tables, to attack. Default: "FGSM" and "PGD" (20 steps,
            as AugMax tests with) of ε = 8/255, and "spatial", the worst of 10 rotations within ±30°
            and shifts within 3 of 32 pixels (AugMax, arXiv:2110.13771, Table 11). `attacks.APGD` is
            stronger.

    Returns:
        One condition for each; its severity is ε where the attack has one.

    Raises:
        TypeError: One is no attack.
        ValueError: One has the name of a common corruption.

    Example:

    >>> attacked()
    [<Attacked FGSM 0.0313725>, <Attacked PGD 0.0313725>, <Attacked spatial>]
    """
    if attacks is None:
        attacks = {"FGSM": FGSM(8 / 255), "PGD": PGD(steps=20), "spatial": Spatial()}
    _check_names(attacks)
    return [Attacked(name, attack) for name, attack in attacks.items()]


def published(
    dataset: str,
    data_dir: Optional[PathLike] = None,
    *,
    names: Union[str, Sequence[str]] = "test",
    severities: Sequence[int] = tuple(range(1, SEVERITIES + 1)),
    batch_size: int = 250,
) -> list[Condition]:
    """The files of a published benchmark as conditions.

    Args:
        dataset: "cifar10_c", "cifar100_c", "imagenet_c" or "tiny_imagenet_c".
        data_dir: Its folder; see `tfrobust.datasets`.
        names: As in `corrupted`.
        severities: Which of 1 to 5. Default: all.
        batch_size: Images a batch.

    Returns:
        One condition for each corruption and severity; files are opened when their turn comes, the
        first ones at once, to see that they are there.

    Raises:
        FileNotFoundError: They are not there.
        ValueError: An unknown data set, name or severity.
    """
    known = ("cifar10_c", "cifar100_c", "imagenet_c", "tiny_imagenet_c")
    validation.check_choice("a published benchmark", dataset, known)

    def load(name: str, severity: int) -> Any:
        chosen: dict[str, Any] = {"corruption": name, "severity": severity}
        return datasets.load(dataset, data_dir=data_dir, batch_size=batch_size, **chosen).test

    chosen = [validation.check_whole("severity", s, 1, SEVERITIES) for s in severities]
    conditions: list[Condition] = []
    for name in select(names):
        load(name, chosen[0])
        conditions += [
            Published(name, s, functools.partial(load, name, s), dataset) for s in chosen
        ]
    return conditions


def _check_names(names: Iterable[str]) -> None:
    taken = [name for name in names if name in CORRUPTIONS or name == CLEAN]
    if taken:
        raise ValueError(
            "a condition must not have the name of a common corruption, or its strength would be "
            f"taken for a severity; received {taken[0]!r}"
        )
