"""The versions that a number may depend on."""

from __future__ import annotations

import platform

import keras
import numpy as np
import tensorflow as tf

import tfrobust


def versions() -> dict[str, str]:
    """Name of each library to its version, of those that a number may depend on."""
    return {
        "tfrobust": tfrobust.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
