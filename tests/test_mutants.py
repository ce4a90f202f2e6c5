"""The mistakes of tools/mutants.py can still be made, and the tests that they name exist."""

from __future__ import annotations

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def mutations(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import mutations

    return mutations.MUTATIONS


def test_each_is_one_line_that_changes_the_code(mutations):
    for one in mutations:
        code = (ROOT / "tfrobust" / one.file).read_text(encoding="utf-8")
        assert code.count(one.before) == 1, one.name
        assert "\n" not in one.before + one.after, one.name
        changed = ast.parse(code.replace(one.before, one.after))
        assert ast.dump(changed) != ast.dump(ast.parse(code)), one.name


def test_each_names_tests_that_exist(mutations):
    assert len({one.name for one in mutations}) == len(mutations) >= 40
    for one in mutations:
        assert one.tests, one.name
        for name in one.tests.split():
            assert (ROOT / "tests" / name).exists(), f"{one.name}: {name}"


def test_none_is_named_within_another(mutations):
    """Pytest would run them in an order of its own, and the cheap ones are to come first."""
    for one in mutations:
        names = [pathlib.PurePath(name) for name in one.tests.split()]
        assert not any(a in b.parents for a in names for b in names), one.name
