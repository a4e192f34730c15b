"""The net delta of books of options along simulated paths: summed option by option, or read from a table.

Net delta here is the sum of Black deltas (call N(d1), put N(d1) - 1) in coin, at F = forward_ratio * S; its slope is the derivative by
ln S that the holder meets as spot moves, the skew included. Who hedges to zero holds minus the net delta.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray, frozen
from tailwag.kernels.netdelta import averaged_delta_kernel, delta_kernel
from tailwag.kernels.netdelta_lanes import (
    FAR,
    GROUP_SIZE,
    GROUPS,
    HOW,
    SUMMED,
    Reader,
    begin_step,
    needs_average,
    new_reader,
    read_paths,
)
from tailwag.kernels.netdelta_plan import Settings, tabulate
from tailwag.sim.option_book import LEAST_YEARS, SETTLED_YEARS, WINDOW_YEARS, OptionBook, needed_average

__all__ = ["DirectNetDelta", "Lane", "NetDelta", "Settings", "TabulatedNetDelta", "averaged_delta"]

LANES = 8
"""Books that are evaluated together."""


class NetDelta(Protocol):
    """Answers: what delta does the book have on these paths at this time?"""

    def at(
        self, step: int, log_price: FloatArray, vol_shift: FloatArray, *, running_average_usd: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Net delta in coin and its slope by ln S in coin, (paths,) each, at grid time `step`."""
        ...


