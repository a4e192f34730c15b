"""Deribit replies as anyone saves them: which records lie in a JSON value, however it was wrapped."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tailwag.errors import FileFormatError, TimeError
from tailwag.market.clock import parse_time_ns
from tailwag.sources.tables import number

Record = dict[str, Any]

_DEEPEST = 6
_INDEX_KEYS = ("indexPrice", "index_price", "index", "spot", "spotPrice", "spot_price")
_EMPTY_KEYS = ("result", "instruments", "bookSummary", "book_summary", "tickers", "summaries")
_SUMMARY_MARKS = ("creation_timestamp", "underlying_index", "underlying_price", "estimated_delivery_price", "quote_currency")
_INSTRUMENT_MARKS = ("expiration_timestamp", "min_trade_amount", "settlement_period", "tick_size")
_QUOTE_MARKS = ("mark_price", "open_interest", "mark_iv", "underlying_price")


@dataclass(slots=True)
class Records:
    """What one or several replies hold: records by kind, in file order.

    ``recognised`` is True where the shape is Deribit's even if nothing is in it; ``index_usd`` is a wrapper's own index price;
    ``reply_ns`` the time that the envelope states; ``answered_empty`` is True where a list that should hold rows holds none.
    """

    instruments: list[Record] = field(default_factory=list)
    summaries: list[Record] = field(default_factory=list)
    tickers: list[Record] = field(default_factory=list)
    books: list[Record] = field(default_factory=list)
    index_usd: float = math.nan
    reply_ns: int = 0
    recognised: bool = False
    answered_empty: bool = False

    @property
    def quotes(self) -> int:
        """How many records carry a price and open interest."""
        return len(self.summaries) + len(self.tickers)

    def joined(self, other: Records) -> Records:
        """Both together, this one's first."""
        return Records(
            instruments=[*self.instruments, *other.instruments],
            summaries=[*self.summaries, *other.summaries],
            tickers=[*self.tickers, *other.tickers],
            books=[*self.books, *other.books],
            index_usd=self.index_usd if math.isfinite(self.index_usd) else other.index_usd,
            reply_ns=self.reply_ns or other.reply_ns,
            recognised=self.recognised or other.recognised,
            answered_empty=self.answered_empty or other.answered_empty,
        )


def find_records(value: Any, *, name: str) -> Records:
    """Every Deribit record in a JSON value: bare lists, ``result`` envelopes, JSON-RPC replies, and wrappers around them.

    Raises FileFormatError where Deribit answered with an error, and where nothing in the value is Deribit's.
    """
    found = gathered_records(value, name=name)
    if not found.recognised:
        raise FileFormatError(
            f"{name}: expected Deribit's get_book_summary_by_currency, ticker, get_order_book or get_instruments, got {_shape(value)}; "
            "save the reply unchanged"
        )
    return found


def gathered_records(value: Any, *, name: str) -> Records:
    """As :func:`find_records`, with ``recognised`` False instead of an error where nothing in the value is Deribit's."""
    found = Records()
    if isinstance(value, dict) and isinstance(value.get("option_quotes"), list):
        value = {"result": surface_rows(value, name=name)}
    _note_wrapper(value, found, name=name)
    for record in _records(value, 0, name):
        _sort_in(record, found)
    found.recognised = found.answered_empty or bool(found.quotes or found.instruments or found.books or math.isfinite(found.index_usd))
    return found


def _records(value: Any, depth: int, name: str) -> Iterator[Record]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        _refuse_error_reply(value, name)
        if "instrument_name" in value or (_has(value, _SUMMARY_MARKS) and "open_interest" in value):
            yield value
        else:
            for part in value.values():
                yield from _records(part, depth + 1, name)
    elif isinstance(value, list):
        _refuse_holes(value, name)
        for part in value:
            yield from _records(part, depth + 1, name)


def _refuse_holes(parts: list[Any], name: str) -> None:
    """A list of instruments in which some entry is none has lost a row; which one is unknown."""
    holes = [place for place, part in enumerate(parts) if not isinstance(part, (dict, list))]
    if holes and any(isinstance(part, dict) and "instrument_name" in part for part in parts):
        found = ascii(parts[holes[0]])[:40]
        raise FileFormatError(f"{name}: entry {holes[0] + 1} of {len(parts)} is {found}, no instrument; save the reply unchanged")


