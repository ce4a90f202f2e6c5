"""A Bayesian oracle draws for a trial what it would have drawn in an undisturbed search."""

import keras_tuner
import numpy as np

from tfrobust.compat.keras_tuner import seed_proposal


def drawn(*trials, seed_each):
    """What an oracle draws for the last of some trials."""
    space = keras_tuner.HyperParameters()
    space.Float("gamma", 0, 1)
    oracle = keras_tuner.oracles.BayesianOptimizationOracle("val_loss", 5, hyperparameters=space)
    oracle.seed, values = 7, None
    oracle._random_state = np.random.RandomState(7)
    for trial in trials:
        if seed_each:
            seed_proposal(oracle, trial)
        values = oracle._random_state.uniform(size=3)
    return values.tolist()


def test_what_is_drawn_depends_on_the_trial_alone():
    assert drawn("0003", seed_each=True) == drawn("0002", "0003", seed_each=True)
    assert drawn("0003", seed_each=True) != drawn("0002", seed_each=True)
    assert drawn("0003", seed_each=False) != drawn("0002", "0003", seed_each=False)
