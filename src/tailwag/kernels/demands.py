"""What agents buy in the step of a move, for a tile of paths in compiled code: hedgers of books, pools, ladders and leveraged accounts.

Each demand is a kind, addresses of the arrays that it reads (a list of arrays of all kinds is nothing that compiled code can be handed), and numbers.
The plain twins are the demands that the agents state themselves (`tailwag.sim.agents`); a path that a kind cannot answer here is left to them (`hard`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.kernels.ladder import fired_at
from tailwag.kernels.leverage import Book, Paths, Venue, wanted_amounts
from tailwag.kernels.netdelta_lanes import read_at
from tailwag.kernels.normal import exponential
from tailwag.kernels.vectors import address_of, flags_at, float_at, floats_at, integers_at

__all__ = [
    "BOOK",
    "FIRST_SLOT",
    "FLOATS",
    "GAMMA",
    "LADDER",
    "LEVERAGED",
    "NUMBERS",
    "OWNER",
    "POOL",
    "SLOTS",
    "Asked",
    "Known",
    "PathArray",
    "Scratch",
    "ask",
    "in_coin",
    "near_rows",
    "new_scratch",
    "tell",
]

BOOK, POOL, OWNER, LADDER, LEVERAGED, GAMMA = range(6)
"""Kinds: hedger of a tabulated book, arbitrage of a weighted pool, its hedging owner, liquidation ladder, leveraged accounts, constant dollar gamma."""
TRADING, LOW, HIGH, FIRST_SLOT = range(4)
"""Slots of every demand: where it trades within a band (0: it has none) and the band's ends; then its own."""
SLOTS, NUMBERS = 24, 5
FLOATS = (9, 4, 3, 2, 3, 3)
"""How many of its own slots, the first ones, are numbers of each path; by kind."""

PathArray = NDArray[np.uint64]
"""Numbers of paths, unsigned: a signed index might count from the end, and every access would ask whether it does."""

_inside = njit(error_model="numpy", fastmath=False, forceinline=True)
_asking = njit(error_model="numpy", fastmath=False, cache=True, nogil=True)


class Known(NamedTuple):
    """All demands of a step: `kinds` (demands,), `slots` (demands, SLOTS) addresses and whole numbers, `numbers` (demands, NUMBERS).

    Slots from FIRST_SLOT on, addresses of (paths,) unless named, first those of the numbers that belong to each path (FLOATS of them).
    BOOK: held on, owned, offset, speed, shift on top, a price, vol shift, delta and slope there, then where these four are told of the price asked about
    last (4, paths) or 0, the reader's state and numbers; numbers: hedge share.  GAMMA: owed, offset, speed; numbers: hedged dollar gamma.  OWNER: owned, offset, speed; numbers: hedge share, coin in the pool
    at the first price, weight less 1.  POOL: the pool's log price, fee, coin before, coin held, then live, trades; numbers: coin, weight less 1, 1 where it
    takes no fee.  LADDER: lowest, highest, then live, clusters (k, 3), k; numbers: density.  LEVERAGED: first log prices that liquidate below and above, price
    before trading, then log of the mark (0: its own price), rows, their number, entries, their number, accounts, row, drift, factor, fund, pointer
    (groups, paths), groups, side, share, first, last, whole numbers for linear, in rounds, deleverages (one, two, four); numbers: the first price.
    """

    kinds: IntArray
    slots: IntArray
    numbers: FloatArray
    paths: int


class Asked(NamedTuple):
    """A question on a tile that begins at path `start`: prices and vol shifts (n,), and the numbers of the paths in it; `hard` (n,) is written to."""

    start: int
    log_price: FloatArray
    vol_shift: FloatArray
    chosen: PathArray
    hard: BoolArray


class Scratch(NamedTuple):
    """Room for one tile, made once: an array made for every question would cost more than its answers.

    (tile,): prices within a band, whether they are inside it, paths on which a level is reached, their mark, fill, amount, slope and whether they are hard;
    (2,) `read`: what a table says.
    """

    within: FloatArray
    moving: BoolArray
    reached: IntArray
    mark: FloatArray
    fill: FloatArray
    amount: FloatArray
    slope: FloatArray
    hard: BoolArray
    read: FloatArray


