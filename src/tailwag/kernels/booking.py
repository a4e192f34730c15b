"""One step in one account for a block of paths: position, cash, and the profit by cause, written in one pass.

Causes that cannot move in a step are not written at all: most accounts pay no funding and own no options.  The plain twin is `tests/sim/booking_plain.py`: the same numbers to the bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray

__all__ = [
    "BOUGHT",
    "CASH",
    "DELTA",
    "EXECUTION",
    "FEES",
    "FIGURES",
    "FUNDING",
    "GAMMA_THETA",
    "GAS",
    "NO_OPTION",
    "PARTS",
    "PEAK",
    "POSITION",
    "RESIDUAL",
    "RESTS",
    "SPREAD",
    "TO_LIQUIDITY",
    "TO_VENUE",
    "TURNOVER",
    "VANNA",
    "VEGA",
    "Rates",
    "add_squared_gap",
    "book_paths",
    "row",
]

POSITION, CASH, BOUGHT, TURNOVER, PEAK, TO_LIQUIDITY, TO_VENUE, FIGURES = range(8)
"""Rows of what a step writes, (paths,) each: the account's figures, then cash that went to liquidity providers and to the venue."""
GAMMA_THETA, DELTA, VANNA, VEGA, EXECUTION, SPREAD, FEES, GAS, FUNDING, RESIDUAL, PARTS = range(11)
"""Rows of the profit by cause."""
VALUE, SPREAD_COST, FEES_COST, GAS_COST, FUNDING_COST, CARRIED, COSTS = range(7)
TILE = 256
RESTS: FloatArray = np.empty(0)
"""In place of a row that does not move in a step."""
NO_OPTION: tuple[FloatArray, ...] = (RESTS,) * 7

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


@_inside
def charges(rates: Rates) -> bool:
    """Whether a step costs anything."""
    return rates.half_spread_share != 0.0 or rates.fee_share != 0.0 or rates.gas_usd != 0.0 or rates.funding != 0.0


@_booking
def book_paths(
    before: tuple[FloatArray, ...],
    pnl_usd: tuple[FloatArray, ...],
    trades: IntArray,
    fill: tuple[FloatArray, ...],
    prices_usd: tuple[FloatArray, ...],
    live: BoolArray,
    option: tuple[FloatArray, ...],
    rates: Rates,
    after: tuple[FloatArray, tuple[FloatArray, ...], IntArray],
) -> None:
    """Write figures (FIGURES, paths; without the last row where nothing goes to the venue), profit by cause (PARTS of (paths,)) and trades after a step.

    `before` (paths,): position, cash, bought, turnover, peak; `fill`: USD, coin, the share that met the market; `prices_usd`: before, after, of the fill;
    `option`: delta, gamma and theta, vanna, vega, total, paid and fees in USD, or `NO_OPTION`.  A cause whose row to write is `RESTS` is left as it was;
    of the options' parts only those may rest that are zero, and the total where the others explain all of it.
    """
    scratch, has_option = np.zeros((COSTS, TILE)), option[0].size > 0
    for start in range(0, live.size, TILE):
        here = (start, min(start + TILE, live.size))
        _trade(before, trades, fill, prices_usd, here, rates, scratch, after)
        if charges(rates):
            _charge(before[0], prices_usd[0], fill[2], live, here, rates, scratch, after[0][PEAK])
        _settle(before, fill[0], here, rates, scratch, after[0])
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
    rates: Rates,
    scratch: FloatArray,
    after: tuple[FloatArray, tuple[FloatArray, ...], IntArray],
) -> None:
    """Position, turnover, peak, and whether there was a trade."""
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
        counted[path] = were[path] + (1 if abs(value[path]) > rates.dust_usd + rates.dust_share * top[path] else 0)


@_inside
def _charge(
    position: FloatArray,
    spot_before_usd: FloatArray,
    open_share: FloatArray,
    live: BoolArray,
    here: tuple[int, int],
    rates: Rates,
    scratch: FloatArray,
    peak: FloatArray,
) -> None:
    """What the step costs."""
    start, stop = here
    held, spot, share, trading = position[start:stop], spot_before_usd[start:stop], open_share[start:stop], live[start:stop]
    value, spread, fees, gas, funding = scratch[VALUE], scratch[SPREAD_COST], scratch[FEES_COST], scratch[GAS_COST], scratch[FUNDING_COST]
    top = peak[start:stop]
    for path in range(held.size):
        gas[path] = rates.gas_usd if abs(value[path]) > rates.dust_usd + rates.dust_share * top[path] else 0.0
    for path in range(held.size):
        fees[path] = abs(value[path]) * share[path]
    for path in range(held.size):
        spread[path] = rates.half_spread_share * fees[path] * rates.side
        fees[path] = rates.fee_share * fees[path]
    for path in range(held.size):
        funding[path] = rates.funding * held[path] * spot[path] if trading[path] else 0.0


