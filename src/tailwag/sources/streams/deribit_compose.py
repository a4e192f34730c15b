"""What a Deribit stream holds at one moment as a Snapshot, through the readers that polled replies and saved files go through."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from tailwag.errors import InputError
from tailwag.market.codes import RowCode
from tailwag.market.snapshot import Snapshot, Source
from tailwag.sources.deribit import snapshot_from_records
from tailwag.sources.deribit_records import Records
from tailwag.sources.order_books import from_deribit_order_book
from tailwag.sources.streams.deribit_prints import Print, liquidations_of
from tailwag.sources.streams.deribit_tickers import Ticker
from tailwag.sources.venue_replies import book_or_doubt

if TYPE_CHECKING:
    from tailwag.market.trades import Covered, Trades

_QUOTES = ("best_bid_price", "best_ask_price")


@dataclass(frozen=True, slots=True)
class Held:
    """What a session holds: listing, tickers, which of them are silent, index, book, and what was traded since the last kept snapshot."""

    currency: str
    listing: Mapping[str, Mapping[str, Any]]
    tickers: Mapping[str, Ticker]
    silent: frozenset[str]
    index_usd: float
    book: Mapping[str, Any] | None
    option_prints: Sequence[Print] = ()
    future_prints: Sequence[Print] = ()
    covered: tuple[Covered, ...] = ()
    """The span of which the option trades given so far are all there were."""
    doubts: tuple[str, ...] = field(default=())


def composed(held: Held) -> Snapshot:
    """The snapshot: one row for each listed option, its time that of the newest ticker.

    The venue speaks when something changes, so what was heard within the limit still holds.  A silent option keeps its row and its last
    numbers and is coded ``time_invalid``; a silent future keeps its row without numbers.

    Raises InputError where nothing listed is an option.
    """
    fresh = [ticker for name, ticker in held.tickers.items() if name not in held.silent]
    as_of_ms = max((ticker["timestamp"] for ticker in fresh), default=0)
    tickers = [_row(name, held, as_of_ms) for name in held.listing if name in held.tickers]
    # a ticker says all that a listing does but the size of a contract
    listed = [dict(record) for name, record in held.listing.items() if name not in held.tickers or record.get("kind") == "future"]
    records = Records(instruments=listed, tickers=tickers, index_usd=held.index_usd, recognised=True)
    source = Source("deribit-ws", f"deribit-ws:{held.currency}", _digest(tickers, held.book))
    snapshot = snapshot_from_records(records, currency=held.currency, at_ns=None, source=source)
    books, book_doubts = ((), ()) if held.book is None else book_or_doubt(lambda: from_deribit_order_book(dict(held.book or {})))
    trades, trade_doubts = _trades(held.option_prints)
    trades = trades.covering(held.covered) if trades is not None else None
    doubts = (*held.doubts, *_silence(snapshot, held), *book_doubts, *trade_doubts, *snapshot.degraded)
    return snapshot.with_parts(books=books, trades=trades, liquidations=liquidations_of(list(held.future_prints)), degraded=doubts)


def _row(name: str, held: Held, as_of_ms: int) -> Ticker:
    """A ticker as of the snapshot's time; 0, which is no time, where it has gone silent."""
    ticker = held.tickers[name]
    if name in held.silent:
        if held.listing[name].get("kind") == "future":
            return {"instrument_name": name, "timestamp": 0, "best_bid_price": None}
        return {**ticker, "timestamp": 0}
    # the venue writes 0 for a side without quotes in tickers, null in summaries
    none = {key: None for key in _QUOTES if ticker.get(key) == 0}
    return {**ticker, "timestamp": as_of_ms, **none}


def _digest(tickers: Sequence[Ticker], book: Mapping[str, Any] | None) -> str:
    return hashlib.sha256(orjson.dumps([tickers, book], option=orjson.OPT_SORT_KEYS)).hexdigest()


def _silence(snapshot: Snapshot, held: Held) -> tuple[str, ...]:
    names = snapshot.chain.instrument.tolist()
    options = sum(name in held.silent for name in names)
    shares = {share.code: share.open_interest_share for share in snapshot.chain.shares(within=RowCode.TIME_INVALID)}
    futures = sorted(name for name in held.silent if held.listing.get(name, {}).get("kind") == "future")
    said = []
    if options:
        share = shares.get(RowCode.TIME_INVALID.code, 0.0)
        said.append(f"{options} options with {share:.2%} of open interest have gone silent on the stream")
    if futures:
        said.append(f"without {', '.join(futures[:5])}{' and more' if len(futures) > 5 else ''}: silent on the stream")
    return tuple(said)


def _trades(prints: Sequence[Print]) -> tuple[Trades | None, tuple[str, ...]]:
    from tailwag.market.trades import Trades
    from tailwag.sources.venue_trades import deribit_trades

    if not prints:
        return Trades.from_columns(trade_id=[], instrument=[]), ()
    try:
        return deribit_trades({"result": {"trades": list(prints)}}), ()
    except InputError as trouble:
        return None, (f"the option trades were left out: {trouble}",)
