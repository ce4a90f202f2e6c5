"""What a measured number may depend on besides the model and the data."""

from __future__ import annotations

import platform

import keras
import numpy as np
import tensorflow as tf

from tfrobust.version import __version__


def library_versions() -> dict[str, str]:
    """Name of each library to its version, of those that a number may depend on."""
    return {
        "tfrobust": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
