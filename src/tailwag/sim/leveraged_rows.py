"""Leveraged accounts as rows that compiled code walks; the columns of `tailwag.sim.leveraged_accounts` are its plain twin.

A state refers to rows of a heap that only ever grows: whoever liquidates on a path in rounds writes a new row, and whoever liquidates whole positions
writes them down in a log behind those that went before, so that earlier states stay what they were.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.kernels.leverage import (
    Book,
    Closings,
    Paths,
    Venue,
    close_paths,
    close_whole,
    edges_of,
    reach_of,
    unwound,
    wanted_amounts,
)
from tailwag.margin.contract import Contract
from tailwag.margin.rulebook import Rulebook
from tailwag.sim.agents.protocol import Move
from tailwag.sim.leveraged_accounts import Accounts, account_sum, closing, settle, taken_slope, wanted, wanted_slope

HAIR_LOG = 1e-9
"""A price this close to a level is looked at in full: the logarithm of a level decides nothing."""
ROOM = 2
"""The heap holds so many rows for each path before rows that nobody refers to any more are left behind."""


class Heap:
    """Rows of accounts and entries of whole closings, written once and never again, with what all paths share; several states refer to it."""

    __slots__ = ("book", "entries", "lock", "log", "places", "share", "side", "used", "venue")

    def __init__(self, venue: Venue, book: Book, places: IntArray, columns: tuple[FloatArray, FloatArray], used: int) -> None:
        self.venue, self.book, self.places, self.used = venue, book, places, used
        (self.side, self.share), self.lock = columns, threading.Lock()
        self.log, self.entries = _longer(None, 2 * self.side.size), 0

    def reserved(self, rows: int) -> int | None:
        """The first of so many rows that nobody has; None where there is no room left."""
        with self.lock:
            first = self.used
            if first + rows > self.book.rows.shape[0]:
                return None
            self.used += rows
            return first


def _longer(log: Closings | None, entries: int) -> Closings:
    """A log with room for so many entries; what stands in the shorter one stays where it is."""
    grown = Closings(np.empty(entries, dtype=np.int64), np.empty(entries), np.empty(entries, dtype=np.int64))
    for mine, theirs in zip(grown, log or ()):
        mine[: theirs.size] = theirs
    return grown


@dataclass(frozen=True, slots=True)
class RowState:
    """Where every path stands.  (paths,) unless named; ``drift``: funding a unit of size paid since the path's row was written.

    ``closed``: the newest entry of whole closings since then, -1 where there is none.  ``levels``: `levels_log` of this state, where it is known already.
    ``waiting``: factors announced and not yet in force.  ``mark_usd``: the venue liquidates on it instead of its own price.  ``net``: longs less shorts in units of size; ``factor``: of the maintenance margin; (groups, paths): ``pointer``, ``edge``.
    """

    heap: Heap
    row: IntArray
    drift: FloatArray
    factor: FloatArray
    fund: FloatArray
    bad_debt: FloatArray
    outside: FloatArray
    net: FloatArray
    pointer: IntArray
    edge: FloatArray
    closed: IntArray
    lowest: FloatArray
    highest: FloatArray
    mark_usd: FloatArray | None = None
    waiting: FloatArray | None = None
    levels: tuple[FloatArray, FloatArray] | None = None

    @property
    def accounts(self) -> Accounts:
        """The accounts as columns, funding booked."""
        return columns_of(self, np.arange(self.row.size))


def rows_of(accounts: Accounts, rules: Rulebook, paths: int) -> RowState:
    """The same accounts as rows, in order of who is liquidated first; accounts of one path stand for all ``paths``."""
    groups = np.stack((accounts.side[:, 0], accounts.share[:, 0]))
    kinds, group = np.unique(groups, axis=1, return_inverse=True)
    places = np.argsort(group.ravel(), kind="stable")
    last = np.cumsum(np.bincount(group.ravel(), minlength=kinds.shape[1]))
    first = np.concatenate((np.zeros(1, dtype=np.int64), last[:-1]))
    venue = Venue(
        rules.contract is Contract.LINEAR,
        rules.rounds,
        rules.deleverages,
        float(rules.liquidation_fee_share),
        np.ascontiguousarray(kinds[0]),
        np.ascontiguousarray(kinds[1]),
        first.astype(np.int64),
        last.astype(np.int64),
    )
    heap = _heap_of(accounts, venue, places, paths)
    written = heap.used
    nothing, place = np.zeros(written), np.zeros((first.size, written), dtype=np.int64)
    fund = np.broadcast_to(accounts.fund, paths)[:written].copy()
    after = Paths(np.arange(written), nothing, nothing + 1.0, fund, place, np.zeros(place.shape))
    edges_of(venue, heap.book, np.arange(written), after)
    net = (accounts.side * accounts.size).sum(axis=0)
    return _at_start(heap, after, net[:written], paths)


def _heap_of(accounts: Accounts, venue: Venue, places: IntArray, paths: int) -> Heap:
    """A heap with one row where all paths begin alike, else one for each."""
    size, wallet, entry = (np.ascontiguousarray(part[places].T) for part in (accounts.size, accounts.wallet, accounts.entry))
    count = size.shape[1]
    written = 1 if all((part == part[:1]).all() for part in (size, wallet, entry)) else paths
    rows = np.empty((written + ROOM * paths, 3 * count))
    rows[:written, :count], rows[:written, count : 2 * count] = size[:written], wallet[:written]
    rows[:written, 2 * count :] = np.arange(count)
    return Heap(venue, Book(rows, np.ascontiguousarray(entry[:written])), places, (accounts.side, accounts.share), written)


def _at_start(heap: Heap, first: Paths, net: FloatArray, paths: int) -> RowState:
    """Every path at its own row, or all of them at the one that there is."""
    times, nothing = (paths if first.row.size == 1 else 1), np.zeros(paths)
    fund, net = (np.repeat(part, times) for part in (first.fund, net))
    row, pointer, edge = np.repeat(first.row, times), np.repeat(first.pointer, times, axis=1), np.repeat(first.edge, times, axis=1)
    closed = np.full(paths, -1)
    return RowState(heap, row, nothing, nothing + 1.0, fund, nothing, nothing, net, pointer, edge, closed, nothing, nothing)


def columns_of(state: RowState, chosen: IntArray) -> Accounts:
    """Some of the paths as columns, (accounts, chosen)."""
    heap, count = state.heap, state.heap.side.size
    rows = heap.book.rows[state.row[chosen]]
    unwound(heap.log, state.closed[chosen], rows)
    size, wallet, entry = np.empty((count, chosen.size)), np.empty((count, chosen.size)), np.empty((count, chosen.size))
    size[heap.places], wallet[heap.places] = rows[:, :count].T, rows[:, count : 2 * count].T
    entry[heap.places] = heap.book.entry[chosen if heap.book.entry.shape[0] > 1 else np.zeros(chosen.size, dtype=np.int64)].T
    wallet = wallet - heap.side * size * state.drift[chosen]
    share = heap.share * state.factor[chosen]
    return Accounts(heap.side, share, entry, size, wallet, state.fund[chosen], state.bad_debt[chosen], state.outside[chosen])


def alike(state: RowState) -> bool:
    """Whether every path has the same accounts: all at one row, nothing closed and no funding paid."""
    one = state.heap.book.entry.shape[0] == 1 and bool((state.row == state.row[0]).all())
    return one and not (state.drift.any() or (state.closed >= 0).any())


def levels_log(state: RowState, spot_usd: float) -> tuple[FloatArray, FloatArray]:
    """Log prices below and above which somebody is liquidated, (paths,), a hair early; out of any reach where nobody is left."""
    return state.levels or reach(state.heap.venue, state.edge, state.drift, state.factor, spot_usd)


def reach(venue: Venue, edge: FloatArray, drift: FloatArray, factor: FloatArray, spot_usd: float) -> tuple[FloatArray, FloatArray]:
    """The levels of accounts that stand so."""
    low, high = np.empty(drift.size), np.empty(drift.size)
    reach_of(venue, edge, drift, factor, spot_usd, HAIR_LOG, low, high)
    return low, high


def slots_of(state: RowState) -> tuple[FloatArray | IntArray | int, ...]:
    """Accounts and rules as compiled demands find them (see :class:`tailwag.kernels.demands.Known`)."""
    heap = state.heap
    venue, book = heap.venue, heap.book
    words = int(venue.linear) + 2 * int(venue.rounds) + 4 * int(venue.deleverages)
    accounts = (book.rows, book.rows.shape[0], book.entry, book.entry.shape[0], heap.side.size)
    paths = (state.row, state.drift, state.factor, state.fund, state.pointer, venue.side.size)
    return (*accounts, *paths, venue.side, venue.share, venue.first, venue.last, words)


def paths_of(state: RowState) -> Paths:
    """What compiled code reads: the state's own arrays, which it must not write to."""
    return Paths(state.row, state.drift, state.factor, state.fund, state.pointer, state.edge)


