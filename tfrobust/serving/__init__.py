"""Models for serving: SavedModels that need TensorFlow alone."""

from tfrobust.serving.elsewhere import serve_elsewhere
from tfrobust.serving.export import check_target, export

__all__ = ["check_target", "export", "serve_elsewhere"]
