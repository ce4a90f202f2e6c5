"""Robust accuracy and corruption errors, the headline metrics of common-corruption benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Union

import numpy as np

from tfrobust import validation
from tfrobust.evaluation.baselines import BASELINE_TABLES, BASELINES, PUBLISHED_TABLES
from tfrobust.registries import (
    CORRUPTION_GROUPS,
    CORRUPTIONS,
    HELD_OUT_CORRUPTIONS,
    TEST_CORRUPTIONS,
)
from tfrobust.rows import CLEAN, Row

#: Number of severities of a corruption.
SEVERITIES = 5

#: Groups of corruptions that can be selected by name.
SELECTIONS: dict[str, tuple[str, ...]] = {
    "test": TEST_CORRUPTIONS,
    **CORRUPTION_GROUPS,
    "without_noise": tuple(
        name for name in TEST_CORRUPTIONS if name not in CORRUPTION_GROUPS["noise"]
    ),
    "held_out": tuple(HELD_OUT_CORRUPTIONS),
    "all": (*TEST_CORRUPTIONS, *HELD_OUT_CORRUPTIONS),
}

#: Numbers of one corruption: severities 1 to 5, or their mean.
Numbers = Union[float, Sequence[float], np.ndarray]
#: Results of one model: corruption to numbers, and "clean" to one number; or its result rows.
Results = Union[Mapping[str, Numbers], Iterable[Row]]


def robust_accuracy(
    results: Results,
    *,
    corruptions: Union[str, Sequence[str]] = "test",
    values: str = "accuracy",
) -> float:
    """Robust accuracy RA: the mean accuracy over corruptions and severities.

    RA = mean over c of mean over s of A_{s,c} (AugMax, arXiv:2110.13771, section 4.1; NoisyMix,
    arXiv:2202.01263). Clean images do not count.

    Args:
        results: Corruption to its five numbers, severity 1 to 5 (or to their mean, one number),
            fractions in [0, 1]; or the result rows of one model (see `collect_rows`).
        corruptions: Corruptions to average over: "test" (the 15 of the benchmark, the default);
            one of its groups "noise", "blur", "weather", "digital"; "without_noise" (the other 12,
            for models trained with noise); "all" (with the 4 held out); or names.
        values: Whether the numbers of a mapping are "accuracy" (the default) or "error". Rows are
            always accuracies.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: A corruption is unknown, missing or not five fractions.

    Example:

    >>> robust_accuracy({"fog": [1.0, 0.75, 0.5, 0.5, 0.25]}, corruptions=["fog"])
    0.6
    """
    names = select(corruptions)
    return float(np.mean(list(_means(results, values, names, wanted="accuracy").values())))


def corruption_errors(
    results: Results,
    baseline: Union[str, Results, None] = None,
    *,
    relative: bool = False,
    corruptions: Union[str, Sequence[str]] = "test",
    values: str = "accuracy",
) -> dict[str, float]:
    """Corruption errors CE: the errors under each corruption, divided by those of a baseline.

    CE_c = 100 · Σ_s E_{s,c} / Σ_s E^base_{s,c}, and the relative one
    100 · Σ_s (E_{s,c} − E_clean) / Σ_s (E^base_{s,c} − E^base_clean): Hendrycks and Dietterich
    2019 (arXiv:1903.12261), section 4. Without a baseline, 100 times the mean error
    (relative: minus the clean error). CIFAR-10-C and CIFAR-100-C have no customary baseline; there
    the plain mean is reported. Always state the baseline with the number.

    Args:
        results: Corruption to its five numbers, severity 1 to 5 (or to their mean, one number),
            fractions in [0, 1]; or the result rows of one model (see `collect_rows`). Relative
            errors also need "clean": one number, or one row.
        baseline: What to divide by: "alexnet" (for ImageNet-C), "tiny_imagenet_resnet18" (AugMax,
            for Tiny-ImageNet-C), results of your own net as above, or None (the default).
        relative: Whether to subtract the clean errors. Default: False.
        corruptions: As in `robust_accuracy`. Default: the 15 of the benchmark.
        values: Whether the numbers of mappings, also of the baseline, are "accuracy" (the default)
            or "error". Rows and named baselines need no such statement.

    Returns:
        Corruption to its error times 100, as published: 100 is as bad as the baseline.

    Raises:
        ValueError: A corruption or baseline is unknown, numbers are missing or not fractions, the
            baseline makes no errors to divide by, or rows are of another table of severities than
            the baseline (give its numbers, such as `BASELINES["alexnet"]`, to divide all the same).

    Example:

    >>> errors = {"fog": [0.1, 0.1, 0.2, 0.3, 0.3], "snow": 0.5}
    >>> baseline = {"fog": [0.2, 0.3, 0.4, 0.5, 0.6], "snow": 0.5}
    >>> corruption_errors(errors, baseline, corruptions=["fog", "snow"], values="error")
    {'fog': 50.0, 'snow': 100.0}
    """
    names = select(corruptions)
    needed = (*names, CLEAN) if relative else names
    results, baseline = _listed(results), _listed(baseline)
    check_tables(tables_of(results), baseline)
    errors = _means(results, values, needed)
    above = _above_clean(errors, names, relative)
    if baseline is not None:
        what = "the baseline"
        if isinstance(baseline, str):
            validation.check_choice("baseline", baseline, tuple(BASELINES))
            base = _means(BASELINES[baseline], "error", needed, f"{what} {baseline}")
        else:
            base = _means(baseline, values, needed, what)
        divisors = _above_clean(base, names, relative)
        for name, divisor in zip(names, divisors):
            if not divisor > 0:
                more = "more errors than on clean images" if relative else "errors"
                raise ValueError(
                    f"{what} must make {more} under {name}, or there is nothing to divide by; "
                    f"received a mean of {divisor:.4g}"
                )
        above = above / divisors
    return {name: float(100 * value) for name, value in zip(names, above)}


def mean_corruption_error(
    results: Results,
    baseline: Union[str, Results, None] = None,
    *,
    relative: bool = False,
    corruptions: Union[str, Sequence[str]] = "test",
    values: str = "accuracy",
) -> float:
    """Mean corruption error mCE: the mean of the corruption errors.

    mCE = mean over c of CE_c, a mean of ratios of sums: Hendrycks and Dietterich 2019
    (arXiv:1903.12261), section 4. Without a baseline, the mean error in percent, which is what
    CIFAR-10-C and CIFAR-100-C report.

    Args:
        results: As in `corruption_errors`.
        baseline: As in `corruption_errors`. Default: None.
        relative: Whether to subtract the clean errors, for the relative mCE. Default: False.
        corruptions: As in `robust_accuracy`. Default: the 15 of the benchmark.
        values: Whether the numbers of mappings are "accuracy" (the default) or "error".

    Returns:
        The mean times 100, as published: 100 is as bad as the baseline.

    Raises:
        ValueError: As in `corruption_errors`.

    Example:

    >>> mean_corruption_error(BASELINES["alexnet"], "alexnet", values="error")
    100.0
    """
    errors = corruption_errors(
        results, baseline, relative=relative, corruptions=corruptions, values=values
    )
    return float(np.mean(list(errors.values())))


def collect_rows(rows: Iterable[Row]) -> dict[str, Any]:
    """The accuracies of one model under the common corruptions, from its result rows.

    Rows of other metrics than "accuracy" are ignored. The others must agree in model, data set,
    number of images, seed and epoch, or the mean would be meaningless.

    Args:
        rows: Rows of metric "accuracy" with names of `tfrobust.corruptions.CORRUPTIONS` and
            severities 1 to 5, each once and all five of a corruption; also "clean", once.

    Returns:
        Corruption to five fractions, severity 1 to 5; "clean" to one.

    Raises:
        ValueError: There are no such rows, one is missing, duplicated or unknown, or they do not
            belong together.

    Example:

    >>> def row(severity, value):
    ...     return Row("net", "cifar10c", "fog", severity, "accuracy", value, n=100, seed=0)
    >>> collect_rows([row(5 - i, 0.5 + 0.1 * i) for i in range(5)])
    {'fog': [0.9, 0.8, 0.7, 0.6, 0.5]}
    """
    rows = list(rows)
    strangers = [row for row in rows if not isinstance(row, Row)]
    if strangers:
        raise ValueError(
            "results must be a mapping of corruption to numbers, or result rows; received "
            f"{strangers[0]!r:.80} among the rows"
        )
    rows = [row for row in rows if row.metric == "accuracy"]
    if not rows:
        raise ValueError("result rows of metric 'accuracy' are needed; received none")
    for field in ("model", "dataset", "n", "seed", "epoch"):
        found = {getattr(row, field): None for row in rows}
        if len(found) > 1:
            raise ValueError(
                f"result rows that are put together must have one {field}; received "
                f"{', '.join(repr(value) for value in found)}"
            )
    cells: dict[str, dict[Any, float]] = {}
    for row in rows:
        severities = (0,) if row.corruption == CLEAN else tuple(range(1, SEVERITIES + 1))
        if row.corruption != CLEAN:
            _check_known(row.corruption)
        if row.severity not in severities:
            raise ValueError(
                f"the severity of {row.corruption} must be "
                f"{'0' if row.corruption == CLEAN else 'a whole number from 1 to 5'}; received "
                f"{row.severity!r}"
            )
        cell = cells.setdefault(row.corruption, {})
        if row.severity in cell:
            raise ValueError(
                "each corruption and severity must stand in one result row; received two of "
                f"{row.corruption} at severity {row.severity:g}"
            )
        cell[row.severity] = row.value
    collected: dict[str, Any] = {}
    for name, cell in cells.items():
        if name == CLEAN:
            collected[name] = cell[0]
            continue
        missing = [str(s) for s in range(1, SEVERITIES + 1) if s not in cell]
        if missing:
            raise ValueError(
                f"result rows must hold severity 1 to 5 of {name}; received none of severity "
                f"{', '.join(missing)}"
            )
        collected[name] = [cell[s] for s in range(1, SEVERITIES + 1)]
    return collected


def tables_of(results: Union[Results, None]) -> set[int]:
    """The severity tables that result rows were measured with; none for a mapping.

    Args:
        results: Rows, or a mapping of numbers.
    """
    if results is None or isinstance(results, Mapping):
        return set()
    return tables_in(getattr(row, "protocol", None) for row in results)


def tables_in(protocols: Iterable[Any]) -> set[int]:
    """The severity tables named in protocols, by number or by published files."""
    said = [protocol or {} for protocol in protocols]
    found = [one.get("table", PUBLISHED_TABLES.get(one.get("files", ""))) for one in said]
    return {table for table in found if table is not None}


def check_tables(tables: set[int], baseline: Any) -> None:
    """Checks that numbers and baseline belong to the same table of severities.

    Args:
        tables: The tables of the numbers.
        baseline: Name of a baseline, result rows, or numbers without a table.

    Raises:
        ValueError: They differ.
    """
    if isinstance(baseline, str):
        theirs = {BASELINE_TABLES[baseline]} if baseline in BASELINE_TABLES else set()
    else:
        theirs = tables_of(baseline)
    others = sorted(tables - theirs)
    if theirs and others:
        name = f"baseline {baseline}" if isinstance(baseline, str) else "baseline"
        raise ValueError(
            "numbers must be of the same table of severities as those that they are divided by; "
            f"the {name} is of the table for {', '.join(map(str, sorted(theirs)))} pixels, and "
            f"the rows are of that for {', '.join(map(str, others))} (measure with "
            f"table={min(theirs)}, or divide by a net measured on the same images, or by none)"
        )


def _listed(results: Any) -> Any:
    """Rows as a list, which can be read twice."""
    whole = results is None or isinstance(results, (Mapping, str))
    return results if whole else list(results)


def select(corruptions: Union[str, Sequence[str]]) -> tuple[str, ...]:
    """Names of corruptions, from a key of `SELECTIONS`, or from names and such keys."""
    if isinstance(corruptions, str):
        validation.check_choice("corruptions", corruptions, tuple(SELECTIONS))
        return SELECTIONS[corruptions]
    names = [name for given in corruptions for name in SELECTIONS.get(given, (given,))]
    return check_each_once("corruptions", names, _check_known)


def check_each_once(
    what: str, names: Sequence[str], check: Callable[[str], object]
) -> tuple[str, ...]:
    """Checks that there are one or more names, each known (or `check` raises) and given once."""
    names = tuple(names)
    for name in names:
        check(name)
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"{what} must be one name or more, each once; received "
            f"{', '.join(names) if names else 'none'}"
        )
    return names


def check_complete(what: str, results: Mapping[str, object], needed: Sequence[str]) -> None:
    """Raises if results lack a name that is needed."""
    missing = [name for name in needed if name not in results]
    if missing:
        raise ValueError(
            f"{what} must hold {', '.join(needed)}; received none of {', '.join(missing)}"
        )


def _check_known(name: str) -> None:
    if name not in CORRUPTIONS:
        CORRUPTIONS[name]  # raises, and lists the valid ones


def _above_clean(errors: Mapping[str, float], names: tuple[str, ...], relative: bool) -> np.ndarray:
    return np.array([errors[name] - (errors[CLEAN] if relative else 0) for name in names])


def _means(
    results: Results,
    values: str,
    needed: tuple[str, ...],
    what: str = "the results",
    *,
    wanted: str = "error",
) -> dict[str, float]:
    """Checked mean error, or accuracy, of each corruption that is needed."""
    validation.check_choice("values", values, ("accuracy", "error"))
    if not isinstance(results, Mapping):
        results, values = collect_rows(results), "accuracy"
    for name in results:
        if name != CLEAN:
            _check_known(name)
    check_complete(what, results, needed)
    means = {}
    for name in needed:
        numbers = np.asarray(results[name], np.float64)
        if numbers.shape != () and (name == CLEAN or numbers.shape != (SEVERITIES,)):
            allowed = "one number" if name == CLEAN else "5 numbers, severity 1 to 5,"
            raise ValueError(
                f"{what} must hold {allowed} for {name}; received shape {numbers.shape}"
            )
        good = (numbers >= 0) & (numbers <= 1)  # false for NaN, too
        if not good.all():
            worst = numbers[~good][0]
            hint = " (divide percent by 100)" if 1 < worst <= 100 else ""
            raise ValueError(
                f"{what} must hold fractions in [0, 1] for {name}; received {worst:g}{hint}"
            )
        mean = float(np.mean(numbers))
        means[name] = mean if values == wanted else 1 - mean
    return means
