"""Says how far a long measurement is, and how long it will still take."""

from __future__ import annotations

import sys
from typing import Any, Optional

from tqdm import tqdm


class Progress(tqdm):
    """tqdm's bar on a terminal; a line for each step elsewhere, such as in a log.

    Args:
        total: Number of steps.
        what: What is measured.
        verbose: Whether anything is written.
        file: Where to; default: standard error, so that results can be piped.
    """

    def __init__(self, total: int, what: str, *, verbose: bool = True, file: Optional[Any] = None):
        file = sys.stderr if file is None else file
        super().__init__(
            total=total,
            desc=what,
            file=file,
            disable=not verbose,
            leave=file.isatty(),
            dynamic_ncols=True,
            mininterval=0,  # each step is shown: they take seconds
            smoothing=0,  # the time left is by the mean of all: steps take unlike times in turn
        )

    def step(self, name: str) -> None:
        """Says that a step is done."""
        self.set_postfix_str(name, refresh=False)
        self.update()

    def display(self, msg: Optional[str] = None, pos: Optional[int] = None) -> bool:
        """What tqdm calls to show the bar, also before the first step and, cleared, at the end."""
        if self.leave:
            return super().display(msg, pos)
        if self.n and msg is None:
            self.fp.write(f"{self}\n")
            self.fp.flush()
        return False
