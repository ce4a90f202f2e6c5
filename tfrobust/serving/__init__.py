"""Models for serving: SavedModels that need TensorFlow alone."""

from tfrobust.serving.card import card_markdown, model_card
from tfrobust.serving.elsewhere import serve_elsewhere
from tfrobust.serving.export import check_target, export
from tfrobust.serving.newest_version import newest_version
from tfrobust.serving.verify import Verified, verify

__all__ = [
    "Verified",
    "card_markdown",
    "check_target",
    "export",
    "model_card",
    "newest_version",
    "serve_elsewhere",
    "verify",
]
