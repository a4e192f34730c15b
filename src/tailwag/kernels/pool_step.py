"""A pool of constant weight in one step: where arbitrage leaves it, coin out of it, cash into it and the fee, written in one pass.

At log price x over the first the pool holds coin e^((weight - 1) x) and cash e^(weight x) times what it held there.  The plain twin, for pools of any
rule, is NumPy's way in `sim/pool_state.py`: the same within rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.kernels.normal import exponential

__all__ = ["CASH_IN", "COIN_BEFORE", "COIN_OUT", "FEE", "REACHED", "STEP_ROWS", "WeightedCurve", "coin_along", "step_weighted"]

REACHED, COIN_BEFORE, COIN_OUT, CASH_IN, FEE, STEP_ROWS = range(6)
"""What a step writes, (paths,) each: log price after it, coin in the pool before it, coin out of it, cash into it, the fee on top in cash."""
TILE = 256

_stepping = njit(error_model="numpy", fastmath=False, cache=True, nogil=True)
_inside = njit(error_model="numpy", fastmath=False, forceinline=True)


class WeightedCurve(NamedTuple):
    """What a pool of constant weight holds at the first price: coin, cash in USD, and the share of its value that is coin."""

    coin: float
    cash_usd: float
    weight: float


@_stepping
def coin_along(curve: WeightedCurve, log_price: FloatArray, coin: FloatArray) -> None:
    """Write the coin in the pool at log prices, (n,)."""
    _held(curve.coin, curve.weight - 1.0, log_price, coin)


@_stepping
def step_weighted(
    curve: WeightedCurve,
    pool_log: FloatArray,
    log_price: FloatArray,
    fee_log: FloatArray,
    trades: BoolArray,
    fee_shares: tuple[float, float],
    rows: tuple[FloatArray, ...],
) -> None:
    """Write a step (STEP_ROWS arrays) of a pool at `pool_log` whose market went to `log_price`; it rests where nobody `trades`.

    `fee_shares`: the fee over the cash that a buyer pays in and a seller takes out.  Where the pool rests coin and cash are zero to the bit: both sides
    of the difference are then the same product.
    """
    scratch = np.empty((2, TILE))
    for start in range(0, log_price.size, TILE):
        stop = min(start + TILE, log_price.size)
        at, reached = pool_log[start:stop], rows[REACHED][start:stop]
        before, out, cash = rows[COIN_BEFORE][start:stop], rows[COIN_OUT][start:stop], rows[CASH_IN][start:stop]
        one, other = scratch[0][: stop - start], scratch[1][: stop - start]
        _reach(at, log_price[start:stop], fee_log[start:stop], trades[start:stop], reached)
        _held(curve.coin, curve.weight - 1.0, at, before)
        _held(curve.coin, curve.weight - 1.0, reached, one)
        _less(before, one, out)
        _held(curve.cash_usd, curve.weight, reached, one)
        _held(curve.cash_usd, curve.weight, at, other)
        _less(one, other, cash)
        _charge(fee_shares, cash, rows[FEE][start:stop])


# Each loop below is over few arrays, so that it becomes vector code; a tile of every row that they share stays in the nearest cache.


@_inside
def _reach(pool_log: FloatArray, log_price: FloatArray, fee_log: FloatArray, trades: BoolArray, reached: FloatArray) -> None:
    """As near to the market as the fee lets arbitrage pay, else where it was."""
    for path in range(reached.size):
        x, fee = log_price[path], fee_log[path]
        reached[path] = min(max(pool_log[path], x - fee), x + fee) if trades[path] else pool_log[path]


@_inside
def _held(at_start: float, power: float, log_price: FloatArray, amount: FloatArray) -> None:
    for path in range(amount.size):
        amount[path] = at_start * exponential(power * log_price[path])


@_inside
def _less(one: FloatArray, other: FloatArray, left: FloatArray) -> None:
    for path in range(left.size):
        left[path] = one[path] - other[path]


@_inside
def _charge(shares: tuple[float, float], cash_in: FloatArray, fee: FloatArray) -> None:
    for path in range(fee.size):
        fee[path] = (shares[0] if cash_in[path] > 0.0 else shares[1]) * cash_in[path]
