"""A search in several processes: KerasTuner's chief and workers."""

from __future__ import annotations

import os
import pathlib
import time

_NAMES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
_PATIENCE_SECONDS = 600.0


def role() -> str:
    """What this process is, by KerasTuner's environment variables.

    KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT say where the chief listens;
    KERASTUNER_TUNER_ID is the name of this process, and contains "chief" in the chief alone.

    Returns:
        "chief", "worker", or "alone" where none of them is set.

    Raises:
        ValueError: Only some of them are set.
    """
    missing = [name for name in _NAMES if not os.environ.get(name)]
    if "KERASTUNER_ORACLE_IP" in missing:
        return "alone"
    if missing:
        raise ValueError(
            "a search in several processes needs the environment variables "
            f"{', '.join(_NAMES)}; {', '.join(missing)} is not set"
        )
    return "chief" if "chief" in os.environ["KERASTUNER_TUNER_ID"] else "worker"


def wait_for(path: pathlib.Path, *, seconds: float = _PATIENCE_SECONDS) -> None:
    """Waits until the chief has written a file.

    Args:
        path: The file, in a folder that chief and workers share.
        seconds: How long.

    Raises:
        TimeoutError: It is not there by then.
    """
    end = time.monotonic() + seconds
    while not path.is_file():
        if time.monotonic() > end:
            raise TimeoutError(
                f"a worker waits for the chief to write {path}; it was not there after "
                f"{seconds:g} seconds (do chief and workers share the folder?)"
            )
        time.sleep(0.2)
