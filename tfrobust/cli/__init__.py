"""The command-line interface. Parsing the arguments does not import TensorFlow."""

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
        # One line, without the usage message.
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs a command.

    Args:
        argv: Arguments without the program name. Default: `sys.argv[1:]`.

    Returns:
        Exit code: 0, 2 for an invalid name or value, 130 if interrupted.
    """
    arguments = parser().parse_args(argv)
    # Set before TensorFlow is imported: without a GPU its C++ code logs spurious errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        if getattr(arguments, "resume", False) and not os.path.isdir(arguments.out):
            raise FileNotFoundError(
                f"there is no run to resume in {arguments.out}; give its folder with --out, or "
                "omit --resume to start one"
            )
        arguments.run(arguments)
    except KeyboardInterrupt:
        print("\ntfrobust: interrupted; run the same command again to resume", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the output pipe was closed: tfrobust ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, TypeError, OSError) as error:
        if arguments.traceback:
            raise
        message = textwrap.shorten(str(error), 400, placeholder=" ... (more with --traceback)")
        print(f"tfrobust {arguments.command}: error: {message}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser for all commands."""
    root = _Parser(prog="tfrobust", description="Robust image classifiers in Keras.")
    root.add_argument("--version", action="version", version=__version__)
    sub = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str, *, seeded: bool = True) -> argparse.ArgumentParser:
        cmd: argparse.ArgumentParser = sub.add_parser(name, help=text, description=text)
        cmd.set_defaults(run=run)
        cmd.add_argument(
            "--traceback", action="store_true", help="show the full traceback of an error"
        )
        if seeded:
            cmd.add_argument("--seed", type=_integer(0), default=0, help="default: 0")
        return cmd

    cmd = command(
        "quickstart", commands.quickstart, "the FMA paper's Table 3 on digits, end to end"
    )
    cmd.add_argument("--out", default="runs/quickstart", help="output folder; default: %(default)s")
    cmd.add_argument(
        "--savedmodels",
        default="savedmodels",
        help="folder for the SavedModel; default: %(default)s",
    )
    _add_resume(cmd)

    cmd = command("train", commands.train, "train a net on clean images")
    _add_data(cmd)
    cmd.add_argument("--net", choices=list(NETS), default="small_cnn")
    _add_training(cmd, epochs=12, learning_rate=0.05)
    _add_strategy(cmd)

    cmd = command("finetune", commands.finetune, "finetune a model with a method")
    cmd.add_argument("model", help="a .keras file")
    cmd.add_argument("--method", choices=list(METHODS), default="feature_map_augmentation")
    cmd.add_argument(
        "--augment",
        default="combined",
        help="combined (alternating Combined+ and Combined-), a name from Table 1 (B+ B- GB GN SAP "
        f"S+ S-), fgsm, or one of: {', '.join(AUGMENTS)}, optionally with a strength: jpeg=10; "
        "default: %(default)s",
    )
    cmd.add_argument(
        "--strengths", help="file of calibrated strengths; default: Table 1 for CIFAR-10"
    )
    cmd.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the method, such as gamma=0.1; repeatable",
    )
    _add_data(cmd)
    _add_training(cmd, epochs=6, learning_rate=0.05)
    _add_strategy(cmd)

    cmd = command("tune", commands.tune, "search for the best hyper-parameters of a method")
    cmd.add_argument("model", help="a .keras file")
    cmd.add_argument("--method", choices=list(METHODS), default="feature_map_augmentation")
    cmd.add_argument("--augment", default="combined", help="as for finetune; default: %(default)s")
    cmd.add_argument(
        "--strengths", help="file of calibrated strengths; default: Table 1 for CIFAR-10"
    )
    cmd.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the method that is fixed in all trials; repeatable",
    )
    cmd.add_argument(
        "--range",
        dest="ranges",
        action="append",
        default=[],
        metavar="NAME[=START,END,POINTS[,log]]",
        help="search range, such as gamma=0.01,1,5,log, or strength=0.01,1,4,log for that of the "
        "augmentation; a name alone takes the papers' range; repeatable; default: the papers' "
        "ranges for the method's weights",
    )
    cmd.add_argument("--tuner", choices=["grid", "random", "hyperband", "bayesian"], default="grid")
    cmd.add_argument(
        "--trials",
        type=_integer(1),
        help="maximum number of trials; default: the whole grid, all Hyperband brackets, else 10",
    )
    cmd.add_argument(
        "--conditions",
        choices=["table_1", "held_out"],
        default="table_1",
        help="robust accuracy is the mean over Table 1 and its combinations, or over the four "
        "held-out corruptions of the benchmark; default: %(default)s",
    )
    cmd.add_argument("--clean-floor", type=float, help="minimum clean accuracy, such as 0.95")
    cmd.add_argument(
        "--clean-drop",
        type=float,
        help="maximum drop in clean accuracy from the initial model; default: 0.02",
    )
    cmd.add_argument("--objective", help="rank by another logged metric instead, such as val_loss")
    _add_data(cmd)
    _add_training(cmd, epochs=6, learning_rate=0.05)

    cmd = command("reproduce", commands.reproduce, "run a published experiment", seeded=False)
    cmd.add_argument("name", metavar="NAME", help="an experiment of `tfrobust list experiments`")
    cmd.add_argument(
        "--setting",
        choices=["full", "small", "quick"],
        default="small",
        help="full is the paper's, small suits two CPU cores, quick is a smoke test of a minute or "
        "two; default: %(default)s",
    )
    cmd.add_argument(
        "--quick", dest="setting", action="store_const", const="quick", help="--setting quick"
    )
    cmd.add_argument(
        "--describe", action="store_true", help="describe the experiment without running it"
    )
    cmd.add_argument("--out", help="output folder; default: runs/NAME-SETTING")
    cmd.add_argument("--data-dir", help="folder of the data set")
    cmd.add_argument("--dataset", choices=list(DATASETS), help="override the data set")
    cmd.add_argument("--net", choices=list(NETS), help="override the net")
    cmd.add_argument("--weights", help="file of pretrained weights to start from")
    cmd.add_argument("--seeds", nargs="+", type=_integer(0), help="training seeds")
    cmd.add_argument("--lines", nargs="+", metavar="LINE", help="models to train; default: all")
    _add_strategy(cmd, machines=False)
    cmd.add_argument(
        "--set",
        dest="numbers",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="override an experiment-specific value; separate several values by commas",
    )

    cmd = command(
        "calibrate",
        commands.calibrate,
        "calibrate the strength of each augmentation to a target drop in accuracy",
    )
    cmd.add_argument("model", help="a .keras file")
    _add_data(cmd)
    cmd.add_argument(
        "--drop", type=float, default=0.10, help="target drop in accuracy; default: 0.10"
    )
    cmd.add_argument(
        "--blur-kernel-size",
        type=_integer(1),
        default=3,
        help="odd, in pixels; default: 3 (Table 1)",
    )
    cmd.add_argument("--out", required=True, help="output file: strengths.json")

    cmd = command(
        "evaluate", commands.evaluate, "evaluate the robustness of models and write a report"
    )
    cmd.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help=".keras files or SavedModel folders; the others are compared with the first",
    )
    _add_data(cmd)
    cmd.add_argument("--split", choices=["validation", "test"], default="test")
    cmd.add_argument(
        "--corruptions",
        nargs="+",
        default=[],
        metavar="NAME",
        help="test (the 15 of the benchmark), noise, blur, weather, digital, without_noise, "
        "held_out, all, or names; default: test if no other condition is given",
    )
    cmd.add_argument(
        "--severities", nargs="+", type=int, choices=range(1, 6), default=[1, 2, 3, 4, 5]
    )
    _add_corruption(cmd)
    cmd.add_argument(
        "--published",
        choices=["cifar10_c", "cifar100_c", "imagenet_c", "tiny_imagenet_c"],
        help="read the corrupted images from the published files instead of generating them",
    )
    cmd.add_argument("--published-dir", metavar="FOLDER", help="folder of these files")
    cmd.add_argument(
        "--augment",
        nargs="+",
        default=[],
        metavar="NAME",
        help="table_1, combinations, stability_practical, or names with a strength: jpeg=10",
    )
    cmd.add_argument(
        "--strengths", help="file of calibrated strengths for Table 1 and its combinations"
    )
    cmd.add_argument(
        "--sweep",
        nargs="+",
        default=[],
        metavar="NAME=S,S,...",
        help="one augmentation at several strengths: gaussian_noise=0.05,0.1,0.2",
    )
    cmd.add_argument(
        "--attacks",
        nargs="+",
        choices=["FGSM", "PGD", "spatial"],
        default=[],
        help="needs .keras files",
    )
    cmd.add_argument(
        "--perturbations",
        nargs="+",
        default=[],
        metavar="NAME",
        help="measure flip probabilities on perturbation sequences: all (the 10 of the benchmark), "
        "or names such as gaussian_noise, translate, tilt",
    )
    cmd.add_argument(
        "--maps",
        type=_integer(0),
        default=0,
        metavar="N",
        help="show the per-pixel utility and sensitivity of N images (FCL); default: 0",
    )
    cmd.add_argument(
        "--baseline",
        help="baseline that normalises corruption errors: alexnet, tiny_imagenet_resnet18, or a "
        "rows file; default: none",
    )
    cmd.add_argument(
        "--outputs",
        nargs="+",
        default=[],
        metavar="CLASS",
        help="model outputs that are the classes of the data set: imagenet_r or indices",
    )
    cmd.add_argument(
        "--allow-chance-accuracy",
        action="store_true",
        help="evaluate models whose clean accuracy is near chance, too",
    )
    cmd.add_argument(
        "--out",
        default="runs/evaluation",
        help="output folder; results that it already holds are reused; default: %(default)s",
    )
    _add_resume(cmd)

    cmd = command("preview", commands.preview, "preview augmentations on images (PNG)")
    _add_data(cmd)
    cmd.add_argument(
        "--images", nargs="+", metavar="FILE", help="image files to use instead of a data set"
    )
    cmd.add_argument(
        "--augment",
        nargs="+",
        default=["table_1", "combinations"],
        metavar="NAME",
        help="table_1, combinations (Combined+ and Combined-), stability_practical, or one of: "
        f"{', '.join(AUGMENTS)}; optionally with a strength: jpeg=10, or rotation=0,45 to draw "
        "it from a range; default: table_1 combinations",
    )
    cmd.add_argument("--examples", type=_integer(1), default=4, help="number of images; default: 4")
    cmd.add_argument("--draws", type=_integer(1), default=1, help="draws of each; default: 1")
    cmd.add_argument("--out", default="preview.png", help="output file; default: %(default)s")

    cmd = command(
        "corrupt", commands.corrupt, "write a corrupted test set in the CIFAR-10-C layout"
    )
    _add_data(cmd)
    cmd.add_argument("--split", choices=["validation", "test"], default="test")
    cmd.add_argument(
        "--corruptions",
        nargs="+",
        choices=list(CORRUPTIONS),
        metavar="NAME",
        help=f"default: all of {', '.join(CORRUPTIONS)}",
    )
    _add_corruption(cmd)
    cmd.add_argument("--out", required=True, help="output folder; an interrupted run is resumed")

    cmd = command("datasets", commands.datasets, "list the data sets or download one", seeded=False)
    cmd.add_argument(
        "action", nargs="?", choices=["list", "prepare"], default="list", help="default: list"
    )
    cmd.add_argument("names", nargs="*", metavar="NAME", help="data sets; default for list: all")
    cmd.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help="folder of TensorFlow Datasets, or of the data set's own files; default: from "
        "TFDS_DATA_DIR and TFROBUST_DATA_DIR",
    )

    cmd = command(
        "export", commands.export, "write a SavedModel, .tflite or .onnx file", seeded=False
    )
    cmd.add_argument("model", help="a .keras file")
    cmd.add_argument(
        "out", help="output folder, such as savedmodels/mine, or a .tflite or .onnx file"
    )
    names = cmd.add_mutually_exclusive_group()
    names.add_argument("--class-names", nargs="+", metavar="NAME", help="name of each class")
    names.add_argument(
        "--class-names-of",
        choices=list(DATASETS),
        metavar="DATASET",
        help="take the class names from this data set, which the model card then names",
    )
    cmd.add_argument("--data-dir", metavar="FOLDER", help="folder of that data set")
    cmd.add_argument(
        "--version",
        type=_integer(1),
        metavar="N",
        help="write to OUT/N, as TensorFlow Serving expects",
    )
    cmd.add_argument(
        "--image-size",
        nargs=2,
        type=_integer(1),
        metavar=("H", "W"),
        help="image size for JPEG and PNG input; default: the net's",
    )
    cmd.add_argument(
        "--resize",
        type=_integer(1),
        metavar="PIXELS",
        help="shorter side of JPEG and PNG input before the centre crop, such as 256",
    )
    cmd.add_argument("--name", help="name in the model card; default: the folder's name")
    cmd.add_argument(
        "--rows", metavar="FILE", help="rows.jsonl with the model's results, for the model card"
    )
    cmd.add_argument(
        "--licence",
        default="not stated",
        metavar="TEXT",
        help="licence of the model, for the model card",
    )
    cmd.add_argument("--overwrite", action="store_true", help="overwrite existing files")
    cmd.add_argument(
        "--quantization",
        choices=["none", "float16", "int8"],
        help="quantization of a .tflite file; default: none",
    )
    cmd.add_argument(
        "--accuracy-on",
        choices=list(DATASETS),
        metavar="DATASET",
        help="for .tflite and .onnx files: measure the accuracy on the test images of this data "
        "set; int8 is calibrated on its training images",
    )

    cmd = command(
        "verify", commands.verify, "check a SavedModel against what was exported", seeded=False
    )
    cmd.add_argument("path", help="exported folder; of several versions the latest")
    cmd.add_argument(
        "--tolerance",
        type=_positive,
        default=1e-4,
        help="largest difference from the recorded outputs; default: %(default)s",
    )

    cmd = command("report", commands.report, "write report.html for a run", seeded=False)
    cmd.add_argument("run_folder", help="folder with rows.jsonl")
    cmd.add_argument("--out", help="output file; default: report.html in the run folder")
    cmd.add_argument(
        "--mixed-protocols",
        action="store_true",
        help="show models with different protocols side by side; the report says what differs",
    )

    cmd = command("list", commands.list_names, "list the registered names", seeded=False)
    cmd.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(REGISTRIES))
    cmd.add_argument(
        "--markdown", action="store_true", help="print Markdown tables, as in the README"
    )
    return root


