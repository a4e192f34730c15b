"""The textbook formulas in plain NumPy: what the compiled kernels must agree with, and how to read them.

Away from the far wings and from years = 0 only: the differences here lose what `black` keeps.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tailwag.kernels.arrays import FloatArray

_erfc = np.frompyfunc(math.erfc, 1, 1)


def normal_cdf(x: ArrayLike) -> FloatArray:
    """N(x), by the error function of the standard library."""
    return np.asarray(0.5 * _erfc(-np.asarray(x, dtype=np.float64) / math.sqrt(2.0)), dtype=np.float64)


def normal_density(x: ArrayLike) -> FloatArray:
    """phi(x)."""
    return np.asarray(np.exp(-0.5 * np.square(x)) / math.sqrt(2.0 * math.pi), dtype=np.float64)


def _inputs(*values: ArrayLike) -> list[FloatArray]:
    return [np.asarray(v, dtype=np.float64) for v in np.broadcast_arrays(*(np.atleast_1d(v) for v in values))]


def black_price_plain(right: ArrayLike, forward_usd: ArrayLike, strike_usd: ArrayLike, years: ArrayLike, vol: ArrayLike) -> FloatArray:
    """right (F N(right d1) - K N(right d2))."""
    side, f, k, t, v = _inputs(right, forward_usd, strike_usd, years, vol)
    w = v * np.sqrt(t)
    d1 = np.log(f / k) / w + w / 2
    return side * (f * normal_cdf(side * d1) - k * normal_cdf(side * (d1 - w)))


def black_greeks_plain(right: ArrayLike, forward_usd: ArrayLike, strike_usd: ArrayLike, years: ArrayLike, vol: ArrayLike) -> FloatArray:
    """The twelve rows of `black_greeks` at rate 0."""
    side, f, k, t, v = _inputs(right, forward_usd, strike_usd, years, vol)
    price = black_price_plain(side, f, k, t, v)
    w = v * np.sqrt(t)
    d1 = np.log(f / k) / w + w / 2
    d2 = d1 - w
    n1 = normal_density(d1)
    gamma, vega, vanna = n1 / (f * w), f * n1 * np.sqrt(t), -n1 * d2 / v
    zomma = gamma * (d1 * d2 - 1) / v
    ageing = -v / (2 * t)
    rows = (
        *(price, side * normal_cdf(side * d1), gamma, vega, ageing * vega, -t * price, vanna, ageing * vanna),
        *(vega * d1 * d2 / v, -gamma / f * (d1 / w + 1), zomma, ageing * zomma),
    )
    return np.array(rows)


def coin_greeks_plain(right: ArrayLike, forward_usd: ArrayLike, strike_usd: ArrayLike, years: ArrayLike, vol: ArrayLike) -> FloatArray:
    """The thirteen rows of `coin_greeks`, each by the quotient rule on price/forward."""
    f, t = _inputs(right, forward_usd, strike_usd, years, vol)[1::2]
    price, delta, gamma, vega, theta, _, vanna, charm, vomma, speed, zomma, colour = black_greeks_plain(right, f, strike_usd, t, vol)
    first = (delta - price / f) / f
    second = (gamma - 2 * first) / f
    third = (speed - 3 * second) / f
    first_vol, first_time = (vanna - vega / f) / f, (charm - theta / f) / f
    second_vol, second_time = (zomma - 2 * first_vol) / f, (colour - 2 * first_time) / f
    rows = (
        *(price / f, delta - price / f, first, second, vega / f, theta / f, -t * price / f),
        *(first_vol, first_time, vomma / f, third, second_vol, second_time),
    )
    return np.array(rows)
