"""The command line: parse, call one function, print. Parsing does not import TensorFlow."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn, Optional

from tfrobust.cli import commands
from tfrobust.registries import (
    ATTACKS,
    AUGMENTS,
    CORRUPTIONS,
    DATASETS,
    EXPERIMENTS,
    METHODS,
    NETS,
)
from tfrobust.version import __version__

REGISTRIES = {
    "attacks": ATTACKS,
    "augments": AUGMENTS,
    "nets": NETS,
    "methods": METHODS,
    "datasets": DATASETS,
    "corruptions": CORRUPTIONS,
    "experiments": EXPERIMENTS,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One line, without the usage in front of it.
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs one command.

    Args:
        argv: Arguments without the program's name; None takes the process's.

    Returns:
        The exit code: 0, 2 for a wrong name or value, 130 when interrupted.
    """
    arguments = parser().parse_args(argv)
    # Before TensorFlow is imported: its C++ side greets with errors that are none where no GPU is.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        if getattr(arguments, "resume", False) and not os.path.isdir(arguments.out):
            raise FileNotFoundError(
                f"there is no run to resume in {arguments.out}; give its folder with --out, or "
                "leave --resume away to begin one"
            )
        arguments.run(arguments)
    except KeyboardInterrupt:
        print("\ntfrobust: interrupted; give the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of the output went away: tfrobust ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, TypeError, OSError) as error:
        if arguments.traceback:
            raise
        message = textwrap.shorten(str(error), 400, placeholder=" ... (more with --traceback)")
        print(f"tfrobust {arguments.command}: error: {message}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    root = _Parser(prog="tfrobust", description="Robust image classifiers in Keras.")
    root.add_argument("--version", action="version", version=__version__)
    sub = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str, *, seeded: bool = True) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = sub.add_parser(name, help=text, description=text)
        one.set_defaults(run=run)
        one.add_argument("--traceback", action="store_true", help="show where an error comes from")
        if seeded:
            one.add_argument("--seed", type=_whole(0), default=0, help="default: 0")
        return one

    one = command(
        "quickstart", commands.quickstart, "the FMA paper's Table 3 on digits, end to end"
    )
    one.add_argument("--out", default="runs/quickstart", help="output folder; default: %(default)s")
    one.add_argument(
        "--savedmodels",
        default="savedmodels",
        help="folder for the SavedModel; default: %(default)s",
    )
    _resume(one)

    one = command("train", commands.train, "train a net on clean images")
    _data(one)
    one.add_argument("--net", choices=list(NETS), default="small_cnn")
    _training(one, epochs=12, learning_rate=0.05)
    _strategy(one)

    one = command("finetune", commands.finetune, "finetune a model with a method")
    one.add_argument("model", help="a .keras file")
    one.add_argument("--method", choices=list(METHODS), default="feature_map_augmentation")
    one.add_argument(
        "--augment",
        default="combined",
        help="combined (Combined+ and Combined- by turns), a name of Table 1 (B+ B- GB GN SAP S+ "
        f"S-), fgsm, or one of: {', '.join(AUGMENTS)}, with a strength: jpeg=10; default: "
        "%(default)s",
    )
    one.add_argument("--strengths", help="file of calibrated strengths; default: Table 1, CIFAR-10")
    one.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the method, such as gamma=0.1; may be given several times",
    )
    _data(one)
    _training(one, epochs=6, learning_rate=0.05)
    _strategy(one)

    one = command(
        "tune", commands.tune, "find the best settings of a method, and finetune with them"
    )
    one.add_argument("model", help="a .keras file")
    one.add_argument("--method", choices=list(METHODS), default="feature_map_augmentation")
    one.add_argument("--augment", default="combined", help="as for finetune; default: %(default)s")
    one.add_argument("--strengths", help="file of calibrated strengths; default: Table 1, CIFAR-10")
    one.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the method that is the same in all trials; may be given several times",
    )
    one.add_argument(
        "--range",
        dest="ranges",
        action="append",
        default=[],
        metavar="NAME[=START,END,POINTS[,log]]",
        help="what is searched: gamma=0.01,1,5,log; strength=0.01,1,4,log for that of the "
        "augmentation; a name alone takes the papers' range; may be given several times; default: "
        "the papers' ranges of the method's weights",
    )
    one.add_argument("--tuner", choices=["grid", "random", "hyperband", "bayesian"], default="grid")
    one.add_argument(
        "--trials",
        type=_whole(1),
        help="most trials; default: the whole grid, all brackets of hyperband, 10 of the others",
    )
    one.add_argument(
        "--conditions",
        choices=["table_1", "held_out"],
        default="table_1",
        help="robust accuracy is the mean over Table 1 and its combinations, or over the four "
        "corruptions that the benchmark holds out for validation; default: %(default)s",
    )
    one.add_argument(
        "--clean-floor", type=float, help="clean accuracy that must be kept, such as 0.95"
    )
    one.add_argument(
        "--clean-drop",
        type=float,
        help="the same as what may be lost of the start model's; default: 0.02",
    )
    one.add_argument(
        "--objective", help="rank by another number of the logs instead, such as val_loss"
    )
    _data(one)
    _training(one, epochs=6, learning_rate=0.05)

    one = command("reproduce", commands.reproduce, "run a published experiment", seeded=False)
    one.add_argument("name", metavar="NAME", help="one of those of `tfrobust list experiments`")
    one.add_argument(
        "--setting",
        choices=["full", "small", "quick"],
        default="small",
        help="full is the paper's, small is for two CPU cores, quick shows in a minute or two that "
        "it runs; default: %(default)s",
    )
    one.add_argument(
        "--quick", dest="setting", action="store_const", const="quick", help="--setting quick"
    )
    one.add_argument("--describe", action="store_true", help="tell what it is, and run nothing")
    one.add_argument("--out", help="output folder; default: runs/NAME-SETTING")
    one.add_argument("--data-dir", help="where the data set is")
    one.add_argument("--dataset", choices=list(DATASETS), help="instead of the setting's")
    one.add_argument("--net", choices=list(NETS), help="instead of the setting's")
    one.add_argument("--weights", help="file of trained weights that trainings start from")
    one.add_argument("--seeds", nargs="+", type=_whole(0), help="of the trainings")
    one.add_argument("--lines", nargs="+", metavar="LINE", help="models to train; default: all")
    _strategy(one, machines=False)
    one.add_argument(
        "--set",
        dest="numbers",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value of a number of the experiment's own; several with commas between",
    )

    one = command(
        "calibrate", commands.calibrate, "find the strength of each augmentation for a wanted drop"
    )
    one.add_argument("model", help="a .keras file")
    _data(one)
    one.add_argument("--drop", type=float, default=0.10, help="accuracy to lose; default: 0.10")
    one.add_argument(
        "--blur-kernel-size", type=_whole(1), default=3, help="odd, in pixels; default: 3 (Table 1)"
    )
    one.add_argument("--out", required=True, help="file to write: strengths.json")

    one = command("evaluate", commands.evaluate, "measure how robust models are; write a report")
    one.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help=".keras files or folders of SavedModels; the others are compared with the first",
    )
    _data(one)
    one.add_argument("--split", choices=["validation", "test"], default="test")
    one.add_argument(
        "--corruptions",
        nargs="+",
        default=[],
        metavar="NAME",
        help="test (the 15 of the benchmark), noise, blur, weather, digital, without_noise, "
        "held_out, all, or names; default: test, if nothing else is asked for",
    )
    one.add_argument(
        "--severities", nargs="+", type=int, choices=range(1, 6), default=[1, 2, 3, 4, 5]
    )
    _corruption(one)
    one.add_argument(
        "--published",
        choices=["cifar10_c", "cifar100_c", "imagenet_c", "tiny_imagenet_c"],
        help="take the corrupted images from published files instead of making them",
    )
    one.add_argument("--published-dir", metavar="FOLDER", help="where these files are")
    one.add_argument(
        "--augment",
        nargs="+",
        default=[],
        metavar="NAME",
        help="table_1, combinations, stability_practical, or names with a strength: jpeg=10",
    )
    one.add_argument(
        "--strengths", help="file of calibrated strengths: Table 1 and its combinations with them"
    )
    one.add_argument(
        "--sweep",
        nargs="+",
        default=[],
        metavar="NAME=S,S,...",
        help="one augmentation at several strengths: gaussian_noise=0.05,0.1,0.2",
    )
    one.add_argument(
        "--attacks", nargs="+", choices=["FGSM", "PGD", "spatial"], default=[], help="needs .keras"
    )
    one.add_argument(
        "--perturbations",
        nargs="+",
        default=[],
        metavar="NAME",
        help="count how often the prediction flips along sequences: all (the 10 of the benchmark), "
        "or names such as gaussian_noise, translate, tilt",
    )
    one.add_argument(
        "--maps",
        type=_whole(0),
        default=0,
        metavar="N",
        help="show utility and sensitivity of the pixels of N images (FCL); default: 0",
    )
    one.add_argument(
        "--baseline",
        help="what corruption errors are divided by: alexnet, tiny_imagenet_resnet18, or a rows "
        "file; default: nothing",
    )
    one.add_argument(
        "--outputs",
        nargs="+",
        default=[],
        metavar="CLASS",
        help="which outputs of the models are the classes of the data: imagenet_r or numbers",
    )
    one.add_argument(
        "--go-on-at-chance", action="store_true", help="measure also what is no better than chance"
    )
    one.add_argument(
        "--out",
        default="runs/evaluation",
        help="output folder; what was measured there is not measured again; default: %(default)s",
    )
    _resume(one)

    one = command("preview", commands.preview, "draw what augmentations do to images (PNG)")
    _data(one)
    one.add_argument(
        "--images", nargs="+", metavar="FILE", help="picture files instead of a data set"
    )
    one.add_argument(
        "--augment",
        nargs="+",
        default=["table_1", "combinations"],
        metavar="NAME",
        help="table_1, combinations (Combined+ and Combined-), stability_practical, or one of: "
        f"{', '.join(AUGMENTS)}; with a strength: jpeg=10, or rotation=0,45 to draw it from a "
        "range; default: table_1 combinations",
    )
    one.add_argument("--examples", type=_whole(1), default=4, help="images; default: 4")
    one.add_argument("--draws", type=_whole(1), default=1, help="columns of each; default: 1")
    one.add_argument("--out", default="preview.png", help="file to write; default: %(default)s")

    one = command(
        "corrupt", commands.corrupt, "write a corrupted test set in the layout of CIFAR-10-C"
    )
    _data(one)
    one.add_argument("--split", choices=["validation", "test"], default="test")
    one.add_argument(
        "--corruptions",
        nargs="+",
        choices=list(CORRUPTIONS),
        metavar="NAME",
        help=f"which; default: all of {', '.join(CORRUPTIONS)}",
    )
    _corruption(one)
    one.add_argument("--out", required=True, help="output folder; an interrupted set goes on")

    one = command("datasets", commands.datasets, "list the data sets, or fetch one", seeded=False)
    one.add_argument(
        "action", nargs="?", choices=["list", "prepare"], default="list", help="default: list"
    )
    one.add_argument("names", nargs="*", metavar="NAME", help="data sets; list: default all")
    one.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help="folder of TensorFlow Datasets, or of the data set's own files; default: what "
        "TFDS_DATA_DIR and TFROBUST_DATA_DIR say",
    )

    one = command(
        "export", commands.export, "write a SavedModel, .tflite or .onnx file", seeded=False
    )
    one.add_argument("model", help="a .keras file")
    one.add_argument(
        "out", help="folder to write, such as savedmodels/mine, or a file ending in .tflite, .onnx"
    )
    names = one.add_mutually_exclusive_group()
    names.add_argument("--class-names", nargs="+", metavar="NAME", help="name of each class")
    names.add_argument(
        "--class-names-of",
        choices=list(DATASETS),
        metavar="DATASET",
        help="name the classes as this data set does; the card says that the model is for it",
    )
    one.add_argument("--data-dir", metavar="FOLDER", help="where that data set is")
    one.add_argument(
        "--version",
        type=_whole(1),
        metavar="N",
        help="write the folder OUT/N, as TensorFlow Serving wants it",
    )
    one.add_argument(
        "--image-size",
        nargs=2,
        type=_whole(1),
        metavar=("H", "W"),
        help="pixels that JPEG and PNG files get; default: those of the net",
    )
    one.add_argument(
        "--resize",
        type=_whole(1),
        metavar="PIXELS",
        help="shorter side of such files before the centre is cut out, such as 256",
    )
    one.add_argument("--name", help="name in the model card; default: that of the folder")
    one.add_argument(
        "--rows", metavar="FILE", help="rows.jsonl with what was measured of it, for the card"
    )
    one.add_argument(
        "--licence", default="not stated", metavar="TEXT", help="of the model, for the card"
    )
    one.add_argument("--overwrite", action="store_true", help="replace what is there")
    one.add_argument(
        "--quantization",
        choices=["none", "float16", "int8"],
        help="of a .tflite file; default: none",
    )
    one.add_argument(
        "--accuracy-on",
        choices=list(DATASETS),
        metavar="DATASET",
        help="of a .tflite or .onnx file: measure the accuracy on the test images of this data "
        "set; int8 is calibrated with its training images",
    )

    one = command(
        "verify", commands.verify, "check that a SavedModel is what was exported", seeded=False
    )
    one.add_argument("path", help="folder that export wrote; of versions the newest is taken")
    one.add_argument(
        "--tolerance",
        type=_positive,
        default=1e-4,
        help="how far outputs may be from the recorded ones; default: %(default)s",
    )

    one = command("report", commands.report, "write report.html of a run", seeded=False)
    one.add_argument("run_folder", help="folder with rows.jsonl")
    one.add_argument("--out", help="file to write; default: report.html in the folder")
    one.add_argument(
        "--mixed-protocols",
        action="store_true",
        help="show models side by side that were not measured alike; the page says what differs",
    )

    one = command("list", commands.list_names, "list what can be chosen by name", seeded=False)
    one.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(REGISTRIES))
    one.add_argument("--markdown", action="store_true", help="print tables, as in the README")
    return root


