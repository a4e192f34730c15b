"""The search for clearing prices with the demands in compiled code: tile by tile, the steps of `tailwag.sim.clearing.clear` to the same root.

The plain twin is that search with the agents' own demands.  Two things save questions: the slopes, which say nothing of vol that moves with price, are put
right by what two answers differ in; and nothing is looked for within a stride in which no level is reached.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.kernels.clearing import (
    FAR,
    FAR_SLOPE,
    FAR_VALUE,
    GUESS,
    MOST_REFINEMENTS,
    MOST_SCANS,
    NEAR,
    NEAR_SLOPE,
    NEAR_VALUE,
    ROWS,
    WIDTH,
    look_within,
    narrow_path,
    note,
    reach_out,
    take_in,
)
from tailwag.kernels.demands import FLOATS, LADDER, LEVERAGED, Asked, Known, PathArray, Scratch, ask, in_coin, near_rows, new_scratch, tell

__all__ = ["TILE", "Market", "Tile", "search"]

TILE = 1024
"""Paths together: few enough to stay in a near cache, so many that what each question costs by itself is shared."""
LOG_PRE, SPOT, THIN, FIXED_USD, FIXED_COIN, SHIFT_BASE, SHIFT_MORE, LAST_LOG, SCALE, MARKET_ROWS = range(10)
START, SCAN, LOOK, REFINE, SETTLE = range(5)
FEW_SHARE = 0.25
"""Where fewer paths of a tile are asked about, what they come to is worked out path by path."""
SMOOTH_SHARE = 0.01
"""Slopes that agree to this share are those of a smooth stride."""

_inside = njit(error_model="numpy", fastmath=False, forceinline=True)


class Market(NamedTuple):
    """What a step clears in.  `rows` (MARKET_ROWS, paths): log price and price before trading, one over the depth share, orders in USD and in coin that do not
    answer the price, vol shift where price does not move, what orders for vega add to it, the last log price, and over what distance demands are smooth.

    Log move a USD and a coin, vol a unit of log price, the bound of the search, and whether demands may jump.
    """

    rows: FloatArray
    per_usd: float
    per_coin: float
    beta: float
    bound_log: float
    jumps: bool


class Tile(NamedTuple):
    """Scratch for the paths from `start` on: the market's rows, answers (demands, 2, tile), which of them are in coin, what they come to (4, tile): USD and
    coin and their slopes, excess and slope, where it was asked last, vol shift there, numbers of paths, who is left to the plain search, and room for
    demands.
    """

    start: int
    market: FloatArray
    answers: FloatArray
    in_coin: BoolArray
    sums: FloatArray
    value: FloatArray
    slope: FloatArray
    asked: FloatArray
    shift: FloatArray
    chosen: PathArray
    hard: BoolArray
    scratch: Scratch


@njit(error_model="numpy", fastmath=False, cache=True, nogil=True)
def search(
    known: Known, market: Market, answers: FloatArray, coins: BoolArray, log_price: FloatArray, found: BoolArray, hard: BoolArray
) -> bool:
    """Write each path's clearing price, whether it has one, and what everybody buys there, the first row of (demands, 4, paths) in USD, the
    second in coin (`coins`: which demands are); True where some path is hard.

    Hard paths are to be searched once more with the agents' own demands.
    """
    some, floats = False, 0
    for kind in known.kinds:
        floats += FLOATS[kind]
    room, rows = np.empty((floats, TILE)), np.empty((MARKET_ROWS, TILE))
    scratch = new_scratch(TILE)
    for demand in range(known.kinds.size):
        coins[demand] = in_coin(known, demand)
    for start in range(0, log_price.size, TILE):
        count = min(TILE, log_price.size - start)
        four, sums, said = np.empty((4, count)), np.empty((4, count)), np.empty((known.kinds.size, 2, count))
        numbers, left = np.empty(count, dtype=np.uint64), np.zeros(count, dtype=np.bool_)
        tile = Tile(start, rows, said, coins, sums, four[0], four[1], four[2], four[3], numbers, left, scratch)
        _bring(market, tile, count)
        near = near_rows(known, start, count, room)
        _clear_tile(near, market, tile, log_price[start : start + count], found[start : start + count])
        tell(near, start, count)
        for path in range(count):
            hard[start + path] = left[path]
            some |= left[path]
        for demand in range(known.kinds.size):
            answers[demand, 1 if coins[demand] else 0, start : start + count] = said[demand, 0]
            answers[demand, 0 if coins[demand] else 1, start : start + count] = 0.0
    return some


@_inside
def _bring(market: Market, tile: Tile, count: int) -> None:
    """The market's rows of a tile side by side."""
    for place in range(MARKET_ROWS):
        for path in range(count):
            tile.market[place, path] = market.rows[place, tile.start + path]