def amounts(state: RowState, rules: Rulebook, reached: IntArray, prices: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """What the venue buys on the reached paths, and its slope by log price, (reached,); where the fund is not enough, by the plain rules.

    ``prices`` (reached,): the venue's own price if the step cleared there, and the price before trading.
    """
    own, before = prices
    follows = state.mark_usd is None  # a mark from elsewhere stays where it is
    mark, fill = own if state.mark_usd is None else state.mark_usd[reached], 0.5 * (before + own)
    amount, slope, hard = np.zeros(own.size), np.zeros(own.size), np.zeros(own.size, dtype=np.bool_)
    if wanted_amounts(state.heap.venue, state.heap.book, paths_of(state), reached, mark, fill, amount, slope, hard):
        chosen = np.flatnonzero(hard)
        some = columns_of(state, reached[chosen])
        closed = closing(some, rules, wanted(some, rules, mark[chosen]), mark_usd=mark[chosen], fill_usd=fill[chosen])
        amount[chosen] = -account_sum(some.side * closed.sold)
        slope[chosen] = wanted_slope(some, rules, mark[chosen])
    slope = slope if follows else np.zeros(own.size)
    if hard.any():
        slope[chosen] += taken_slope(some, rules, closed, mark_usd=own[chosen], fill_usd=fill[chosen])
    return amount, slope


def liquidated(state: RowState, rules: Rulebook, move: Move, touched: IntArray) -> RowState:
    """The state after the touched paths were settled."""
    return replace(state, **changes(state, rules, move, touched), levels=None)


def changes(state: RowState, rules: Rulebook, move: Move, touched: IntArray) -> dict[str, Any]:
    """What is another in the state after the touched paths were settled, levels apart, by name."""
    mark = move.spot_usd if state.mark_usd is None else state.mark_usd
    prices = (np.ascontiguousarray(mark), np.ascontiguousarray(move.fill_usd))
    return (_in_rounds if state.heap.venue.rounds else _whole)(state, rules, prices, touched)


def _in_rounds(state: RowState, rules: Rulebook, prices: tuple[FloatArray, FloatArray], touched: IntArray) -> dict[str, Any]:
    """Every touched path gets a new row."""
    state, first = _with_room(state, touched.size)
    heap, before, bad_debt, hard = state.heap, paths_of(state), state.bad_debt.copy(), np.zeros(state.row.size, dtype=np.bool_)
    after = Paths(before.row.copy(), before.drift.copy(), before.factor, before.fund.copy(), before.pointer.copy(), before.edge.copy())
    close_paths(heap.venue, heap.book, before, touched, first, prices, after, bad_debt, hard)
    if hard.any():
        _settled_plainly(state, rules, prices, (touched, first), (after, bad_debt, hard))
    net = state.net.copy()
    net[touched] = _net_of(heap, after.row[touched])
    return {"heap": heap, **after._asdict(), "bad_debt": bad_debt, "net": net}


def _whole(state: RowState, rules: Rulebook, prices: tuple[FloatArray, FloatArray], touched: IntArray) -> dict[str, Any]:
    """What went is written down; only a path on which the fund is not enough gets a new row."""
    closed, net, bad_debt, hard = state.closed.copy(), state.net.copy(), state.bad_debt.copy(), np.zeros(state.row.size, dtype=np.bool_)
    fund, pointer, edge, heap, done = state.fund.copy(), state.pointer.copy(), state.edge.copy(), state.heap, 0
    before, after = paths_of(state), (pointer, edge, fund, closed, net, bad_debt)
    with heap.lock:
        while True:
            begin = (done, heap.entries)
            done, heap.entries = close_whole(heap.venue, heap.book, heap.log, before, touched, begin, prices, after, hard)
            if done == touched.size:
                break
            heap.log = _longer(heap.log, 4 * heap.log.account.size)
    found = {"fund": fund, "bad_debt": bad_debt, "net": net, "pointer": pointer, "edge": edge, "closed": closed}
    if not hard.any():
        return found
    chosen = np.flatnonzero(hard)
    state, first = _with_room(state, chosen.size)
    paths = Paths(state.row.copy(), state.drift.copy(), state.factor, fund, pointer, edge)
    _settled_plainly(state, rules, prices, (chosen, first), (paths, bad_debt, hard))
    closed[chosen], net[chosen] = -1, _net_of(state.heap, paths.row[chosen])
    return {**found, "heap": state.heap, "row": paths.row, "drift": paths.drift}


def _with_room(state: RowState, rows: int) -> tuple[RowState, int]:
    """The state on a heap with room for so many rows, and the first of them."""
    first = state.heap.reserved(rows)
    if first is None:
        state = compacted(state)
        first = state.heap.reserved(rows)
        assert first is not None  # a fresh heap has room for every path once
    return state, first


def _net_of(heap: Heap, rows: IntArray) -> FloatArray:
    """Longs less shorts of some rows, in units of size."""
    return np.asarray((heap.side[heap.places, 0] * heap.book.rows[rows, : heap.side.size]).sum(axis=1))


def _settled_plainly(
    state: RowState,
    rules: Rulebook,
    prices: tuple[FloatArray, FloatArray],
    rows: tuple[IntArray, int],
    found: tuple[Paths, FloatArray, BoolArray],
) -> None:
    """Hard paths by the plain rules, written into the rows that were kept for them."""
    (touched, first), (after, bad_debt, hard) = rows, found
    numbers = np.flatnonzero(hard[touched])
    chosen, heap = touched[numbers], state.heap
    some, mark, fill = columns_of(state, chosen), prices[0][chosen], prices[1][chosen]
    closed = closing(some, rules, wanted(some, rules, mark), mark_usd=mark, fill_usd=fill)
    done, _ = settle(some, rules, closed, mark_usd=mark, fill_usd=fill)
    count, book = heap.side.size, heap.book
    book.rows[first + numbers, :count] = done.size[heap.places].T
    book.rows[first + numbers, count : 2 * count] = done.wallet[heap.places].T
    book.rows[first + numbers, 2 * count :] = book.rows[state.row[chosen], 2 * count :]
    after.row[chosen], after.drift[chosen], after.fund[chosen], bad_debt[chosen] = first + numbers, 0.0, done.fund, done.bad_debt
    edges_of(heap.venue, book, chosen, after)


def compacted(state: RowState) -> RowState:
    """The same state on a heap of its own, without rows that nobody refers to."""
    heap, paths = state.heap, state.row.size
    kept, row = np.unique(state.row, return_inverse=True)
    rows = np.empty((kept.size + ROOM * paths, heap.book.rows.shape[1]))
    rows[: kept.size] = heap.book.rows[kept]
    fresh = Heap(heap.venue, Book(rows, heap.book.entry), heap.places, (heap.side, heap.share), int(kept.size))
    with heap.lock:
        fresh.log, fresh.entries = _longer(heap.log, heap.log.account.size), heap.entries
    return replace(state, heap=fresh, row=row.reshape(-1))


def after_funding(state: RowState, rate: FloatArray, spot_usd: FloatArray) -> RowState:
    """Longs paid ``rate`` (paths,) of their value to shorts: every bankruptcy value of a path moves by what one unit paid."""
    each = paid_each(state.heap.venue, rate, spot_usd)
    return replace(state, drift=state.drift + each, outside=state.outside + state.net * each, levels=None)


def paid_each(venue: Venue, rate: FloatArray | float, spot_usd: FloatArray) -> FloatArray:
    """What a unit of a long paid, (paths,)."""
    return (spot_usd if venue.linear else 1.0 / spot_usd) * rate