@dataclass(frozen=True, slots=True)
class NetRows:
    """The options of up to eight books as calls, each (strike, expiry, vol, skew) once, in an order that depends on content alone.

    Shapes: columns (m,), `positions` and `puts` (lanes, m): contracts, and the part of them that are puts. `spot_strike_usd` is the spot at
    which the forward is at the strike.
    """

    spot_strike_usd: FloatArray
    log_strike: FloatArray
    expiry_years: FloatArray
    iv: FloatArray
    skew: FloatArray
    averaged: BoolArray
    positions: FloatArray
    puts: FloatArray

    @classmethod
    def of(cls, books: Sequence[OptionBook], spot_usd: float) -> NetRows:
        """Merge what differs in nothing but right, holder and size; settled rows and empty positions are left out."""
        parts = [_keys(book) for book in books]
        keys = np.concatenate(parts, axis=1)
        lane = np.repeat(np.arange(len(books)), [part.shape[1] for part in parts])
        contracts = np.concatenate([book.contracts_coin for book in books])
        side = np.concatenate([book.right for book in books])
        kept = (keys[0] > 0.0) & (contracts != 0.0)
        order = np.flatnonzero(kept)
        order = order[np.lexsort((contracts[order], side[order], lane[order], *keys[::-1, order]))]
        keys, lane, contracts, side = keys[:, order], lane[order], contracts[order], side[order]
        heads = np.ones(order.size, dtype=np.bool_)
        heads[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
        row = np.cumsum(heads) - 1
        positions, puts = np.zeros((len(books), int(heads.sum()))), np.zeros((len(books), int(heads.sum())))
        np.add.at(positions, (lane, row), contracts)
        np.add.at(puts, (lane[side < 0], row[side < 0]), contracts[side < 0])
        expiry, strike, ratio, iv, skew, averaged = keys[:, heads]
        log_strike = np.log(strike / (ratio * spot_usd))
        settles_at, mean = frozen(strike / ratio), frozen(averaged, np.bool_)
        return cls(settles_at, frozen(log_strike), frozen(expiry), frozen(iv), frozen(skew), mean, frozen(positions), frozen(puts))

    def left(self, time_years: float) -> tuple[FloatArray, BoolArray, BoolArray]:
        """Years of vol to come, alive outside a settlement window, alive inside one."""
        tau = self.expiry_years - time_years
        alive = tau > SETTLED_YEARS
        inside = alive & self.averaged & (tau < WINDOW_YEARS + SETTLED_YEARS)
        left = np.where(self.averaged & ~inside, tau - WINDOW_YEARS * (2 / 3), tau)
        return np.maximum(left, LEAST_YEARS), alive & ~inside, inside

    def held(self, rows: BoolArray) -> FloatArray:
        """Positions of the chosen rows, (lanes, m + 1): the last column takes 1 off for every put."""
        return np.ascontiguousarray(np.hstack((self.positions[:, rows], -self.puts[:, rows].sum(axis=1, keepdims=True))))


@dataclass(frozen=True, slots=True)
class Lane:
    """One book of several that are evaluated together, as a net delta of its own."""

    source: DirectNetDelta | TabulatedNetDelta
    lane: int

    def at(
        self, step: int, log_price: FloatArray, vol_shift: FloatArray, *, running_average_usd: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Net delta and slope of this book, (paths,) each."""
        delta, slope = self.source.lanes(step, log_price, vol_shift, running_average_usd=running_average_usd)
        return delta[self.lane], slope[self.lane]


class DirectNetDelta:
    """Net delta of one book, or of several, summed option by option: slow, and what every faster way is tested against.

    `time_years` (steps + 1,) are the grid times, `spot_usd` the price at the start. An option leaves at its expiry; until then its time
    left is a second at least. Inside the 30-minute window of averaged rows `running_average_usd` (paths,) is needed.

    >>> book = OptionBook.single(strike_usd=65000, expiry_years=30 / 365, contracts_coin=1.0, iv=0.65)
    >>> delta, slope = DirectNetDelta(book, np.array([0.0, 1 / 365]), 60000.0).at(0, np.zeros(1), np.zeros(1))
    >>> round(float(delta[0]), 9), round(float(slope[0]), 6)
    (0.368301173, 2.023091)
    """

    __slots__ = ("books", "net_rows", "spot_usd", "time_years")

    def __init__(self, book: OptionBook | Sequence[OptionBook], time_years: FloatArray, spot_usd: float) -> None:
        self.books = (book,) if isinstance(book, OptionBook) else tuple(book)
        if not 1 <= len(self.books) <= LANES:
            raise InputError(f"expected 1 to {LANES} books to evaluate together, got {len(self.books)}; split them into groups of {LANES}")
        if not 0.0 < spot_usd < np.inf:
            raise InputError(f"expected a price above 0 at the start, got {spot_usd:g}; give spot_usd in USD")
        self.time_years = frozen(time_years)
        self.spot_usd = float(spot_usd)
        self.net_rows = NetRows.of(self.books, self.spot_usd)
        _refuse_overlapping_windows(self.net_rows)

    def at(
        self, step: int, log_price: FloatArray, vol_shift: FloatArray, *, running_average_usd: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Net delta in coin of the (first) book and its slope by ln S in coin, (paths,) each, at grid time `step`."""
        delta, slope = self.lanes(step, log_price, vol_shift, running_average_usd=running_average_usd)
        return delta[0], slope[0]

    def lane(self, lane: int) -> Lane:
        """The net delta of one book alone."""
        return Lane(self, lane)

    def lanes(
        self, step: int, log_price: FloatArray, vol_shift: FloatArray, *, running_average_usd: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Net delta and slope of every book, (lanes, paths) each."""
        return self.at_time(float(self.time_years[step]), log_price, vol_shift, running_average_usd=running_average_usd)

    def at_time(
        self, time_years: float, log_price: FloatArray, vol_shift: FloatArray, *, running_average_usd: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """The same at any time."""
        moves, shifts = np.ascontiguousarray(log_price, dtype=np.float64), np.ascontiguousarray(vol_shift, dtype=np.float64)
        rows = self.net_rows
        left, live, inside = rows.left(time_years)
        delta, slope = np.empty((len(self.books), moves.size)), np.empty((len(self.books), moves.size))
        columns = np.array((rows.log_strike[live], np.sqrt(left[live]), rows.iv[live], rows.skew[live]))
        delta_kernel(columns, rows.held(live), moves, shifts, delta, slope)
        if inside.any():
            average = needed_average(running_average_usd, moves.size)
            _add_inside(rows, inside, float(left[inside][0]), (self.spot_usd, moves, shifts, average), (delta, slope))
        return delta, slope


class TabulatedNetDelta:
    """Net delta of up to eight books read from a table: as fast for 1,600 options as for 400.

    Same arguments and answers as :class:`DirectNetDelta`, within `settings.tolerance` of the gross contracts at the start (the slope
    within about ten times that over the narrowest option's standard deviation). Paths outside the tabulated range (`reach_log`, half the
    lowest vol, `vol_shifts`), the last hour before an expiry, and a dozen options or fewer are summed option by option. Where `vol_shifts` is
    one value, the table has no vol axis and is several times smaller and faster.
    """

    __slots__ = ("_readers", "_width", "books", "evaluations", "settings", "spot_usd", "table", "time_years")

    def __init__(
        self, book: OptionBook | Sequence[OptionBook], time_years: FloatArray, spot_usd: float, *, settings: Settings | None = None
    ) -> None:
        direct = DirectNetDelta(book, time_years, spot_usd)
        self.books, self.time_years, self.spot_usd = direct.books, direct.time_years, direct.spot_usd
        self.settings = settings or Settings()
        rows = direct.net_rows
        ages_to = rows.expiry_years - np.where(rows.averaged, WINDOW_YEARS * (2 / 3), 0.0)
        columns: FloatArray = np.array(
            (rows.log_strike, ages_to, rows.iv, rows.skew, rows.expiry_years, rows.spot_strike_usd, rows.averaged), dtype=np.float64
        )
        self._width = len(self.books)
        lanes = 1 if self._width == 1 else LANES
        positions, puts = (np.vstack((part, np.zeros((lanes - self._width, part.shape[1])))) for part in (rows.positions, rows.puts))
        self.table, self.evaluations = tabulate(columns, positions, puts, self.time_years, self.spot_usd, WINDOW_YEARS, self.settings)
        self._readers = threading.local()

    @property
    def bytes(self) -> int:
        """What the table occupies."""
        return int(sum(part.nbytes for part in self.table if isinstance(part, np.ndarray)))

    def reader(self) -> Reader:
        """Scratch for compiled loops of one thread (see `tailwag.kernels.netdelta_lanes`)."""
        return new_reader(self.table)

    def lane(self, lane: int) -> Lane:
        """The net delta of one book alone."""
        return Lane(self, lane)

    def at(
        self, step: int, log_price: FloatArray, vol_shift: FloatArray, *, running_average_usd: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Net delta in coin of the (first) book and its slope by ln S in coin, (paths,) each, at grid time `step`."""
        delta, slope = self.lanes(step, log_price, vol_shift, running_average_usd=running_average_usd)
        return delta[0], slope[0]

    def lanes(
        self, step: int, log_price: FloatArray, vol_shift: FloatArray, *, running_average_usd: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Net delta and slope of every book, (lanes, paths) each."""
        moves, shifts = np.ascontiguousarray(log_price, dtype=np.float64), np.ascontiguousarray(vol_shift, dtype=np.float64)
        reader = self._own_reader()
        step = range(self.time_years.size)[step]
        begin_step(self.table, reader, step)
        average = needed_average(running_average_usd, moves.size) if needs_average(reader) else np.empty(0)
        out = np.empty((moves.size, 2 * self.table.lanes))
        read_paths(self.table, reader, step, moves, shifts, average, out)
        both: FloatArray = np.ascontiguousarray(out.T)
        return both[: self._width], both[self.table.lanes : self.table.lanes + self._width]

    def walked(self, step: int) -> tuple[int, int] | None:
        """Where compiled code finds this thread's reader at a step: its state and numbers; None where options must be summed there, or of several books."""
        reader = self.begun(step)
        single = self.table.lanes == 1 and not needs_average(reader)
        if not single or reader.state[GROUPS + FAR * GROUP_SIZE + HOW] == SUMMED:
            return None
        return reader.state.ctypes.data, reader.numbers.ctypes.data

    def begun(self, step: int) -> Reader:
        """This thread's reader, brought to a step."""
        reader = self._own_reader()
        begin_step(self.table, reader, step)
        return reader

    def _own_reader(self) -> Reader:
        reader: Reader | None = getattr(self._readers, "reader", None)
        if reader is None:
            reader = self._readers.reader = self.reader()
        return reader


def averaged_delta(
    books: Sequence[OptionBook],
    time_years: float,
    spot_usd: float,
    log_price: FloatArray,
    vol_shift: FloatArray,
    running_average_usd: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Delta and slope (lanes, paths) of the rows inside their 30-minute settlement window alone; zero where none is.

    With the share u of the window to come and the running mean A: delta = u N(d), d = ((1 - u) A + u S - K)/(S vol sqrt(left/3) u),
    which fades with u while the slope stays finite (K stands for strike/forward_ratio, so that nothing jumps as the window opens).

    >>> window = WINDOW_YEARS
    >>> book = OptionBook.single(strike_usd=1.0, expiry_years=window / 3, contracts_coin=1.0, iv=0.6, averaged=True)
    >>> averaged_delta([book], 0.0, 1.0, np.zeros(3), np.zeros(3), np.array([0.995, 1.0, 1.005]))[0][0].round(3).tolist()
    [0.0, 0.167, 0.333]
    """
    rows = NetRows.of(books, spot_usd)
    _refuse_overlapping_windows(rows)
    left, _, inside = rows.left(time_years)
    moves = np.ascontiguousarray(log_price, dtype=np.float64)
    shifts = np.ascontiguousarray(vol_shift, dtype=np.float64)
    delta, slope = np.zeros((len(books), moves.size)), np.zeros((len(books), moves.size))
    if inside.any():
        average = needed_average(running_average_usd, moves.size)
        _add_inside(rows, inside, float(left[inside][0]), (spot_usd, moves, shifts, average), (delta, slope))
    return delta, slope


def _add_inside(
    rows: NetRows,
    inside: BoolArray,
    left: float,
    paths: tuple[float, FloatArray, FloatArray, FloatArray],
    out: tuple[FloatArray, FloatArray],
) -> None:
    spot_usd, moves, shifts, average = paths
    columns = np.array((rows.spot_strike_usd[inside], rows.iv[inside], rows.skew[inside]))
    states = np.array((spot_usd * np.exp(moves), moves, shifts, average))
    averaged_delta_kernel(columns, rows.held(inside), (left, left / WINDOW_YEARS), states, *out)


def _keys(book: OptionBook) -> FloatArray:
    columns = (book.expiry_years, book.strike_usd, book.forward_ratio, book.iv, book.skew, book.averaged)
    return np.array(columns, dtype=np.float64)


def _refuse_overlapping_windows(rows: NetRows) -> None:
    expiries = np.unique(rows.expiry_years[rows.averaged])
    close = np.flatnonzero(np.diff(expiries) < WINDOW_YEARS)
    if close.size:
        first, second = expiries[close[0]], expiries[close[0] + 1]
        raise InputError(
            f"expected averaged expiries at least 30 minutes apart, got {first:.9f} and {second:.9f} years; "
            "settle one of them on the last price (averaged False), or give both one expiry"
        )
