"""Small recipes."""

from tests.small_runs import few_augmentations, made_digits, small_job  # noqa: F401
