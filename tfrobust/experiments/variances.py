"""Feature variances on the two routes of dual norms: Table 1 of the AugMax paper."""

from __future__ import annotations

from typing import Any, Optional

import keras

from tfrobust.experiments.tables import Column, PaperTable, metric, paper_table
from tfrobust.layers.dual_batch_normalization import DualBatchNormalization, mean_batch_variance
from tfrobust.layers.inner_layers import inner_layers
from tfrobust.rows import CLEAN, Row


def of_model(model: keras.Model, name: str, dataset: str, seed: int) -> list[Row]:
    """σ̄² of both routes of each dual norm, and their means; empty for a net without dual norms."""
    duals = [x for x in inner_layers(model) if isinstance(x, DualBatchNormalization)]
    found = {f"norm {i}": mean_batch_variance(dual) for i, dual in enumerate(duals)}
    if found:
        found["all"] = {
            route: sum(each[route] for each in found.values()) / len(duals)
            for route in ("clean", "auxiliary")
        }
    return [
        Row(name, dataset, CLEAN, 0.0, f"variance, {norm}, {route}", value, n=0, seed=seed)
        for norm, variances in found.items()
        for route, value in variances.items()
    ]


def table_1() -> PaperTable:
    """The paper's table; its layers cannot be identified, so ours are means over all of them."""
    columns = [
        metric("clean σ̄²", CLEAN, "variance, all, clean"),
        metric("auxiliary σ̄²", CLEAN, "variance, all, auxiliary"),
        Column("auxiliary above clean, %, mean over norms", _excess),
    ]
    return paper_table(
        "AugMax, Table 1",
        columns,
        "augmax_table1",
        unit="the units of the headings",
        digits=4,
        notes=("The printed numbers are means over the three layers of the paper's table.",),
        only=("AugMax-DuBN", "AugMax-DuBIN"),
    )


def _excess(own: Any, _: Any) -> Optional[float]:
    """Mean relative excess of the auxiliary over the clean variance, over the dual norms."""
    ratios = [
        own[CLEAN, 0.0, name.replace("clean", "auxiliary")] / value
        for (_c, _s, name), value in own.items()
        if name.startswith("variance, norm") and name.endswith("clean")
    ]
    return 100 * (sum(ratios) / len(ratios) - 1) if ratios else None
