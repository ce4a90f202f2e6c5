"""Fixtures of the corruptions' tests."""

import pytest


@pytest.fixture(autouse=True)
def seeded():
    """Overrides the seeding before each test, which is not needed here.

    Corruptions draw from seeds of their own, and when TensorFlow's seed is set it forgets what it
    has prepared to run: every function is optimised anew, which takes most of a short test.
    """