@_inside
def _clear_tile(known: Known, market: Market, tile: Tile, log_price: FloatArray, found: BoolArray) -> None:
    """The search on one tile, from question to question: everybody is asked in one place, or compiling it would take several times as long."""
    count = log_price.size
    rows, direction, doubtful, number = np.empty((ROWS, count)), np.empty(count), np.ones(count, dtype=np.bool_), count
    walking, hides, open_paths = np.empty(count, dtype=np.bool_), np.empty(count, dtype=np.bool_), np.empty(count, dtype=np.bool_)
    reached, missing_slope = np.zeros(count, dtype=np.bool_), np.empty(count)
    scale, phase, rounds, still = tile.market[SCALE][:count], START, 0, False
    for path in range(count):
        log_price[path], tile.chosen[path] = tile.market[LOG_PRE, path], path
    while True:
        _excess(known, market, tile, log_price, number)
        if phase == SETTLE:
            break
        if phase == START:
            still = _begin(tile, log_price, rows, direction, (walking, found))
            if market.jumps:
                _mark_reached(known, tile.answers, walking, reached)
        elif phase == REFINE:
            number = _narrow_chosen(tile, rows, direction, missing_slope, number)
        else:
            _leave(tile.hard, walking)
            note(rows, tile.value, tile.slope, walking if phase == SCAN else hides)
            if phase == SCAN and market.jumps:
                _mark_reached(known, tile.answers, walking, reached)
                _doubt(rows, walking, reached, doubtful)
                if look_within(rows, direction, doubtful, hides):
                    phase, number = LOOK, _choose(hides, rows[FAR], tile, log_price)
                    continue
            still = take_in(rows, direction, market.bound_log, walking, found)
        rounds += 1
        if phase != REFINE:
            if still and rounds <= MOST_SCANS:
                phase = SCAN
                reach_out(rows, direction, scale, walking)
                number = _choose(walking, rows[FAR], tile, log_price)
                continue
            phase, rounds = REFINE, 0
            number = _refine(tile, rows, direction, (found, open_paths), missing_slope, log_price)
        if number and rounds + 1 < MOST_REFINEMENTS:
            for path in tile.chosen[:number]:
                log_price[path] = rows[GUESS, path]
            continue
        phase, number = SETTLE, _settle(tile, rows[GUESS], direction, market.bound_log, found, log_price)


@_inside
def _choose(some: BoolArray, prices: FloatArray, tile: Tile, log_price: FloatArray) -> int:
    """How many paths are asked next, and at which prices; the last choice is undone."""
    number = 0
    for path in range(some.size):
        log_price[path] = prices[path]
        if some[path]:
            tile.chosen[number] = path
            number += 1
    return number


@_inside
def _refine(
    tile: Tile, rows: FloatArray, direction: FloatArray, paths: tuple[BoolArray, BoolArray], missing: FloatArray, log_price: FloatArray
) -> int:
    """How many brackets stay open after the first step into them, and the prices to ask about."""
    found, open_paths = paths
    _bracket(tile, rows, direction, found, open_paths)
    _miss(rows, missing)
    for path in range(found.size):
        if open_paths[path]:
            open_paths[path] = narrow_path(rows, direction, path, rows[FAR_VALUE, path], rows[FAR_SLOPE, path] + missing[path])
    return _choose(open_paths, rows[GUESS], tile, log_price)


