"""What recipes name becomes what Python makes by hand; mistakes are told with what there is."""

import types

import pytest
from keras import optimizers

from tfrobust import attacks, augment, methods, recipes
from tfrobust.recipes import conditions
from tfrobust.recipes.method_parts import MethodParts
from tfrobust.signatures import options_of

DATA = types.SimpleNamespace(steps=10)


def parts(kind=recipes.Train, **settings):
    return MethodParts(kind(**settings))


def test_augmax_with_dual_norms_and_an_attack_of_its_own():
    made = parts(
        method="augmax",
        net="resnet_20",
        norm="dubin",
        weight_decay=5e-4,
        settings={
            "attack.steps": 2,
            "attack.stop": None,
            "jsd_weight": 12,
            "net.filters": (2, 4, 8),
        },
    )
    net = made.net([32, 32, 3], 10)
    model = made.method(net)
    assert isinstance(model, methods.AugMax) and model.jsd_weight == 12
    assert (model.attack.steps, model.attack.stop) == (2, None)
    assert any("dubin" in type(layer).__name__.lower() for layer in net.layers)
    assert net.get_layer("stage1_block1_conv1").kernel.shape[-1] == 2
    assert net.losses  # of the weight decay


@pytest.mark.parametrize(
    "settings, kind, values",
    [
        ({}, optimizers.SGD, {"momentum": 0.9, "nesterov": False}),
        ({"plan": "augmix_cifar"}, optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
        ({"plan": "fcl_mnist"}, optimizers.Adam, {}),
        ({"optimizer": "adamw", "weight_decay": 0.02}, optimizers.AdamW, {"weight_decay": 0.02}),
        ({"settings": {"optimizer.momentum": 0.5}}, optimizers.SGD, {"momentum": 0.5}),
    ],
)
def test_optimizers(settings, kind, values):
    optimizer = parts(**settings).optimizer(DATA)
    assert type(optimizer).__name__ == kind.__name__
    assert {name: getattr(optimizer, name) for name in values} == values


@pytest.mark.parametrize(
    "settings, rates",
    [
        ({"epochs": 2, "learning_rate": 0.1}, {0: 0.1, 10: 0.05, 20: 0.0}),
        ({"epochs": 2, "schedule": ("constant",)}, {0: 0.05, 19: 0.05}),
        ({"epochs": 4, "schedule": ("1=0.1", "2.5=0.01")}, {9: 0.05, 10: 5e-3, 24: 5e-3, 25: 5e-4}),
        ({"epochs": 4, "schedule": ("constant",), "warm_up": 0.5}, {0: 0, 1: 0.01, 5: 0.05}),
        ({"plan": "fcl_imagenet"}, {25: 0.4, 299: 0.8, 300: 0.08}),
        ({"plan": "fcl_imagenet", "epochs": 9, "warm_up": 1}, {5: 0.4, 10: 0.8, 30: 0.08}),
        ({"plan": "augmax_imagenet", "batch_size": 512}, {0: 0.2, 300: 0.02}),
        ({"optimizer": "adam", "schedule": ("constant",)}, {0: 0.001}),
    ],
)
def test_learning_rates(settings, rates):
    rate = parts(**settings).optimizer(DATA)._learning_rate
    for step, expected in rates.items():
        found = rate(step) if callable(rate) else rate
        assert float(found) == pytest.approx(expected, rel=1e-6, abs=1e-8), step


def test_a_plan_gives_what_is_not_given():
    recipe = recipes.Train(plan="augmix_cifar", net="wrn_40_2", batch_size=32)
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (100, 32, 0.1)
    assert MethodParts(recipe)._net_options == {"weight_decay": 5e-4}
    assert MethodParts(recipe.replace(net="small_cnn"))._net_options == {}


def test_several_augmentations_are_one_for_each_image():
    given = ("GN", "rotation=0,45", "gaussian_blur=2,kernel_size=5", "augmix=width=2")
    layer = parts(recipes.Finetune, augment=given).augment()
    assert isinstance(layer, augment.PerImageChoice)
    noise, turned, blurred, mixed = layer.augments
    assert noise.strength == 0.075 and turned.strength == (0, 45) and mixed.width == 2
    assert (blurred.strength, blurred.kernel_size) == (2, 5)


def test_attacks_by_name():
    for settings, place in (({"method": "adversarial_training"}, "attack"), ({}, "augment")):
        made = parts(recipes.Finetune, augment="pgd=0.02,steps=3", **settings).augment()
        assert isinstance(made, attacks.PGD) and (made.epsilon, made.steps) == (0.02, 3), place
    assert parts(recipes.Finetune, augment="spatial=4").augment().k == 4


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"settings": {"gama": 1}}, "baseline has no setting gama; it has: weight_noise"),
        ({"settings": {"atack.steps": 1}}, r"received atack.steps \(did you mean attack\?\)"),
        ({"settings": {"attack.steps": 1}}, "baseline has no attack; received attack.steps"),
        ({"settings": {"net.filter": 1}}, r"it has: filters \(did you mean filters\?\)"),
        ({"settings": {"optimizer.momentm": 1}}, r"sgd has no setting .* mean momentum\?"),
        ({"settings": {"optimizer.clipnorm": "x"}}, "clipnorm of sgd must be a number"),
        ({"settings": {"optimizer.learning_rate": 1}}, "the learning rate is --learning-rate"),
        ({"norm": "dubin"}, "small_cnn has no setting norm; it has: filters"),
        ({"weight_decay": 1e-4}, "small_cnn has no setting weight_decay"),
        ({"method": "noisymix", "settings": {"jsd": 1}}, "jsd of noisymix must be true or false"),
        ({"method": "noisymix", "settings": {"alpha": "x"}}, "alpha of noisymix must be a number"),
        ({"method": "feature_contrastive", "settings": {"k": 1.5}}, "must be a whole number"),
        ({"augment": ("GN", "combined")}, "combined alternates by epoch"),
        ({"augment": ("GN", "fgsm")}, "fgsm is an attack"),
        ({"augment": "pgd=0.1,0.2"}, "pgd takes its ε, such as pgd=0.0314"),
        ({"augment": "pgd=step=3"}, r"pgd has no setting step; .* \(did you mean"),
        ({"augment": "gaussian_blur=2,kernel=5"}, "gaussian_blur has no setting kernel"),
        ({"augment": "jpeg="}, "jpeg= needs a value"),
        ({"augment": "augmix=3"}, "augmix has no strength to be given"),
        ({"schedule": ("cosin",)}, "a schedule is cosine, constant, or factors"),
        ({"schedule": ("3=0.1", "2=0.01")}, "the epochs of a schedule must rise"),
        ({"schedule": ("20=0.1",)}, "must rise, to 12 at most"),
        ({"warm_up": 13}, r"warm_up must be a number in \[0, 12\]"),
        ({"plan": "augmix_cfar"}, r"plan must be one of .* \(did you mean augmix_cifar\?\)"),
    ],
)
def test_mistakes(settings, message):
    with pytest.raises(ValueError, match=message):
        parts(**settings)


def test_nets_pass_their_options_on():
    from tfrobust.registries import NETS

    for name in ("resnet_18", "resnet_20", "wrn_40_2", "resnet_v2_50"):
        assert {"norm", "weight_decay", "filters", "mean"} <= set(options_of(NETS[name])), name


def test_attacks_as_conditions():
    found = conditions.attacks(["FGSM", "APGD-CE", "APGD-DLR", "pgd=0.01,steps=3"])
    assert [one.name for one in found] == ["FGSM", "APGD-CE", "APGD-DLR", "pgd=0.01,steps=3"]
    assert [one.attack.steps for one in found[1:]] == [100, 100, 3]
    assert [one.attack.loss for one in found[1:3]] == ["ce", "dlr"]