@_inside
def new_scratch(tile: int) -> Scratch:
    """Room for a tile of so many paths."""
    return Scratch(
        np.empty(tile),
        np.empty(tile, dtype=np.bool_),
        np.empty(tile, dtype=np.int64),
        np.empty(tile),
        np.empty(tile),
        np.empty(tile),
        np.empty(tile),
        np.empty(tile, dtype=np.bool_),
        np.empty(2),
    )


@_asking
def near_rows(known: Known, start: int, count: int, room: FloatArray) -> Known:
    """The demands with the tile's numbers side by side in `room` (rows, tile).

    Rows of a block lie a power of two apart, where the nearest cache can hold but a few of them at a time.
    """
    slots, used = known.slots.copy(), 0
    for demand in range(known.kinds.size):
        for slot in range(FIRST_SLOT, FIRST_SLOT + FLOATS[known.kinds[demand]]):
            there, here = floats_at(slots[demand, slot] + 8 * start, count), room[used]
            for path in range(count):
                here[path] = there[path]
            slots[demand, slot] = address_of(here) - 8 * start
            used += 1
    return Known(known.kinds, slots, known.numbers, known.paths)


@_asking
def tell(known: Known, start: int, count: int) -> None:
    """Copy what hedgers of books read at the last question on a tile to where they want it told; `known` as `near_rows` made it."""
    for demand in range(known.kinds.size):
        told = known.slots[demand, FIRST_SLOT + 9]
        if known.kinds[demand] == BOOK and told != 0:
            for row in range(4):
                here = floats_at(known.slots[demand, FIRST_SLOT + 5 + row] + 8 * start, count)
                there = floats_at(told + 8 * (row * known.paths + start), count)
                for path in range(count):
                    there[path] = here[path]


@_asking
def ask(known: Known, asked: Asked, scratch: Scratch, answers: FloatArray) -> None:
    """Write amount and slope of the chosen paths to `answers` (demands, 2, tile), in coin or in USD (`in_coin`)."""
    within, moving = scratch.within[: asked.log_price.size], scratch.moving[: asked.log_price.size]
    for demand in range(known.kinds.size):
        kind, slots, rows = known.kinds[demand], known.slots[demand], answers[demand]
        banded = slots[TRADING] != 0
        inner = asked
        if banded:
            _hold(slots, asked, within, moving)
            inner = Asked(asked.start, within, asked.vol_shift, asked.chosen, asked.hard)
        if kind == BOOK:
            _book(slots, known.numbers[demand], inner, scratch.read, rows)
        elif kind == POOL:
            _pool(slots, known.numbers[demand], inner, rows)
        elif kind == OWNER:
            _owner(slots, known.numbers[demand], inner, rows)
        elif kind == LADDER:
            _ladder(slots, known.numbers[demand], inner, rows)
        elif kind == LEVERAGED:
            _leveraged(known.paths, slots, known.numbers[demand][0], inner, scratch, rows)
        else:
            _gamma(slots, known.numbers[demand], inner, rows)
        if banded:
            _rest(slots, asked, moving, rows)


@_inside
def _hold(slots: IntArray, asked: Asked, within: FloatArray, moving: BoolArray) -> None:
    """Prices held at the edges of a band."""
    count, skipped = asked.log_price.size, 8 * asked.start
    low, high = floats_at(slots[LOW] + skipped, count), floats_at(slots[HIGH] + skipped, count)
    for path in asked.chosen:
        x = asked.log_price[path]
        within[path] = min(max(x, low[path]), high[path])
        moving[path] = low[path] < x < high[path]


@_inside
def _rest(slots: IntArray, asked: Asked, moving: BoolArray, rows: FloatArray) -> None:
    """Nothing in a pause, and no slope beyond the band."""
    trading = flags_at(slots[TRADING] + asked.start, moving.size)
    for path in asked.chosen:
        if not trading[path]:
            rows[0, path] = rows[1, path] = 0.0
        elif not moving[path]:
            rows[1, path] = 0.0


