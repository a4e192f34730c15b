"""A raw Binance capture (lines of ``local_ns json``) put together into one order book, by the venue's own procedure.

The procedure is :class:`~tailwag.sources.streams.binance_depth.DepthBook`'s, the same that keeps a live book; here its messages come from a
file, and the REST snapshot stands where it arrived.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tailwag.errors import FileFormatError, InputError
from tailwag.market.book import OrderBook
from tailwag.market.clock import format_time
from tailwag.sources.opening import RawFile
from tailwag.sources.rules import load_rules
from tailwag.sources.streams.binance_depth import DepthBook, Kind
from tailwag.units import NS_PER_SECOND

_NS_PER_MILLISECOND = NS_PER_SECOND // 1000
_LINE = re.compile(rb"\A([0-9]{16,19}) (\{.*\})\Z")
_SYMBOL = re.compile(r"\A[A-Z0-9]{2,20}(?:_(?:PERP|[0-9]{6}))?\Z", re.ASCII)
Event = dict[str, Any]


def book_from_capture(raw: RawFile, *, at_ns: int | None = None) -> OrderBook:
    """The book at the end of a capture, or after the last update at or before ``at_ns`` (the exchange's event clock).

    Perp and future amounts of COIN-M are contracts (BTC: 100 USD), so coin = contracts * USD / price of the level; USD-M and spot
    amounts are coin. USDT is taken as USD.

    Raises FileFormatError if there is no REST snapshot to start from, if updates are missing after it, or if a line is damaged.
    """
    early: list[Event] = []
    book: DepthBook | None = None
    for line, message in _messages(raw):
        if at_ns is not None and _event_ms(message) * _NS_PER_MILLISECOND > at_ns:
            break
        try:
            book = _taken(book, message, early)
        except (LookupError, TypeError, ValueError) as error:
            raise FileFormatError(
                f"{raw.name}:{line}: expected a Binance depth message, a field is missing or no number ({ascii(str(error))[:60]}); record it again"
            ) from None
    _refuse_unknown_book(raw, book, at_ns)
    assert book is not None
    return _finished(raw, book)


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


def _taken(book: DepthBook | None, message: Event, early: list[Event]) -> DepthBook | None:
    """Feed one message; the first event says whose book it is, and a snapshot from before it waits in ``early``."""
    if "lastUpdateId" in message:
        if book is None:
            early[:] = [message]
        else:
            book.restart(message)
        return book
    symbol = str(message["s"])
    if book is None:
        book = _book_of(symbol, message)
        if early:
            book.restart(early[0])
    if symbol != book.symbol:
        raise ValueError(f"two instruments, {book.symbol} and {symbol}")
    book.event(message)
    return book


def _book_of(symbol: str, event: Event) -> DepthBook:
    if not _SYMBOL.match(symbol):
        raise ValueError(f"expected a Binance symbol such as BTCUSDT, got {symbol[:40]!a}")
    coin_margined = "_" in symbol and "USDT" not in symbol and "USDC" not in symbol
    usd_per_contract = 0.0
    if coin_margined:
        at_ns = _event_ms(event) * _NS_PER_MILLISECOND
        usd_per_contract = load_rules("binance_coin_margined_contracts").in_force(symbol.partition("_")[0], at_ns).value
    return DepthBook(symbol, _kind(symbol, is_future="pu" in event), usd_per_contract)


def _kind(symbol: str, *, is_future: bool) -> Kind:
    """BTCUSD_PERP and BTCUSDT of a futures stream are perps, BTCUSDT_240927 is a dated future; spot events have no ``pu``."""
    if not is_future:
        return "spot"
    return "future" if "_" in symbol and not symbol.endswith("_PERP") else "perp"


def _refuse_unknown_book(raw: RawFile, book: DepthBook | None, at_ns: int | None) -> None:
    if book is not None and book.live:
        return
    when = "" if at_ns is None else f" by {format_time(at_ns)}"
    if book is not None and book.breaks:
        raise FileFormatError(
            f"{raw.name}: updates are missing{when} and no snapshot follows the hole, so the book is unknown; ask for an earlier time"
        )
    raise FileFormatError(
        f"{raw.name}: expected a REST snapshot (lastUpdateId, bids, asks) to start the book from, found none that its updates reach over{when}; "
        "diffs alone cannot tell which levels exist: record a snapshot with the stream"
    )


def _finished(raw: RawFile, book: DepthBook) -> OrderBook:
    try:
        found = book.order_book()
    except InputError as error:
        raise FileFormatError(f"{raw.name}: {error}") from None
    assert found is not None
    return found
