"""Sums that do not depend on the order of the rows: exactly rounded, so that permuted rows give the same bits."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from tailwag.kernels.arrays import FloatArray


def exact_sum(values: Any) -> float:
    """The sum of a column, correctly rounded, in whatever order the rows stand; nothing lost when huge terms cancel.

    >>> exact_sum(np.array([1e16, 1.0, -1e16])), exact_sum(np.array([]))
    (1.0, 0.0)

    A sum beyond the largest float is NaN (null in every output).  Source: Shewchuk 1997.
    """
    try:
        total = math.fsum(np.asarray(values, dtype=np.float64).tolist())
    except (OverflowError, ValueError):
        return math.nan
    return total if math.isfinite(total) else math.nan


def exact_sums_by(group: Any, columns: FloatArray, groups: int) -> FloatArray:
    """Correctly rounded sums of each column (c, n) within each group number (n,): shape (c, groups).

    >>> exact_sums_by(np.array([0, 1, 0]), np.array([[1.0, 2.0, 3.0]]), 2)
    array([[4., 2.]])
    """
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(np.asarray(group)[order], np.arange(groups + 1))
    totals = np.zeros((columns.shape[0], groups))
    parts = [slice(start, stop) for start, stop in itertools.pairwise(edges.tolist())]
    for column, values in enumerate(columns[:, order].tolist()):
        totals[column] = _sums(values, parts)
    return totals


def _sums(values: list[float], parts: list[slice]) -> FloatArray:
    """One exact sum for each part; the whole column is plain floats by now, which spares an array for each group."""
    try:
        sums = np.array([math.fsum(values[part]) for part in parts])
    except (OverflowError, ValueError):
        return np.array([exact_sum(values[part]) for part in parts])
    sums[~np.isfinite(sums)] = math.nan
    return sums
