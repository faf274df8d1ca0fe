"""Tables of measures as parts of an HTML page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..quality.measures import Measure

__all__ = ["Numbers", "mean_table", "table"]

Numbers: TypeAlias = Mapping[str, Mapping[str, float]]
"""By method, then by measure."""


def table(numbers: Numbers, measures: Sequence[Measure]) -> dict[str, Any] | None:
    """Rows of methods, columns of measures with the best marked; None without numbers.

    Columns come in the order of `measures`, which say how many digits they have and what is better.
    """
    columns = [m for m in measures if any(m.name in row for row in numbers.values())]
    if not columns:
        return None

    def cell(row: Mapping[str, float], measure: Measure) -> dict[str, Any]:
        if measure.name not in row:
            return {"text": "–", "best": False}
        text = _text(float(row[measure.name]), measure.digits)
        return {"text": text, "best": float(row[measure.name]) == best.get(measure.name)}

    best = {m.name: _best([row[m.name] for row in numbers.values() if m.name in row], m)
            for m in columns}  # fmt: skip
    return {
        "heads": [f"{m.name} {'↑' if m.larger_is_better else '↓'}" for m in columns],
        "rows": [
            {"name": name, "cells": [cell(row, m) for m in columns]}
            for name, row in numbers.items()
        ],
    }


def mean_table(scenes: Sequence[Numbers], measures: Sequence[Measure]) -> dict[str, Any] | None:
    """Means over the scenes, of what is known of every scene; None for a single scene."""
    if len(scenes) < 2:
        return None
    # A mean over other scenes than a neighbour's would be no comparison.
    methods = [m for m in scenes[0] if all(m in scene for scene in scenes)]
    means: dict[str, dict[str, float]] = {}
    for method in methods:
        rows = [scene[method] for scene in scenes]
        known = [measure for measure in rows[0] if all(measure in row for row in rows)]
        means[method] = {k: float(np.mean([row[k] for row in rows])) for k in known}
    return table(means, measures)


def _best(values: Sequence[float], measure: Measure) -> float | None:
    """Return the best of the values, if at least two of them are finite."""
    finite = [float(v) for v in values if math.isfinite(v)]
    if len(finite) < 2:
        return None
    return max(finite) if measure.larger_is_better else min(finite)


def _text(value: float, digits: int) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}f}".replace("-", "−")
