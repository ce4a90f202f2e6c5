"""Writes the notebooks from scripts, checks that they agree, and runs them.

    python tools/notebooks.py                         writes notebooks/*.ipynb
    python tools/notebooks.py --check                 says where a notebook is not its script's
    python tools/notebooks.py --execute 01_quickstart runs it and stores what it shows; no name: all

A notebook is written as a script in `notebooks/src/`, because a script can be read in a diff, is
formatted and checked like other code, and can be run as it is. `# %%` begins a cell of code,
`# %% [markdown]` one of text, whose lines are comments; `# %matplotlib inline` is a comment in the
script and a command in the notebook.

One cell, `# %% tags=["settings"]`, holds the numbers that make a run long. The tests take others,
which stand behind them, and the notebook does not show those:

    epochs = 12  # quick: 2

Writing keeps the stored outputs where no code has changed; otherwise they are dropped, and
`--check` fails until the notebook was run again. Running needs nbclient and ipykernel.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "notebooks" / "src"

_MARKER = re.compile(r'^# %%(?P<text> \[markdown\])?(?: tags=(?P<tags>\["\w+"(?:, "\w+")*\]))?$')
_QUICK = re.compile(r"^(?P<name>\w+) = (?P<value>.*?)  # quick: (?P<quick>.+)$", re.MULTILINE)
_LOG = re.compile(r"^(?:INFO|WARNING):tensorflow:.*\n?", re.MULTILINE)
_MAGIC = re.compile(r"^# (?=%[a-z])", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        kind: "markdown" or "code".
        source: Its text, without a line break at the end.
        tags: Its tags.
    """

    kind: str
    source: str
    tags: tuple[str, ...] = ()


def scripts(names: Iterable[str] = ()) -> list[pathlib.Path]:
    """The scripts of these names, or all.

    Raises:
        ValueError: There is no such script, or none at all.
    """
    found = {path.stem: path for path in sorted(SCRIPTS.glob("*.py"))}
    unknown = sorted(set(names) - set(found))
    if unknown or not found:
        raise ValueError(
            f"there is no notebook {', '.join(unknown) or 'script'} in {SCRIPTS.name}/; there is: "
            f"{', '.join(found) or 'none'}"
        )
    return [found[name] for name in names] or list(found.values())


def notebook_of(script: pathlib.Path) -> pathlib.Path:
    """Where the notebook of a script stands."""
    return script.parents[1] / f"{script.stem}.ipynb"


def cells(text: str, *, quick: bool = False) -> list[Cell]:
    """The cells of a script.

    Args:
        text: The script.
        quick: Whether the settings are those of the tests.

    Returns:
        The cells, in their order.

    Raises:
        ValueError: Something stands before the first cell, a cell is empty, a line of text is no
            comment, or a marker is not as described above.
    """
    parts: list[tuple[str, tuple[str, ...], list[str]]] = []
    for line in text.splitlines():
        if line.startswith("# %%"):
            marker = _MARKER.match(line)
            if not marker:
                raise ValueError(
                    'a cell begins with "# %%", "# %% [markdown]" or "# %% tags=[...]"; received '
                    f"{line!r}"
                )
            tags = tuple(json.loads(marker["tags"] or "[]"))
            parts.append(("markdown" if marker["text"] else "code", tags, []))
        elif parts:
            parts[-1][2].append(line)
        elif line.strip():
            raise ValueError(f'a script begins with a cell, "# %%"; received {line!r} before it')
    return [_cell(kind, tags, "\n".join(lines), quick) for kind, tags, lines in parts]


def _cell(kind: str, tags: tuple[str, ...], source: str, quick: bool) -> Cell:
    source = source.strip("\n")
    if not source:
        raise ValueError(f"a {kind} cell is empty")
    if kind == "markdown":
        wrong = [line for line in source.splitlines() if line != "#" and line[:2] != "# "]
        if wrong:
            raise ValueError(f'lines of text begin with "# "; received {wrong[0]!r}')
        source = "\n".join(line[2:] for line in source.splitlines())
    else:
        source = _MAGIC.sub("", source)
        source = _QUICK.sub(r"\g<name> = \g<quick>" if quick else r"\g<name> = \g<value>", source)
    return Cell(kind, source, tags)


