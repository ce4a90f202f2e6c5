"""KerasTuner 1.4. Slow to import, and so imported only when a search starts."""

from __future__ import annotations

from typing import Any

import numpy as np


def seed_proposal(oracle: Any, trial_id: str) -> None:
    """Makes what a Bayesian oracle draws for a trial depend on the seed and the trial alone.

    It starts its search for the optimum from points of a private generator, made when the oracle
    is. Without this a resumed search, whose finished trials are not proposed again, starts from
    other points than an undisturbed one.

    Args:
        oracle: The oracle.
        trial_id: The number of the trial.
    """
    oracle._random_state = np.random.RandomState((oracle.seed + int(trial_id)) % 2**32)
