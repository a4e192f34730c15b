"""Leveraged accounts as rows that compiled code walks; the columns of `tailwag.sim.leveraged_accounts` are its plain twin.

They refer to rows of a heap that only ever grows: whoever liquidates on a path in rounds writes a new row, and whoever liquidates whole positions
writes them down in a log behind those that went before, so that earlier accounts stay what they were.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.leverage import Book, Closings, Paths, Venue, edges_of, reach_of, unwound
from tailwag.margin.contract import Contract
from tailwag.margin.rulebook import Rulebook
from tailwag.sim.leveraged_accounts import Accounts

HAIR_LOG = 1e-9
"""A price this close to a level is looked at in full: the logarithm of a level decides nothing."""
ROOM = 2
"""The heap holds so many rows for each path before rows that nobody refers to any more are left behind."""


class Heap:
    """Rows of accounts and entries of whole closings, written once and never again, with what all paths share; rows of several states refer to it."""

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

    def lengthen(self) -> None:
        """Room for four times as many whole closings; who calls it holds the lock."""
        self.log = _longer(self.log, 4 * self.log.account.size)


def _longer(log: Closings | None, entries: int) -> Closings:
    """A log with room for so many entries; what stands in the shorter one stays where it is."""
    grown = Closings(np.empty(entries, dtype=np.int64), np.empty(entries), np.empty(entries, dtype=np.int64))
    for mine, theirs in zip(grown, log or ()):
        mine[: theirs.size] = theirs
    return grown


class Rows(NamedTuple):
    """The accounts of every path, and what was done to them since its row was written.  (paths,): ``bad_debt``, ``outside``, ``borne`` and the rest.

    ``paths``: where each path stands, as compiled code reads it, which must not write to it.  ``closed``: the newest entry of whole closings, -1 where
    there is none.  ``net``: longs less shorts in units of size.  ``borne``: what the other side bore, deleveraged in USD and shared losses.
    """

    heap: Heap
    paths: Paths
    closed: IntArray
    bad_debt: FloatArray
    outside: FloatArray
    net: FloatArray
    borne: tuple[FloatArray, FloatArray]


def rows_of(accounts: Accounts, rules: Rulebook, paths: int) -> Rows:
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


def _at_start(heap: Heap, first: Paths, net: FloatArray, paths: int) -> Rows:
    """Every path at its own row, or all of them at the one that there is."""
    times, nothing = (paths if first.row.size == 1 else 1), np.zeros(paths)
    fund, net = (np.repeat(part, times) for part in (first.fund, net))
    row, pointer, edge = np.repeat(first.row, times), np.repeat(first.pointer, times, axis=1), np.repeat(first.edge, times, axis=1)
    at_start = Paths(row, nothing, nothing + 1.0, fund, pointer, edge)
    return Rows(heap, at_start, np.full(paths, -1), nothing, nothing, net, (nothing, nothing))


def columns_of(rows: Rows, chosen: IntArray) -> Accounts:
    """Some of the paths as columns, (accounts, chosen), funding booked."""
    heap, paths, count = rows.heap, rows.paths, rows.heap.side.size
    written = heap.book.rows[paths.row[chosen]]
    unwound(heap.log, rows.closed[chosen], written)
    size, wallet, entry = np.empty((count, chosen.size)), np.empty((count, chosen.size)), np.empty((count, chosen.size))
    size[heap.places], wallet[heap.places] = written[:, :count].T, written[:, count : 2 * count].T
    entry[heap.places] = heap.book.entry[chosen if heap.book.entry.shape[0] > 1 else np.zeros(chosen.size, dtype=np.int64)].T
    wallet = wallet - heap.side * size * paths.drift[chosen]
    share = heap.share * paths.factor[chosen]
    purse = (paths.fund, rows.bad_debt, rows.outside, *rows.borne)
    return Accounts(heap.side, share, entry, size, wallet, *(part[chosen] for part in purse))


def alike(rows: Rows) -> bool:
    """Whether every path has the same accounts: all at one row, nothing closed and no funding paid."""
    one = rows.heap.book.entry.shape[0] == 1 and bool((rows.paths.row == rows.paths.row[0]).all())
    return one and not (rows.paths.drift.any() or (rows.closed >= 0).any())


def levels_log(rows: Rows, spot_usd: float) -> tuple[FloatArray, FloatArray]:
    """Log prices below and above which somebody is liquidated, (paths,), a hair early; out of any reach where nobody is left."""
    paths = rows.paths
    low, high = np.empty(paths.drift.size), np.empty(paths.drift.size)
    reach_of(rows.heap.venue, paths.edge, paths.drift, paths.factor, spot_usd, HAIR_LOG, low, high)
    return low, high


def slots_of(rows: Rows) -> tuple[FloatArray | IntArray | int, ...]:
    """Accounts and rules as compiled demands find them (see :class:`tailwag.kernels.demands.Known`)."""
    heap, (row, drift, factor, fund, pointer, _) = rows.heap, rows.paths
    venue, book = heap.venue, heap.book
    words = int(venue.linear) + 2 * int(venue.rounds) + 4 * int(venue.deleverages)
    accounts = (book.rows, book.rows.shape[0], book.entry, book.entry.shape[0], heap.side.size)
    return (*accounts, row, drift, factor, fund, pointer, venue.side.size, venue.side, venue.share, venue.first, venue.last, words)


def with_room(rows: Rows, count: int) -> tuple[Rows, int]:
    """The same on a heap with room for so many rows more, and the first of them."""
    first = rows.heap.reserved(count)
    if first is None:
        rows = compacted(rows)
        first = rows.heap.reserved(count)
        assert first is not None  # a fresh heap has room for every path once
    return rows, first


def compacted(rows: Rows) -> Rows:
    """The same on a heap of its own, without rows that nobody refers to."""
    heap, paths = rows.heap, rows.paths.row.size
    kept, row = np.unique(rows.paths.row, return_inverse=True)
    written = np.empty((kept.size + ROOM * paths, heap.book.rows.shape[1]))
    written[: kept.size] = heap.book.rows[kept]
    fresh = Heap(heap.venue, Book(written, heap.book.entry), heap.places, (heap.side, heap.share), int(kept.size))
    with heap.lock:
        fresh.log, fresh.entries = _longer(heap.log, heap.log.account.size), heap.entries
    return rows._replace(heap=fresh, paths=rows.paths._replace(row=row.reshape(-1)))
