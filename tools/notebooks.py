"""Writes notebooks/*.ipynb from the scripts in notebooks/src, which have Jupytext's percent format.

    python tools/notebooks.py                          outputs stay where no code has changed
    python tools/notebooks.py --execute 01_quickstart  runs it, stores what it shows; no name: all

A number behind `# quick:` is what the tests take; the notebook does not show it. Jupytext's own
update is not used: it keeps the outputs of cells that were changed.
"""

import argparse
import os
import pathlib
import re
import tempfile

import jupytext
import nbformat

ROOT = pathlib.Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "notebooks" / "src"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
METADATA = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
LOG = re.compile(r"^(INFO|WARNING):tensorflow:.*\n?", re.MULTILINE)


def read(script, *, quick=False):
    """The notebook of a script, without outputs; `quick` with the numbers of the tests."""
    text = script.read_text(encoding="utf-8")
    text = re.sub(r"= (.*)  # quick: (.*)", r"= \2" if quick else r"= \1", text)
    book = jupytext.reads(text, fmt="py:percent")
    book.update(metadata=nbformat.from_dict(METADATA), nbformat_minor=5)
    for number, cell in enumerate(book.cells, start=1):
        cell.id = f"cell-{number:02}"
        cell.metadata.pop("lines_to_next_cell", None)
    return book


def code(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def updated(script, path):
    """The notebook of a script, with the outputs that are stored at `path` if no code changed."""
    book = read(script)
    stored = code(nbformat.read(path, as_version=4)) if path.exists() else []
    if [cell.source for cell in stored] == [cell.source for cell in code(book)]:
        for cell, before in zip(code(book), stored):
            cell.update(execution_count=before.execution_count, outputs=before.outputs)
    return book


def execute(script):
    """The notebook of a script, run in a folder of its own; stderr and logs are left out."""
    import nbclient

    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    options = {"record_timing": False, "coalesce_streams": True}
    # Small pictures: a repository keeps each version of them.
    small = "--InlineBackend.print_figure_kwargs={'dpi': 76, 'bbox_inches': 'tight'}"
    with tempfile.TemporaryDirectory() as folder:
        options.update(extra_arguments=[small], resources={"metadata": {"path": folder}})
        book = nbclient.NotebookClient(read(script), **options).execute(env=variables)
    book.metadata = nbformat.from_dict(METADATA)  # without the version of Python
    for cell in code(book):
        for output in cell.outputs:
            if output.output_type == "stream":
                output.text = LOG.sub("", output.text) if output.name == "stdout" else ""
        cell.outputs = [output for output in cell.outputs if output.get("text") != ""]
    return book


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="such as 01_quickstart; default: all")
    parser.add_argument("--execute", action="store_true", help="run, and store what is shown")
    chosen = parser.parse_args(arguments)
    for script in [SCRIPTS / f"{name}.py" for name in chosen.names] or sorted(SCRIPTS.glob("*.py")):
        path = SCRIPTS.parent / f"{script.stem}.ipynb"
        nbformat.write(execute(script) if chosen.execute else updated(script, path), path)


if __name__ == "__main__":
    main()