@_inside
def in_coin(known: Known, demand: int) -> bool:
    """Whether a demand is sized in coin, else in USD."""
    kind = known.kinds[demand]
    if kind == LEVERAGED:
        return bool(known.slots[demand, FIRST_SLOT + 4 + 15] & 1)
    return bool(kind in (BOOK, POOL, OWNER))


@_inside
def _book(slots: IntArray, numbers: FloatArray, asked: Asked, read: FloatArray, rows: FloatArray) -> None:
    """speed (held - share delta - owned - offset)."""
    count, first, skipped = asked.log_price.size, FIRST_SLOT, 8 * asked.start
    held, owned = floats_at(slots[first] + skipped, count), floats_at(slots[first + 1] + skipped, count)
    offset, speed = floats_at(slots[first + 2] + skipped, count), floats_at(slots[first + 3] + skipped, count)
    raised, share = floats_at(slots[first + 4] + skipped, count), numbers[0]
    last, last_shift = floats_at(slots[first + 5] + skipped, count), floats_at(slots[first + 6] + skipped, count)
    delta, bend = floats_at(slots[first + 7] + skipped, count), floats_at(slots[first + 8] + skipped, count)
    state_at, numbers_at, read_to = slots[first + 10], slots[first + 11], address_of(read)
    for path in asked.chosen:
        coin, slope, x = 0.0, 0.0, asked.log_price[path]
        if speed[path] != 0.0:
            if x != last[path] or asked.vol_shift[path] != last_shift[path]:
                missing = read_at(state_at, numbers_at, x, asked.vol_shift[path] + raised[path], read_to, True)
                delta[path], bend[path] = float_at(read_to), float_at(read_to + 8)
                last[path], last_shift[path] = math.nan if missing else x, asked.vol_shift[path]
                if missing:
                    asked.hard[path] = True
            coin = speed[path] * (held[path] - share * delta[path] - owned[path] - offset[path])
            slope = speed[path] * (-share * bend[path])
        rows[0, path], rows[1, path] = coin, slope


@_inside
def _gamma(slots: IntArray, numbers: FloatArray, asked: Asked, rows: FloatArray) -> None:
    """speed (-Gamma$ x - owed - offset)."""
    count, first, skipped, hedged = asked.log_price.size, FIRST_SLOT, 8 * asked.start, numbers[0]
    owed, offset = floats_at(slots[first] + skipped, count), floats_at(slots[first + 1] + skipped, count)
    speed = floats_at(slots[first + 2] + skipped, count)
    for path in asked.chosen:
        usd = speed[path] * (-hedged * asked.log_price[path] - owed[path] - offset[path])
        rows[0, path], rows[1, path] = usd, -hedged * speed[path]


@_inside
def _owner(slots: IntArray, numbers: FloatArray, asked: Asked, rows: FloatArray) -> None:
    """speed (-share coin(P) - owned - offset), coin(P) = coin e^((weight - 1) x)."""
    count, first, skipped, share = asked.log_price.size, FIRST_SLOT, 8 * asked.start, numbers[0]
    owned, offset = floats_at(slots[first] + skipped, count), floats_at(slots[first + 1] + skipped, count)
    speed = floats_at(slots[first + 2] + skipped, count)
    for path in asked.chosen:
        coin = numbers[1] * exponential(numbers[2] * asked.log_price[path])
        wants = speed[path] * (-share * coin - owned[path] - offset[path])
        rows[0, path], rows[1, path] = wants, speed[path] * (-share * numbers[2] * coin)


@_inside
def _pool(slots: IntArray, numbers: FloatArray, asked: Asked, rows: FloatArray) -> None:
    """What comes out of the pool at the edge of its fee, sold, with what is held."""
    count, first, skipped = asked.log_price.size, FIRST_SLOT, 8 * asked.start
    pool_log, fee = floats_at(slots[first] + skipped, count), floats_at(slots[first + 1] + skipped, count)
    before, held = floats_at(slots[first + 2] + skipped, count), floats_at(slots[first + 3] + skipped, count)
    live, trades = flags_at(slots[first + 4] + asked.start, count), flags_at(slots[first + 5] + asked.start, count)
    for path in asked.chosen:
        x, out, slope = asked.log_price[path], 0.0, 0.0
        reached = min(max(pool_log[path], x - fee[path]), x + fee[path])
        edge = reached != pool_log[path]
        if trades[path] and (edge or numbers[2] > 0.0):
            coin = numbers[0] * exponential(numbers[1] * reached)
            out, slope = coin - before[path] if edge else 0.0, numbers[1] * coin
        rows[0, path], rows[1, path] = out - held[path] if live[path] else 0.0, slope


