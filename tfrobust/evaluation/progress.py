"""Progress of a long measurement, with the remaining time."""

from __future__ import annotations

import sys
from typing import Any, Optional

from tqdm import tqdm


class Progress(tqdm):
    """A tqdm bar on a terminal, and one line per step elsewhere, for example in a log.

    Args:
        total: Number of steps.
        what: What is being measured.
        verbose: Whether to write anything.
        file: Output stream. Default: standard error, so that results can be piped.
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
            mininterval=0,  # show every step, which takes seconds
            smoothing=0,  # estimate from the mean of all steps, whose durations alternate
        )

    def step(self, name: str) -> None:
        """Reports that a step is done."""
        self.set_postfix_str(name, refresh=False)
        self.update()

    def display(self, msg: Optional[str] = None, pos: Optional[int] = None) -> bool:
        """Shows the bar; tqdm also calls it before the first step and, to clear it, at the end."""
        if self.leave:
            return super().display(msg, pos)
        if self.n and msg is None:
            self.fp.write(f"{self}\n")
            self.fp.flush()
        return False
