"""Private names and versions of Keras, TensorFlow and KerasTuner stay in `tfrobust/compat`."""

import ast
import importlib
import pathlib
import re

import keras
import pytest

ROOT = pathlib.Path(__file__).parents[2] / "tfrobust"
OUTSIDE = sorted(p for p in ROOT.rglob("*.py") if p.relative_to(ROOT).parts[0] != "compat")
LIBRARIES = ("keras", "tensorflow", "keras_tuner")
#: They write versions down beside numbers and images, and decide nothing by them.
RECORDS_VERSIONS = (ROOT / "provenance.py", ROOT / "corruptions" / "write_set.py")
ASKING = ("getattr", "hasattr", "setattr")
HIDDEN = re.compile(r"(keras|keras_tuner)\.src\b|tensorflow\.python\b")


def is_private(name):
    return name.startswith("_") and not name.startswith(("__", "_tfrobust"))


def defined(tree):
    """The private names that a module defines: functions, variables, attributes of `self`."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.value) in ("self", "cls"):
                yield node.attr
        elif isinstance(node, ast.alias):
            yield node.asname or node.name


def trespasses(tree, own, *, records_versions=False):
    """What a module must not touch, where it can be told; `own` are private names of the package.

    An attribute with a private name belongs to a library if the package defines none of that name.
    """
    for node in ast.walk(tree):
        found = []
        if isinstance(node, ast.Attribute):
            foreign = is_private(node.attr) and node.attr not in own
            asked = node.attr == "__version__" and not records_versions
            if foreign or asked or node.attr == "__internal__":
                found = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name for name in found if HIDDEN.match(name)]
        elif isinstance(node, ast.Import):
            found = [alias.name for alias in node.names if HIDDEN.match(alias.name)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ASKING:
            found = [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
            found = [name for name in found if is_private(name) and name not in own]
        elif isinstance(node, ast.Constant) and HIDDEN.match(str(node.value)):
            found = [node.value]
        yield from (f"line {node.lineno}: {name}" for name in found)


@pytest.fixture(scope="module")
def own():
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in OUTSIDE]
    return {name for tree in trees for name in defined(tree) if is_private(name)}


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_outside_of_compat_only_public_names_are_used(path, own):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not list(trespasses(tree, own, records_versions=path in RECORDS_VERSIONS))


@pytest.mark.parametrize(
    "planted",
    [
        "model._jit_compile",
        "keras.backend._learning_phase",
        "layer._flatten_layers()",
        "getattr(optimizer, '_learning_rate', None)",
        "hasattr(strategy.extended, '_in_multi_worker_mode')",
        "keras.__version__.startswith('2.')",
        "tf.__version__ < '2.16'",
        "tf.__internal__.tracking",
        "from keras.src import backend",
        "import tensorflow.python.framework",
        "from tensorflow.python import eager",
        "importlib.import_module('keras_tuner.src.engine')",
    ],
)
def test_the_walk_sees_what_is_planted(planted, own):
    assert list(trespasses(ast.parse(planted), own))


def test_the_walk_leaves_what_is_ours():
    tree = ast.parse("class A:\n  def _mine(self): self._own = keras.Model\n  x = a._mine, b._own")
    assert not list(trespasses(tree, set(defined(tree))))


def overridden(cls):
    """The private names of a library that a class of ours defines anew."""
    foreign = [base for base in cls.__mro__ if base.__module__.split(".")[0] in LIBRARIES]
    for name, value in vars(cls).items():
        function = getattr(value, "fget", getattr(value, "__func__", value))
        ours = getattr(function, "__module__", "") == cls.__module__
        if is_private(name) and ours and any(name in vars(base) for base in foreign):
            yield name


def classes_outside():
    for path in OUTSIDE:
        if path.name != "__main__.py":
            module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
            for value in vars(importlib.import_module(module.removesuffix(".__init__"))).values():
                if isinstance(value, type) and value.__module__ == module:
                    yield value


def test_outside_of_compat_no_private_method_is_overridden():
    assert {cls: names for cls in classes_outside() if (names := list(overridden(cls)))} == {}


def test_an_override_is_seen():
    class Planted(keras.Model):
        def _flatten_layers(self, *args, **kwargs):
            return []

    assert list(overridden(Planted)) == ["_flatten_layers"]