@_inside
def _settle(tile: Tile, guess: FloatArray, direction: FloatArray, bound_log: float, found: BoolArray, log_price: FloatArray) -> int:
    """How many paths were last asked about at another price than the one that is found."""
    number = 0
    for path in range(found.size):
        log_price[path] = guess[path] if found[path] else direction[path] * bound_log
        if tile.asked[path] != log_price[path]:
            tile.chosen[number] = path
            number += 1
    return number


@_inside
def _narrow_chosen(tile: Tile, rows: FloatArray, direction: FloatArray, missing: FloatArray, number: int) -> int:
    """How many of the paths that were asked about stay open: they are chosen once more."""
    left = 0
    for place in range(number):
        path = tile.chosen[place]
        if not tile.hard[path] and narrow_path(rows, direction, path, tile.value[path], tile.slope[path] + missing[path]):
            tile.chosen[left] = path
            left += 1
    return left


@_inside
def _leave(hard: BoolArray, walking: BoolArray) -> None:
    """Hard paths walk no further."""
    for path in range(hard.size):
        walking[path] &= not hard[path]


@_inside
def _mark_reached(known: Known, answers: FloatArray, walking: BoolArray, reached: BoolArray) -> None:
    """Where levels are reached at which demands jump: between two prices that reach none there is none."""
    for demand in range(known.kinds.size):
        if known.kinds[demand] == LADDER or known.kinds[demand] == LEVERAGED:
            amount = answers[demand, 0]
            for path in range(walking.size):
                reached[path] |= walking[path] and amount[path] != 0.0


@_inside
def _doubt(rows: FloatArray, walking: BoolArray, reached: BoolArray, doubtful: BoolArray) -> None:
    """Strides that may hide something: a level was reached, or the slope is another at their far end."""
    for path in range(walking.size):
        near, far = rows[NEAR_SLOPE, path], rows[FAR_SLOPE, path]
        doubtful[path] = walking[path] and (reached[path] or not abs(far - near) <= SMOOTH_SHARE * abs(near))


@_inside
def _miss(rows: FloatArray, missing: FloatArray) -> None:
    """What the slopes lack to lead from one end of a bracket to the other; nothing where that is no matter of slopes."""
    for path in range(missing.size):
        stride, slope = rows[FAR, path] - rows[NEAR, path], 0.5 * (rows[NEAR_SLOPE, path] + rows[FAR_SLOPE, path])
        lacks = (rows[FAR_VALUE, path] - rows[NEAR_VALUE, path]) / stride - slope if stride != 0.0 else 0.0
        missing[path] = lacks if abs(lacks) <= SMOOTH_SHARE * abs(slope) else 0.0


@_inside
def _begin(tile: Tile, log_price: FloatArray, rows: FloatArray, direction: FloatArray, paths: tuple[BoolArray, BoolArray]) -> bool:
    """Whether somebody has to walk: where the excess is not zero at the price before trading."""
    walking, found = paths
    still = False
    for path in range(log_price.size):
        value, x = tile.value[path], log_price[path]
        direction[path] = 1.0 if value > 0.0 else (-1.0 if value < 0.0 else value)
        rows[NEAR, path] = rows[FAR, path] = x
        rows[NEAR_VALUE, path] = rows[FAR_VALUE, path] = value
        rows[NEAR_SLOPE, path] = rows[FAR_SLOPE, path] = tile.slope[path]
        walking[path] = direction[path] != 0.0 and not tile.hard[path]
        found[path] = direction[path] == 0.0
        still |= walking[path]
    return still


@_inside
def _bracket(tile: Tile, rows: FloatArray, direction: FloatArray, found: BoolArray, open_paths: BoolArray) -> None:
    """Where there is a bracket to close around a sign change."""
    for path in range(found.size):
        open_paths[path] = found[path] and direction[path] != 0.0 and not tile.hard[path]
        rows[GUESS, path] = rows[FAR, path] if open_paths[path] else rows[NEAR, path]
        rows[WIDTH, path] = abs(rows[FAR, path] - rows[NEAR, path])


