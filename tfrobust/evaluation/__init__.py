"""How robust a model is: metrics, and benchmarks that return result rows."""

from tfrobust.evaluation.benchmark import Evaluator, benchmark
from tfrobust.evaluation.corruption_error import (
    BASELINES,
    collect_rows,
    corruption_errors,
    mean_corruption_error,
    robust_accuracy,
)
from tfrobust.evaluation.metrics import accuracy, error, per_class_accuracy

__all__ = [
    "BASELINES",
    "Evaluator",
    "accuracy",
    "benchmark",
    "collect_rows",
    "corruption_errors",
    "error",
    "mean_corruption_error",
    "per_class_accuracy",
    "robust_accuracy",
]
