"""A price band on every path in one pass: where its edges are, who rests, and what a cleared step does to reference and pause.

The plain twin is `tests/sim/price_band_plain.py`: the same numbers to the bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray

__all__ = ["SAME_TIME_YEARS", "Times", "edges", "stepped"]

SAME_TIME_YEARS = 1e-12

_banding = njit(error_model="numpy", fastmath=False, cache=True, nogil=True)


class Times(NamedTuple):
    """In years: now, how long a reference holds, and how long a pause is."""

    now: float
    window: float
    pause: float


@_banding
def edges(
    now_years: float,
    band_log: float,
    reference_log: FloatArray,
    until_years: FloatArray,
    scale_log: FloatArray,
    after: tuple[BoolArray, FloatArray, FloatArray, FloatArray],
) -> bool:
    """Write where a path trades, the ends of its band, and over what distance its demand is smooth, (paths,); whether all of them trade."""
    trading, low, high, scale = after
    finest, resting = 0.25 * band_log, 0
    for path in range(reference_log.size):
        trades = now_years > until_years[path] + SAME_TIME_YEARS
        trading[path] = trades
        resting += not trades
    for path in range(reference_log.size):
        low[path] = reference_log[path] - band_log
        high[path] = reference_log[path] + band_log
    for path in range(reference_log.size):
        least = scale_log[path] if scale_log[path] < finest else finest
        scale[path] = least if trading[path] else np.inf
    return resting == 0


@_banding
def stepped(
    times: Times,
    band_log: float,
    late: bool,
    state: tuple[FloatArray, FloatArray, FloatArray],
    log_price: FloatArray,
    live: BoolArray,
    after: tuple[FloatArray, FloatArray, FloatArray],
    inner: tuple[FloatArray, BoolArray],
) -> bool:
    """Write reference, its time and the end of the pause after a step, and the price and the live paths that the agent inside sees, (paths,).

    `state`: reference, its time, end of the pause.  `late`: the agent's orders were sized before the step, so that it rests in the step that meets the
    band.  The answer: whether the agent inside sees anything but what everybody sees.
    """
    (reference_log, since_years, until_years), (reference, since, until), (seen, moving) = state, after, inner
    now, held, differs = times.now, times.window - SAME_TIME_YEARS, 0
    for path in range(live.size):
        anchor, price, end = reference_log[path], log_price[path], until_years[path]
        paused = now <= end + SAME_TIME_YEARS
        met = live[path] & (not paused) & (abs(price - anchor) >= band_log)
        reopens = (end > 0.0) & (now >= end - SAME_TIME_YEARS)
        renew = live[path] & (not met) & ((not paused) | reopens) & ((now - since_years[path] >= held) | reopens)
        until[path] = now + times.pause if met else (-1.0 if reopens else end)
        reference[path] = price if renew else anchor
        since[path] = now if renew else since_years[path]
        within = min(max(price, anchor - band_log), anchor + band_log)
        seen[path] = within
        moves = live[path] & (not (paused | (late & met)))
        moving[path] = moves
        differs += (within != price) | (moves != live[path])
    return differs > 0