def _add_data(cmd: argparse.ArgumentParser) -> None:
    cmd.add_argument(
        "--dataset",
        choices=list(DATASETS),
        default="digits",
        metavar="NAME",
        help="see `tfrobust datasets`; default: %(default)s",
    )
    cmd.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help="folder of TensorFlow Datasets, or of the data set's own files; default: from "
        "TFDS_DATA_DIR and TFROBUST_DATA_DIR",
    )
    cmd.add_argument(
        "--data-option",
        dest="data_options",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the data set, such as severity=5; repeatable",
    )


def _add_corruption(cmd: argparse.ArgumentParser) -> None:
    cmd.add_argument(
        "--table",
        type=int,
        choices=[32, 64, 224],
        help="severity table for images of another size",
    )
    cmd.add_argument(
        "--frost",
        metavar="FOLDER",
        help="folder with the photographs frost1 to frost5; default: those of the package "
        "imagecorruptions if installed, else a procedural texture, which is not comparable",
    )


def _add_training(cmd: argparse.ArgumentParser, *, epochs: int, learning_rate: float) -> None:
    cmd.add_argument("--epochs", type=_integer(1), default=epochs, help="default: %(default)s")
    cmd.add_argument(
        "--batch-size",
        type=_integer(1),
        default=64,
        help="global batch size; default: %(default)s",
    )
    cmd.add_argument(
        "--learning-rate",
        type=_positive,
        default=learning_rate,
        help="initial, for the global batch size; default: %(default)s",
    )
    cmd.add_argument("--out", required=True, help="output folder")
    _add_resume(cmd)


def _add_strategy(cmd: argparse.ArgumentParser, *, machines: bool = True) -> None:
    several = ["multiworker"] if machines else []
    named = " several machines named in TF_CONFIG (multiworker)," if machines else ""
    cmd.add_argument(
        "--strategy",
        choices=["none", "mirrored", *several, "tpu"],
        default="none",
        help=f"one device, all GPUs of this machine (mirrored),{named} or a TPU; "
        "default: %(default)s",
    )


def _add_resume(cmd: argparse.ArgumentParser) -> None:
    cmd.add_argument(
        "--resume",
        action="store_true",
        help="fail if the output folder holds no run to resume; without this option a run there is "
        "resumed, or else a new one started",
    )


def _integer(low: int) -> Any:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or value >= 2**31:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {low}; received {text!r}"
            )
        return value

    return parse


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0; received {text!r}")
    return value
