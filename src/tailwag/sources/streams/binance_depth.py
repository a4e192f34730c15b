"""Binance's order book put together from its diff stream and a REST snapshot, by the venue's own eight steps; pure, no socket and no clock.

Open the stream, buffer its events, take a snapshot, drop the events that end before it, check that the first one left reaches over it,
apply them, and from then on every event must continue the one before: else the book is unknown at once, and a new snapshot starts it again.
Spot numbers its events on (``U`` is the last ``u`` + 1), futures link them (``pu`` is the last ``u``). Amounts are absolute; 0 removes a level.

A snapshot covers a price window (its best 1,000 or 5,000 levels a side). Events also name prices outside it, but there the levels that did
*not* change are unknown: the book ends where the snapshot ended, and never passes for deeper.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.market.book import OrderBook
from tailwag.units import NS_PER_SECOND

MOST_BUFFERED = 5_000
"""Events kept while a snapshot is on its way (eight minutes of a stream of 100 ms); the oldest go first."""
LARGEST_NUMBER = 1e15
"""No price and no amount comes near; a larger number is damage."""
_NS_PER_MILLISECOND = NS_PER_SECOND // 1000
Kind = Literal["spot", "perp", "future"]
Event = dict[str, Any]
Side = dict[float, float]


@dataclass(frozen=True, slots=True)
class _Diff:
    """One depth event, its numbers checked."""

    first: int
    last: int
    previous: int | None
    """``pu``; None on spot."""
    time_ms: int
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]

    def continues(self, last_id: int) -> bool:
        return self.first == last_id + 1 if self.previous is None else self.previous == last_id

    def ends_before(self, start: int) -> bool:
        return self.last <= start if self.previous is None else self.last < start

    def reaches_over(self, start: int) -> bool:
        """On futures ids have holes: an event that follows the snapshot's own id leaves nothing out either."""
        if self.previous is None:
            return self.first <= start + 1 <= self.last
        return self.first <= start <= self.last or self.previous == start


@dataclass(frozen=True, slots=True)
class _Start:
    """A snapshot, its numbers checked."""

    last_id: int
    bids: Side
    asks: Side


