"""The OKX and Deribit daily Parquet: one schema, two venues, each with its own units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import EmptyChainError, FileFormatError, TimeError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.market.chain import Chain
from tailwag.market.clock import format_time, parse_time_ns
from tailwag.market.instrument import CALL, PUT
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.market.validate import chain_doubts, validated
from tailwag.sources.listing import contradicted, listed
from tailwag.sources.opening import RawFile
from tailwag.sources.rules import load_rules
from tailwag.sources.spot import spot_of
from tailwag.units import NS_PER_DAY, NS_PER_HOUR

if TYPE_CHECKING:
    import polars

_TEXT = ("snapshot_utc", "exchange", "underlying", "instrument", "expiry", "type")
_NUMBERS = ("strike", "mark_price", "bid", "ask", "mark_iv", "open_interest", "underlying_price")
_OPTIONAL = ("delta", "gamma", "vega", "volume_24h")
_VENUES = ("deribit", "okx")
_IV_UNIT = {"deribit": 0.01, "okx": 1.0}
"""Deribit states volatility in per cent, OKX as a decimal."""
_STATED_ALL = 7


def read_daily(frame: polars.DataFrame, *, raw: RawFile, currency: str, at_ns: int | None = None) -> Snapshot:
    """The snapshot of one currency at or before ``at_ns`` (the last one if None) from the daily table.

    Deribit: IV per cent, open interest in coin, ``underlying_price`` is the expiry's forward. OKX: IV decimal, open interest in contracts
    (coin per contract from the dated rule table), ``underlying_price`` is the index for every expiry (it goes to ``index_usd``, forwards are
    left to parity), and its greeks are per coin: delta_OKX = delta - price_coin, so ``delta_published`` = delta_OKX + mark; its gamma and
    vega stay out. Options expire at 08:00 UTC.

    Raises FileFormatError, TimeError, EmptyChainError: what was expected, what came, what to do.
    """
    table = _typed(frame, raw.name)
    rows = _of_currency(table, raw.name, currency)
    as_of_ns, chosen = _snapshot_rows(rows, raw.name, at_ns)
    venues = chosen["exchange"].unique().sort().to_list()
    columns = [_venue_columns(chosen.filter(chosen["exchange"] == venue), venue, currency, as_of_ns) for venue in venues]
    joined = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}
    chain = validated(Chain.from_columns(currency=currency, as_of_ns=as_of_ns, **joined))
    spot_usd, doubts = spot_of(chain, name=raw.name)
    return Snapshot(
        currency=currency,
        as_of_ns=as_of_ns,
        spot_usd=spot_usd,
        chain=chain,
        futures=Futures.from_columns(),
        source=Source("okx-deribit-daily", raw.name, raw.sha256),
        degraded=(*doubts, *chain_doubts(chain)),
        notes=_notes(venues, currency, as_of_ns),
    )


def _typed(frame: polars.DataFrame, name: str) -> polars.DataFrame:
    import polars as pl

    missing = [column for column in (*_TEXT, *_NUMBERS) if column not in frame.columns]
    if missing:
        raise FileFormatError(
            f"{name}: expected the daily table with the columns {', '.join((*_TEXT, *_NUMBERS))}, got none named {', '.join(missing)}"
        )
    absent = [pl.lit(None, dtype=pl.Float64).alias(column) for column in _OPTIONAL if column not in frame.columns]
    try:
        return frame.with_columns(absent).select(
            *(pl.col(column).cast(pl.String) for column in _TEXT), *(pl.col(column).cast(pl.Float64) for column in (*_NUMBERS, *_OPTIONAL))
        )
    except pl.exceptions.PolarsError as error:
        raise FileFormatError(
            f"{name}: a number column holds text ({ascii(str(error).partition(chr(10))[0])[:100]}); take a clean copy"
        ) from None


def _of_currency(table: polars.DataFrame, name: str, currency: str) -> polars.DataFrame:
    rows = table.filter(table["underlying"] == currency)
    if rows.is_empty():
        known = ", ".join(sorted(text for text in table["underlying"].unique().to_list() if text))
        raise EmptyChainError(f"{name}: holds options of {ascii(known)[1:-1][:80] or 'nothing'}, not {currency}; choose another --currency")
    unknown = sorted(str(venue) for venue in set(rows["exchange"].to_list()) - set(_VENUES))
    if unknown:
        raise FileFormatError(
            f"{name}: expected the exchanges {', '.join(_VENUES)}, got {ascii(unknown[0])[:40]}, whose units are not known; leave it out"
        )
    return rows


def _snapshot_rows(rows: polars.DataFrame, name: str, at_ns: int | None) -> tuple[int, polars.DataFrame]:
    """The rows of the latest snapshot at or before the time asked for: one value of ``snapshot_utc`` is one snapshot."""
    times = {text: _time_ns(text, name) for text in rows["snapshot_utc"].unique().to_list()}
    fitting = {text: time for text, time in times.items() if at_ns is None or time <= at_ns}
    if not fitting:
        asked = format_time(at_ns or 0)
        raise EmptyChainError(f"{name}: its first snapshot is of {format_time(min(times.values()))}, later than {asked}; give a later --at")
    text, as_of_ns = max(fitting.items(), key=lambda item: item[1])
    return as_of_ns, rows.filter(rows["snapshot_utc"] == text)


def _time_ns(text: str | None, name: str) -> int:
    """``snapshot_utc`` is a wall clock whose column name says UTC."""
    try:
        return parse_time_ns(f"{(text or '').strip()}Z")
    except TimeError:
        raise TimeError(f"{name}: expected snapshot_utc such as 2026-07-04 12:24:07, got {ascii(text)[:40]}; mend that column") from None


def _venue_columns(rows: polars.DataFrame, venue: str, currency: str, as_of_ns: int) -> dict[str, Any]:
    names = [text or "" for text in rows["instrument"].to_list()]
    listing = listed(names, currency)
    stated_expiry = _expiry_ns(rows["expiry"].to_list())
    right = np.array([{"call": CALL, "put": PUT}.get(text or "", 0) for text in rows["type"].to_list()], dtype=np.int64)
    strike = _numbers(rows, "strike")
    stated = np.full(len(names), _STATED_ALL, dtype=np.int64)
    underlying = _numbers(rows, "underlying_price")
    by_expiry = venue == "deribit" or _varies_by_expiry(underlying, listing.expiry_ns)
    missing = np.full(len(names), np.nan)
    mark = _numbers(rows, "mark_price")
    return {
        "instrument": names,
        "venue": np.array([venue] * len(names), dtype=object),
        "right": listing.right,
        "strike_usd": listing.strike_usd,
        "expiry_ns": listing.expiry_ns,
        "settlement": listing.settlement,
        "coin_per_contract": _coin_per_contract(listing.settlement, venue, currency, as_of_ns),
        "open_interest_contracts": _numbers(rows, "open_interest"),
        "bid_quoted": _numbers(rows, "bid"),
        "ask_quoted": _numbers(rows, "ask"),
        "mark_quoted": mark,
        "iv": _numbers(rows, "mark_iv") * _IV_UNIT[venue],
        "underlying_usd": underlying if by_expiry else missing,
        "index_usd": missing if by_expiry else underlying,
        "delta_published": _numbers(rows, "delta") + (mark if venue == "okx" else 0.0),
        "gamma_published": missing if venue == "okx" else _numbers(rows, "gamma"),
        "vega_published": missing if venue == "okx" else _numbers(rows, "vega"),
        "volume_contracts": _numbers(rows, "volume_24h"),
        "codes": listing.codes | contradicted(listing, strike_usd=strike, expiry_ns=stated_expiry, right=right, stated=stated),
    }


def _numbers(rows: polars.DataFrame, column: str) -> FloatArray:
    return rows[column].fill_null(float("nan")).to_numpy().astype(np.float64)


def _expiry_ns(days: list[str | None]) -> IntArray:
    """The column is a date only; every crypto option here expires at 08:00 UTC."""
    return np.array([_day_ns(day or "") for day in days], dtype=np.int64)


def _day_ns(text: str) -> int:
    try:
        return int(np.datetime64(text[:10], "D").astype(np.int64)) * NS_PER_DAY + 8 * NS_PER_HOUR
    except (ValueError, OverflowError):
        return 0


def _varies_by_expiry(underlying: FloatArray, expiry_ns: IntArray) -> bool:
    """True where the venue states a forward for each expiry; one price for all of them is the index."""
    known: BoolArray = np.isfinite(underlying)
    return np.unique(underlying[known]).size > 1 and np.unique(expiry_ns).size > 1


def _coin_per_contract(settlement: Any, venue: str, currency: str, as_of_ns: int) -> FloatArray:
    """One coin on Deribit's coin-settled options; on OKX what its instrument list said at that time; linear contracts are not in this file."""
    if venue == "deribit":
        return np.where(settlement == "inverse", 1.0, np.nan)
    multiplier = load_rules("okx_option_multipliers").in_force(currency, as_of_ns).value
    return np.where(settlement == "inverse", multiplier, np.nan)


def _notes(venues: list[str], currency: str, as_of_ns: int) -> tuple[str, ...]:
    if "okx" not in venues:
        return ()
    rule = load_rules("okx_option_multipliers").in_force(currency, as_of_ns)
    return (
        f"OKX open interest is in contracts of {rule.value:g} {currency} (in force since {format_time(rule.valid_from_ns)}: {rule.source})",
        "OKX states one underlying price, the index, for every expiry: its forwards come from put-call parity",
        "OKX publishes delta per coin (delta - price in coin); it is shown as delta, its gamma and vega are left out",
    )
