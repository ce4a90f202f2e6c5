"""Which parameters of a test are tried in the quick tests."""

import pytest


def slow_unless(quick, values, several=False):
    """All values, of which those that are not `quick` are marked slow.

    One of each kind is quick: what a value has in common with others is seen there. With `several`
    a value is a tuple of several parameters.
    """
    values = list(values)
    assert all(one in values for one in quick), f"{quick} must be among {values}"
    return [
        value
        if value in quick
        else pytest.param(*(value if several else [value]), marks=pytest.mark.slow)
        for value in values
    ]
