"""Says how far a long measurement is, and how long it will still take."""

from __future__ import annotations

import sys
import time
from typing import Any, Optional


class Progress:
    """One line that is written anew on a terminal, and one line per step elsewhere.

    Args:
        total: Number of steps.
        what: What is measured.
        stream: Where to; default: standard error, so that results can be piped.
    """

    def __init__(self, total: int, what: str, stream: Optional[Any] = None):
        self._total, self._what, self._done = total, what, 0
        self._stream = sys.stderr if stream is None else stream
        self._started = time.monotonic()

    def skip(self, steps: int) -> None:
        """Some steps need not be done: they were done before."""
        self._total -= steps

    def step(self, name: str) -> None:
        """Says that a step is done."""
        self._done += 1
        used = time.monotonic() - self._started
        left = used / self._done * (self._total - self._done)
        line = (
            f"{self._what} [{self._done:{len(str(self._total))}}/{self._total}] {name:24} "
            f"{_clock(used)}, {_clock(left)} left"
        )
        terminal = self._stream.isatty()
        end = "\n" if not terminal or self._done == self._total else ""
        self._stream.write(f"\r\x1b[K{line}{end}" if terminal else f"{line}{end}")
        self._stream.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
