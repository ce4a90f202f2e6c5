"""What every registered experiment must keep to; one that is new is tested by being registered."""

import csv
import functools
import inspect

import keras
import pytest

from tfrobust import rows
from tfrobust.experiments import CONFIG_NAMES, ExperimentConfig, Run, experiment
from tfrobust.experiments.tables import PRINTED, fill
from tfrobust.layers.norms import norm_layer
from tfrobust.methods import PLANS
from tfrobust.recipes.base import RunFolder
from tfrobust.registries import DATASETS, EXPERIMENTS, METHODS, NETS

OWN_DATA = {"noisymix_toy"}  # points of the plane, and a net for them


@pytest.fixture(params=list(EXPERIMENTS))
def name(request):
    return request.param


def test_docstring_says_where_it_is_from_and_how_to_run_it(name):
    kind = EXPERIMENTS[name]
    text = " ".join(inspect.getdoc(kind).split())
    assert f"`tfrobust reproduce {name}" in text
    assert "aper" in text and ("full setting" in text or "settings as for" in text.lower())
    assert kind.paper and kind.shows


def test_settings_differ_in_numbers_alone(name):
    found = EXPERIMENTS[name]()
    for setting in map(found.setting, CONFIG_NAMES):
        assert isinstance(setting, ExperimentConfig)
        if name not in OWN_DATA:
            assert setting.dataset in DATASETS and setting.net in NETS
            inspect.signature(NETS[setting.net]).bind(**setting.net_options)
            large = "imagenet" in setting.dataset or setting.dataset == "tifs"
            assert (setting.net != "resnet_18" or "stem" in setting.net_options) or not large
        for training in (setting.training, setting.finetuning):
            assert training.epochs >= 1
            assert training.plan is None or training.plan in PLANS
        assert set(setting.numbers) == set(found.full.numbers)
        assert setting.seeds and len(set(setting.seeds)) == len(setting.seeds)
    assert found.quick.training.epochs <= 6 and len(found.quick.seeds) == 1
    if name not in OWN_DATA:  # tried where nothing can be downloaded
        assert found.quick.dataset in ("digits", "corner_digits")
    with pytest.raises(ValueError, match="setting must be one of full, small, quick"):
        found.setting("large")


@pytest.mark.parametrize("setting", CONFIG_NAMES)
def test_lines(name, setting, tmp_path):
    if name in OWN_DATA:
        pytest.skip("the toy problem makes its models itself")
    found = EXPERIMENTS[name]()
    numbers = found.setting(setting)
    run = Run(numbers, RunFolder(tmp_path, numbers, finished="-"))
    lines = found.lines(run, 3)
    names = [line.name for line in lines]
    assert len(set(names)) == len(names)
    files = {run.model_file(each, 0).name.lower() for each in names}
    assert len(files) == len(names)
    for place, line in enumerate(lines):
        assert line.method in METHODS
        assert not line.start or line.start in names[:place]
    assert set(numbers.lines or ()) <= set(names)
    printed = [model for table in found.tables(numbers) for model in table.published]
    assert not printed or set(printed) & set(names)


@functools.cache
def small_net(norm):
    """A net with the norm and the mixing points of those that the experiments name."""
    return keras.Sequential(
        [
            keras.Input([32, 32, 3]),
            keras.layers.Activation("linear", name="mixing_point_0"),
            keras.layers.Conv2D(8, 3, strides=4),
            norm_layer(norm, mixed=True),
            keras.layers.ReLU(),
            *(keras.layers.Activation("linear", name=f"mixing_point_{i}") for i in (1, 2, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )


def test_methods_take_the_settings_of_the_lines(name, tmp_path):
    if name in OWN_DATA:
        pytest.skip("the toy problem makes its models itself")
    found = EXPERIMENTS[name]()
    run = Run(found.small, RunFolder(tmp_path, found.small, finished="-"))
    for line in found.lines(run, 1):
        model = experiment._method(line, small_net(line.net.get("norm", "bn")))
        seeds = [getattr(model, "seed", 1), getattr(getattr(model, "seeds", None), "seed", 1)]
        assert seeds == [1, 1]  # of the training


@pytest.mark.parametrize("setting", CONFIG_NAMES)
def test_tables(name, setting):
    """Printed numbers are as many as columns; measured ones of any condition find their place."""
    found = EXPERIMENTS[name]()
    numbers = found.setting(setting)
    for table in found.tables(numbers):
        assert table.title and table.columns
        for model, printed in table.published.items():
            assert len(printed) == len(table.columns), (table.title, model)
        measured = [
            rows.Row(model, "d/test", "clean", 0.0, "accuracy", 0.5, 10, 0)
            for model in table.published
        ]
        assert fill(table, measured).columns == tuple(c.label for c in table.columns)


@functools.cache
def shown():
    """Models and printed numbers in the tables of all experiments, for each net and data set."""
    found = set()
    changes = [{}, {"dataset": "cifar10"}, {"dataset": "cifar100"}]
    changes += [{"net": net} for net in ("resnet_18", "resnext_29", "wrn_28_2", "preact_resnet_18")]
    for kind in EXPERIMENTS.values():
        for table in (t for c in changes for t in kind().tables(kind.full.replace(**c))):
            for model, numbers in table.published.items():
                found |= {(model, number) for number in numbers}
    return found


#: Averages stand in tables that need rows: see tests/experiments/test_experiments_fma.py.
NUMBERS = [path for path in sorted(PRINTED.glob("*_*.csv")) if "average" not in path.stem]


@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: path.stem)
def test_every_printed_number_is_shown(path):
    paper, _, place = path.stem.partition("_")
    lines = path.read_text(encoding="utf-8").splitlines()
    head = " ".join(line for line in lines if line.startswith("#")).lower()
    assert paper in head and place.replace("table", "table ").replace("figure", "figure ") in head
    keys = {"model", "data", "net", "augmentation"}
    for line in csv.DictReader(line for line in lines if not line.startswith("#")):
        assert None not in line and None not in line.values()  # as many cells as columns
        for column, text in line.items():
            if column not in keys and text:
                assert (line["model"], float(text)) in shown(), (line, column)
