"""Which of the two supported generations of Keras is installed."""

from __future__ import annotations

import keras

#: True with Keras 2.15, False with Keras 3.
KERAS_2 = keras.__version__.startswith("2.")