@dataclass(slots=True)
class DepthBook:
    """The book of one instrument: known and in step with the stream (``live``), or waiting for a snapshot.

    >>> book = DepthBook("BTCUSDT", kind="spot")
    >>> book.snapshot({"lastUpdateId": 10, "bids": [["99.0", "1"]], "asks": [["101.0", "2"]]}), book.live
    ('', False)
    >>> book.event({"E": 1723161256000, "U": 10, "u": 12, "b": [["99.5", "3"]], "a": []}), book.live
    ('', True)
    >>> book.event({"E": 1723161256100, "U": 14, "u": 15, "b": [], "a": []}), book.live
    ('updates 13 to 13 are missing', False)
    """

    symbol: str
    kind: Kind
    usd_per_contract: float = 0.0
    """Above 0 where an amount is so many contracts of so many USD (COIN-M); 0 where it is coin."""
    breaks: int = 0
    """How often the book was given up for a hole, a repeat or a change of order."""
    as_of_ns: int = 0
    """The venue's time of the last event applied."""
    _waiting: deque[_Diff] = field(default_factory=lambda: deque(maxlen=MOST_BUFFERED))
    _pending: _Start | None = None
    _bids: Side | None = None
    _asks: Side = field(default_factory=dict)
    _window_usd: tuple[float, float] = (math.nan, math.nan)
    _half_window_usd: float = math.nan
    _last_id: int = -1
    _renewing: bool = False

    @property
    def live(self) -> bool:
        """Whether the book is known now."""
        return self._bids is not None

    @property
    def window_left(self) -> float:
        """The part of the known price window that still lies around the price: 1 when it began, 0 where the price has reached an edge."""
        if not (self._bids and self._asks):
            return 0.0
        mid = 0.5 * (max(self._bids) + min(self._asks))
        low, high = self._window_usd
        return max(min((mid - low), (high - mid)) / self._half_window_usd, 0.0)

    @property
    def buffered(self) -> int:
        """Events that wait for a snapshot."""
        return len(self._waiting)

    @property
    def wants_snapshot(self) -> bool:
        """Whether a snapshot asked for now could start the book: none is at hand, and there are events that it must reach into."""
        return (self._bids is None or self._renewing) and self._pending is None and bool(self._waiting)

    def renew(self) -> None:
        """Ask for a new snapshot while the book goes on: its window has been left behind by the price."""
        if self._bids is not None and not self._renewing:
            self._renewing = True
            self._waiting.clear()
            self._pending = None

    def clear(self) -> None:
        """Forget everything: the connection is another one."""
        self._give_up(None)

    def event(self, message: Event) -> str:
        """Take one diff; why the book had to be given up, '' where it had not.

        Raises ValueError for a message that is no depth event (the book is given up too: what it said is lost).
        """
        try:
            diff = _diff(message, self.kind != "spot")
        except (LookupError, TypeError, ValueError) as error:
            self._fail(None)
            raise ValueError(f"no depth event ({ascii(str(error))[:60]})") from None
        return self._take(diff)

    def snapshot(self, reply: Event) -> str:
        """Take a REST snapshot; why it cannot start the book, '' where it can or where it must wait for events.

        Raises ValueError for a reply that is no snapshot.
        """
        try:
            start = _start(reply)
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"no depth snapshot ({ascii(str(error))[:60]})") from None
        if self.live and not self._renewing:
            return ""  # nobody waits for it: an answer that came twice
        if self._pending is None or start.last_id >= self._pending.last_id:
            self._pending = start
        return self._synchronise()

    def restart(self, reply: Event) -> str:
        """Take a snapshot of a recording: the book begins again with it, whatever was known before."""
        self._bids, self._renewing = None, False
        return self.snapshot(reply)

    def _take(self, diff: _Diff) -> str:
        if self._bids is None:
            self._waiting.append(diff)
            return self._synchronise()
        if not diff.continues(self._last_id):
            reason = _broken(self._last_id, diff)
            self._fail(diff)
            return reason
        self._apply(diff)
        if self._renewing:
            self._waiting.append(diff)
            self._synchronise()
        return ""

    def _fail(self, diff: _Diff | None) -> None:
        self.breaks += 1
        self._give_up(diff)

    def _give_up(self, diff: _Diff | None) -> None:
        self._bids, self._asks, self._pending, self._renewing = None, {}, None, False
        self._waiting.clear()
        if diff is not None:
            self._waiting.append(diff)

    def _synchronise(self) -> str:
        """Start the book from the snapshot if the buffered events reach over it without a hole."""
        start = self._pending
        if start is None:
            return ""
        while self._waiting and self._waiting[0].ends_before(start.last_id):
            self._waiting.popleft()
        if not self._waiting:
            return ""
        if not self._waiting[0].reaches_over(start.last_id):
            self._pending = None
            self.breaks += not self._renewing
            return f"the snapshot ends at {start.last_id}, the stream begins at {self._waiting[0].first}"
        return self._begin(start)

    def _begin(self, start: _Start) -> str:
        events = list(self._waiting)
        self._pending, self._renewing = None, False
        self._waiting.clear()
        self._bids, self._asks = dict(start.bids), dict(start.asks)
        self._window_usd = (min(self._bids), max(self._asks))
        mid = 0.5 * (max(self._bids) + min(self._asks))
        self._half_window_usd = min(mid - self._window_usd[0], self._window_usd[1] - mid) or math.inf
        for number, diff in enumerate(events):
            if number and not diff.continues(self._last_id):
                reason = _broken(self._last_id, diff)
                self._fail(None)
                self._waiting.extend(events[number:])
                return reason
            self._apply(diff)
        return ""

    def _apply(self, diff: _Diff) -> None:
        assert self._bids is not None
        low, high = self._window_usd
        for price, amount in diff.bids:
            _set(self._bids, price, amount if price >= low else 0.0)
        for price, amount in diff.asks:
            _set(self._asks, price, amount if price <= high else 0.0)
        self._last_id, self.as_of_ns = diff.last, diff.time_ms * _NS_PER_MILLISECOND

    def order_book(self) -> OrderBook | None:
        """The book as it stands, in USD and coin; None while it is not known.

        Raises InputError where it contradicts itself (crossed) or where the price has left the window that is known; give it up then.
        """
        if self._bids is None:
            return None
        bids, asks = (_table(side, self.usd_per_contract) for side in (self._bids, self._asks))
        if not (bids.size and asks.size):
            low, high = self._window_usd
            raise InputError(f"the price has left the window {low:g} to {high:g} that the snapshot covers; ask for an earlier time")
        return OrderBook.from_levels(venue="binance", instrument=self.symbol, kind=self.kind, as_of_ns=self.as_of_ns, bids=bids, asks=asks)


def _broken(last_id: int, diff: _Diff) -> str:
    expected = last_id + 1
    if diff.last <= last_id:
        return f"update {diff.last} came again or out of order after {last_id}"
    if diff.previous is not None:
        return f"an update that follows {diff.previous} came after {last_id}"
    return f"updates {expected} to {diff.first - 1} are missing" if diff.first > expected else f"update {diff.first} came after {last_id}"


def _set(side: Side, price: float, amount: float) -> None:
    if amount == 0.0:
        side.pop(price, None)
    else:
        side[price] = amount


def _diff(message: Event, is_future: bool) -> _Diff:
    first, last = _whole(message["U"]), _whole(message["u"])
    if last < first:
        raise ValueError(f"update {last} before {first}")
    previous = _whole(message["pu"]) if is_future else None
    return _Diff(first, last, previous, _whole(message["E"]), tuple(_levels(message["b"])), tuple(_levels(message["a"])))


def _start(reply: Event) -> _Start:
    bids, asks = dict(_levels(reply["bids"])), dict(_levels(reply["asks"]))
    if not (bids and asks):
        raise ValueError("a side is empty")
    return _Start(_whole(reply["lastUpdateId"]), bids, asks)


def _levels(rows: Any) -> Iterable[tuple[float, float]]:
    if not isinstance(rows, list):
        raise ValueError("expected a list of levels")
    return [_level(row) for row in rows]


def _level(row: Any) -> tuple[float, float]:
    price, amount = float(row[0]), float(row[1])
    if not (0.0 < price < LARGEST_NUMBER and 0.0 <= amount < LARGEST_NUMBER):
        raise ValueError(f"level {ascii(row)[:40]}")
    return price, amount


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"expected a whole number, got {ascii(value)[:30]}")
    return value


def _table(side: Side, usd_per_contract: float) -> FloatArray:
    """(levels, 2) price and coin."""
    levels = np.array(list(side.items()), dtype=np.float64).reshape(-1, 2)
    if usd_per_contract:
        levels[:, 1] *= usd_per_contract / levels[:, 0]
    return levels
