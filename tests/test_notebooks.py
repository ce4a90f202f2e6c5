"""The notebooks: what they say, that they are those of their scripts, and that they run."""

from __future__ import annotations

import ast
import base64
import importlib.util
import json
import pathlib
import re
import struct
import sys

import matplotlib.figure
import nbformat
import pytest

from tests.documented_code import Reader
from tests.small_runs import few_augmentations, made_digits, small_job  # noqa: F401

ROOT = pathlib.Path(__file__).parents[1]
SCRIPTS = sorted(ROOT.glob("notebooks/src/*.py"))
NAMES = [
    "01_quickstart",
    "02_fma_and_combined_augmentation",
    "03_stability_training",
    "04_augmix_and_noisymix",
    "05_augmax_and_dubin",
    "06_feature_contrastive_learning",
    "07_benchmark_any_model",
    "08_tune_and_serve",
    "09_your_own_pictures",
]
every_notebook = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def load_tool():
    path = ROOT / "tools" / "notebooks.py"
    spec = importlib.util.spec_from_file_location("notebooks_tool", path)
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load_tool()


def run(cells):
    """Runs cells as Jupyter does, and gives the figures that are shown."""
    names, figures = {"__name__": "__main__"}, []
    for cell in cells:
        if cell.cell_type != "code":
            continue
        source = "\n".join(line for line in cell.source.splitlines() if line[:1] != "%")
        tree = ast.parse(source)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, cell.source, "exec"), names)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), cell.source, "eval"), names)
            if isinstance(shown, matplotlib.figure.Figure):
                shown.canvas.draw()
                figures.append(shown)
            elif shown is not None:
                print(repr(shown))
    return figures


def test_all_are_there():
    assert [script.stem for script in SCRIPTS] == NAMES
    assert sorted(path.stem for path in ROOT.glob("notebooks/*.ipynb")) == NAMES


@every_notebook
def test_form(script):
    """Short, made of calls alone; the first cell says what a reader will have."""
    cells = tool.read(script).cells
    assert len(cells) <= 20
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
    assert "What you will have at the end" in cells[0].source
    # No empty cell; metadata but tags are a marker that was written wrong.
    assert all(cell.source and set(cell.metadata) <= {"tags"} for cell in cells)
    assert [cell.metadata.tags for cell in cells if "tags" in cell.metadata] == [["settings"]]
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    code = [ast.parse(re.sub("^%", "# %", source)) for source in sources]
    made = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert not any(isinstance(node, made) for tree in code for node in ast.walk(tree))
    assert all(len(source.splitlines()) <= 25 for source in sources)


@every_notebook
def test_quick_settings_are_settings(script):
    """Each number of the tests has its place in the settings, and the notebook does not show it."""
    full, quick = (tool.read(script, quick=quick).cells for quick in (False, True))
    changed = [one for one, other in zip(full, quick) if one != other]
    assert [cell.metadata.get("tags") for cell in changed] == [["settings"]]
    assert not any("# quick" in cell.source for cell in [*full, *quick])


@every_notebook
def test_code_names_what_there_is(script):
    """What the cells take from the package, and give it, exists; `test_runs` runs them."""
    reader = Reader()
    for cell in tool.code(tool.read(script, quick=True)):
        reader.read(re.sub(r"^%.*", "", cell.source, flags=re.MULTILINE))
    assert not reader.wrong
    assert reader.checked > 50


@every_notebook
def test_notebook_is_that_of_its_script(script):
    """Writing it changes nothing, and its cells were run in their order."""
    path = ROOT / "notebooks" / f"{script.stem}.ipynb"
    book = tool.updated(script, path)
    assert nbformat.read(path, as_version=4) == book, "run tools/notebooks.py"
    counts = [cell.execution_count for cell in tool.code(book)]
    assert counts == list(range(1, len(counts) + 1)), "run tools/notebooks.py --execute"


