"""Exports a model as one file, and measures what a quantization costs."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable, Mapping
from typing import Any, Optional

import keras

from tfrobust import datasets, files, serving
from tfrobust.evaluation import Evaluator, Predictor, corrupted
from tfrobust.evaluation.answers import answers
from tfrobust.evaluation.results_folder import Results
from tfrobust.nets.input_adapter import adapter_of
from tfrobust.reports.answer import described
from tfrobust.rows import Row
from tfrobust.serving import card
from tfrobust.serving.exported_file import ExportedFile

#: Points of robust accuracy that a quantization may cost without a warning.
MOST_LOST = 1.0


def export_file(
    model: keras.Model,
    path: files.PathLike,
    *,
    data: Optional[datasets.Data] = None,
    quantization: str = "none",
    licence: str = card.NOT_STATED,
    overwrite: bool = False,
    say: Callable[[str], Any] = print,
) -> ExportedFile:
    """Writes a `.tflite` or `.onnx` file and a card beside it, `NAME.tflite.md`.

    With data, accuracies are measured on the test images; of a quantized file also under the 15
    common corruptions at severity 3, beside the Keras model. If it loses more than `MOST_LOST`
    points there, it and its card warn.

    Args:
        model: A tfrobust method or any Keras classifier of images.
        path: File to write, ending in `.tflite` or `.onnx`.
        data: The data that the model is for; int8 is calibrated on their training images.
        quantization: As for `serving.export_tflite`.
        licence: Licence of the model, for the card.
        overwrite: Replace a file that stands there.
        say: Receives what was measured.

    Raises:
        FileExistsError: Something stands at `path`.
        ValueError: Something does not fit the model, or the file cannot be written.
    """
    options: dict[str, Any] = {"overwrite": overwrite}
    write: Any = serving.export_onnx
    if pathlib.Path(path).suffix == ".tflite":
        write, options["quantization"] = serving.export_tflite, quantization
    if data is not None:
        options["data"] = data.split("test")
        if quantization == "int8":
            options["calibration"] = data.split("train")
    exported: ExportedFile = write(model, path, **options)
    say(f"file: {exported.path}, {exported.bytes:,} bytes")
    if exported.images:
        say(
            f"compared with the Keras model on {exported.images:,} images: outputs differ by at "
            f"most {exported.largest_difference:.2g}, {exported.agreement:.1%} get the same class"
        )
    if exported.accuracy is not None:
        say(f"accuracy: {exported.accuracy:.2%}; of the Keras model: {exported.keras_accuracy:.2%}")
    rows: list[Row] = []
    cost = None
    if data is not None and quantization != "none":
        try:
            rows, cost = _cost(model, exported.path, data)
        except ValueError as error:  # the corruptions are not defined on such images
            say(f"robust accuracy was not measured: {error}")
    if cost is not None:
        for sentence in sentences(cost):
            say(sentence)
    names = None if data is None else data.class_names
    about = card.model_card(
        model,
        name=exported.path.name,
        dataset=None if data is None else data.name,
        class_names=names,
        licence=licence,
    )
    if cost is not None:
        about["numbers"] = card.numbers(rows)
        about["quantized"] = {"as": quantization, "sentences": sentences(cost)}
    with files.replacing(exported.path.with_name(f"{exported.path.name}.md")) as temporary:
        temporary.write_bytes(card.card_markdown(about).encode())
    return exported


def sentences(cost: Mapping[str, Any]) -> list[str]:
    """What a quantization costs, in words, from the record of the file in `evaluation.answers`."""
    gained, low, high = (
        100 * cost[name] for name in ("difference", "difference_low", "difference_high")
    )
    found = [
        f"robust accuracy ({described(cost['conditions'])}): {100 * cost['accuracy']:.1f}%, "
        f"{gained:+.1f} points against the Keras model (95% interval {low:+.1f} to {high:+.1f})"
    ]
    if gained < -MOST_LOST:
        found.append(
            f"warning: the quantization costs {-gained:.1f} points of robust accuracy, more than "
            f"{MOST_LOST:g}; float16 costs less"
        )
    return found


def _cost(
    model: keras.Model, path: pathlib.Path, data: datasets.Data
) -> tuple[list[Row], dict[str, Any]]:
    """The rows of the file, and its record under the corruptions against the Keras model."""
    adapter, evaluator = adapter_of(model), Evaluator(corrupted(severities=[3]))
    taken = None if adapter is None else adapter.input_range
    measured = {
        "Keras model": Predictor(model),
        path.name: Predictor(path, input_range=taken),
    }
    dataset, rows = f"{data.name}/test", []
    with tempfile.TemporaryDirectory() as folder:
        for name, predictor in measured.items():
            rows += evaluator.rows(predictor, data, model_name=name, out=folder, verbose=True)
        results = {name: Results(folder, name, dataset) for name in measured}
        found = answers(rows, results)
    of_file = [row for row in rows if row.model == path.name]
    record = next(one for one in found if (one["model"], one["kind"]) == (path.name, "corruptions"))
    return of_file, record
