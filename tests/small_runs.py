"""Fixtures that make recipes and commands quick; the folders of their tests import them."""

import importlib

import pytest

from tfrobust import augment
from tfrobust.augment import presets


@pytest.fixture(scope="session")
def made_digits():
    return []


@pytest.fixture
def small_job(small_job, made_digits, monkeypatch):
    """As in tests/conftest.py, its digits made once: a run loads them for each of its steps."""
    module = importlib.import_module("tfrobust.datasets.digits")
    if not made_digits:
        made_digits.append(module.digits())
    monkeypatch.setattr(module, "digits", lambda: made_digits[0])


@pytest.fixture
def few_augmentations(monkeypatch):
    """Three augmentations of Table 1 in place of seven, and combinations of two of them.

    Most of what finetuning and measuring take on few images is tracing them.
    """
    table_1 = presets.table_1

    def three(column="cifar10"):
        return {name: table_1(column)[name] for name in ("B+", "B-", "GB")}

    for module in (presets, augment):
        monkeypatch.setattr(module, "table_1", three)
    pairs = {"Combined+": ("B+", "GB"), "Combined-": ("B-", "GB")}
    monkeypatch.setattr(presets, "COMBINATIONS", pairs)
    return ["clean", "B+", "B-", "GB", "Combined+", "Combined-"]