def _has(record: Record, keys: tuple[str, ...]) -> bool:
    return any(key in record for key in keys)


def _refuse_error_reply(value: Record, name: str) -> None:
    error = value.get("error")
    if error is None or not ("jsonrpc" in value or "result" in value or (isinstance(error, dict) and "code" in error)):
        return
    said = f"{error.get('code')}: {str(error.get('message'))[:80]!a}" if isinstance(error, dict) else ascii(str(error)[:80])
    raise FileFormatError(f"{name}: Deribit answered with an error ({said}), not with data; ask again and save the new reply")


def _sort_in(record: Record, found: Records) -> None:
    if _is_book(record):
        found.books.append(record)
        if "mark_price" in record:
            found.tickers.append(record)
    elif "best_bid_price" in record or ("stats" in record and "mark_price" in record):
        found.tickers.append(record)
    elif _has(record, _INSTRUMENT_MARKS) and "mark_price" not in record:
        found.instruments.append(record)
    elif _has(record, _SUMMARY_MARKS) and _has(record, _QUOTE_MARKS):
        found.summaries.append(record)


def _is_book(record: Record) -> bool:
    sides = record.get("bids"), record.get("asks")
    return all(isinstance(side, list) and all(isinstance(level, list) and len(level) == 2 for level in side) for side in sides)


def _note_wrapper(value: Any, found: Records, *, name: str) -> None:
    """What the outer objects say of the whole: index price, time, and that an empty list is an answer."""
    layers = [value] if isinstance(value, dict) else []
    for layer in layers:
        _refuse_error_reply(layer, name)
        if "instrument_name" in layer:
            continue
        for key in _INDEX_KEYS:
            stated = as_number(layer.get(key))
            if math.isfinite(stated) and not math.isfinite(found.index_usd):
                found.index_usd = stated
        sent = as_number(layer.get("usOut"))
        found.reply_ns = found.reply_ns or (int(sent) * 1000 if math.isfinite(sent) else 0)
        found.answered_empty = found.answered_empty or any(layer.get(key) == [] for key in _EMPTY_KEYS)
        layers.extend(layer[key] for key in ("result", "data", "rawData", "raw", "params") if isinstance(layer.get(key), dict))


def as_number(value: Any) -> float:
    """A JSON value as a finite number; NaN for null, text that is no plain decimal, true and false, and everything else."""
    if isinstance(value, bool) or value is None:
        return math.nan
    if isinstance(value, (int, float)):
        return float(value) if math.isfinite(value) else math.nan
    return number(value) if isinstance(value, str) else math.nan


def surface_rows(value: Record, *, name: str) -> list[Record]:
    """Rows of the snapshot files that vol-surface projects keep of Deribit (``option_quotes`` beside ``forwards``), under Deribit's own keys.

    Raises FileFormatError where the file does not say when it was made.
    """
    try:
        moment_ns = parse_time_ns(str(value.get("snapshot_time")))
    except TimeError as trouble:
        raise FileFormatError(f"{name}: snapshot_time: {trouble}") from None
    instruments = {part.get("instrument_name"): part for part in _dicts(value.get("instruments"))}
    forwards = {part.get("expiry"): part for part in _dicts(value.get("forwards"))}
    rows = []
    for quote in _dicts(value["option_quotes"]):
        expiry = instruments.get(quote.get("instrument_name"), {}).get("expiry")
        forward = forwards.get(expiry, {})
        rows.append(
            {
                "instrument_name": quote.get("instrument_name"),
                "bid_price": quote.get("best_bid"),
                "ask_price": quote.get("best_ask"),
                "mark_price": quote.get("mark_price"),
                "mark_iv": quote.get("deribit_mark_iv"),
                "open_interest": quote.get("open_interest"),
                "underlying_price": forward.get("forward_price"),
                "index_price": forward.get("index_price"),
                "creation_timestamp": moment_ns // 1_000_000,
            }
        )
    return rows


def _dicts(value: Any) -> list[Record]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(sorted(value))[:100]!a}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)} other things" if value else "an empty list"
    return f"a bare {type(value).__name__}"
