"""The library versions that a result may depend on."""

from __future__ import annotations

import platform

import keras
import numpy as np
import tensorflow as tf

from tfrobust.version import __version__


def library_versions() -> dict[str, str]:
    """Returns the versions of the libraries that a result may depend on, by name."""
    return {
        "tfrobust": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
