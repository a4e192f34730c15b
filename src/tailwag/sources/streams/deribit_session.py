"""Deribit's public stream as a state machine: messages and clocks in, actions out, a snapshot when it is asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError
from tailwag.sources.deribit_records import as_number
from tailwag.sources.listing import FUTURE, OPTION
from tailwag.sources.streams.deribit_books import StreamedBook, Taken
from tailwag.sources.streams.deribit_channels import Subscriptions
from tailwag.sources.streams.deribit_compose import Held, composed
from tailwag.sources.streams.deribit_coverage import TradeCoverage
from tailwag.sources.streams.deribit_listing import Listing
from tailwag.sources.streams.deribit_prints import Prints
from tailwag.sources.streams.deribit_rpc import MAINTENANCE, NOT_NOW, TOO_MANY_REQUESTS, Answer, Call, Calls, parsed
from tailwag.sources.streams.deribit_tickers import GRACE_SECONDS, Tickers
from tailwag.sources.streams.wire import GOING_AWAY, INVALID_DATA, Action, Close

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot

DERIBIT_ADDRESS = "wss://www.deribit.com/ws/api/v2"
LARGEST_SKEW_SECONDS = 2.0
TRADE_COUNT = 1_000
NEARLY_ALL = 0.98
"""A share of the listed instruments that, once heard, makes a connection good without waiting for the rest."""
NO_OPTION = "no option has been heard on Deribit's stream lately"
_HEARTBEAT, _TEST, _LISTS = "public/set_heartbeat", "public/test", "public/get_instruments"
_SUBSCRIBE, _UNSUBSCRIBE, _TRADES = "public/subscribe", "public/unsubscribe", "public/get_last_trades_by_currency"
_HISTORY = "public/get_last_trades_by_currency_and_time"
BUNDLES_MS = {"raw": 0, "100ms": 100, "agg2": 2_000}


@dataclass(frozen=True, slots=True)
class DeribitTiming:
    """Seconds: a ticker is expected at least every ``expected``; the socket as a whole is never quiet for ``quiet`` and dead after ``dead``.

    ``settle``: how long the first tickers of a connection may take before those still unheard are told as silent.  ``mute``: how long
    a connection that says nothing of any option is kept.
    """

    expected: float = 5.0
    quiet: float = 1.0 + GRACE_SECONDS
    heartbeat: float = 10.0
    dead: float = 12.0
    settle: float = 10.0
    mute: float = 20.0
    book_retry: float = 5.0
    too_many_wait: float = 5.0
    interval: str = "100ms"
    """The venue's word for how it bundles tickers, books and trades: ``100ms`` or ``agg2`` (two seconds)."""


