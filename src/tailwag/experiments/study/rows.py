"""Rows of a study: which have everything, and why the others have not."""

from __future__ import annotations

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.units import NS_PER_DAY, NS_PER_HOUR

HOUR_BLOCKS = 6


def kept_rows(demands: dict[str, BoolArray]) -> tuple[BoolArray, dict[str, int]]:
    """Rows that meet every demand, and how many the first unmet demand of each other row leaves out.

    >>> import numpy as np
    >>> kept_rows({"a": np.array([True, False, False]), "b": np.array([True, True, False])})
    (array([ True, False, False]), {'a': 2, 'b': 0})
    """
    kept = np.ones(next(iter(demands.values())).shape, dtype=np.bool_)
    left_out = {}
    for reason, met in demands.items():
        left_out[reason] = int((kept & ~met).sum())
        kept &= met
    return kept, left_out


def centred(values: FloatArray) -> FloatArray:
    """Values less their mean; nothing of nothing."""
    return values - values.mean() if values.size else values


def varies(values: FloatArray) -> bool:
    """Whether there are two different values: a column of one is the constant again."""
    return bool(values.size) and float(np.ptp(values)) > 0.0


def hour_block(time_ns: IntArray) -> IntArray:
    """Which of the six blocks of four hours of the day (UTC) a time lies in, 0 to 5."""
    return (time_ns // (24 // HOUR_BLOCKS * NS_PER_HOUR)) % HOUR_BLOCKS


def weekday(time_ns: IntArray) -> IntArray:
    """Day of the week (UTC), 0 for Monday.

    >>> import numpy as np
    >>> weekday(np.array([0, NS_PER_DAY])).tolist()
    [3, 4]
    """
    return (time_ns // NS_PER_DAY + 3) % 7


def weekend_share(start_ns: IntArray, hours: int) -> FloatArray:
    """Share of the ``hours`` from each time on that begin on a Saturday or Sunday (UTC)."""
    within = start_ns[:, None] + NS_PER_HOUR * np.arange(hours, dtype=np.int64)[None, :]
    share: FloatArray = (weekday(within) >= 5).mean(axis=1)
    return share
