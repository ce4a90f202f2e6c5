"""Keeps the results of the papers' experiments, and writes their tables into docs.

    python tools/results.py add NAME FOLDER   takes what `tfrobust reproduce NAME --out FOLDER` made
    python tools/results.py write             writes the tables into the two pages
    python tools/results.py check             fails where they are not those of the rows

In benchmarks/results stand for each experiment its rows, `NAME.jsonl`, and with which setting, on
which day, from which commit and with which versions they were made, `NAME.json`; its figures stand
in docs/pictures. Another run of the same experiment is added with `--variant TEXT` and goes by the
name `NAME-TEXT`. In docs/RESULTS.md a table is written anew between the lines `<!-- results: NAME
-->` and `<!-- end of results -->`, and in docs/CHOOSING.md one of clean and robust accuracy between
`<!-- trade-off: NAME | model = cost of a step | ... -->` and `<!-- end of trade-off -->`; all else
is written by hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any

from tfrobust import rows
from tfrobust.experiments import Experiment
from tfrobust.experiments.tables import PaperTable, accuracy, fill, robust
from tfrobust.registries import EXPERIMENTS

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "benchmarks/results", ROOT / "docs/RESULTS.md"
PICTURES, GUIDE = ROOT / "docs/pictures", ROOT / "docs/CHOOSING.md"
_PLACE = re.compile(r"(<!-- results: ([\w-]+) -->\n).*?(<!-- end of results -->)", re.DOTALL)
_TRADE = re.compile(
    r"(<!-- trade-off: ([\w-]+)([^>]*) -->\n).*?(<!-- end of trade-off -->)", re.DOTALL
)
#: What all rows of a run have in common stands once, beside them.
_COMMON = ("tfrobust", "tensorflow", "keras", "numpy", "python")


def add(name: str, folder: pathlib.Path, commit: str) -> None:
    """Takes rows, setting and figures of a run."""
    measured = rows.read(folder / "rows.jsonl")
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    for path in ("data_dir", "weights"):  # where they are is nobody's business
        settings[path] = settings[path] and pathlib.Path(settings[path]).name
    made = [dict(row.provenance or {}) for row in measured]
    about = {
        "experiment": name,
        "dates": sorted({each["date"] for each in made}),
        "commit": commit,
        "versions": {key: made[0][key] for key in _COMMON if key in made[0]},
        "setting": {key: value for key, value in settings.items() if key != "versions"},
    }
    kept = [
        dataclasses.replace(row, provenance={k: v for k, v in own.items() if k not in _COMMON})
        for row, own in zip(measured, made)
    ]
    RESULTS.mkdir(parents=True, exist_ok=True)
    rows.write(kept, RESULTS / f"{name}.jsonl")
    text = json.dumps(about, indent=2, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for figure in sorted(folder.glob("*.png")):
        shutil.copy(figure, PICTURES / f"{name}_{figure.name}")


def tables(name: str) -> str:
    """The tables of an experiment, from its rows."""
    experiment: Experiment = EXPERIMENTS[name.partition("-")[0]]()
    about = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    fields = {field.name for field in dataclasses.fields(experiment.small)}
    known = {key: value for key, value in about["setting"].items() if key in fields}
    for key in ("training", "finetuning"):
        known.pop(key, None)
    text = experiment.text(rows.read(RESULTS / f"{name}.jsonl"), experiment.small.replace(**known))
    made = ", ".join(f"{key} {value}" for key, value in about["versions"].items())
    return f"{text}\nMade on {' and '.join(about['dates'])}, commit {about['commit']}, {made}.\n"


def page(text: str) -> str:
    """The page with all its tables written anew."""

    def filled(match: re.Match[str]) -> str:
        return f"{match[1]}\n{tables(match[2])}\n{match[3]}"

    return _PLACE.sub(filled, text)


def guide(text: str) -> str:
    """The guide to choosing with all its tables written anew."""

    def filled(match: re.Match[str]) -> str:
        costs = dict(part.strip().rsplit(" = ", 1) for part in match[3].split("|") if part.strip())
        return f"{match[1]}\n{trade_off(match[2], costs)}\n{match[4]}"

    return _TRADE.sub(filled, text)


def trade_off(name: str, costs: dict[str, str]) -> str:
    """Clean accuracy, mean accuracy under all conditions, and the cost of a step."""
    measured = rows.read(RESULTS / f"{name}.jsonl")
    conditions = dict.fromkeys(
        row.corruption
        for row in measured
        if row.metric == "accuracy" and row.corruption != rows.CLEAN
    )
    columns = [accuracy("Clean", rows.CLEAN), robust("Robust", tuple(conditions))]
    table = fill(PaperTable("", columns, {}, digits=1, only=tuple(costs)), measured)
    lines = ["| | clean, % | robust, % | plain steps |", "|---|---:|---:|---:|"]
    for model, cells in zip(table.labels, table.texts):
        lines.append(f"| {model} | {' | '.join(cells)} | {costs[model]} |")
    return "\n".join(lines) + "\n"


def main(argv: Any = None) -> int:
    """Runs one command; the exit code is 1 where `check` finds another text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sub = parser.add_subparsers(dest="command", required=True)
    one = sub.add_parser("add")
    one.add_argument("name", choices=list(EXPERIMENTS))
    one.add_argument("folder", type=pathlib.Path)
    one.add_argument("--variant", help="what tells it from another run of the experiment")
    one.add_argument("--commit", help="that the run was made from; default: the one checked out")
    sub.add_parser("write")
    sub.add_parser("check")
    arguments = parser.parse_args(argv)
    if arguments.command == "add":
        head = ["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]
        commit = arguments.commit or subprocess.check_output(head, text=True).strip()
        name = "-".join(filter(None, [arguments.name, arguments.variant]))
        add(name, arguments.folder, commit)
        return 0
    stale = 0
    for path, written in ((PAGE, page), (GUIDE, guide)):
        found = path.read_text(encoding="utf-8")
        wanted = written(found)
        if arguments.command == "write":
            path.write_text(wanted, encoding="utf-8")
        elif found != wanted:
            print(f"{path} does not show the rows: run python tools/results.py write")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
