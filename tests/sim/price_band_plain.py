"""The plain twin of `tailwag.kernels.price_band`: one array operation after another."""

from __future__ import annotations

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.kernels.price_band import SAME_TIME_YEARS, Times


def plain_edges(
    now_years: float, band_log: float, reference_log: FloatArray, until_years: FloatArray, scale_log: FloatArray
) -> tuple[BoolArray, FloatArray, FloatArray, FloatArray]:
    trading = ~(now_years <= until_years + SAME_TIME_YEARS)
    scale = np.minimum(scale_log, np.full(trading.shape, 0.25 * band_log))
    return trading, reference_log - band_log, reference_log + band_log, np.where(trading, scale, np.inf)


def plain_step(
    times: Times, band_log: float, late: bool, state: tuple[FloatArray, FloatArray, FloatArray], log_price: FloatArray, live: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]:
    """Reference, its time, end of the pause, and price and live paths as the agent inside sees them."""
    (reference_log, since_years, until_years), now = state, times.now
    was_paused = now <= until_years + SAME_TIME_YEARS
    met = live & ~was_paused & (np.abs(log_price - reference_log) >= band_log)
    stale = now - since_years >= times.window - SAME_TIME_YEARS
    reopens = (until_years > 0.0) & (now >= until_years - SAME_TIME_YEARS)
    renew = live & ~met & ~(was_paused & ~reopens) & (stale | reopens)
    until = np.where(met, now + times.pause, np.where(reopens, -1.0, until_years))
    rests = was_paused | met if late else was_paused
    seen = np.clip(log_price, reference_log - band_log, reference_log + band_log)
    return np.where(renew, log_price, reference_log), np.where(renew, now, since_years), until, seen, live & ~rests