@every_notebook
def test_stored_outputs(script):
    """Of a whole run: pictures and no error; small, and without a path of the machine."""
    path = ROOT / "notebooks" / f"{script.stem}.ipynb"
    assert path.stat().st_size < 600_000
    text = path.read_text(encoding="utf-8")
    code = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not any(output["output_type"] == "error" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    assert not re.search(r"/(home|root|tmp|work|usr)/", text)


@pytest.mark.slow
@every_notebook
@pytest.mark.usefixtures("small_job", "few_augmentations")
def test_runs(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    figures = run(tool.read(script, quick=True).cells)
    assert len(figures) >= 2
    for figure in figures:
        for axes in figure.axes:
            if axes.get_label() == "<colorbar>":  # what it is of stands above the maps
                continue
            assert axes.images or axes.get_xlabel() or axes.get_ylabel() or not axes.axison
    # A table with an accuracy in percent.
    assert re.search(r"(?m)^-{20,}$", (printed := capsys.readouterr().out)), printed
    assert re.search(r"\b\d{1,3}\.\d{1,2}\b", printed)


# The tool -------------------------------------------------------------------------------------

SCRIPT = """\
# %% [markdown]
# # Title
#
# What you will have at the end
# %% tags=["settings"]
# %matplotlib inline
epochs = 12  # quick: 2
# %%
print(epochs)
"""


@pytest.fixture
def one(tmp_path, monkeypatch):
    """The only script, where its notebook comes, and what the tool wrote there."""
    script, path = tmp_path / "src" / "01_one.py", tmp_path / "01_one.ipynb"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    monkeypatch.setattr(tool, "SCRIPTS", script.parent)

    def written(*arguments):
        tool.main(arguments)
        return nbformat.read(path, as_version=4)

    return script, path, written


def test_written_notebook(one):
    script, path, written = one
    made = written()
    first = path.read_bytes()
    assert written() == made and path.read_bytes() == first  # the same on every run
    nbformat.validate(made)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert made.metadata == {"kernelspec": kernel, "language_info": {"name": "python"}}
    assert [cell.id for cell in made.cells] == ["cell-01", "cell-02", "cell-03"]
    assert [cell.metadata for cell in made.cells] == [{}, {"tags": ["settings"]}, {}]
    assert [cell.source for cell in made.cells] == [
        "# Title\n\nWhat you will have at the end",
        "%matplotlib inline\nepochs = 12",
        "print(epochs)",
    ]
    assert tool.read(script, quick=True).cells[1].source == "%matplotlib inline\nepochs = 2"


def test_outputs_stay_where_no_code_changed(one):
    script, path, written = one
    made = written()
    printed = nbformat.v4.new_output("stream", text="12\n")
    for count, cell in enumerate(tool.code(made), start=1):
        cell.update(execution_count=count, outputs=[printed])
    nbformat.write(made, path)
    assert written("01_one") == made
    script.write_text(SCRIPT.replace("# Title", "# Another title").replace("quick: 2", "quick: 3"))
    again = written()
    assert "Another title" in again.cells[0].source
    assert tool.code(again) == tool.code(made)
    script.write_text(SCRIPT.replace("epochs = 12", "epochs = 13"))
    assert [cell.outputs for cell in tool.code(written())] == [[], []]
    assert [cell.execution_count for cell in tool.code(written())] == [None, None]


def test_executed_notebook(one):
    pytest.importorskip("nbclient")  # of the extra dev
    pytest.importorskip("ipykernel")
    script, path, written = one
    shown = """
import os, sys, matplotlib.pyplot as plt
print("INFO:tensorflow:Assets written to: a folder")
print(epochs, os.listdir(), os.environ["PYTHONPATH"], flush=True)
print("a log", file=sys.stderr, flush=True)
print("again")
plt.figure(dpi=100); plt.plot([1]);
# %%
print("INFO:tensorflow:Assets written to: a folder")
"""
    script.write_text(SCRIPT.replace("\nprint(epochs)\n", shown))
    made = written("--execute")
    assert written() == made == tool.updated(script, path)
    settings, first, second = tool.code(made)
    assert [cell.execution_count for cell in (settings, first, second)] == [1, 2, 3]
    assert settings.outputs == second.outputs == []
    printed, picture = first.outputs
    assert (printed.name, printed.text) == ("stdout", f"12 [] {ROOT}\nagain\n")
    width, _ = struct.unpack(">II", base64.b64decode(picture.data["image/png"])[16:24])
    assert 370 < width < 460  # 6.4 inches at 76 dots, less the margins


def test_unknown_name(one):
    with pytest.raises(FileNotFoundError, match="09_nothing"):
        one[2]("09_nothing")