@_inside
def _ladder(slots: IntArray, numbers: FloatArray, asked: Asked, rows: FloatArray) -> None:
    """Levels that are reached for the first time."""
    count, first, skipped = asked.log_price.size, FIRST_SLOT, 8 * asked.start
    lowest, highest = floats_at(slots[first] + skipped, count), floats_at(slots[first + 1] + skipped, count)
    live, number = flags_at(slots[first + 2] + asked.start, count), slots[first + 4]
    clusters = floats_at(slots[first + 3], 3 * number).reshape((number, 3))
    for path in asked.chosen:
        x, usd, slope = asked.log_price[path], 0.0, 0.0
        if live[path] and not lowest[path] <= x <= highest[path]:
            usd, slope = fired_at(clusters, numbers[0], x, lowest[path], highest[path])
        rows[0, path], rows[1, path] = usd, slope


@_inside
def _leveraged(paths: int, slots: IntArray, start_usd: float, asked: Asked, scratch: Scratch, rows: FloatArray) -> None:
    """Nothing where no level is reached; else accounts are walked."""
    count, first, skipped = asked.log_price.size, FIRST_SLOT, 8 * asked.start
    low, high = floats_at(slots[first] + skipped, count), floats_at(slots[first + 1] + skipped, count)
    spot_pre, marked = floats_at(slots[first + 2] + skipped, count), slots[first + 3]
    mark_log = floats_at(marked + skipped if marked else slots[first] + skipped, count)
    number = 0
    for path in asked.chosen:
        rows[0, path] = rows[1, path] = 0.0
        at = mark_log[path] if marked else asked.log_price[path]
        if at <= low[path] or at >= high[path]:
            own = start_usd * math.exp(asked.log_price[path])
            scratch.reached[number], scratch.fill[number] = asked.start + np.int64(path), 0.5 * (spot_pre[path] + own)
            scratch.mark[number] = start_usd * math.exp(at) if marked else own
            number += 1
    if number:
        _walk(paths, slots, number, asked, scratch, rows)


@_inside
def _walk(paths: int, slots: IntArray, number: int, asked: Asked, scratch: Scratch, rows: FloatArray) -> None:
    own = slots[FIRST_SLOT + 4 :]
    accounts, groups, words = own[4], own[10], own[15]
    venue = Venue(
        words & 1 > 0,
        words & 2 > 0,
        words & 4 > 0,
        0.0,
        floats_at(own[11], groups),
        floats_at(own[12], groups),
        integers_at(own[13], groups),
        integers_at(own[14], groups),
    )
    book = Book(
        floats_at(own[0], own[1] * 3 * accounts).reshape((own[1], 3 * accounts)),
        floats_at(own[2], own[3] * accounts).reshape((own[3], accounts)),
    )
    pointer = integers_at(own[9], groups * paths).reshape((groups, paths))
    floats = (floats_at(own[6], paths), floats_at(own[7], paths), floats_at(own[8], paths))
    where = Paths(integers_at(own[5], paths), floats[0], floats[1], floats[2], pointer, floats[0].reshape((1, paths)))
    reached, amount, slope, hard = scratch.reached[:number], scratch.amount[:number], scratch.slope[:number], scratch.hard[:number]
    amount[:], slope[:], hard[:] = 0.0, 0.0, False
    wanted_amounts(venue, book, where, reached, scratch.mark[:number], scratch.fill[:number], amount, slope, hard)
    for place in range(number):
        path = reached[place] - asked.start
        rows[0, path] = amount[place]
        rows[1, path] = 0.0 if slots[FIRST_SLOT + 3] else slope[place]
        if hard[place]:
            asked.hard[path] = True
