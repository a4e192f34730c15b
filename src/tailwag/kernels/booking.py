"""One step in one account for a block of paths: position, cash, and the profit by cause, written in one pass.

The plain twin is `tests/sim/booking_plain.py`: the same numbers to the bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray

__all__ = [
    "BOUGHT",
    "CASH",
    "FIGURES",
    "NO_OPTION",
    "PARTS",
    "PEAK",
    "POSITION",
    "TO_LIQUIDITY",
    "TO_VENUE",
    "TURNOVER",
    "Rates",
    "add_squared_gap",
    "book_paths",
    "row",
]

POSITION, CASH, BOUGHT, TURNOVER, PEAK, TO_VENUE, TO_LIQUIDITY, FIGURES = range(8)
"""Rows of what a step writes, (paths,) each: the account's figures, then cash that went to the venue and to liquidity providers."""
GAMMA_THETA, DELTA, VANNA, VEGA, EXECUTION, SPREAD, FEES, GAS, FUNDING, RESIDUAL, PARTS = range(11)
"""Rows of the profit by cause."""
VALUE, SPREAD_COST, FEES_COST, GAS_COST, FUNDING_COST, CARRIED, COSTS = range(7)
TILE = 256
NO_OPTION: tuple[FloatArray, ...] = (np.empty(0),) * 7

_booking = njit(error_model="numpy", fastmath=False, cache=True, nogil=True)
_inside = njit(error_model="numpy", fastmath=False, forceinline=True)


class Rates(NamedTuple):
    """What an account pays: spread (with its side) and fee as shares, gas a trade, funding of the step, and what is too little to be a trade."""

    half_spread_share: float
    side: float
    fee_share: float
    gas_usd: float
    funding: float
    dust_usd: float
    dust_share: float


def row(values: Any, paths: int) -> FloatArray:
    """The values as compiled code takes them: one number for each path, side by side; the array itself where it is so already."""
    if isinstance(values, np.ndarray) and values.shape == (paths,) and values.dtype == np.float64 and values.flags.carray:
        return values
    if isinstance(values, float):
        return np.full(paths, values)
    return np.array(np.broadcast_to(np.asarray(values, dtype=np.float64), (paths,)))


@_booking
def book_paths(
    before: tuple[FloatArray, ...],
    pnl_usd: FloatArray,
    trades: IntArray,
    fill: tuple[FloatArray, ...],
    prices_usd: tuple[FloatArray, ...],
    live: BoolArray,
    option: tuple[FloatArray, ...],
    rates: Rates,
    after: tuple[FloatArray, FloatArray, IntArray],
) -> None:
    """Write figures (FIGURES, paths), profit by cause (PARTS, paths) and trades after a step.

    `before` (paths,): position, cash, bought, turnover, peak; `fill`: USD, coin, the share that met the market; `prices_usd`: before, after, of the fill;
    `option`: delta, gamma and theta, vanna, vega, total, paid and fees in USD, or `NO_OPTION`.
    """
    scratch, has_option = np.empty((COSTS, TILE)), option[0].size > 0
    for start in range(0, live.size, TILE):
        here = (start, min(start + TILE, live.size))
        _trade(before, trades, fill, prices_usd, here, scratch, after)
        _charge(before[0], prices_usd[0], fill[2], live, here, rates, scratch, after)
        _settle(before, fill[0], here, scratch, after[0])
        _earn(before[0], fill[1], prices_usd, here, scratch, (pnl_usd, after[1]))
        if has_option:
            _add_option(option, here, scratch, pnl_usd, (after[0], after[1]))
        _sum(after[1][DELTA][here[0] : here[1]], pnl_usd[DELTA][here[0] : here[1]], scratch[CARRIED])


# Each loop below is over few arrays, so that it becomes vector code; a tile of every row that they share stays in the nearest cache.


@_inside
def _trade(
    before: tuple[FloatArray, ...],
    trades: IntArray,
    fill: tuple[FloatArray, ...],
    prices_usd: tuple[FloatArray, ...],
    here: tuple[int, int],
    scratch: FloatArray,
    after: tuple[FloatArray, FloatArray, IntArray],
) -> None:
    """Position, turnover and peak."""
    start, stop = here
    position, turnover, peak = before[0][start:stop], before[3][start:stop], before[4][start:stop]
    coin, fill_usd, spot, value = fill[1][start:stop], prices_usd[2][start:stop], prices_usd[1][start:stop], scratch[VALUE]
    owned, top, traded = after[0][POSITION][start:stop], after[0][PEAK][start:stop], after[0][TURNOVER][start:stop]
    for path in range(coin.size):
        value[path] = coin[path] * fill_usd[path]
    for path in range(coin.size):
        owned[path] = position[path] + coin[path]
    for path in range(coin.size):
        worth = abs(owned[path]) * spot[path]
        top[path] = worth if worth > peak[path] else peak[path]
    for path in range(coin.size):
        traded[path] = turnover[path] + abs(value[path])
    counted, were = after[2][start:stop], trades[start:stop]
    for path in range(coin.size):
        counted[path] = were[path]


