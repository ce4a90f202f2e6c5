"""What every command must keep to: its options are the fields of its dataclasses."""

import dataclasses
import inspect
import json
import pathlib

import numpy as np
import pytest

from tfrobust import cli, corruptions, evaluation, experiments, options, recipes, reports, serving
from tfrobust.cli.commands import COMMANDS
from tfrobust.serving.export_tflite import QUANTIZATIONS

FIELDS = [
    pytest.param(name, field, id=f"{name}-{field.name}")
    for name, command in COMMANDS.items()
    for kind in command.takes
    for field in dataclasses.fields(kind)
]
LEAST = {  # what a command cannot do without
    "train": ["--out", "x"],
    "finetune": ["m.keras", "--out", "x"],
    "tune": ["m.keras", "--out", "x"],
    "robustify": ["m.keras", "--out", "x"],
    "reproduce": ["fma_table3"],
    "calibrate": ["m.keras", "--out", "x"],
    "evaluate": ["m.keras"],
    "adapt": ["m.keras", "x", "--out", "x"],
    "temperature": ["m.keras", "--out", "x"],
    "corrupt": ["--out", "x"],
    "export": ["m.keras", "x"],
    "verify": ["x"],
    "report": ["x"],
}


def parsed(name, *arguments):
    """The settings that a command gets."""
    arguments = cli.parser().parse_args([name, *LEAST.get(name, ()), *arguments])
    return [cli.settings_of(kind, arguments) for kind in COMMANDS[name].takes]


