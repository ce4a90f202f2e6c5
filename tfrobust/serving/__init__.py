"""Models for serving: SavedModels that need TensorFlow alone, TensorFlow Lite and ONNX files."""

from tfrobust.serving.card import card_markdown, model_card
from tfrobust.serving.elsewhere import serve_elsewhere
from tfrobust.serving.export import check_target, export
from tfrobust.serving.export_onnx import export_onnx
from tfrobust.serving.export_tflite import export_tflite
from tfrobust.serving.exported_file import ExportedFile
from tfrobust.serving.newest_version import newest_version
from tfrobust.serving.verify import Verified, verify

__all__ = [
    "ExportedFile",
    "Verified",
    "card_markdown",
    "check_target",
    "export",
    "export_onnx",
    "export_tflite",
    "model_card",
    "newest_version",
    "serve_elsewhere",
    "verify",
]
