"""What is registered is exported, described and documented."""

import importlib
import inspect

import pytest

import tfrobust
from tfrobust import registries

KINDS = {
    "attacks": registries.ATTACKS,
    "augment": registries.AUGMENTS,
    "nets": registries.NETS,
    "methods": registries.METHODS,
    "datasets": registries.DATASETS,
    "corruptions": registries.CORRUPTIONS,
}
PACKAGES = [name for name in tfrobust.__all__ if hasattr(getattr(tfrobust, name), "__path__")]
ENTRIES = [(package, name) for package, registry in KINDS.items() for name in registry]


@pytest.mark.parametrize("package, name", ENTRIES)
def test_registered_names(package, name):
    entry = KINDS[package][name]
    assert callable(entry)
    assert 10 < len(KINDS[package].describe(name)) < 80
    # The module is named after what it holds; functions of one family share one.
    assert entry.__module__.startswith(f"tfrobust.{package}.")
    if package in ("nets", "corruptions", "datasets"):
        assert entry.__name__ == name
    else:
        assert entry.__module__ == f"tfrobust.{package}.{name}"
    if package not in ("datasets", "corruptions"):  # reached through load and corrupt
        assert getattr(importlib.import_module(f"tfrobust.{package}"), entry.__name__) is entry


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_documented(package):
    module = importlib.import_module(f"tfrobust.{package}")
    assert module.__doc__
    for name in module.__all__:
        thing = getattr(module, name)
        if not (inspect.isfunction(thing) or inspect.isclass(thing)):
            continue
        document = inspect.getdoc(thing) or ""
        assert document, name
        takes = [p for p in inspect.signature(thing).parameters if p not in ("kwargs", "args")]
        if inspect.isfunction(thing) and takes:
            assert "Args:" in document, f"{package}.{name} does not say what it takes"
            assert all(f"{argument}:" in document for argument in takes), f"{package}.{name}"


def test_subpackages_are_reached_from_the_top():
    for name in tfrobust.__all__:
        assert getattr(tfrobust, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tfrobust.nothing


def test_corruptions_are_those_of_the_test_set_and_those_held_out():
    """Fifteen in four groups, then four; the order is that of the papers' tables."""
    test, held_out = registries.TEST_CORRUPTIONS, registries.HELD_OUT_CORRUPTIONS
    assert list(registries.CORRUPTIONS) == [*test, *held_out]
    assert [len(group) for group in registries.CORRUPTION_GROUPS.values()] == [3, 4, 4, 4]
    assert len(registries.PERTURBATIONS) == 10 and len(registries.HELD_OUT_PERTURBATIONS) == 4