def flag_of(field):
    return field.metadata["flag"] or f"--{field.name.replace('_', '-')}"


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_are_those_of_the_dataclasses(name):
    given = {"m.keras", ("m.keras",), "x", "fma_table3"}
    for settings_ in parsed(name):
        for field in dataclasses.fields(settings_):
            value, default = getattr(settings_, field.name), getattr(type(settings_)(), field.name)
            assert value == default or (default in ("", ()) and value in given), field.name


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_fields_are_options_with_help(name, field, capsys):
    assert len(field.metadata["help"]) >= 5
    with pytest.raises(SystemExit, match="0"):
        cli.parser().parse_args([name, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{flag_of(field)} " in shown or not flag_of(field).startswith("--")
    assert field.metadata["help"].replace(" ", "") in shown.replace(" ", "")


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_other_values_are_refused_in_one_sentence(name, field, capsys):
    kind, flag = field.metadata["kind"], flag_of(field)
    if field.default is False:  # a switch takes no value
        arguments = [f"{flag}=no"]
    elif kind.get("type", str) not in (str, options.literal) or "choices" in kind:
        count = kind["nargs"] if isinstance(kind.get("nargs"), int) else 1
        arguments = [flag, *["~"] * count] if flag.startswith("--") else ["~"]
    else:
        return  # any text is taken
    with pytest.raises(SystemExit, match="2"):
        parsed(name, *arguments)
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert told.err.startswith(f"tfrobust {name}: error: argument ") and "'" in told.err


def test_a_command_without_what_it_needs(capsys):
    for name in LEAST:
        with pytest.raises(SystemExit, match="2"):
            cli.parser().parse_args([name])
        assert "are required" in capsys.readouterr().err


def test_values_become_fields():
    (recipe, output) = parsed("finetune", "--set", "gamma=1", "--set", "symmetric=True")
    assert recipe.settings == {"gamma": 1.0, "symmetric": True}
    assert (recipe.model, output.out) == ("m.keras", "x")
    (recipe, _) = parsed(
        "train", *["--data-option", "severity=5", "--data-option", "corruption=fog"]
    )
    assert recipe.data_options == {"severity": 5, "corruption": "fog"}
    assert isinstance(recipe, recipes.Train) and recipe == recipe.replace()
    (asked,) = parsed("evaluate", "--sweep", "jpeg=10,20", "blur=1", "--severities", "2", "3")
    assert asked.sweep == (("jpeg", (10.0, 20.0)), ("blur", (1.0,)))
    assert asked.severities == (2, 3)
    (asked,) = parsed("reproduce", "--set", "sizes=1,2", "--set", "name=a", "--seeds", "3", "4")
    assert asked.numbers == {"sizes": (1, 2), "name": "a"} and asked.seeds == (3, 4)


@pytest.mark.parametrize("recipe", [recipes.Train, recipes.Finetune, recipes.Tune])
def test_recipes_are_saved_as_they_are_given(recipe):
    saved = json.loads(json.dumps(dataclasses.asdict(recipe(data_dir=pathlib.Path("x")))))
    assert saved["data_dir"] == "x"
    assert list(saved) == [field.name for field in dataclasses.fields(recipe)]
    assert COMMANDS[recipe.__name__.lower()].takes[0] is recipe


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"net": "vgg"}, "net must be one of small_cnn, .*; received 'vgg'"),
        ({"dataset": "cifar"}, "dataset must be one of digits, .*; received 'cifar'"),
        ({"strategy": "all"}, "strategy must be one of none, mirrored, .*; received 'all'"),
        ({"epochs": 0}, "epochs must be a whole number from 1; received 0"),
        ({"epochs": 1.5}, r"epochs must be a whole number from 1; received 1\.5"),
        ({"epochs": "3"}, "epochs must be a number; received '3'"),
        ({"batch_size": True}, "batch_size must be a whole number from 1; received True"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0; received 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0; received nan"),
        ({"seed": -1}, "seed must be a whole number from 0; received -1"),
    ],
)
def test_recipes_refuse_in_python_what_their_command_refuses(settings_, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        recipes.Train(**settings_)
    with pytest.raises(ValueError, match=f"^{message}"):
        recipes.Train().replace(**settings_)
    assert recipes.Train(epochs=np.int64(3), learning_rate=np.float32(0.5)).epochs == 3


def test_defaults_are_those_of_the_functions():
    """Where a function has parameters of its own, they have the defaults of the options."""
    pairs = [
        ("preview", recipes.preview),
        ("evaluate", recipes.evaluate),
        ("export", serving.export),
        ("verify", serving.verify),
        ("report", reports.write_report),
        ("calibrate", evaluation.strength.calibrate),
        ("corrupt", corruptions.write_set),
    ]
    compared = 0
    for name, function in pairs:
        parameters = inspect.signature(function).parameters
        for field in dataclasses.fields(COMMANDS[name].takes[0]):
            default = getattr(parameters.get(field.name), "default", inspect.Parameter.empty)
            own = getattr(COMMANDS[name].takes[0](), field.name)
            if default is not inspect.Parameter.empty and field.name not in ("out", "quiet"):
                assert (own or None) == (default or None), (name, field.name)
                compared += 1
    assert compared >= 25


def test_choices_are_those_of_the_functions():
    def choices(name, field):
        kind = COMMANDS[name].takes[0]
        return tuple(kind.__dataclass_fields__[field].metadata["kind"]["choices"])

    assert choices("reproduce", "setting") == experiments.CONFIG_NAMES
    assert choices("reproduce", "strategy") == experiments.experiment.STRATEGIES
    assert choices("export", "quantization") == QUANTIZATIONS


def test_kinds_of_values():
    read = {
        "3": 3,
        "0.5": 0.5,
        "1e3": 1000.0,
        "fog": "fog",
        "True": True,
        "none": None,
        "1,2": (1, 2),
    }
    assert {text: options.literal(text) for text in read} == read
    assert options.whole(0)("0") == 0 and options.positive("1e-9") == 1e-9
    for value in (0.1, 1 / 3, 1e-300, 12345678, 2**31, -0.0, True, None, (0, 2.5, "x"), "fog"):
        assert options.literal(options.spelled(value)) == value


@pytest.mark.parametrize(
    "command",
    [
        ["train", "--net", "wrn_28_2", "--plan", "augmix_cifar", "--epochs", "3"],
        ["finetune", "m.keras", "--augment", "jpeg=10", "GN", "--set", "alpha=0.5", "--new-head"],
        ["tune", "m.keras", "--schedule", "1=0.5", "2=0.1", "--conditions", "held_out", "jpeg=9"],
    ],
)
def test_settings_become_the_arguments_that_they_came_from(command):
    kinds = COMMANDS[command[0]].takes
    first = cli.settings_of(kinds[0], cli.parser().parse_args([*command, "--out", "x"]))
    again = [command[0], *options.arguments_of(first), "--out", "x"]
    assert cli.settings_of(kinds[0], cli.parser().parse_args(again)) == first
    assert set(command) <= set(again)
