"""Each registered method has a page in docs/methods/ that is true of it."""

from __future__ import annotations

import inspect
import pathlib
import re
import shlex

import pytest

from tfrobust import cli
from tfrobust.callbacks import AlternateAugmentations
from tfrobust.methods.feature_contrastive import PUBLISHED_SETTINGS
from tfrobust.methods.noisymix import ABLATION
from tfrobust.recipes.method_parts import MethodParts
from tfrobust.registries import METHODS
from tfrobust.settings import Finetune, Train

PAGES = pathlib.Path(__file__).parents[2] / "docs/methods"
SECTIONS = [
    "What it does",
    "When to choose it",
    "Cost",
    "Settings",
    "Example",
    "On the command line",
    "Deviations from the paper",
    "Reading on",
]


@pytest.fixture(params=list(METHODS))
def name(request):
    return request.param


def sections(name):
    """Heading to text."""
    parts = re.split(r"^## (.+)\n", (PAGES / f"{name}.md").read_text("utf-8"), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def rows(text):
    """First cell of each row of the tables, without backticks, to the others."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_each_method_has_a_page_and_each_page_its_method():
    assert sorted(path.stem for path in PAGES.iterdir()) == sorted(METHODS)


def test_the_same_sections(name):
    assert list(sections(name)) == SECTIONS


def test_every_setting_with_its_default(name):
    table = rows(sections(name)["Settings"])
    for setting in inspect.signature(METHODS[name].__init__).parameters.values():
        if setting.name in ("self", "kwargs") or (setting.name == "net" and name != "baseline"):
            continue
        said = table[setting.name][0]
        if setting.default is inspect.Parameter.empty:
            assert said == "needed"
        elif setting.default is None:
            assert said.startswith(("None", "`")), setting.name
        elif isinstance(setting.default, (bool, str)):
            assert re.match(rf'"?{setting.default}\b', said), setting.name
        else:
            assert float(said) == setting.default, setting.name


def test_published_settings():
    table = rows(sections("feature_contrastive")["Settings"])
    for name, settings in PUBLISHED_SETTINGS.items():
        cells = [settings.get(key, "–") for key in ("weight", "k", "sigma", "temperature")]
        assert [cell if cell == "–" else float(cell) for cell in table[name]] == cells, name
    table = rows(sections("noisymix")["Settings"])
    for name, off in ABLATION.items():
        mixing = "" if off.get("alpha") == 0 else "yes"
        assert table[name] == [
            "" if "augment" in off else "yes",
            "at the input" if off.get("mixing_points") == (0,) else mixing,
            "" if off.get("additive") == 0 else "yes",
            "" if off.get("jsd") is False else "yes",
        ], name


def test_commands_make_the_method(name, make_net):
    """They are parsed, and the method is made as the command would make it."""
    blocks = re.findall(r"```\n(.*?)```", sections(name)["On the command line"], re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = 0
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "tfrobust"
        given = cli.parser().parse_args(arguments)
        if given.command == "train" and given.method == name:
            MethodParts(cli.settings_of(Train, given))
        if given.command != "finetune":
            continue
        assert given.method == name
        recipe = cli.settings_of(Finetune, given).replace(strengths=None)
        if name == "feature_contrastive":  # the net of the tests has few inputs
            recipe = recipe.replace(settings={**recipe.settings, "k": 64})
        model = MethodParts(recipe).method(make_net())
        assert isinstance(model, METHODS[name])
        found += 1
    assert found > 0


def test_alternating_augmentations_are_told_of_the_epochs(name):
    """An example with combined augmentation has the callback that it needs."""
    for block in re.findall(r"```python\n(.*?)```", sections(name)["Example"], re.DOTALL):
        if "augment.combined" in block:
            assert AlternateAugmentations.__name__ in block
