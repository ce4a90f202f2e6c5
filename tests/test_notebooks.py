"""The notebooks: what they say, that they are those of their scripts, and that they run."""

from __future__ import annotations

import ast
import importlib.util
import json
import pathlib
import re
import sys

import matplotlib.figure
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
        if cell.kind != "code":
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


@every_notebook
def test_form(script):
    """Short, made of calls alone; the first cell says what a reader will have."""
    cells = tool.cells(script.read_text(encoding="utf-8"))
    assert len(cells) <= 20
    assert cells[0].kind == "markdown" and cells[0].source.startswith("# ")
    assert "What you will have at the end" in cells[0].source
    assert sum("settings" in cell.tags for cell in cells) == 1
    code = [ast.parse(re.sub("^%", "# %", c.source)) for c in cells if c.kind == "code"]
    made = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert not any(isinstance(node, made) for tree in code for node in ast.walk(tree))
    assert all(len(c.source.splitlines()) <= 25 for c in cells if c.kind == "code")


@every_notebook
def test_quick_settings_are_settings(script):
    """Each number of the tests has its place in the settings, and the notebook does not show it."""
    text = script.read_text(encoding="utf-8")
    full, quick = (tool.cells(text, quick=quick) for quick in (False, True))
    changed = [one for one, other in zip(full, quick) if one != other]
    assert [cell.tags for cell in changed] == [("settings",)]
    assert not any("# quick" in cell.source for cell in full)


@every_notebook
def test_code_names_what_there_is(script):
    """What the cells take from the package, and give it, exists; `test_runs` runs them."""
    reader = Reader()
    for cell in tool.cells(script.read_text(encoding="utf-8"), quick=True):
        if cell.kind == "code":
            reader.read(re.sub(r"^%.*", "", cell.source, flags=re.MULTILINE))
    assert not reader.wrong
    assert reader.checked > 50


@every_notebook
def test_notebook_is_that_of_its_script(script):
    assert tool.problems(script) == []


@every_notebook
def test_stored_outputs(script):
    """Of a whole run: pictures and no error; small, and without a path of the machine."""
    path = tool.notebook_of(script)
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
    figures = run(tool.cells(script.read_text(encoding="utf-8"), quick=True))
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


def notebook_at(tmp_path, monkeypatch, text=SCRIPT):
    script = tmp_path / "notebooks" / "src" / "01_one.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(text)
    monkeypatch.setattr(tool, "SCRIPTS", script.parent)
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    return script


def test_written_notebook(tmp_path, monkeypatch):
    script = notebook_at(tmp_path, monkeypatch)
    path = tool.write(script)
    first = path.read_bytes()
    assert tool.write(script).read_bytes() == first  # the same on every run
    made = json.loads(first)
    assert (made["nbformat"], made["metadata"]["kernelspec"]["name"]) == (4, "python3")
    assert [cell["id"] for cell in made["cells"]] == ["cell-01", "cell-02", "cell-03"]
    assert ["".join(cell["source"]) for cell in made["cells"]] == [
        "# Title\n\nWhat you will have at the end",
        "%matplotlib inline\nepochs = 12",
        "print(epochs)",
    ]
    assert "epochs = 2" in tool.cells(SCRIPT, quick=True)[1].source


def test_check_says_what_is_wrong(tmp_path, monkeypatch, capsys):
    script = notebook_at(tmp_path, monkeypatch)
    assert tool.main(["--check"]) == 1
    assert "01_one.ipynb is missing" in capsys.readouterr().out
    path = tool.write(script)
    assert tool.main(["--check"]) == 1
    assert "01_one.ipynb was not run as it stands" in capsys.readouterr().out
    made = json.loads(path.read_text())
    for count, cell in enumerate(made["cells"][1:], start=1):
        cell.update(execution_count=count, outputs=[{"output_type": "stream"}])
    path.write_text(json.dumps(made))
    assert tool.main(["--check"]) == 0
    script.write_text(SCRIPT.replace("# Title", "# Another title"))
    assert tool.main(["--check"]) == 1
    assert "01_one.ipynb is not what 01_one.py says" in capsys.readouterr().out
    assert tool.main([]) == 0 and tool.main(["--check"]) == 0  # no code changed: outputs stay
    script.write_text(SCRIPT.replace("epochs = 12", "epochs = 13"))
    assert tool.main([]) == 0 and tool.main(["--check"]) == 1  # code changed: they are dropped
    assert "was not run" in capsys.readouterr().out
    (path.parent / "stray.ipynb").write_text("{}")
    assert tool.main(["--check"]) == 1
    assert "stray.ipynb has no script" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import keras\n", "begins with a cell"),
        ("# %%\n\n# %%\n1\n", "a code cell is empty"),
        ("# %% [markdown]\ntext\n", "lines of text begin"),
        ("# %% markdown\n# text\n", "a cell begins with"),
    ],
)
def test_scripts_that_are_none(text, message):
    with pytest.raises(ValueError, match=message):
        tool.cells(text)


def test_unknown_name(capsys):
    with pytest.raises(SystemExit):
        tool.main(["09_nothing"])
    assert "there is no notebook 09_nothing" in capsys.readouterr().err
