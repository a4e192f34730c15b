"""One Binance socket as a state machine: the book of its instrument, its marks and funding, its liquidations, and what it wants from REST."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.sources.contract_sizes import linear_perp_coin
from tailwag.sources.streams.binance_liquidations import ForcedOrders
from tailwag.sources.streams.binance_rest import Answer, Mailbox, Wanted
from tailwag.sources.streams.wire import GOING_AWAY, INVALID_DATA, NOT_TEXT, Action, Close
from tailwag.units import NS_PER_SECOND

if TYPE_CHECKING:
    from tailwag.market.book import OrderBook
    from tailwag.sources.streams.binance_depth import DepthBook
    from tailwag.sources.streams.binance_markets import Connection, RestPath

SILENT_SECONDS = 4.0
"""Depth comes every 100 ms and marks every second: after this much silence they are not live."""
LOST_SECONDS = 15.0
"""After this much silence of a stream the connection is given up."""
OPEN_INTEREST_SECONDS, OPEN_INTEREST_AGE_SECONDS = 10.0, 60.0
WINDOW_LEFT, WINDOW_CHECK_SECONDS = 0.5, 5.0
"""A new snapshot is asked for when half of the known price window has been used up."""
LONGEST_SNAPSHOT_PAUSE_SECONDS = 30.0
LARGEST_SKEW_SECONDS = 2.0
_NS_PER_MILLISECOND = NS_PER_SECOND // 1000


@dataclass(slots=True)
class _Marks:
    """The last mark price event, and the last open interest that REST gave."""

    at: float = -math.inf
    mark_usd: float = math.nan
    index_usd: float = math.nan
    funding_8h: float = math.nan
    open_interest_at: float = -math.inf
    open_interest: float = math.nan


@dataclass(slots=True)
class _Asking:
    """One kind of REST request: the number of the one under way, and when the next may be made."""

    number: int | None = None
    not_before: float = -math.inf
    failures: int = 0
    trouble: str = ""


@dataclass(slots=True)
class BinanceSession:
    """What one socket has shown; see :class:`~tailwag.sources.streams.wire.StreamSession` for the verbs.

    Snapshots of books are asked for through ``mailbox.out`` and come back through ``mailbox.back``, both looked at with every tick.
    A message that is no good ends the connection: what it said is lost, and the next one begins from a fresh snapshot.
    """

    connection: Connection
    mailbox: Mailbox = field(default_factory=Mailbox)
    book: DepthBook | None = None
    _is_open: bool = False
    _opened_at: float = -math.inf
    _depth_at: float = -math.inf
    _as_of_ms: int = 0
    _skew_seconds: float = 0.0
    _reason: str = "no snapshot of the book has come yet"
    _window_checked_at: float = -math.inf
    _marks: _Marks = field(default_factory=_Marks)
    _forced: ForcedOrders = field(default_factory=ForcedOrders)
    _depth_asking: _Asking = field(default_factory=_Asking)
    _interest_asking: _Asking = field(default_factory=_Asking)
    _asked: int = 0
    _counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.book = self.connection.empty_book()

    # what the socket says

    def opened(self, now: float) -> list[Action]:
        """A connection is open: its address names the streams, nothing need be sent."""
        self._is_open, self._opened_at = True, now
        return []

    def closed(self, now: float) -> None:
        """Nothing held is live any more; what was asked for is no longer wanted."""
        self._is_open = False
        self._depth_at = -math.inf
        self._reason = "no snapshot of the book has come yet"
        self._marks = _Marks()
        self.mailbox.out.clear()
        self._depth_asking.number = self._interest_asking.number = None
        if self.book is not None:
            self.book.clear()

    def received(self, message: str | bytes, now: float, wall_ns: int) -> list[Action]:
        """One combined-stream message, ``{"stream": ..., "data": ...}``."""
        import orjson

        if isinstance(message, bytes):
            return [self._refused("binary", Close(NOT_TEXT, "binary message"))]
        try:
            wrapped = orjson.loads(message)
            event = wrapped["data"]
            if event.get("e") == "serverShutdown":
                return [self._refused("shutdowns", Close(GOING_AWAY, "the venue shuts this server down"))]
            self._take(event, now, wall_ns)
        except (LookupError, TypeError, ValueError, AttributeError):
            return [self._refused("garbled", Close(INVALID_DATA, "a message that cannot be read"))]
        return []

    def _refused(self, count: str, close: Close) -> Close:
        self._counts[count] += 1
        return close

    def _take(self, event: dict[str, Any], now: float, wall_ns: int) -> None:
        kind = event["e"]
        taker = {"depthUpdate": self._take_depth, "markPriceUpdate": self._take_marks, "forceOrder": self._take_forced}.get(kind)
        if taker is None:
            self._counts["unknown"] += 1
            return
        time_ms = event["E"]
        if isinstance(time_ms, bool) or not isinstance(time_ms, int):
            raise ValueError("no event time")
        taker(event, now)
        self._as_of_ms = max(self._as_of_ms, time_ms)
        self._skew_seconds = (wall_ns - time_ms * _NS_PER_MILLISECOND) / NS_PER_SECOND

    def _take_depth(self, event: dict[str, Any], now: float) -> None:
        self._own(event["s"])
        if self.book is None:
            raise ValueError("depth on a socket that asked for none")
        was_live, self._depth_at = self.book.live, now
        reason = self.book.event(event)
        if reason:
            self._reason = reason
            self._counts["gaps"] += was_live

    def _take_marks(self, event: dict[str, Any], now: float) -> None:
        self._own(event["s"])
        mark = _above_zero(event["p"])
        index = _above_zero(event["i"]) if event.get("i") else mark
        funding = float(event["r"]) if event.get("r") else math.nan
        if math.isinf(funding):
            raise ValueError("funding is no number")
        self._marks.at, self._marks.mark_usd, self._marks.index_usd, self._marks.funding_8h = now, mark, index, funding

    def _take_forced(self, event: dict[str, Any], now: float) -> None:
        self._own(event["o"]["s"])
        self._forced.take(event["o"], usd_per_contract=self.connection.usd_per_contract)
        self._counts["liquidations"] += 1

    def _own(self, symbol: Any) -> None:
        if symbol != self.connection.symbol:
            raise ValueError(f"expected {self.connection.symbol}")

    # what time brings

    def tick(self, now: float, wall_ns: int) -> list[Action]:
        """Read the answers, ask for what is missing, and give a silent connection up."""
        while self.mailbox.back:
            self._answered(self.mailbox.back.popleft(), now)
        if not self._is_open:
            return []
        silent = now - max(self._opened_at, min(at for _, at in self._streams()))
        if silent > LOST_SECONDS:
            return [self._refused("silences", Close(GOING_AWAY, f"a stream was silent for {silent:.0f} s"))]
        self._keep_window(now)
        if self.book is not None and self.book.wants_snapshot:
            self._ask(self._depth_asking, "snapshot of the book", self.connection.depth, now)
        self._ask(self._interest_asking, "open interest", self.connection.open_interest, now)
        return []

    def _streams(self) -> list[tuple[str, float]]:
        """Each stream that must not be silent, and when it was last heard."""
        heard = [("depth", self._depth_at)] if self.connection.depth is not None else []
        return [*heard, ("marks", self._marks.at)] if self.connection.open_interest is not None else heard

    def _keep_window(self, now: float) -> None:
        if self.book is None or not self.book.live or now - self._window_checked_at < WINDOW_CHECK_SECONDS:
            return
        self._window_checked_at = now
        if self.book.window_left < WINDOW_LEFT:
            self._counts["renewals"] += 1
            self.book.renew()

    def _ask(self, asking: _Asking, what: str, path: RestPath | None, now: float) -> None:
        if path is None or asking.number is not None or now < asking.not_before:
            return
        self._asked += 1
        asking.number = self._asked
        self.mailbox.out.append(Wanted(self._asked, what, path))

    def _answered(self, answer: Answer, now: float) -> None:
        """An answer counts only for the request under way: a late one to an earlier connection is not believed."""
        import orjson

        asking = next((each for each in (self._depth_asking, self._interest_asking) if each.number == answer.number), None)
        if asking is None:
            self._counts["late_answers"] += 1
            return
        asking.number, trouble = None, answer.trouble
        try:
            if answer.body is not None:
                reply = orjson.loads(answer.body)
                trouble = self._take_snapshot(reply) if asking is self._depth_asking else self._take_interest(reply, now)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            trouble = f"expected the {answer.what}, got something else ({ascii(str(error))[:60]})"
        self._settle(asking, trouble, now)

    def _settle(self, asking: _Asking, trouble: str, now: float) -> None:
        """After a failure the next request waits, longer each time; open interest is asked for again at its own pace."""
        asking.trouble = trouble
        asking.failures = asking.failures + 1 if trouble else 0
        pause = min(2.0 ** min(asking.failures - 1, 10), LONGEST_SNAPSHOT_PAUSE_SECONDS) if trouble else 1.0
        asking.not_before = now + (pause if asking is self._depth_asking else max(pause, OPEN_INTEREST_SECONDS))
        self._counts["rest_failures"] += bool(trouble)

    def _take_snapshot(self, reply: dict[str, Any]) -> str:
        assert self.book is not None
        if "symbol" in reply:
            self._own(reply["symbol"])
        self._counts["snapshots"] += 1
        return self.book.snapshot(reply)

    def _take_interest(self, reply: dict[str, Any], now: float) -> str:
        self._own(reply["symbol"])
        amount = float(reply["openInterest"])
        if not 0.0 <= amount < 1e15:
            raise ValueError("open interest is no amount")
        self._marks.open_interest, self._marks.open_interest_at = amount, now
        return ""

    # what it holds

    def live(self, now: float) -> bool:
        """Whether any of it may be published."""
        return self._is_open and (self._book_is_live(now) or self._marks_are_live(now))

    def _book_is_live(self, now: float) -> bool:
        return self.book is not None and self.book.live and now - self._depth_at <= SILENT_SECONDS

    def _marks_are_live(self, now: float) -> bool:
        return now - self._marks.at <= SILENT_SECONDS

    def kept(self) -> None:
        """The last snapshot is on disk: its liquidations are not given again."""
        self._forced.kept()

    def snapshot(self, now: float, wall_ns: int) -> Snapshot | None:
        """The book, the perp and the liquidations since the last kept one, without options; None while nothing is live."""
        from tailwag.market.chain import Chain

        book = self._checked_book(now)
        if not self.live(now):
            return None
        currency = self.connection.currency
        as_of_ns = self._as_of_ms * _NS_PER_MILLISECOND
        index = self._marks.index_usd if self._marks_are_live(now) else math.nan
        return Snapshot(
            currency=currency,
            as_of_ns=as_of_ns,
            spot_usd=index if math.isfinite(index) or book is None else book.mid_usd,
            chain=Chain.from_columns(currency=currency, as_of_ns=as_of_ns, instrument=[]),
            futures=self._futures(now, as_of_ns),
            source=Source("binance-ws", self.connection.name),
            books=() if book is None else (book,),
            liquidations=self._forced.offered(self.connection.symbol) if self.connection.open_interest is not None else None,
        )

    def _checked_book(self, now: float) -> OrderBook | None:
        """The book; one that contradicts itself is given up rather than shown."""
        if self.book is None or not self._book_is_live(now):
            return None
        try:
            return self.book.order_book()
        except InputError as trouble:
            self._counts["contradictions"] += 1
            self._reason = str(trouble)
            self.book.clear()
            return None

    def _futures(self, now: float, as_of_ns: int) -> Futures:
        if not self._marks_are_live(now):
            return Futures.from_columns()
        usd_per_contract = self.connection.usd_per_contract
        fresh = now - self._marks.open_interest_at <= OPEN_INTEREST_AGE_SECONDS
        amount = self._marks.open_interest if fresh else math.nan
        return Futures.from_columns(
            instrument=[self.connection.symbol],
            venue=["binance"],
            kind=["perp"],
            settlement=["inverse" if usd_per_contract else "linear"],
            mark_usd=[self._marks.mark_usd],
            open_interest_usd=[amount * (usd_per_contract or self._marks.mark_usd)],
            funding_8h=[self._marks.funding_8h],
            usd_per_contract=[usd_per_contract or math.nan],
            coin_per_contract=[math.nan if usd_per_contract else linear_perp_coin("binance", as_of_ns)],
        )

    def doubts(self, now: float) -> tuple[str, ...]:
        """Why it is not live, or not wholly."""
        name = self.connection.name
        if not self._is_open:
            return (f"{name}: not connected",)
        found = [f"{name}: {sentence}" for sentence in (*self._silences(now), *self._book_doubts(), *self._other_doubts(now))]
        return tuple(found)

    def _silences(self, now: float) -> list[str]:
        return [
            f"no {what} for more than {SILENT_SECONDS:g} s"
            for what, at in self._streams()
            if now - max(at, self._opened_at) > SILENT_SECONDS
        ]

    def _book_doubts(self) -> list[str]:
        if self.book is None or self.book.live:
            return []
        asked = f"; {self._depth_asking.trouble}" if self._depth_asking.trouble else ""
        return [f"the book is unknown until a fresh snapshot has come ({self._reason}{asked})"]

    def _other_doubts(self, now: float) -> list[str]:
        found = []
        if self._marks_are_live(now) and now - self._marks.open_interest_at > OPEN_INTEREST_AGE_SECONDS:
            found.append(f"open interest is unknown ({self._interest_asking.trouble or 'no answer yet'})")
        if abs(self._skew_seconds) > LARGEST_SKEW_SECONDS:
            found.append(f"its clock and this machine's are {abs(self._skew_seconds):.0f} s apart")
        return found

    def counters(self) -> Mapping[str, int]:
        """How often each kind of trouble was met."""
        return dict(self._counts)


def _above_zero(text: Any) -> float:
    value = float(text)
    if not 0.0 < value < 1e15:
        raise ValueError(f"expected a price, got {ascii(text)[:30]}")
    return value
