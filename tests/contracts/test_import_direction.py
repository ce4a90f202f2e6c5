"""Imports go downwards only; importing tfrobust and asking for help do not load TensorFlow."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2] / "tfrobust"

#: From the top down; a module may import from its own line and from those below it. docs/DESIGN.md
#: says why.
FLOORS = [
    ["__main__"],
    ["cli"],
    ["experiments"],
    ["recipes"],
    ["tuning"],
    ["reports"],
    ["trainer"],
    ["evaluation"],
    ["saving"],
    ["methods"],
    ["callbacks"],
    ["nets", "attacks", "serving"],
    ["augment", "losses"],
    ["layers", "datasets"],
    ["corruptions"],
    ["ops"],
    ["rows", "provenance", "seeding", "epochs", "devices"],
    ["compat"],
    ["settings"],
    ["options", "plans", "signatures"],
    ["validation", "files", "registries", "dataset_facts"],
    ["version"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
TRAINING = {"layers", "losses", "nets", "attacks", "methods", "augment"}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def room_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(path):
    """The rooms that a module imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tfrobust"):
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("tfrobust."):
                    yield alias.name.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    room = room_of(path)
    assert room in FLOOR, f"{room} has no floor yet: add it to FLOORS and to docs/DESIGN.md"
    for other in imported_rooms(path):
        assert FLOOR[other] >= FLOOR[room], f"{room} must not import {other}"
        # Training on the corruptions of the benchmark is the field's classic leak.
        assert not (room in TRAINING and other == "corruptions")


def test_the_walk_sees_imports():
    """The test above cannot pass by seeing nothing."""
    assert {"ops", "validation"} <= set(imported_rooms(ROOT / "augment" / "base.py"))
    assert {"reports", "serving"} <= set(imported_rooms(ROOT / "recipes" / "quickstart.py"))


#: What importing a package must not bring along, with all that is imported on the way: training
#: knows nothing of what measures, serves or draws.
CLOSURES = {
    "methods": ["corruptions", "evaluation", "datasets", "serving", "reports", "tuning", "recipes"],
    "serving": ["corruptions", "evaluation", "methods", "augment", "reports"],
}


def loaded_by(code):
    """The modules that are loaded after `code`, in a process of its own."""
    program = f"{code}\nimport sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("package", list(CLOSURES))
def test_import_closure(package):
    loaded = loaded_by(f"import tfrobust.{package}")
    assert f"tfrobust.{package}" in loaded
    unwanted = ("matplotlib", *(f"tfrobust.{room}" for room in CLOSURES[package]))
    brought = {name for name in loaded if name.startswith(unwanted)}
    if brought:  # Keras 3 has matplotlib of its own accord
        brought -= set(loaded_by("import keras"))
    assert not brought


@pytest.mark.slow
def test_the_closure_sees_a_planted_import():
    planted = loaded_by("import tfrobust.methods, tfrobust.corruptions.severities")
    assert "tfrobust.corruptions.severities" in planted


@pytest.mark.parametrize(
    "code",
    [
        "import tfrobust; dir(tfrobust)",
        "from tfrobust import registries; [list(registries.METHODS)]",
        "from tfrobust.cli import main; main(['list'])",
        "from tfrobust import reports; reports.robustness_table",
        "import sys; from tfrobust.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
    ],
)
def test_without_tensorflow(code):
    blocked = "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n" + code
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