@_inside
def _excess(known: Known, market: Market, tile: Tile, log_price: FloatArray, number: int) -> None:
    """Excess and slope of the chosen paths, so many, under linear impact: x_pre + impact(flow(x)) - x; those of others say nothing."""
    rows, answers, chosen, count = tile.market, tile.answers, tile.chosen[:number], log_price.size
    for path in chosen:
        x = log_price[path]
        tile.asked[path] = x
        tile.shift[path] = rows[SHIFT_BASE, path] + market.beta * (x - rows[LAST_LOG, path]) + rows[SHIFT_MORE, path]
    ask(known, Asked(tile.start, log_price, tile.shift, chosen, tile.hard), tile.scratch, answers)
    if number < FEW_SHARE * count:
        _excess_of_few(market, tile, log_price, chosen)
        return
    usd, coin, slope_usd, slope_coin = tile.sums[0], tile.sums[1], tile.sums[2], tile.sums[3]
    tile.sums[:] = 0.0
    for demand in range(answers.shape[0]):
        _add(coin if tile.in_coin[demand] else usd, answers[demand, 0])
        _add(slope_coin if tile.in_coin[demand] else slope_usd, answers[demand, 1])
    _add(usd, rows[FIXED_USD][:count])
    _add(coin, rows[FIXED_COIN][:count])
    _respond(market, rows, (usd, coin), tile.value)
    _respond(market, rows, (slope_usd, slope_coin), tile.slope)
    for path in range(count):
        tile.value[path] = rows[LOG_PRE, path] + tile.value[path] - log_price[path]
    for path in range(count):
        tile.slope[path] -= 1.0


@_inside
def _excess_of_few(market: Market, tile: Tile, log_price: FloatArray, chosen: PathArray) -> None:
    """The same, path by path."""
    rows, answers = tile.market, tile.answers
    for path in chosen:
        usd, coin, slope_usd, slope_coin = 0.0, 0.0, 0.0, 0.0
        for demand in range(answers.shape[0]):
            if tile.in_coin[demand]:
                coin += answers[demand, 0, path]
                slope_coin += answers[demand, 1, path]
            else:
                usd += answers[demand, 0, path]
                slope_usd += answers[demand, 1, path]
        usd, coin, spot, thin = usd + rows[FIXED_USD, path], coin + rows[FIXED_COIN, path], rows[SPOT, path], rows[THIN, path]
        moved, slope = market.per_usd * (usd + coin * spot), market.per_usd * (slope_usd + slope_coin * spot)
        if market.per_coin != 0.0:
            moved += market.per_coin * (coin + usd / spot)
            slope += market.per_coin * (slope_coin + slope_usd / spot)
        tile.value[path], tile.slope[path] = rows[LOG_PRE, path] + moved * thin - log_price[path], slope * thin - 1.0


# Each loop below is over few arrays, so that it becomes vector code; it runs over the whole tile where many of its paths are asked about.


@_inside
def _add(total: FloatArray, part: FloatArray) -> None:
    for path in range(total.size):
        total[path] += part[path]


@_inside
def _respond(market: Market, rows: FloatArray, flow: tuple[FloatArray, FloatArray], moved: FloatArray) -> None:
    """Log move of a flow in USD and in coin."""
    usd, coin, spot, thin = flow[0], flow[1], rows[SPOT], rows[THIN]
    if market.per_coin == 0.0:
        for path in range(moved.size):
            moved[path] = market.per_usd * (usd[path] + coin[path] * spot[path])
    else:
        for path in range(moved.size):
            moved[path] = market.per_usd * (usd[path] + coin[path] * spot[path]) + market.per_coin * (coin[path] + usd[path] / spot[path])
    for path in range(moved.size):
        moved[path] *= thin[path]
