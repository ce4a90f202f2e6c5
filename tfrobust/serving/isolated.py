"""Serving in a process without tfrobust."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from tfrobust import files

_PROBE = pathlib.Path(__file__).with_name("probe.py")


def serve_isolated(path: files.PathLike, images: np.ndarray) -> np.ndarray:
    """Serves a SavedModel once, in a new process that cannot import tfrobust.

    Args:
        path: A SavedModel written by `export`.
        images: [B, H, W, C] float32 in [0, 1].

    Returns:
        The logits that the other process computed, [B, classes].

    Raises:
        RuntimeError: The other process failed; the message ends with the end of its error output.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, returned = pathlib.Path(folder, "images.npy"), pathlib.Path(folder, "logits.npy")
        np.save(given, np.asarray(images, "float32"))
        # -I: modules are searched for neither in the current folder nor on PYTHONPATH.
        command = [sys.executable, "-I", str(_PROBE), str(path), str(given), str(returned)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"serving {path} in another process failed: {done.stderr[-500:]}")
        logits: np.ndarray = np.load(returned, allow_pickle=False)
    return logits
