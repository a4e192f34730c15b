"""Black-76 on a forward: price and eleven greeks of a whole chain, in USD and in coin.

All of them follow from one exponential, one logarithm and two values of Mills' ratio R = Q/phi per option:

    out-of-the-money price = F phi(d1) (R(a - w/2) - R(a + w/2)),   w = vol sqrt(years),  a = |ln(F/K)|/w

which keeps full relative accuracy where the textbook difference F N(d1) - K N(d2) has none left (far wings, one second to expiry).

Domain: right +1 (call) or -1 (put), forward and strike positive, years and vol zero or more. Outside it every number of that row is NaN,
never a plausible value (callers mask such rows, with a reason). Where years = 0 or vol = 0 the limits stand: price = intrinsic value,
delta = 0 or 1 (one half at the money), every other USD greek 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.black_blocks import greeks_kernel
from tailwag.kernels.black_plain import black_greeks_plain, black_price_plain, coin_greeks_plain

__all__ = [
    "COIN_GREEKS",
    "COMMON_GREEKS",
    "GREEKS",
    "as_columns",
    "black_greeks",
    "black_greeks_plain",
    "black_price",
    "black_price_plain",
    "coin_greeks",
    "coin_greeks_plain",
    "common_greeks",
]

GREEKS = ("price", "delta", "gamma", "vega", "theta", "rho", "vanna", "charm", "vomma", "speed", "zomma", "colour")
"""Rows of :func:`black_greeks`: per 1.00 of vol and per year; theta, charm, colour in calendar time; rho = -years * price."""
COMMON_GREEKS = ("price", "delta", "gamma", "vega", "theta", "vanna", "charm", "vomma")
"""Rows of :func:`common_greeks`."""
COIN_GREEKS = ("price_coin", "net_delta", *GREEKS[1:])
"""Rows of :func:`coin_greeks`: derivatives of price_coin = price/forward; net_delta = delta - price_coin, in coin."""
ARRAY, FLOAT64 = np.ndarray, np.dtype(np.float64)


def as_columns(*values: ArrayLike) -> list[FloatArray]:
    """Numbers, lists or arrays as contiguous float64 arrays (n,) of one length, copied only where they must be.

    >>> [column.tolist() for column in as_columns(1, [2.0, 3.0])]
    [[1.0, 1.0], [2.0, 3.0]]
    """
    ready = _ready(values)
    if ready is not None:
        return ready
    arrays = [np.asarray(value, dtype=np.float64) for value in values]
    sizes = {array.size for array in arrays if array.ndim}
    count = max(sizes - {1}, default=1) if 0 not in sizes else 0
    if any(array.ndim > 1 or array.size not in (1, count) for array in arrays):
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise InputError(f"expected numbers or one-dimensional arrays of one length, got shapes {shapes}; give one entry per option")
    columns = [np.ascontiguousarray(np.broadcast_to(array, (count,))) for array in arrays]
    return _alike(columns, sum(column.flags.writeable for column in columns))


def _ready(values: tuple[ArrayLike, ...]) -> list[FloatArray] | None:
    """The columns if they are that already, else None: a chain is priced in 10 us, so every us spent here shows."""
    if type(values[0]) is not ARRAY or values[0].ndim != 1:
        return None
    shape, writable = values[0].shape, 0
    for value in values:
        if type(value) is not ARRAY or value.dtype is not FLOAT64 or value.shape != shape:
            return None
        flags = value.flags
        if flags.carray:
            writable += 1
        elif not flags.c_contiguous or not flags.aligned:
            return None
    return _alike(list(values), writable)  # type: ignore[arg-type]


def _alike(columns: list[FloatArray], writable: int) -> list[FloatArray]:
    """All writable or all read-only: every other mixture would be compiled anew when it first came, for seconds."""
    if writable in (0, len(columns)):
        return columns
    seen = [column.view() for column in columns]
    for column in seen:
        column.flags.writeable = False
    return seen


def black_greeks(
    right: ArrayLike, forward_usd: ArrayLike, strike_usd: ArrayLike, years: ArrayLike, vol: ArrayLike, rate: ArrayLike = 0.0
) -> FloatArray:
    """Price and eleven greeks of each option, as a dealer who hedges with the forward sees them.

    Shape (12, n), rows as in :data:`GREEKS`; derivatives by forward, vol (per 1.00) and calendar time (per year). A `rate` discounts the
    price at a fixed forward by exp(-rate years); theta, charm and colour then also earn it. Source: Black 1976.

    >>> price, delta, gamma = black_greeks(+1, 60000, 65000, 30 / 365, 0.65)[:3, 0]
    >>> f"{price:.8f} {delta:.12f} {gamma:.10e}"
    '2559.74182777 0.368301172826 3.3718187179e-05'
    """
    side, forward, strike, left, sigma = as_columns(right, forward_usd, strike_usd, years, vol)
    greeks = np.empty((len(GREEKS), side.size))
    greeks_kernel(side, forward, strike, left, sigma, greeks)
    return _discounted(greeks, GREEKS, left, rate)


def common_greeks(
    right: ArrayLike, forward_usd: ArrayLike, strike_usd: ArrayLike, years: ArrayLike, vol: ArrayLike, rate: ArrayLike = 0.0
) -> FloatArray:
    """The price and the seven greeks that a hedge is made of, and no others: :func:`black_greeks` for less time.

    Shape (8, n), rows as in :data:`COMMON_GREEKS`; every figure has the very bits that :func:`black_greeks` gives it.

    >>> greeks = common_greeks(+1, 60000, 65000, 30 / 365, 0.65)
    >>> f"{greeks[COMMON_GREEKS.index('vega'), 0]:.8f}"
    '6484.97736973'
    """
    side, forward, strike, left, sigma = as_columns(right, forward_usd, strike_usd, years, vol)
    greeks = np.empty((len(COMMON_GREEKS), side.size))
    greeks_kernel(side, forward, strike, left, sigma, greeks)
    return _discounted(greeks, COMMON_GREEKS, left, rate)


def black_price(right: ArrayLike, forward_usd: ArrayLike, strike_usd: ArrayLike, years: ArrayLike, vol: ArrayLike) -> FloatArray:
    """Undiscounted Black-76 price in USD, shape (n,), to full relative accuracy out of the money.

    >>> black_price([+1, -1], 100.0, 100.0, 0.25, 0.2).round(6)
    array([3.987761, 3.987761])
    """
    price: FloatArray = black_greeks(right, forward_usd, strike_usd, years, vol)[0].copy()
    return price


def coin_greeks(
    right: ArrayLike, forward_usd: ArrayLike, strike_usd: ArrayLike, years: ArrayLike, vol: ArrayLike, rate: ArrayLike = 0.0
) -> FloatArray:
    """Price and greeks of each option in coin, as the holder of an inverse (coin-settled) contract books them.

    V = price/forward in coin; shape (13, n), rows as in :data:`COIN_GREEKS`: delta = dV/dF, gamma = d2V/dF2, and so on. net_delta =
    N(d1) - V = (K/F) N(d2) is the coin to sell against a long call: the premium's own delta is taken off. Source: docs/explanation/greeks-and-conventions.

    >>> greeks = coin_greeks([+1, -1], 60000, 65000, 30 / 365, 0.65)
    >>> greeks[COIN_GREEKS.index("net_delta")].round(12).tolist()
    [0.325638809029, -0.757694524304]
    """
    side, forward, strike, left, sigma = as_columns(right, forward_usd, strike_usd, years, vol)
    greeks = np.empty((len(COIN_GREEKS), side.size))
    greeks_kernel(side, forward, strike, left, sigma, greeks)
    return _discounted(greeks, COIN_GREEKS, left, rate)


def _discounted(greeks: FloatArray, names: tuple[str, ...], years: FloatArray, rate: Any) -> FloatArray:
    if type(rate) is float and rate == 0.0:
        return greeks
    earned: Any = np.asarray(rate, dtype=np.float64)
    for ageing, value in (("theta", names[0]), ("charm", "delta"), ("colour", "gamma")):
        if ageing in names:
            greeks[names.index(ageing)] += earned * greeks[names.index(value)]
    discounted: FloatArray = greeks * np.exp(-earned * years)
    return discounted