@_inside
def _settle(
    before: tuple[FloatArray, ...], fill_usd: FloatArray, here: tuple[int, int], rates: Rates, scratch: FloatArray, figures: FloatArray
) -> None:
    """Cash after the step, and who received it."""
    start, stop = here
    value, spread, fees, gas, funding = scratch[VALUE], scratch[SPREAD_COST], scratch[FEES_COST], scratch[GAS_COST], scratch[FUNDING_COST]
    cash, left, liquidity = before[1][start:stop], figures[CASH][start:stop], figures[TO_LIQUIDITY][start:stop]
    _sum(figures[BOUGHT][start:stop], before[2][start:stop], fill_usd[start:stop])
    if not charges(rates):
        _pay(left, cash, value)
        for path in range(cash.size):
            liquidity[path] = value[path]
        return
    for path in range(cash.size):
        left[path] = cash[path] - value[path] - spread[path] - fees[path] - gas[path] - funding[path]
    if figures.shape[0] > TO_VENUE:
        _sum(figures[TO_VENUE][start:stop], fees, gas)
    for path in range(cash.size):
        liquidity[path] = value[path] + spread[path] + funding[path]


@_inside
def _sum(total: FloatArray, one: FloatArray, other: FloatArray) -> None:
    """Nothing where the row to write rests."""
    for path in range(total.size):
        total[path] = one[path] + other[path]


@_inside
def _earn(
    position: FloatArray,
    fill_coin: FloatArray,
    prices_usd: tuple[FloatArray, ...],
    here: tuple[int, int],
    scratch: FloatArray,
    pnl_usd: tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]],
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
    # a loop over causes would choose rows as it runs, and no loop inside it would be vector code
    _pay(pnl_usd[1][SPREAD][start:stop], pnl_usd[0][SPREAD][start:stop], scratch[SPREAD_COST])
    _pay(pnl_usd[1][FEES][start:stop], pnl_usd[0][FEES][start:stop], scratch[FEES_COST])
    _pay(pnl_usd[1][GAS][start:stop], pnl_usd[0][GAS][start:stop], scratch[GAS_COST])
    _pay(pnl_usd[1][FUNDING][start:stop], pnl_usd[0][FUNDING][start:stop], scratch[FUNDING_COST])


@_inside
def _pay(left: FloatArray, was: FloatArray, costs: FloatArray) -> None:
    for path in range(left.size):
        left[path] = was[path] - costs[path]


@_inside
def _add(total: FloatArray, part: FloatArray) -> None:
    for path in range(part.size):
        total[path] += part[path]


@_inside
def _add_option(
    option: tuple[FloatArray, ...],
    here: tuple[int, int],
    scratch: FloatArray,
    pnl_usd: tuple[FloatArray, ...],
    after: tuple[FloatArray, tuple[FloatArray, ...]],
) -> None:
    """What the options earned beside it; what their greeks do not explain is the residual."""
    start, stop = here
    delta, total, paid, managed = option[0][start:stop], option[4][start:stop], option[5][start:stop], option[6][start:stop]
    left, carried, fees, explained = after[0][CASH][start:stop], scratch[CARRIED], scratch[FEES_COST], scratch[VALUE]
    _add(left, paid)
    _add(carried, delta)
    _sum(after[1][GAMMA_THETA][start:stop], pnl_usd[GAMMA_THETA][start:stop], option[1][start:stop])
    _sum(after[1][VANNA][start:stop], pnl_usd[VANNA][start:stop], option[2][start:stop])
    _sum(after[1][VEGA][start:stop], pnl_usd[VEGA][start:stop], option[3][start:stop])
    if managed.size:
        charged, was = after[1][FEES][start:stop], pnl_usd[FEES][start:stop]
        for path in range(managed.size):
            charged[path] = was[path] + (-fees[path] - managed[path])
    if total.size == 0:
        return
    for path in range(delta.size):
        explained[path] = delta[path]
    _add(explained, option[1][start:stop])
    _add(explained, option[2][start:stop])
    _add(explained, option[3][start:stop])
    for path in range(managed.size):
        explained[path] -= managed[path]
    rest, was = after[1][RESIDUAL][start:stop], pnl_usd[RESIDUAL][start:stop]
    for path in range(rest.size):
        rest[path] = was[path] + (total[path] - explained[path])


@_booking
def add_squared_gap(before: FloatArray, gap_usd: FloatArray, step_years: float, live: BoolArray, after: FloatArray) -> None:
    """Write what was there and the squared gap of the step where a path trades, (paths,)."""
    for path in range(live.size):
        gap = gap_usd[path]
        after[path] = before[path] + (gap * gap * step_years if live[path] else 0.0)
