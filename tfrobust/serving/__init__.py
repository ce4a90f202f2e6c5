"""Export for serving: SavedModels that depend only on TensorFlow, TensorFlow Lite and ONNX."""

from tfrobust.files import latest_version
from tfrobust.serving.card import card_markdown, model_card
from tfrobust.serving.export import check_target, export
from tfrobust.serving.export_onnx import export_onnx
from tfrobust.serving.export_tflite import export_tflite
from tfrobust.serving.exported_file import ExportedFile
from tfrobust.serving.isolated import serve_isolated
from tfrobust.serving.verify import Verified, verify

__all__ = [
    "ExportedFile",
    "Verified",
    "card_markdown",
    "check_target",
    "export",
    "export_onnx",
    "export_tflite",
    "latest_version",
    "model_card",
    "serve_isolated",
    "verify",
]