@_inside
def _charge(
    position: FloatArray,
    spot_before_usd: FloatArray,
    open_share: FloatArray,
    live: BoolArray,
    here: tuple[int, int],
    rates: Rates,
    scratch: FloatArray,
    after: tuple[FloatArray, FloatArray, IntArray],
) -> None:
    """What the step costs, and whether there was a trade."""
    start, stop = here
    held, spot, share, trading = position[start:stop], spot_before_usd[start:stop], open_share[start:stop], live[start:stop]
    value, spread, fees, gas, funding = scratch[VALUE], scratch[SPREAD_COST], scratch[FEES_COST], scratch[GAS_COST], scratch[FUNDING_COST]
    top, counted = after[0][PEAK][start:stop], after[2][start:stop]
    for path in range(held.size):
        gas[path] = 1.0 if abs(value[path]) > rates.dust_usd + rates.dust_share * top[path] else 0.0
    for path in range(held.size):
        counted[path] += int(gas[path])
    for path in range(held.size):
        gas[path] *= rates.gas_usd
    for path in range(held.size):
        fees[path] = abs(value[path]) * share[path]
    for path in range(held.size):
        spread[path] = rates.half_spread_share * fees[path] * rates.side
        fees[path] = rates.fee_share * fees[path]
    for path in range(held.size):
        funding[path] = rates.funding * held[path] * spot[path] if trading[path] else 0.0


@_inside
def _settle(before: tuple[FloatArray, ...], fill_usd: FloatArray, here: tuple[int, int], scratch: FloatArray, figures: FloatArray) -> None:
    """Cash after the step, and who received it."""
    start, stop = here
    value, spread, fees, gas, funding = scratch[VALUE], scratch[SPREAD_COST], scratch[FEES_COST], scratch[GAS_COST], scratch[FUNDING_COST]
    cash, left = before[1][start:stop], figures[CASH][start:stop]
    for path in range(cash.size):
        left[path] = cash[path] - value[path] - spread[path] - fees[path] - gas[path] - funding[path]
    _sum(figures[BOUGHT][start:stop], before[2][start:stop], fill_usd[start:stop])
    _sum(figures[TO_VENUE][start:stop], fees, gas)
    liquidity = figures[TO_LIQUIDITY][start:stop]
    for path in range(cash.size):
        liquidity[path] = value[path] + spread[path] + funding[path]


@_inside
def _sum(total: FloatArray, one: FloatArray, other: FloatArray) -> None:
    for path in range(total.size):
        total[path] = one[path] + other[path]


@_inside
def _earn(
    position: FloatArray,
    fill_coin: FloatArray,
    prices_usd: tuple[FloatArray, ...],
    here: tuple[int, int],
    scratch: FloatArray,
    pnl_usd: tuple[FloatArray, FloatArray],
) -> None:
    """Profit by cause without options, before and after in ``pnl_usd``; what is carried waits for their delta."""
    start, stop = here
    held, coin, carried = position[start:stop], fill_coin[start:stop], scratch[CARRIED]
    spot_before, spot, filled = prices_usd[0][start:stop], prices_usd[1][start:stop], prices_usd[2][start:stop]
    for path in range(held.size):
        carried[path] = held[path] * (spot[path] - spot_before[path])
    executed, was = pnl_usd[1][EXECUTION][start:stop], pnl_usd[0][EXECUTION][start:stop]
    for path in range(held.size):
        executed[path] = was[path] + coin[path] * (spot[path] - filled[path])
    for cause, cost in ((SPREAD, SPREAD_COST), (FEES, FEES_COST), (GAS, GAS_COST), (FUNDING, FUNDING_COST)):
        paid, was, costs = pnl_usd[1][cause][start:stop], pnl_usd[0][cause][start:stop], scratch[cost]
        for path in range(held.size):
            paid[path] = was[path] - costs[path]
    for cause in (GAMMA_THETA, VANNA, VEGA, RESIDUAL):
        paid, was = pnl_usd[1][cause][start:stop], pnl_usd[0][cause][start:stop]
        for path in range(held.size):
            paid[path] = was[path]


@_inside
def _add_option(
    option: tuple[FloatArray, ...], here: tuple[int, int], scratch: FloatArray, pnl_usd: FloatArray, after: tuple[FloatArray, FloatArray]
) -> None:
    """What the options earned beside it; what their greeks do not explain is the residual."""
    start, stop = here
    delta, gamma_theta, vanna, vega = option[0][start:stop], option[1][start:stop], option[2][start:stop], option[3][start:stop]
    total, paid, managed = option[4][start:stop], option[5][start:stop], option[6][start:stop]
    left, carried, fees, explained = after[0][CASH][start:stop], scratch[CARRIED], scratch[FEES_COST], scratch[VALUE]
    for path in range(paid.size):
        left[path] += paid[path]
    for path in range(paid.size):
        carried[path] += delta[path]
    charged, was = after[1][FEES][start:stop], pnl_usd[FEES][start:stop]
    for path in range(paid.size):
        charged[path] = was[path] + (-fees[path] - managed[path])
    _sum(after[1][GAMMA_THETA][start:stop], pnl_usd[GAMMA_THETA][start:stop], gamma_theta)
    _sum(after[1][VANNA][start:stop], pnl_usd[VANNA][start:stop], vanna)
    _sum(after[1][VEGA][start:stop], pnl_usd[VEGA][start:stop], vega)
    for path in range(paid.size):
        explained[path] = delta[path] + gamma_theta[path] + vanna[path] + vega[path] - managed[path]
    rest, was = after[1][RESIDUAL][start:stop], pnl_usd[RESIDUAL][start:stop]
    for path in range(paid.size):
        rest[path] = was[path] + (total[path] - explained[path])


@_booking
def add_squared_gap(before: FloatArray, gap_usd: FloatArray, step_years: float, live: BoolArray, after: FloatArray) -> None:
    """Write what was there and the squared gap of the step where a path trades, (paths,)."""
    for path in range(live.size):
        gap = gap_usd[path]
        after[path] = before[path] + (gap * gap * step_years if live[path] else 0.0)
