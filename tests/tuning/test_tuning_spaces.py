"""What there is to tune, and where the ranges are from."""

import inspect
import itertools

import numpy as np
import pytest

from tfrobust import augment, tuning
from tfrobust.registries import METHODS
from tfrobust.tuning.spaces import FURTHER, SPACES, STRENGTHS


def test_every_method_has_a_space_but_the_baseline():
    assert set(SPACES) == set(METHODS)
    assert [name for name, ranges in SPACES.items() if not ranges] == ["baseline"]
    assert set(FURTHER) <= set(METHODS)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "baseline"])
def test_ranges_are_arguments_that_the_method_takes(method, make_net):
    parameters = inspect.signature(METHODS[method].__init__).parameters
    dual = {"dual_norms": False} if "dual_norms" in parameters else {}
    given = {"augment": augment.GaussianNoise(0.1)} if "augment" in parameters else {}
    ranges = [*SPACES[method], *FURTHER.get(method, ())]
    assert len({one.name for one in ranges}) == len(ranges)
    for one in ranges:
        assert one.source
        for value in (one.values[0], one.values[-1]):
            if one.name == "k":  # of the 3072 entries of a CIFAR image; this one has 768
                value = min(value, 768)
            model = METHODS[method](make_net(), **{one.name: value}, **given, **dual)
            assert getattr(model, one.name) == value


def test_the_papers_values():
    values = {one.name: one.values for one in tuning.space("stability_training")}
    assert values == {"alpha": (0.01, 0.316228, 10.0)}
    assert tuning.space("augmentation_training")[0].values == (0.5, 1.0)
    assert tuning.space("feature_contrastive")[0].values == (1e-4, 2e-4, 3e-4, 4e-4)
    names = ["k", "sigma"]
    assert [one.values for one in tuning.space("feature_contrastive", names)] == [
        (256, 512, 1024, 2048),
        (0.1, 0.3, 0.5),
    ]
    weights = tuning.space("augmax")[0]
    assert weights.start <= 1 and weights.end >= 15 and weights.scale == "log"
    assert [one.name for one in tuning.space("noisymix")] == ["additive", "multiplicative"]
    assert all(0.5 in one.values for one in tuning.space("noisymix"))  # the released code's


@pytest.mark.parametrize(
    "name, values",
    [
        ("gaussian_noise", (0.01, 0.0464159, 0.215443, 1.0)),
        ("jpeg", (10, 50, 90)),
        ("thumbnail", (20, 110, 200)),
        ("fgsm", (0.001, 0.00316228, 0.01, 0.0316228, 0.1, 0.316228, 1.0)),
        ("rotation", (0.0, 90.0, 180.0)),
        ("shifted_crop", (0, 8, 15)),
    ],
)
def test_strengths_are_those_of_table_2(name, values):
    found = tuning.strength_range(name)
    assert found.name == "strength" and found.values == values
    np.testing.assert_allclose(sorted(augment.stability_grid(name)), values, rtol=1e-4, atol=0.5)


def test_strengths_are_taken_by_the_layers():
    for name, value in itertools.product(set(STRENGTHS) - {"fgsm"}, (0, -1)):
        kind = getattr(augment, "".join(map(str.capitalize, name.split("_"))))
        kind(tuning.strength_range(name).values[value])


def test_unknown_names_say_what_there_is():
    with pytest.raises(ValueError, match="unknown method 'fma'; choose from: baseline"):
        tuning.space("fma")
    with pytest.raises(
        ValueError, match=r"no range of 'alpha' for noisymix; there is one of: addi"
    ):
        tuning.space("noisymix", ["alpha"])
    with pytest.raises(ValueError, match=r"no range of 'gamma' for baseline; .* none "):
        tuning.space("baseline", ["gamma"])
    with pytest.raises(ValueError, match="no strengths of 'flip'; it has those of: gaussian_noise"):
        tuning.strength_range("flip")


def test_the_space_may_be_changed_without_changing_the_papers():
    tuning.space("noisymix").clear()
    assert len(tuning.space("noisymix")) == 2
