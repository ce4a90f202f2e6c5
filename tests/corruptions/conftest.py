"""What the tests of corruptions share."""

import pytest


@pytest.fixture(autouse=True)
def seeded():
    """Nothing is seeded here, as it is elsewhere before each test.

    Corruptions draw from seeds of their own, and when TensorFlow's seed is set it forgets what it
    has prepared to run: every function is optimised anew, which takes most of a short test.
    """
