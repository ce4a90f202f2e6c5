"""How robust a model is: metrics, and benchmarks that return result rows."""

from tfrobust.evaluation.benchmark import Evaluator, benchmark
from tfrobust.evaluation.metrics import accuracy, error, per_class_accuracy

__all__ = [
    "Evaluator",
    "accuracy",
    "benchmark",
    "error",
    "per_class_accuracy",
]