class DeribitSession:
    """Books, tickers, trades and index of one currency over any number of connections.

    Nothing is given out unless the connection speaks, the platform is not locked, every list and subscription has been answered, and at
    least one option has been heard lately.
    """

    def __init__(self, currency: str, *, timing: DeribitTiming = DeribitTiming()) -> None:
        self.currency, self._timing = currency, timing
        self._counts: Counter[str] = Counter()
        self._calls = Calls(self._counts)
        self._listing = Listing(currency)
        self._channels = Subscriptions()
        self._handlers: dict[str, Callable[[Any, float], list[Action]]] = {}
        self._tickers = Tickers(expected_seconds=timing.expected)
        self._book = StreamedBook(self._listing.perp)
        self._book_heard_at = self._book_asked_at = -math.inf
        self._option_prints = Prints(currency, OPTION, self._counts)
        self._future_prints = Prints(currency, FUTURE, self._counts)
        self._trade_channels = {f"trades.option.{coin}.{timing.interval}": coin for coin, kind in self._listing.lists if kind == OPTION}
        self._coverage = TradeCoverage(list(self._trade_channels.values()), bundle_ms=BUNDLES_MS.get(timing.interval, 2_000))
        self._index_usd, self._index_heard_at = math.nan, -math.inf
        self._open = False
        self._opened_at = self._heard_at = -math.inf
        self._complete_at: float | None = None
        self._settled = False
        self._locked = ""
        self._venue_offset_ms = math.nan
        self._wall_ns = 0
        self._mute_since: float | None = None
        self._unreadable = ""
        self._plan_channels()

    def resume(self, from_ns: int | None) -> None:
        """Up to where an earlier recorder has every option trade (UTC ns); None where there was none."""
        self._coverage.resume(from_ns)

    # StreamSession

    def opened(self, now: float) -> list[Action]:
        """A connection is open: ask for heartbeats, for what is listed, and for the trades that were missed."""
        self.closed(now)
        self._open, self._opened_at, self._heard_at = True, now, now
        self._listing.opened(now)
        self._future_prints.opened()
        self._counts["opened"] += 1
        beats = self._calls.ask(_HEARTBEAT, {"interval": max(int(self._timing.heartbeat), 10)}, now)
        return [beats, *(self._ask_trades(kind, now) for kind in (OPTION, FUTURE))]

    def received(self, message: str | bytes, now: float, wall_ns: int) -> list[Action]:
        """One message: an answer, a heartbeat, or a notification on a channel that was asked for; all else is counted and dropped."""
        self._wall_ns = wall_ns
        if isinstance(message, bytes):
            return self._refused("messages_binary", "a binary message on a text channel", now)
        value = parsed(message)
        if value is None:
            return self._refused("messages_malformed", "a message that is no JSON-RPC", now)
        self._heard_at = now
        self._counts["messages"] += 1
        if "id" in value:
            answer = self._calls.answer(value)
            return [] if answer is None else self._answered(answer, now)
        parameters = value.get("params")
        if isinstance(parameters, dict) and value.get("method") == "subscription":
            return self._notified(parameters.get("channel"), parameters.get("data"), now)
        if isinstance(parameters, dict) and value.get("method") == "heartbeat":
            return [self._calls.ask(_TEST, {}, now)] if parameters.get("type") == "test_request" else []
        self._counts["messages_unknown"] += 1
        return []

    def tick(self, now: float, wall_ns: int) -> list[Action]:
        """What time alone demands: close a dead connection, ask again what was not answered, subscribe the next batch."""
        self._wall_ns = wall_ns
        if not self._open:
            return []
        if now - self._heard_at > self._timing.dead:
            self._counts["connections_silent"] += 1
            self.closed(now)
            return [Close(GOING_AWAY, f"silent for {self._timing.dead:g} s")]
        if self._mute_for_too_long(now):
            self._counts["connections_mute"] += 1
            self.closed(now)
            return [Close(GOING_AWAY, "heartbeats only: no option was heard")]
        for call in self._calls.given_up(now):
            self._failed(call, now)
        self._note_complete(now)
        return [*self._listings_due(now), *self._subscriptions_due(now), *self._history_due(now), *self._book_due(now)]

    def closed(self, now: float) -> None:
        """Nothing held is live; what was held stays, to be masked until it is heard again."""
        self._open, self._complete_at, self._settled, self._locked = False, None, False, ""
        self._calls.clear()
        self._channels.clear()
        self._coverage.closed()
        self._tickers.quiet()
        self._book.forget()
        self._index_heard_at = self._book_heard_at = self._book_asked_at = -math.inf
        self._venue_offset_ms = math.nan
        self._mute_since = None

    def live(self, now: float) -> bool:
        """Whether a snapshot of now may be published."""
        return not self._why_not_live(now)

    def snapshot(self, now: float, wall_ns: int) -> Snapshot | None:
        """What is held now; None while it is not live.  Trades are given again until :meth:`kept`."""
        self._wall_ns, self._unreadable = wall_ns, ""
        if not self.live(now):
            return None
        option_prints, lost_options = self._option_prints.offered()
        future_prints, lost_futures = self._future_prints.offered()
        self._note_coverage()
        index_fresh = now - self._index_heard_at <= self._tickers.limit_seconds
        book_fresh = self._book.valid and now - self._book_heard_at <= self._tickers.limit_seconds
        held = Held(
            currency=self.currency,
            listing=self._listing.records(),
            tickers=self._tickers.latest(),
            silent=frozenset(self._tickers.silent(now)),
            index_usd=self._index_usd if index_fresh else math.nan,
            book=self._book.payload() if book_fresh else None,
            option_prints=option_prints,
            future_prints=future_prints,
            covered=self._coverage.span(),
            doubts=(*self._partial_doubts(now), *lost_options, *lost_futures, *self._coverage.doubts(self._venue_ms(now))),
        )
        try:
            return composed(held)
        except InputError as trouble:  # a reader that refuses what the venue sent must not end the stream
            self._counts["snapshots_refused"] += 1
            self._unreadable = f"what Deribit's stream holds cannot be read: {trouble}"
            return None

    def kept(self) -> None:
        """The last snapshot is on disk: its trades are not given again."""
        self._option_prints.kept()
        self._future_prints.kept()
        self._coverage.kept()

    def doubts(self, now: float) -> tuple[str, ...]:
        """Why it is not live, or what is missing."""
        reason = self._why_not_live(now) or self._unreadable
        return (reason,) if reason else self._partial_doubts(now)

    def counters(self) -> Mapping[str, int]:
        """How often each kind of message and of trouble was met."""
        return dict(self._counts)

    # liveness

    def _why_not_live(self, now: float) -> str:
        if not self._open:
            return "Deribit's stream is not connected"
        if self._locked:
            return self._locked
        if now - self._heard_at > self._timing.quiet:
            return f"Deribit's stream has been silent for {now - self._heard_at:,.1f} s"
        if not self._settled:
            return "Deribit's stream is still being subscribed"
        options = self._options()
        if not options or len(options & self._tickers.silent(now)) == len(options):
            return NO_OPTION
        return ""

    def _options(self) -> set[str]:
        records = self._listing.records()
        return {name for name in self._tickers.latest() if name in records and records[name]["kind"] == OPTION}

    def _partial_doubts(self, now: float) -> tuple[str, ...]:
        said = []
        refused = self._channels.refused()
        if refused:
            shown = ", ".join(sorted(refused)[:5])
            said.append(f"{len(refused)} channels are kept back by Deribit: {shown}{' and more' if len(refused) > 5 else ''}")
        if not self._book.valid:
            said.append(f"the order book of {self._book.instrument} is being fetched anew")
        elif now - self._book_heard_at > self._tickers.limit_seconds:
            said.append(f"the order book of {self._book.instrument} has gone silent and is left out")
        if now - self._index_heard_at > self._tickers.limit_seconds:
            said.append(f"the index {self._listing.index} has gone silent; the tickers' own index is used")
        return (*said, *self._skew(now))

    def _skew(self, now: float) -> tuple[str, ...]:
        if math.isnan(self._venue_offset_ms) or not self._wall_ns:
            return ()
        ahead_seconds = self._wall_ns / 1e9 - self._venue_ms(now) / 1e3
        if abs(ahead_seconds) <= LARGEST_SKEW_SECONDS:
            return ()
        side = "ahead of" if ahead_seconds > 0 else "behind"
        return (f"the local clock is {abs(ahead_seconds):,.1f} s {side} Deribit's; times here are the venue's",)

    def _note_complete(self, now: float) -> None:
        if self._settled:
            return
        if self._complete_at is None and self._listing.complete() and self._channels.complete():
            self._complete_at = now
        if self._complete_at is not None:
            heard = self._tickers.heard()
            enough = heard >= NEARLY_ALL * len(self._listing.records()) or now - self._complete_at > self._timing.settle
            self._settled = enough and heard > 0

    def _venue_ms(self, now: float) -> float:
        """The venue's clock, by its last answer; the local one until it has said."""
        return self._wall_ns / 1e6 if math.isnan(self._venue_offset_ms) else self._venue_offset_ms + now * 1e3

    # answers

    def _answered(self, answer: Answer, now: float) -> list[Action]:
        if 1.23e12 < answer.sent_ms < 4.1e12:
            self._venue_offset_ms = answer.sent_ms - now * 1e3
        if answer.error == TOO_MANY_REQUESTS:
            self.closed(now)
            return [Close(GOING_AWAY, "Deribit says too many requests", self._timing.too_many_wait)]
        if answer.error:
            if answer.error == MAINTENANCE:
                self._locked = "Deribit is under maintenance"
            self._counts["errors_passing" if answer.error in NOT_NOW else "errors_lasting"] += 1
            self._failed(answer.call, now)
            return []
        if self._locked == "Deribit is under maintenance":
            self._locked = ""
        self._believe(answer, now)
        return []

    def _believe(self, answer: Answer, now: float) -> None:
        call = answer.call
        if call.method == _LISTS:
            which = (call.about.split(":")[0], call.about.split(":")[1])
            if self._listing.take(which, answer.result, now):
                self._plan_channels()
            else:
                self._counts["lists_malformed"] += 1
        elif call.method == _SUBSCRIBE:
            self._counts["channels_kept_back"] += self._channels.answered(call.channels, answer.result, now)
            self._note_granted(call, answer.result, now)
        elif call.method == _TRADES:
            rows = answer.result.get("trades") if isinstance(answer.result, dict) else None
            if call.about == OPTION:
                self._take_options(rows, now)
            else:
                self._future_prints.take_missed(rows, asked=TRADE_COUNT)
        elif call.method == _HISTORY:
            rows = self._coverage.answered(call.about, answer.result, now)
            self._counts["trades_fetched"] += len(rows)
            self._take_options(rows, now)

    def _failed(self, call: Call, now: float) -> None:
        """A question without a usable answer is asked again where it matters."""
        if call.method == _LISTS:
            self._listing.failed((call.about.split(":")[0], call.about.split(":")[1]), now)
        elif call.method == _SUBSCRIBE:
            self._channels.unanswered(call.channels, now)
        elif call.method == _HISTORY:
            self._take_options(self._coverage.answered(call.about, None, now), now)

    # option trades

    def _ask_trades(self, kind: str, now: float) -> Action:
        asked = {"currency": self._listing.lists[0][0], "kind": kind, "count": TRADE_COUNT}
        return self._calls.ask(_TRADES, asked, now, about=kind)

    def _note_granted(self, call: Call, granted: Any, now: float) -> None:
        for channel in set(call.channels) & self._trade_channels.keys():
            if isinstance(granted, list) and channel in granted:
                self._coverage.granted(self._trade_channels[channel], self._venue_ms(now))

    def _history_due(self, now: float) -> list[Action]:
        if math.isnan(self._venue_offset_ms):
            return []
        return [self._calls.ask(_HISTORY, asked, now, about=coin) for coin, asked in self._coverage.due(now, self._venue_ms(now))]

    def _take_options(self, rows: Any, now: float) -> None:
        malformed = self._option_prints.take(rows)
        if malformed:
            self._coverage.lost(self._venue_ms(now))
        if self._option_prints.lost_until_ms:
            self._coverage.lost(self._option_prints.lost_until_ms)

    def _note_coverage(self) -> None:
        """Messages came in order up to the last one: by the time it was heard and by what the venue itself says, whichever is earlier."""
        stated_ms = self._tickers.newest_ms()
        if not math.isnan(self._venue_offset_ms) and stated_ms:
            self._coverage.heard(min(self._venue_ms(self._heard_at), stated_ms))

    # what time demands

    def _mute_for_too_long(self, now: float) -> bool:
        """A connection that lives and says nothing of options, the platform not being locked: another one may do better."""
        if not self._settled or self._locked or self._why_not_live(now) != NO_OPTION:
            self._mute_since = None
        elif self._mute_since is None:
            self._mute_since = now
        return self._mute_since is not None and now - self._mute_since > self._timing.mute

    def _listings_due(self, now: float) -> list[Action]:
        return [
            self._calls.ask(_LISTS, {"currency": coin, "kind": kind, "expired": False}, now, about=f"{coin}:{kind}")
            for coin, kind in self._listing.due(now, self._venue_ms(now))
        ]

    def _subscriptions_due(self, now: float) -> list[Action]:
        surplus = self._channels.surplus(self._handlers)
        actions: list[Action] = [self._calls.ask(_UNSUBSCRIBE, {"channels": surplus}, now)] if surplus else []
        batch = self._channels.batch(now)
        if not batch:
            return actions
        for channel in batch:
            if channel.startswith("ticker."):
                self._tickers.expect(channel.split(".")[1], now)
        return [*actions, self._calls.ask(_SUBSCRIBE, {"channels": batch}, now, channels=batch)]

    def _book_due(self, now: float) -> list[Action]:
        """A snapshot that does not come is asked for again."""
        waiting = self._settled and not self._book.valid and now - self._book_asked_at > self._timing.book_retry
        return self._fresh_book(now) if waiting else []

    def _fresh_book(self, now: float) -> list[Action]:
        self._book_asked_at = now
        channel = [self._book_channel()]
        self._counts["book_resnapshots"] += 1
        leave = self._calls.ask(_UNSUBSCRIBE, {"channels": channel}, now)
        return [leave, self._calls.ask(_SUBSCRIBE, {"channels": channel}, now, channels=channel)]

    # channels

    def _book_channel(self) -> str:
        return f"book.{self._book.instrument}.{self._timing.interval}"

    def _plan_channels(self) -> None:
        """The channels wanted for what is listed now, and who takes what comes on each."""
        records = self._listing.records()
        coins = list(dict.fromkeys(coin for coin, _ in self._listing.lists))
        interval, coin = self._timing.interval, coins[0]
        found: dict[str, Callable[[Any, float], list[Action]]] = {
            "platform_state": self._on_platform,
            f"deribit_price_index.{self._listing.index}": self._on_index,
            **dict.fromkeys(self._trade_channels, self._on_option_trades),
            f"trades.future.{coin}.{interval}": self._on_future_trades,
            **{f"instrument.state.option.{coin}": self._on_news for coin in coins},
            self._book_channel(): self._on_book,
        }
        for name in records:
            found[f"ticker.{name}.{interval}"] = self._ticker_taker(name)
        self._handlers = found
        self._channels.want(found)
        self._tickers.keep(records)

    def _ticker_taker(self, name: str) -> Callable[[Any, float], list[Action]]:
        def take(data: Any, now: float) -> list[Action]:
            if not self._tickers.take(name, data, now=now, venue_ms=self._venue_ms(now)):
                self._counts["tickers_refused"] += 1
            return []

        return take

    def _notified(self, channel: Any, data: Any, now: float) -> list[Action]:
        handler = self._handlers.get(channel) if isinstance(channel, str) else None
        if handler is None or not self._channels.knows(channel):
            self._counts["channels_unknown"] += 1
            return []
        return handler(data, now)

    def _on_platform(self, data: Any, _now: float) -> list[Action]:
        """Locked as a whole, or for the index that matters here."""
        if isinstance(data, dict) and data.get("price_index") in (None, "all", self._listing.index) and "locked" in data:
            self._locked = "Deribit is locked" if data["locked"] not in (False, None, "false") else ""
        return []

    def _on_index(self, data: Any, now: float) -> list[Action]:
        price = as_number(data.get("price")) if isinstance(data, dict) and data.get("index_name") == self._listing.index else math.nan
        if 0.0 < price <= 1e9:
            self._index_usd, self._index_heard_at = price, now
        else:
            self._counts["indices_refused"] += 1
        return []

    def _on_option_trades(self, data: Any, now: float) -> list[Action]:
        self._take_options(data, now)
        return []

    def _on_future_trades(self, data: Any, _now: float) -> list[Action]:
        self._future_prints.take(data)
        return []

    def _on_news(self, _data: Any, now: float) -> list[Action]:
        self._listing.news(now)
        return []

    def _on_book(self, data: Any, now: float) -> list[Action]:
        was_valid = self._book.valid
        taken = self._book.take(data)
        if taken is Taken.APPLIED:
            self._book_heard_at = now
        if taken in (Taken.APPLIED, Taken.IGNORED):
            return []
        self._counts[f"book_{taken}"] += 1
        # a book that was good asks at once; one that still waits asks again in its own time, or a bad venue would be asked without end
        return self._fresh_book(now) if was_valid else []

    def _refused(self, count: str, what: str, now: float) -> list[Action]:
        """What cannot be read may have been anything: begin again."""
        self._counts[count] += 1
        self.closed(now)
        return [Close(INVALID_DATA, what)]