def _data(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--dataset",
        choices=list(DATASETS),
        default="digits",
        metavar="NAME",
        help="see `tfrobust datasets`; default: %(default)s",
    )
    one.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help="folder of TensorFlow Datasets, or of the data set's own files; default: what "
        "TFDS_DATA_DIR and TFROBUST_DATA_DIR say",
    )
    one.add_argument(
        "--data-option",
        dest="data_options",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the data set, such as severity=5; may be given several times",
    )


def _corruption(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--table",
        type=int,
        choices=[32, 64, 224],
        help="severities to take, for images of another size",
    )
    one.add_argument(
        "--frost",
        metavar="FOLDER",
        help="folder with the photographs frost1 to frost5; default: those of the package "
        "imagecorruptions if it is installed, else a formula, which is not comparable",
    )


def _training(one: argparse.ArgumentParser, *, epochs: int, learning_rate: float) -> None:
    one.add_argument("--epochs", type=_whole(1), default=epochs, help="default: %(default)s")
    one.add_argument(
        "--batch-size",
        type=_whole(1),
        default=64,
        help="global batch size; default: %(default)s",
    )
    one.add_argument(
        "--learning-rate",
        type=_positive,
        default=learning_rate,
        help="goes with the batch size, not with the number of devices; default: %(default)s",
    )
    one.add_argument("--out", required=True, help="output folder")
    _resume(one)


def _strategy(one: argparse.ArgumentParser, *, machines: bool = True) -> None:
    several = ["multiworker"] if machines else []
    named = " several machines that TF_CONFIG names (multiworker)," if machines else ""
    one.add_argument(
        "--strategy",
        choices=["none", "mirrored", *several, "tpu"],
        default="none",
        help=f"one device, all GPUs of this machine (mirrored),{named} a TPU; default: %(default)s",
    )


def _resume(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in the output folder, which must be there; without this, too, a "
        "run that is there goes on, and else a new one begins",
    )


def _whole(low: int) -> Any:
    def whole(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or value >= 2**31:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {low}; received {text!r}"
            )
        return value

    return whole


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0; received {text!r}")
    return value
