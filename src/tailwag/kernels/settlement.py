"""Greeks while the settlement average is already running: they fade to nothing instead of blowing up at the strike.

Deribit settles on the mean index of the last 30 minutes. With a window W, time t left and running mean A of the part gone by,

    settlement = ((W - t) A + t M)/W,   M = mean index of the time left,   sd(settlement) = S vol sqrt(t^3/3)/W,

hence with d = (mean settlement - strike)/sd: delta = (t/W) N(d) and gamma = sqrt(3) phi(d) sqrt(t)/(S vol W), which goes to 0 with t.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.black import as_columns
from tailwag.kernels.black_plain import normal_cdf, normal_density


def averaged_greeks(
    right: ArrayLike,
    spot_usd: ArrayLike,
    strike_usd: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    running_average_usd: ArrayLike,
    window_years: ArrayLike,
) -> FloatArray:
    """Greeks by spot of an option inside its settlement window, (8, n) in the order of `NET_GREEKS`.

    `running_average_usd` is the mean index from the window's start until now (the venue's estimated delivery price). Valid for
    0 <= years < window_years, NaN outside. Theta and charm hold spot still while the average takes it up. At years = 0 the payoff is
    fixed and all greeks are 0. The time left is short, so M is taken as normal with an absolute vol of spot * vol: against a lognormal
    path that shifts d by vol sqrt(t/3) (1 + d^2)/2, a few thousandths at most. Source: docs/explanation/greeks-and-conventions.

    >>> window = 30 / (365 * 24 * 60)
    >>> averaged_greeks(+1, 1.0, 1.0, window / 3, 0.6, [0.995, 1.0, 1.005], window)[1].round(3)
    array([0.   , 0.167, 0.333])
    """
    rows = np.array(as_columns(right, spot_usd, strike_usd, years, vol, running_average_usd, window_years))
    side, spot, strike, left, sigma, average, window = rows
    inside = np.isfinite(rows).all(axis=0) & (np.abs(side) == 1.0) & (left >= 0.0) & (left < window)
    inside &= (spot > 0.0) & (strike > 0.0) & (average > 0.0) & (sigma >= 0.0)
    moving = inside & (left > 0.0) & (sigma > 0.0)
    result = np.full((8, side.size), np.nan)
    result[:, inside] = _fixed(rows[:, inside])
    result[:, moving] = _moving(rows[:, moving])
    return result


def _fixed(rows: FloatArray) -> FloatArray:
    """The limits where nothing is left to vary: payoff, its forward delta, and that delta's fading."""
    side, spot, strike, left, _, average, window = rows
    share = left / window
    away = side * ((1.0 - share) * average + share * spot - strike)
    exercised = np.where(away > 0.0, 1.0, np.where(away == 0.0, 0.5, 0.0)) * side * (left > 0.0)
    result = np.zeros((8, side.size))
    result[0], result[1], result[6] = np.maximum(away, 0.0), share * exercised, -exercised / window
    return result


def _moving(rows: FloatArray) -> FloatArray:
    side, spot, strike, left, sigma, average, window = rows
    share = left / window
    sd_usd = spot * sigma * np.sqrt(left / 3.0) * share
    away = (1.0 - share) * average + share * spot - strike
    d = away / sd_usd
    density, exercised = normal_density(d), side * normal_cdf(side * d)
    ageing = 1.5 / left  # the relative rate at which the sd falls
    return np.array(
        [
            np.maximum(away * exercised + sd_usd * density, 0.0),
            share * exercised,
            share**2 * density / sd_usd,
            sd_usd * density / sigma,
            -ageing * sd_usd * density,
            -share * density * d / sigma,
            share * density * d * ageing - exercised / window,
            sd_usd * density * np.square(d / sigma),
        ]
    )
