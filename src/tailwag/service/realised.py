"""Realised volatility beside the loop gain: what the recorded index price has done over the last hour and the last day."""

from __future__ import annotations

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_YEAR

MARK_NS = 5 * NS_PER_MINUTE
OLDEST_NS = 10 * NS_PER_MINUTE
"""A price older than this says nothing about a mark."""
LEAST_SHARE = 0.75
"""Of a window's five-minute returns must be known."""
WINDOWS_NS = {"realised_vol_1h": NS_PER_HOUR, "realised_vol_24h": NS_PER_DAY}
DIGITS = 9


def realised_vols(times_ns: IntArray, spot_usd: FloatArray, window_ns: int) -> list[float | None]:
    """Realised vol per year (decimal) at each time, over the five-minute returns of the window before it; None where too few are known.

    At every five-minute mark of the clock (UTC) stands the last price at or before it, none where that is older than ten minutes.  A
    return joins two neighbouring marks that both have a price: a gap is left out and never bridged.  vol = sqrt(mean r^2 * marks a year)
    over the window's returns up to the last mark at or before the time, where at least 75 % of them are known.  So it does not depend on
    how often snapshots are taken.  Shapes: (n,), times ascending.

    >>> minute = 60_000_000_000
    >>> times = np.arange(0, 65 * minute, 5 * minute)
    >>> [None if vol is None else round(vol, 6) for vol in realised_vols(times, 100.0 * 1.001 ** np.arange(13), 60 * minute)][8:10]
    [None, 0.32406]
    """
    if not len(times_ns):
        return []
    first = int(times_ns[0]) // MARK_NS
    marks = np.arange(first, int(times_ns[-1]) // MARK_NS + 1, dtype=np.int64)
    squares, known = _squared_returns(marks * MARK_NS, times_ns, np.log(spot_usd))
    sums, counts = (np.concatenate([[0.0], np.cumsum(column)]) for column in (squares, known))
    last = times_ns // MARK_NS - first + 1  # returns up to the last mark at or before each time
    length = window_ns // MARK_NS
    start = np.maximum(last - length, 0)
    count = counts[last] - counts[start]
    vol = np.sqrt(np.maximum(sums[last] - sums[start], 0.0) / np.maximum(count, 1.0) * (NS_PER_YEAR / MARK_NS))
    enough = count >= LEAST_SHARE * length
    return [float(f"{value:.{DIGITS}g}") if fit else None for value, fit in zip(vol.tolist(), enough.tolist(), strict=True)]


def _squared_returns(marks_ns: IntArray, times_ns: IntArray, log_spot: FloatArray) -> tuple[FloatArray, BoolArray]:
    """By mark: the squared return from the mark before, 0 where it is not known, and whether it is."""
    place = np.searchsorted(times_ns, marks_ns, side="right") - 1
    there = place >= 0
    there &= marks_ns - times_ns[np.maximum(place, 0)] <= OLDEST_NS
    known = np.concatenate([[False], there[1:] & there[:-1]])
    returns = np.diff(log_spot[np.maximum(place, 0)], prepend=0.0)
    return np.where(known, returns**2, 0.0), known
