"""A raw Binance capture (lines of ``local_ns json``) put together into one order book, by the venue's own procedure.

Binance's rule for a local book: buffer the diff stream, take a REST snapshot, drop the events that end before it, check that the first
event left straddles it, and from then on that every event continues the one before; on a break, start again from a new snapshot.
A snapshot covers a price window (its best 1,000 or so levels); diffs also name prices outside it, but there the levels that did *not*
change are unknown. So the book is cut to that window: it says how far it reaches, and never passes for deeper.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tailwag.errors import FileFormatError, InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.market.book import OrderBook
from tailwag.market.clock import format_time
from tailwag.sources.opening import RawFile
from tailwag.sources.rules import load_rules
from tailwag.units import NS_PER_SECOND

_NS_PER_MILLISECOND = NS_PER_SECOND // 1000
_LINE = re.compile(rb"\A([0-9]{16,19}) (\{.*\})\Z")
_SYMBOL = re.compile(r"\A[A-Z0-9]{2,20}(?:_(?:PERP|[0-9]{6}))?\Z", re.ASCII)
Side = dict[str, float]
Event = dict[str, Any]


@dataclass(slots=True)
class _Assembly:
    """What is known so far: waiting for a snapshot (``bids is None``), or in step with update ``last_id``."""

    buffered: list[Event] = field(default_factory=list)
    snapshot: Event | None = None
    bids: Side | None = None
    asks: Side = field(default_factory=dict)
    window_usd: tuple[float, float] = (math.nan, math.nan)
    last_id: int = -1
    as_of_ms: int = 0
    symbol: str = ""
    is_future: bool = False
    breaks: int = 0


def book_from_capture(raw: RawFile, *, at_ns: int | None = None) -> OrderBook:
    """The book at the end of a capture, or after the last update at or before ``at_ns`` (the exchange's event clock).

    Perp and future amounts of COIN-M are contracts (BTC: 100 USD), so coin = contracts * USD / price of the level; USD-M and spot
    amounts are coin. USDT is taken as USD.

    Raises FileFormatError if there is no REST snapshot to start from, if updates are missing after it, or if a line is damaged.
    """
    state = _Assembly()
    for line, message in _messages(raw):
        if at_ns is not None and _event_ms(message) * _NS_PER_MILLISECOND > at_ns:
            break
        try:
            _take(state, message)
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(
                f"{raw.name}:{line}: expected a Binance depth message, a field is missing or no number ({ascii(str(error))[:60]}); record it again"
            ) from None
    _refuse_unknown_book(raw, state, at_ns)
    return _finished(raw, state)


def _messages(raw: RawFile) -> Iterator[tuple[int, Event]]:
    """Depth updates and REST snapshots with their line numbers; other streams (trades, best quotes) are passed over unread."""
    import orjson

    for number, text in enumerate(raw.data.split(b"\n"), start=1):
        if not (b"@depth" in text[:120] or b'"lastUpdateId"' in text[:120]):
            continue
        found = _LINE.match(text)
        try:
            message = orjson.loads(found[2]) if found else None
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict):
            raise FileFormatError(f"{raw.name}:{number}: expected 'local_ns json', got {text[:40]!a}; the capture is damaged here")
        yield number, message.get("data", message)


def _event_ms(message: Event) -> int:
    """The exchange's time of an event; a spot snapshot states none and belongs to the events around it."""
    return int(message.get("E", 0))


def _take(state: _Assembly, message: Event) -> None:
    if "lastUpdateId" in message:
        state.snapshot = message
        state.bids = None
        _synchronise(state)
        return
    symbol = str(message["s"])
    if state.symbol and symbol != state.symbol:
        raise ValueError(f"two instruments, {state.symbol} and {symbol}")
    state.symbol, state.is_future = symbol, "pu" in message
    if state.bids is None:
        state.buffered.append(message)
        _synchronise(state)
    elif _continues(state.last_id, message):
        _apply(state, message)
    else:
        _break_off(state, message)


def _continues(last_id: int, message: Event) -> bool:
    """Futures link each event to the one before by ``pu``; spot events simply number on."""
    return bool(message["pu"] == last_id if "pu" in message else message["U"] == last_id + 1)


def _break_off(state: _Assembly, message: Event) -> None:
    """An update is missing: the book is no longer known, wait for the next snapshot."""
    state.breaks += 1
    state.bids, state.snapshot, state.buffered = None, None, [message]


def _synchronise(state: _Assembly) -> None:
    """Start the book from the snapshot if the buffered events reach over it without a hole."""
    if state.snapshot is None:
        return
    start = int(state.snapshot["lastUpdateId"])
    kept = [event for event in state.buffered if not _ends_before(event, start)]
    if not kept:
        return
    state.buffered = []
    if not _straddles(kept[0], start):
        state.snapshot, state.buffered = None, kept
        state.breaks += 1
        return
    _start(state, state.snapshot)
    for number, event in enumerate(kept):
        if number and not _continues(state.last_id, event):
            _break_off(state, event)
            state.buffered = kept[number:]
            return
        _apply(state, event)


def _ends_before(event: Event, start: int) -> bool:
    return bool(event["u"] < start if "pu" in event else event["u"] <= start)


def _straddles(event: Event, start: int) -> bool:
    return bool(event["U"] <= start <= event["u"] if "pu" in event else event["U"] <= start + 1 <= event["u"])


def _start(state: _Assembly, snapshot: Event) -> None:
    state.bids = {price: float(amount) for price, amount in snapshot["bids"]}
    state.asks = {price: float(amount) for price, amount in snapshot["asks"]}
    low = min((float(price) for price in state.bids), default=math.nan)
    high = max((float(price) for price in state.asks), default=math.nan)
    state.window_usd = (low, high)


def _apply(state: _Assembly, event: Event) -> None:
    for side, changes in ((state.bids, event["b"]), (state.asks, event["a"])):
        assert side is not None
        for price, amount in changes:
            if float(amount) == 0.0:
                side.pop(price, None)
            else:
                side[price] = float(amount)
    state.last_id, state.as_of_ms = int(event["u"]), int(event["E"])


def _refuse_unknown_book(raw: RawFile, state: _Assembly, at_ns: int | None) -> None:
    if state.bids is not None:
        return
    when = "" if at_ns is None else f" by {format_time(at_ns)}"
    if state.breaks:
        raise FileFormatError(
            f"{raw.name}: updates are missing{when} and no snapshot follows the hole, so the book is unknown; ask for an earlier time"
        )
    raise FileFormatError(
        f"{raw.name}: expected a REST snapshot (lastUpdateId, bids, asks) to start the book from, found none that its updates reach over{when}; "
        "diffs alone cannot tell which levels exist: record a snapshot with the stream"
    )


def _finished(raw: RawFile, state: _Assembly) -> OrderBook:
    if not _SYMBOL.match(state.symbol):
        raise FileFormatError(f"{raw.name}: expected a Binance symbol such as BTCUSDT, got {state.symbol[:40]!a}")
    as_of_ns = state.as_of_ms * _NS_PER_MILLISECOND
    coin_margined = "_" in state.symbol and "USDT" not in state.symbol and "USDC" not in state.symbol
    usd_per_contract = (
        load_rules("binance_coin_margined_contracts").in_force(state.symbol.partition("_")[0], as_of_ns).value if coin_margined else 0.0
    )
    assert state.bids is not None
    low, high = state.window_usd
    bids, asks = (_table(side, low, high, usd_per_contract) for side in (state.bids, state.asks))
    if not (bids.size and asks.size):
        raise FileFormatError(
            f"{raw.name}: the price has left the window {low:g} to {high:g} that the snapshot covers; ask for an earlier time"
        )
    kind = _kind(state)
    try:
        return OrderBook.from_levels(venue="binance", instrument=state.symbol, kind=kind, as_of_ns=as_of_ns, bids=bids, asks=asks)
    except InputError as error:
        raise FileFormatError(f"{raw.name}: {error}") from None


def _kind(state: _Assembly) -> Literal["spot", "perp", "future"]:
    """BTCUSD_PERP and BTCUSDT of a futures stream are perps, BTCUSDT_240927 is a dated future; spot events have no ``pu``."""
    if not state.is_future:
        return "spot"
    return "future" if "_" in state.symbol and not state.symbol.endswith("_PERP") else "perp"


def _table(side: Side, low: float, high: float, usd_per_contract: float) -> FloatArray:
    """(levels, 2) price and coin, within the window that is known."""
    levels = np.array([(float(price), amount) for price, amount in side.items()], dtype=np.float64).reshape(-1, 2)
    levels = levels[(levels[:, 0] >= low) & (levels[:, 0] <= high)]
    if usd_per_contract:
        levels[:, 1] *= usd_per_contract / levels[:, 0]
    return levels
