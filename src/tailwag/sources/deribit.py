"""Deribit REST: summaries, tickers, order books and instrument lists, alone or together, to one Snapshot.

Units as Deribit documents them: ``mark_iv``, ``bid_iv`` and ``ask_iv`` in per cent; option open interest in coin; open interest of
inverse futures in USD, of linear ones in coin; option prices in coin (inverse) or USDC (linear); times in milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tailwag.errors import EmptyChainError, FileFormatError, TimeError
from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.market.book import OrderBook
from tailwag.market.chain import Chain
from tailwag.market.clock import epoch_ns
from tailwag.market.codes import RowCode
from tailwag.market.instrument import CALL, PUT, parse_future
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.market.validate import chain_doubts, validated
from tailwag.sources.contract_sizes import deribit_contract_usd
from tailwag.sources.deribit_records import Record, Records, as_number, find_records
from tailwag.sources.listing import COMBO, FUTURE, OPTION, OTHER, contradicted, kind_of, listed
from tailwag.sources.opening import RawFile
from tailwag.sources.spot import median_time_ns, spot_of
from tailwag.sources.strict_json import parse_json

VENUE = "deribit"
_RIGHTS = {"call": CALL, "put": PUT, "c": CALL, "p": PUT}


def read_deribit(raw: RawFile, *, currency: str, at_ns: int | None = None) -> Snapshot:
    """The snapshot in one saved Deribit reply (or several replies saved as one JSON file).

    Raises FileFormatError, UnitError, TimeError, EmptyChainError.
    """
    records = find_records(parse_json(raw), name=raw.name)
    return snapshot_from_records(records, currency=currency, at_ns=at_ns, source=Source("deribit-rest", raw.name, raw.sha256))


def snapshot_from_payload(payload: Any, *, currency: str, source: Source) -> Snapshot:
    """The snapshot in what Deribit sent just now, already parsed: the same reader that saved files go through."""
    return snapshot_from_records(find_records(payload, name=source.name), currency=currency, at_ns=None, source=source)


def snapshot_from_records(records: Records, *, currency: str, at_ns: int | None, source: Source) -> Snapshot:
    """The snapshot that records of one moment make: one chain row per quoted or listed option, futures, books.

    ``as_of`` is the earliest time the quotes state (never a wrapper's); rows whose own time is unusable are coded ``time_invalid``.
    """
    _refuse_no_quotes(records, source.name)
    options, notes = _option_records(records, currency, source.name)
    if not options:
        return _empty_snapshot(records, currency=currency, at_ns=at_ns, source=source)
    times = _times(options)
    as_of_ns = _as_of(times, records, at_ns=at_ns, name=source.name)
    chain = validated(_chain(options, currency=currency, as_of_ns=as_of_ns, times=times))
    spot_usd, doubts = spot_of(chain, stated_usd=records.index_usd, name=source.name)
    return Snapshot(
        currency=currency,
        as_of_ns=as_of_ns,
        spot_usd=spot_usd,
        chain=chain,
        futures=futures_of(records, currency, at_ns=as_of_ns),
        source=source,
        books=_books(records, currency),
        degraded=(*doubts, *chain_doubts(chain)),
        notes=notes,
    )


def _refuse_no_quotes(records: Records, name: str) -> None:
    if not records.quotes and (records.instruments or records.books or not records.answered_empty):
        raise FileFormatError(
            f"{name}: has no open interest: get_instruments only lists names; save get_book_summary_by_currency (kind=option) beside it, in the "
            "same file or folder"
        )


def _option_records(records: Records, currency: str, name: str) -> tuple[list[Record], tuple[str, ...]]:
    """One record per row of the chain: every summary, enriched by ticker and listing of the same name; then what only those know."""
    tickers = _first_by_name(records.tickers)
    instruments = _first_by_name(records.instruments)
    summarised = {_name(record) for record in records.summaries}
    rows = [*records.summaries, *(record for record in records.tickers if _name(record) not in summarised)]
    quoted = {_name(record) for record in rows}
    rows += [{"instrument_name": listed_name, "only_listed": True} for listed_name in instruments if listed_name not in quoted]
    kinds = [kind_of(record.get("instrument_name"), currency) for record in rows]
    kept = [record for record, kind in zip(rows, kinds) if kind in (OPTION, OTHER)]
    if rows and not any(kind in (OPTION, OTHER, FUTURE) for kind in kinds):
        others = sorted({str(record.get("base_currency") or _name(record).split("-")[0])[:10] for record in rows})
        raise EmptyChainError(
            f"{name}: no {currency} option among its {len(rows)} rows ({ascii(', '.join(others))[1:-1][:80]}); choose another --currency"
        )
    if rows and not kept:
        raise EmptyChainError(
            f"{name}: has {currency} futures but no options; save get_book_summary_by_currency with kind=option beside it"
        )
    combos = kinds.count(COMBO)
    notes = (f"{combos} combos left out: their open interest is that of their legs",) if combos else ()
    return [{**instruments.get(_name(row), {}), **_present(tickers.get(_name(row), {})), **_present(row)} for row in kept], notes


def _first_by_name(records: Sequence[Record]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for record in records:
        found.setdefault(_name(record), record)
    return found


def _name(record: Record) -> str:
    name = record.get("instrument_name")
    return name if isinstance(name, str) else ""


def _present(record: Record) -> Record:
    return {key: value for key, value in record.items() if value is not None}


def _column(records: Sequence[Record], *keys: str) -> FloatArray:
    """The first of ``keys`` that a record has as a number, (n,); NaN where none."""
    return np.array([_first_number(record, keys) for record in records], dtype=np.float64)


def _first_number(record: Record, keys: Sequence[str]) -> float:
    for key in keys:
        value = as_number(record.get(key))
        if value == value:
            return value
    return math.nan


def _times(records: Sequence[Record]) -> IntArray:
    """When each row was quoted; -1 where it says nothing, 0 where what it says is no time in milliseconds.

    A ticker's ``timestamp`` wins over ``creation_timestamp``, which on an instrument list is the day of its listing.
    """
    said = [record.get("timestamp", record.get("creation_timestamp") if _quotes_own_time(record) else None) for record in records]
    counts = np.array([as_number(value) for value in said], dtype=np.float64)
    return np.where([value is None for value in said], -1, epoch_ns(counts))


def _quotes_own_time(record: Record) -> bool:
    return not record.get("only_listed", False)


def _as_of(times: IntArray, records: Records, *, at_ns: int | None, name: str) -> int:
    stated = times[times > 0]
    if stated.size:
        middle = median_time_ns(stated)
        as_of_ns = int(stated[np.abs(stated - middle) <= LONGEST_CRAWL_NS].min())
    elif records.reply_ns:
        as_of_ns = int(epoch_ns([records.reply_ns / 1e6])[0])
    else:
        as_of_ns = at_ns or 0
    if not as_of_ns:
        raise TimeError(
            f"{name}: no quote says when it was made (creation_timestamp or timestamp in milliseconds since 1970); give the time with --at"
        )
    if at_ns is not None and as_of_ns > at_ns:
        raise EmptyChainError(f"{name}: its only snapshot is later than the time asked for; give a later --at, or leave it out")
    return as_of_ns


LONGEST_CRAWL_NS = 12 * 3_600 * 1_000_000_000
"""Rows of one reply were quoted within half a day of each other; a row further off has a damaged time."""


def _chain(options: list[Record], *, currency: str, as_of_ns: int, times: IntArray) -> Chain:
    names = [record.get("instrument_name") if isinstance(record.get("instrument_name"), str) else "" for record in options]
    listing = listed(names, currency)
    expiry_ms = _column(options, "expiration_timestamp")
    expiry_stated = np.array(["expiration_timestamp" in record for record in options])
    strike_stated = np.array(["strike" in record for record in options])
    right_stated = np.array(["option_type" in record for record in options])
    right = np.array([_RIGHTS.get(str(record.get("option_type")).lower(), 0) for record in options], dtype=np.int64)
    expiry_ns = np.where(expiry_stated, epoch_ns(expiry_ms), listing.expiry_ns)
    strike_usd = np.where(strike_stated, _column(options, "strike"), listing.strike_usd)
    stated = strike_stated * 1 + expiry_stated * 2 + right_stated * 4
    codes = listing.codes | contradicted(listing, strike_usd=strike_usd, expiry_ns=expiry_ns, right=right, stated=stated)
    damaged_time = (times == 0) | ((times > 0) & (np.abs(times - as_of_ns) > LONGEST_CRAWL_NS))
    greeks = [record["greeks"] if isinstance(record.get("greeks"), dict) else {} for record in options]
    size = len(options)
    return Chain.from_columns(
        currency=currency,
        as_of_ns=as_of_ns,
        instrument=names,
        venue=[VENUE] * size,
        right=listing.right,
        strike_usd=strike_usd,
        expiry_ns=expiry_ns,
        settlement=[_settlement(record, said) for record, said in zip(options, listing.settlement)],
        coin_per_contract=np.ones(size),
        open_interest_contracts=_column(options, "open_interest"),
        bid_quoted=_column(options, "bid_price", "best_bid_price"),
        ask_quoted=_column(options, "ask_price", "best_ask_price"),
        mark_quoted=_column(options, "mark_price"),
        iv=_column(options, "mark_iv") / 100.0,
        underlying_usd=_column(options, "underlying_price"),
        underlying_name=[str(record.get("underlying_index", ""))[:40] for record in options],
        index_usd=_column(options, "index_price", "estimated_delivery_price"),
        estimated_delivery_usd=_column(options, "estimated_delivery_price"),
        delta_published=_column(greeks, "delta"),
        gamma_published=_column(greeks, "gamma"),
        vega_published=_column(greeks, "vega"),
        volume_contracts=_column([{**_inner(record, "stats"), **record} for record in options], "volume"),
        codes=codes | np.where(damaged_time, int(RowCode.TIME_INVALID), 0),
    )


def _inner(record: Record, key: str) -> Record:
    part = record.get(key)
    return part if isinstance(part, dict) else {}


def _settlement(record: Record, from_name: str) -> str:
    """'inverse' or 'linear', by the instrument's own metadata where it is there, else by its name."""
    kind = record.get("instrument_type")
    return "inverse" if kind == "reversed" else "linear" if kind == "linear" else from_name


def futures_of(records: Records, currency: str, *, at_ns: int) -> Futures:
    """Dated futures and perps of one currency, open interest and volume in USD.

    Inverse futures state open interest in USD; linear ones in coin, counted here at their mark.  The size of a contract is the listing's
    own where it was saved, else that of the rule table in force.
    """
    tickers, summaries = _first_by_name(records.tickers), _first_by_name(records.summaries)
    instruments = _first_by_name(records.instruments)
    names = [name for name in {**summaries, **tickers} if kind_of(name, currency) == FUTURE]
    merged = [{**_present(tickers.get(name, {})), **_present(summaries.get(name, {}))} for name in names]
    rows = [{**_inner(record, "stats"), **record} for record in merged]
    parsed = [parse_future(name) for name in names]
    mark = _positive(_column(rows, "mark_price"))
    open_interest = _column(rows, "open_interest")
    linear = np.array([future.settlement == "linear" for future in parsed], dtype=bool)
    listed_size = _positive(_column([instruments.get(name, {}) for name in names], "contract_size"))
    known_size = deribit_contract_usd(currency, at_ns) if names else math.nan
    return Futures.from_columns(
        instrument=names,
        venue=[VENUE] * len(names),
        kind=[future.kind for future in parsed],
        settlement=[future.settlement for future in parsed],
        expiry_ns=[future.expiry_ns for future in parsed],
        mark_usd=mark,
        bid_usd=_positive(_column(rows, "bid_price", "best_bid_price")),
        ask_usd=_positive(_column(rows, "ask_price", "best_ask_price")),
        open_interest_usd=_positive(np.where(linear, open_interest * mark, open_interest), zero=True),
        volume_24h_usd=_positive(_column(rows, "volume_usd", "volume_notional"), zero=True),
        funding_8h=_column(rows, "funding_8h"),
        usd_per_contract=np.where(linear, np.nan, np.where(np.isfinite(listed_size), listed_size, known_size)),
        coin_per_contract=np.where(linear, listed_size, np.nan),
    )


def _positive(values: FloatArray, *, zero: bool = False) -> FloatArray:
    """What is no believable price or amount is missing."""
    with np.errstate(invalid="ignore"):
        inside = ((values >= 0.0) if zero else (values > 0.0)) & (values <= 1e15)
    return np.where(inside, values, np.nan)


def _books(records: Records, currency: str) -> tuple[OrderBook, ...]:
    wanted = [record for record in records.books if kind_of(record.get("instrument_name"), currency) == FUTURE]
    if not wanted:
        return ()
    from tailwag.sources.order_books import from_deribit_order_book

    return tuple(from_deribit_order_book(record) for record in wanted)


def _empty_snapshot(records: Records, *, currency: str, at_ns: int | None, source: Source) -> Snapshot:
    """A recognised reply without rows: an empty chain, never an error and never a guess at time or price."""
    as_of_ns = int(epoch_ns([records.reply_ns / 1e6])[0]) or at_ns or 0
    return Snapshot(
        currency=currency,
        as_of_ns=as_of_ns,
        spot_usd=records.index_usd,
        chain=Chain.from_columns(currency=currency, as_of_ns=as_of_ns, instrument=[]),
        futures=futures_of(records, currency, at_ns=as_of_ns),
        source=source,
        degraded=() if as_of_ns else ("the reply has no rows and states no time",),
        notes=("empty: the reply is Deribit's and has no rows",),
    )
