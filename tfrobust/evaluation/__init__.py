"""Evaluation of robustness: metrics, and benchmarks that return result rows."""

from tfrobust.evaluation import strength
from tfrobust.evaluation.adaptation import Adapted, Prior, find_prior
from tfrobust.evaluation.baselines import BASELINES, FLIP_BASELINES
from tfrobust.evaluation.benchmark import Evaluator, benchmark
from tfrobust.evaluation.calibration_error import (
    ReliabilityCurve,
    aurra,
    expected_calibration_error,
    reliability_curve,
    rms_calibration_error,
)
from tfrobust.evaluation.condition import Condition
from tfrobust.evaluation.conditions import (
    attacked,
    augmented,
    corrupted,
    published,
    swept,
)
from tfrobust.evaluation.corruption_error import (
    collect_rows,
    corruption_errors,
    mean_corruption_error,
    robust_accuracy,
)
from tfrobust.evaluation.flips import flips
from tfrobust.evaluation.metrics import accuracy, error, per_class_accuracy
from tfrobust.evaluation.paired import AccuracyDifference, paired_bootstrap
from tfrobust.evaluation.predictor import Predictor
from tfrobust.evaluation.robustness_monitor import RobustnessMonitor
from tfrobust.evaluation.stability import (
    flip_probabilities,
    flip_probability,
    flip_rates,
    mean_flip_probability,
    mean_flip_rate,
)
from tfrobust.evaluation.summary import summary
from tfrobust.evaluation.temperature import Temperature, fit_temperature

__all__ = [
    "BASELINES",
    "FLIP_BASELINES",
    "AccuracyDifference",
    "Adapted",
    "Condition",
    "Evaluator",
    "Predictor",
    "Prior",
    "ReliabilityCurve",
    "RobustnessMonitor",
    "Temperature",
    "accuracy",
    "attacked",
    "augmented",
    "aurra",
    "benchmark",
    "collect_rows",
    "corrupted",
    "corruption_errors",
    "error",
    "expected_calibration_error",
    "find_prior",
    "fit_temperature",
    "flip_probabilities",
    "flip_probability",
    "flip_rates",
    "flips",
    "mean_corruption_error",
    "mean_flip_probability",
    "mean_flip_rate",
    "paired_bootstrap",
    "per_class_accuracy",
    "published",
    "reliability_curve",
    "rms_calibration_error",
    "robust_accuracy",
    "strength",
    "summary",
    "swept",
]
