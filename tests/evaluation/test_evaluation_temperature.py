"""Temperature scaling against SciPy, and where it must change nothing."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special

from tfrobust.evaluation import expected_calibration_error, fit_temperature


def overconfident(factor=3.0, count=600):
    """Logits that are `factor` times those of which the labels are drawn."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, [count, 5])
    labels = np.array([random.choice(5, p=p) for p in scipy.special.softmax(logits, axis=1)])
    return labels, factor * logits


@pytest.mark.parametrize("factor", [0.2, 3.0, 30.0])
def test_temperature_is_the_minimum_of_the_loss(factor):
    labels, logits = overconfident(factor)

    def loss(log_t):
        rows = scipy.special.log_softmax(logits / np.exp(log_t), axis=1)
        return -rows[np.arange(len(labels)), labels].mean()

    best = scipy.optimize.minimize_scalar(loss, bounds=(-4, 4), method="bounded")
    found = fit_temperature(labels, logits)
    np.testing.assert_allclose(found.temperature, np.exp(best.x), rtol=1e-3)
    assert abs(found.temperature / factor - 1) < 0.2
    before = expected_calibration_error(labels, logits, from_logits=True)
    assert found.before == before and found.after < before and found.n == 600
    assert f"temperature {found.temperature:.3f}" in found.words


def test_nothing_changes_where_the_halves_show_no_gain():
    """Labels without any relation to the logits beyond chance in the other half."""
    found = fit_temperature([0, 1, 0, 1], [[2.0, 0.0], [2.0, 0.0]] * 2)
    assert found.temperature == 1 and found.after == found.before
    assert "nothing is changed" in found.words


def test_all_right_goes_to_the_end_of_the_range():
    found = fit_temperature([0, 1] * 3, [[1.0, 0.0], [0.0, 1.0]] * 3)
    np.testing.assert_allclose(found.temperature, 1e-3)
    assert found.after < 1e-6 < found.before


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="2 images or more and finite logits; received 1"):
        fit_temperature([0], [[1.0, 0.0]])
    with pytest.raises(ValueError, match="received 2 images and 1 infinite"):
        fit_temperature([0, 1], [[np.inf, 0.0], [0.0, 1.0]])
