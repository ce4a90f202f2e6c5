"""Distributed search: KerasTuner's chief and workers."""

from __future__ import annotations

import os
import pathlib
import time

_VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
_TIMEOUT_SECONDS = 600.0


def role() -> str:
    """The role of this process in a search, from KerasTuner's environment variables.

    KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT are the address of the chief;
    KERASTUNER_TUNER_ID is the name of this process, which contains "chief" only for the chief.

    Returns:
        "chief", "worker", or "alone" if none of them is set.

    Raises:
        ValueError: Only some of them are set.
    """
    missing = [name for name in _VARIABLES if not os.environ.get(name)]
    if "KERASTUNER_ORACLE_IP" in missing:
        return "alone"
    if missing:
        raise ValueError(
            "a search in several processes needs the environment variables "
            f"{', '.join(_VARIABLES)}; {', '.join(missing)} is not set"
        )
    return "chief" if "chief" in os.environ["KERASTUNER_TUNER_ID"] else "worker"


def wait_for(path: pathlib.Path, *, seconds: float = _TIMEOUT_SECONDS) -> None:
    """Waits until the chief has written a file.

    Args:
        path: The file, in a folder that chief and workers share.
        seconds: Timeout.

    Raises:
        TimeoutError: The file does not exist by then.
    """
    end = time.monotonic() + seconds
    while not path.is_file():
        if time.monotonic() > end:
            raise TimeoutError(
                f"a worker waits for the chief to write {path}; it was not there after "
                f"{seconds:g} seconds (do chief and workers share the folder?)"
            )
        time.sleep(0.2)
