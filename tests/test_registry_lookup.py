"""Registries: names and the objects that they stand for."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

import tfrobust
from tfrobust import registries, validation
from tfrobust.registries import ATTACKS, AUGMENTS, CORRUPTIONS, DATASETS, METHODS, NETS, Registry

ALL = {
    "attack": ATTACKS,
    "augmentation": AUGMENTS,
    "net": NETS,
    "method": METHODS,
    "data set": DATASETS,
    "corruption": CORRUPTIONS,
}
every = pytest.mark.parametrize("kind", ALL)


@every
def test_every_name_resolves(kind):
    registry = ALL[kind]
    assert len(registry) == len(list(registry)) > 0
    for name in registry:
        assert callable(registry[name]) and registry.describe(name)
        assert name in registry and name.isidentifier()
        # CamelCase or snake_case, the name is the thing's own.
        assert registry[name].__name__.lower() == name.replace("_", "") or (
            registry[name].__name__ == name
        )


@every
@pytest.mark.parametrize("name", ["fma", "", "Brightness"])
def test_unknown_name(kind, name):
    registry = ALL[kind]
    near = validation.nearest(name, registry)
    wanted = f"unknown {kind} {name!r}; choose from: {', '.join(registry)}{near}"
    assert name not in registry
    for look_up in (registry.__getitem__, registry.get):
        with pytest.raises(ValueError) as caught:
            look_up(name)
        assert str(caught.value) == wanted


def test_custom_registry():
    registry = Registry("thing", {"row": ("rows:Row", "a row"), "lost": ("nowhere:X", "not there")})
    assert list(registry) == ["row", "lost"] and registry["row"] is tfrobust.rows.Row
    assert registry.describe("lost") == "not there"
    with pytest.raises(ModuleNotFoundError, match=r"tfrobust\.nowhere"):
        registry["lost"]


def test_names_do_not_import_tensorflow():
    program = """
import sys
from tfrobust import registries, validation
kinds = [r for r in vars(registries).values() if isinstance(r, registries.Registry)]
assert len(kinds) == 7
for registry in kinds:
    for name in registry:
        assert registry.describe(name)
    try:
        registry["?"]
    except ValueError:
        pass
assert not {"tensorflow", "keras", "numpy"} & set(sys.modules), sorted(sys.modules)
"""
    root = pathlib.Path(registries.__file__).parents[1]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)