def notebook(written: Iterable[Cell]) -> dict[str, Any]:
    """A notebook without outputs, nbformat 4.5."""
    made = []
    for i, cell in enumerate(written, start=1):
        one: dict[str, Any] = {"cell_type": cell.kind, "id": f"cell-{i:02}", "metadata": {}}
        if cell.tags:
            one["metadata"] = {"tags": list(cell.tags)}
        if cell.kind == "code":
            one.update(execution_count=None, outputs=[])
        made.append({**one, "source": cell.source.splitlines(keepends=True)})
    return {
        "cells": made,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def sources(of: dict[str, Any]) -> list[Any]:
    """What of a notebook must be that of its script: everything but outputs and their numbers."""
    kept = ("cell_type", "id", "metadata", "source")
    return [{key: cell.get(key) for key in kept} for cell in of["cells"]]


def write(script: pathlib.Path) -> pathlib.Path:
    """Writes the notebook of a script, with the outputs that it had if no code has changed."""
    made, path = notebook(cells(script.read_text(encoding="utf-8"))), notebook_of(script)
    if path.exists():
        old = _code(json.loads(path.read_text(encoding="utf-8")))
        new = _code(made)
        if [cell["source"] for cell in old] == [cell["source"] for cell in new]:
            for before, after in zip(old, new):
                after.update({key: before[key] for key in ("execution_count", "outputs")})
    _save(made, path)
    return path


def problems(script: pathlib.Path) -> list[str]:
    """What is wrong with the notebook of a script, in sentences; nothing where all is well."""
    path = notebook_of(script)
    if not path.exists():
        return [f"{path.name} is missing; run tools/notebooks.py --execute {script.stem}"]
    stored = json.loads(path.read_text(encoding="utf-8"))
    if sources(stored) != sources(notebook(cells(script.read_text(encoding="utf-8")))):
        return [f"{path.name} is not what {script.name} says; run tools/notebooks.py"]
    counts = [cell["execution_count"] for cell in _code(stored)]
    if counts != list(range(1, len(counts) + 1)):
        return [f"{path.name} was not run as it stands; run it with --execute {script.stem}"]
    return []


def execute(script: pathlib.Path) -> pathlib.Path:
    """Runs a notebook in an empty folder and stores what it shows, without stderr and logs.

    Raises:
        ImportError: nbclient or ipykernel is not installed.
        nbclient.exceptions.CellExecutionError: A cell failed; the notebook stays as it was.
    """
    import ipykernel  # noqa: F401
    import nbclient
    import nbformat

    made, path = notebook(cells(script.read_text(encoding="utf-8"))), notebook_of(script)
    with tempfile.TemporaryDirectory() as folder:
        # Small pictures: a repository keeps each version of them.
        settings = pathlib.Path(folder, "ipython", "profile_default", "ipython_config.py")
        settings.parent.mkdir(parents=True)
        settings.write_text(
            "c = get_config()\n"
            "c.InlineBackend.print_figure_kwargs = {'dpi': 76, 'bbox_inches': 'tight'}\n"
        )
        work = pathlib.Path(folder, "work")
        work.mkdir()
        os.environ["IPYTHONDIR"] = str(settings.parents[1])
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        client = nbclient.NotebookClient(
            nbformat.reads(json.dumps(made), as_version=4),
            timeout=None,
            kernel_name="python3",
            resources={"metadata": {"path": str(work)}},
            record_timing=False,
        )
        done = json.loads(nbformat.writes(client.execute()))
    for cell, ran in zip(_code(made), _code(done)):
        cell["execution_count"] = ran["execution_count"]
        cell["outputs"] = _kept(ran["outputs"])
    _save(made, path)
    return path


def _kept(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is stored of the outputs of a cell: what it prints in one, a picture on one line."""
    kept: list[dict[str, Any]] = []
    for output in outputs:
        data, printed = output.get("data", {}), _LOG.sub("", "".join(output.get("text", "")))
        if output.get("name") == "stderr" or ("text" in output and not printed):
            continue
        if "image/png" in data:
            data["image/png"] = "".join(data["image/png"]).replace("\n", "")
        if printed and kept and kept[-1].get("name") == output["name"]:
            kept[-1]["text"] += printed.splitlines(keepends=True)
        elif printed:
            kept.append({**output, "text": printed.splitlines(keepends=True)})
        else:
            kept.append(output)
    return kept


def _code(of: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in of["cells"] if cell["cell_type"] == "code"]


def _save(made: dict[str, Any], path: pathlib.Path) -> None:
    text = json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="such as 01_quickstart; default: all")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="write nothing, say what is wrong")
    what.add_argument("--execute", action="store_true", help="run, and store what is shown")
    chosen = parser.parse_args(arguments)
    try:
        paths = scripts(chosen.names)
    except ValueError as error:
        parser.error(str(error))
    if chosen.check:
        found = [line for script in paths for line in problems(script)]
        known = {notebook_of(script) for script in scripts()}
        others = [path for path in SCRIPTS.parent.glob("*.ipynb") if path not in known]
        found += [f"{path.name} has no script in notebooks/src" for path in sorted(others)]
        print("\n".join(found) or f"{len(paths)} notebooks are what their scripts say")
        return 1 if found else 0
    for script in paths:
        print((execute if chosen.execute else write)(script).relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
