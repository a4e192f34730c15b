"""Order books from files: Deribit replies, and raw Binance sockets put together by the venue's own rules."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tailwag.errors import FileFormatError, InputError, InstrumentNameError
from tailwag.kernels.arrays import FloatArray
from tailwag.market.book import OrderBook
from tailwag.market.clock import epoch_ns, format_time
from tailwag.market.instrument import parse_future, parse_option
from tailwag.sources.opening import RawFile, read_file
from tailwag.units import NS_PER_HOUR

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot

_CURRENCY = re.compile(r"\A([A-Z0-9]{2,10}?)[-_]?(?:USD|PERP|[0-9]{1,2}[A-Z]{3}[0-9]{2}\Z)", re.ASCII)

Kind = Literal["spot", "perp", "future", "option"]


def load_books(path: str | os.PathLike[str], at_ns: int | None = None) -> tuple[OrderBook, ...]:
    """The order books in a file: Deribit ``get_order_book`` replies (JSON), or a raw Binance capture (lines of ``local_ns json``).

    A capture gives the book at its end, or as of the last update at or before ``at_ns`` (UTC nanoseconds, the exchange's clock).

    Raises FileFormatError if the file is of neither kind, or if the capture cannot give a book whose levels are all known.
    """
    raw = read_file(path)
    start = raw.data[:64].lstrip()
    if start[:1].isdigit():
        from tailwag.sources.binance_capture import book_from_capture

        return (book_from_capture(raw, at_ns=at_ns),)
    return _deribit_books(raw, at_ns=at_ns)


def with_books(snapshot: Snapshot, books: Sequence[OrderBook], *, max_age_hours: float = 1.0) -> Snapshot:
    """The snapshot with order books that were saved beside it; a book of another time than the chain's is said to be so.

    Raises InputError for the book of another currency.
    """
    for book in books:
        currency = _currency_of(book)
        if currency not in ("", snapshot.currency):
            raise InputError(
                f"expected order books of {snapshot.currency}, {book.instrument} is of {currency}; give the book of this market"
            )
    ages = [(book, abs(book.as_of_ns - snapshot.as_of_ns) / NS_PER_HOUR) for book in books]
    doubts = [
        f"the order book of {book.venue} {book.instrument} is of {format_time(book.as_of_ns)}, {_span(hours)} away from the chain: depth may have changed"
        for book, hours in ages
        if hours > max_age_hours
    ]
    return snapshot.with_parts(books=(*snapshot.books, *books), degraded=(*snapshot.degraded, *doubts))


def _currency_of(book: OrderBook) -> str:
    """What the instrument's name says; '' where it follows no known spelling."""
    found = _CURRENCY.match(book.instrument)
    return found[1] if found else ""


def _span(hours: float) -> str:
    return f"{hours:.1f} hours" if hours < 48.0 else f"{hours / 24.0:,.0f} days"


def _deribit_books(raw: RawFile, *, at_ns: int | None) -> tuple[OrderBook, ...]:
    from tailwag.sources.strict_json import parse_json

    books = tuple(from_deribit_order_book(payload) for payload in _payloads(parse_json(raw)))
    if not books:
        raise FileFormatError(
            f"{raw.name}: expected a Deribit get_order_book reply or a raw Binance capture, found neither; save the reply unchanged"
        )
    kept = tuple(book for book in books if at_ns is None or book.as_of_ns <= at_ns)
    if not kept:
        raise FileFormatError(f"{raw.name}: every book in it is later than the time asked for; give a later time")
    return kept


def _payloads(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [payload for item in value for payload in _payloads(item)]
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("bids"), list) and isinstance(value.get("asks"), list) and "instrument_name" in value:
        return [value]
    return [payload for item in value.values() for payload in _payloads(item)]


def from_deribit_order_book(payload: dict[str, Any]) -> OrderBook:
    """A Deribit order book in USD and coin.

    Amounts of inverse perps and futures are USD: coin = USD / price of the level. Amounts of options and linear contracts are coin;
    inverse option prices are coin per coin: USD = price * forward of the expiry (``underlying_price``). The venue sends as many levels
    as were asked for, so the book is never taken as complete.

    Raises FileFormatError if a field is missing or no number.
    """
    record = payload.get("result", payload)
    name = str(record.get("instrument_name", ""))
    kind, inverse = _deribit_kind(name)
    as_of_ns = int(epoch_ns([_number(record.get("timestamp"), name, "timestamp")])[0])
    if not as_of_ns:
        raise FileFormatError(
            f"order book of {name[:40]!a}: expected a timestamp in milliseconds, got {ascii(record.get('timestamp'))[:40]}"
        )
    bids, asks = (_levels(record.get(side), name, side) for side in ("bids", "asks"))
    scale = _number(record.get("underlying_price"), name, "underlying_price") if kind == "option" and inverse else 1.0
    in_coin = [
        np.column_stack((side[:, 0] * scale, side[:, 1] / side[:, 0] if inverse and kind != "option" else side[:, 1]))
        for side in (bids, asks)
    ]
    return OrderBook.from_levels(venue="deribit", instrument=name, kind=kind, as_of_ns=as_of_ns, bids=in_coin[0], asks=in_coin[1])


def _deribit_kind(name: str) -> tuple[Kind, bool]:
    try:
        future = parse_future(name)
    except InstrumentNameError:
        pass
    else:
        return future.kind, future.settlement == "inverse"
    try:
        return "option", parse_option(name).settlement == "inverse"
    except InstrumentNameError:
        raise FileFormatError(
            f"order book of {name[:40]!a}: expected an option, a dated future or a perp; leave combos and spot pairs out"
        ) from None


def _levels(rows: Any, name: str, side: str) -> FloatArray:
    if not isinstance(rows, list):
        raise FileFormatError(f"order book of {name[:40]!a}: expected a list of {side}, got {ascii(rows)[:40]}; save the reply unchanged")
    cells = [[_number(cell, name, side) for cell in row[-2:]] if isinstance(row, list) and len(row) >= 2 else [math.nan] for row in rows]
    if any(len(row) != 2 or not row[0] > 0.0 or not row[1] >= 0.0 for row in cells):
        raise FileFormatError(f"order book of {name[:40]!a}: expected [price, amount] above 0 among its {side}; save the reply unchanged")
    return np.array(cells, dtype=np.float64).reshape(-1, 2)


def _number(value: Any, name: str, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FileFormatError(
            f"order book of {name[:40]!a}: expected a number as {field}, got {ascii(value)[:40]}; save the reply unchanged"
        )
    return float(value)
