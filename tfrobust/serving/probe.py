"""Script that serves a SavedModel once in a process that cannot import tfrobust.

Usage: python -I probe.py SAVED_MODEL IMAGES.npy LOGITS.npy
"""

import os
import sys

if __name__ == "__main__":
    sys.modules["tfrobust"] = None  # type: ignore[assignment]  # every import of it now fails
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import numpy as np
    import tensorflow as tf

    saved_model, images, logits = sys.argv[1:]
    serve = tf.saved_model.load(saved_model).signatures["serving_default"]
    outputs = serve(images=tf.constant(np.load(images, allow_pickle=False)))
    np.save(logits, outputs["logits"].numpy())
