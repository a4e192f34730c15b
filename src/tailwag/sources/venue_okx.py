"""OKX live: coin-settled options whose contract is ctVal * ctMult coin, IV as decimals, forwards with every row.

Units as OKX documents them: ``oi`` and ``vol24h`` count contracts, ``oiCcy`` and ``volCcy24h`` coin; option prices are coin per coin of
underlying whatever the contract's size; ``delta`` is premium-adjusted and ``deltaBS`` plain Black-Scholes, the one kept here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tailwag.errors import VenueError
from tailwag.kernels.arrays import FloatArray
from tailwag.market.book import OrderBook
from tailwag.market.chain import Chain
from tailwag.market.clock import epoch_ns
from tailwag.market.instrument import CALL, PUT
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.sources.deribit_records import as_number
from tailwag.sources.listing import contradicted, listed
from tailwag.sources.spot import median_time_ns
from tailwag.sources.venue_replies import (
    Payloads,
    Plan,
    Request,
    Row,
    Venue,
    above_zero,
    book_of,
    book_or_doubt,
    column,
    option_names,
    rows_by,
    rows_of,
    snapshot_of,
    time_of,
)

BOOK_LEVELS = 5_000
HOURS_OF_FUNDING = 8.0


def okx_plan(currency: str) -> Plan:
    """The public requests for one currency: its coin-settled options, its index, and its USDT perp."""
    family, swap = f"{currency}-USD", f"{currency}-USDT-SWAP"
    options, perp = {"instType": "OPTION", "instFamily": family}, {"instType": "SWAP", "instId": swap}
    yield Request("instruments", "publicGetPublicInstruments", "option list", options, needed=True)
    yield Request("summary", "publicGetPublicOptSummary", "vols, greeks and forwards", {"instFamily": family}, needed=True)
    yield Request("open_interest", "publicGetPublicOpenInterest", "open interest", options, needed=True)
    yield Request("tickers", "publicGetMarketTickers", "quotes", options)
    yield Request("marks", "publicGetPublicMarkPrice", "mark prices", options)
    yield Request("index", "publicGetMarketIndexTickers", "index price", {"instId": family})
    yield Request("perp_instrument", "publicGetPublicInstruments", f"contract of {swap}", perp)
    yield Request("perp_ticker", "publicGetMarketTicker", f"ticker of {swap}", {"instId": swap})
    yield Request("perp_mark", "publicGetPublicMarkPrice", f"mark of {swap}", perp)
    yield Request("perp_open_interest", "publicGetPublicOpenInterest", f"open interest of {swap}", perp)
    yield Request("perp_funding", "publicGetPublicFundingRate", f"funding of {swap}", {"instId": swap})
    yield Request("book", "publicGetMarketBooksFull", f"order book of {swap}", {"instId": swap, "sz": BOOK_LEVELS})


def snapshot_from_okx(payloads: Payloads, *, currency: str, source: Source) -> Snapshot:
    """The snapshot in OKX's replies, each under its plan's key and as sent.

    Raises VenueError for a reply of another shape, EmptyChainError where OKX lists no option of the currency.
    """
    tables = {key: _rows(payloads, key) for key in ("instruments", "summary", "open_interest", "tickers", "marks")}
    keyed = {key: rows_by(rows, "instId") for key, rows in tables.items()}
    names = option_names([row.get("instId") for rows in tables.values() for row in rows], currency=currency, title="OKX")
    index = _first(payloads, "index")
    chain = _chain(names, keyed, currency=currency, as_of_ns=_as_of_ns(tables), index_usd=as_number(index.get("idxPx")))
    books, doubts = ((), ()) if payloads.get("book") is None else book_or_doubt(lambda: _book(payloads, currency))
    return snapshot_of(
        chain, futures=_futures(payloads, currency), source=source, index_usd=as_number(index.get("idxPx")), books=books, doubts=doubts
    )


def _rows(payloads: Payloads, key: str) -> list[Row]:
    return rows_of(payloads.get(key), "data", what=f"OKX {key.replace('_', ' ')}")


def _first(payloads: Payloads, key: str) -> Row:
    rows = _rows(payloads, key)
    return rows[0] if rows else {}


def _as_of_ns(tables: dict[str, list[Row]]) -> int:
    """The middle time of the vols (else of the open interest): the rows are made within moments of each other."""
    for key in ("summary", "open_interest"):
        times = epoch_ns(column(tables[key], "ts")) if tables[key] else np.zeros(0, dtype=np.int64)
        if (times > 0).any():
            return median_time_ns(times[times > 0])
    raise VenueError("OKX: no row says when it was made (ts in milliseconds since 1970); ask again")


def _chain(names: list[str], keyed: dict[str, dict[str, Row]], *, currency: str, as_of_ns: int, index_usd: float) -> Chain:
    rows = {key: [table.get(name, {}) for name in names] for key, table in keyed.items()}
    listing = listed(names, currency)
    stated = np.array([2 if row.get("expTime") else 0 for row in rows["instruments"]], dtype=np.int64)
    stated |= np.array([1 if row.get("stk") else 0 for row in rows["instruments"]], dtype=np.int64)
    stated |= np.array([4 if row.get("optType") else 0 for row in rows["instruments"]], dtype=np.int64)
    expiry_ns = np.where(stated & 2, epoch_ns(column(rows["instruments"], "expTime")), listing.expiry_ns)
    strike_usd = np.where(stated & 1, column(rows["instruments"], "stk"), listing.strike_usd)
    right = np.array([CALL if row.get("optType") == "C" else PUT if row.get("optType") == "P" else 0 for row in rows["instruments"]])
    return Chain.from_columns(
        currency=currency,
        as_of_ns=as_of_ns,
        instrument=names,
        venue=["okx"] * len(names),
        right=listing.right,
        strike_usd=strike_usd,
        expiry_ns=expiry_ns,
        settlement=["inverse" if row.get("settleCcy", currency) == currency else "linear" for row in rows["instruments"]],
        coin_per_contract=column(rows["instruments"], "ctVal") * column(rows["instruments"], "ctMult"),
        open_interest_contracts=column(rows["open_interest"], "oi"),
        bid_quoted=above_zero(column(rows["tickers"], "bidPx")),
        ask_quoted=above_zero(column(rows["tickers"], "askPx")),
        mark_quoted=column(rows["marks"], "markPx"),
        iv=column(rows["summary"], "markVol"),
        underlying_usd=above_zero(column(rows["summary"], "fwdPx")),
        underlying_name=["fwdPx" if row.get("fwdPx") else "" for row in rows["summary"]],
        index_usd=np.full(len(names), index_usd),
        delta_published=column(rows["summary"], "deltaBS"),
        gamma_published=column(rows["summary"], "gammaBS"),
        vega_published=column(rows["summary"], "vegaBS"),
        volume_contracts=column(rows["tickers"], "vol24h"),
        codes=listing.codes | contradicted(listing, strike_usd=strike_usd, expiry_ns=expiry_ns, right=right, stated=stated),
    )


def _book(payloads: Payloads, currency: str) -> OrderBook:
    """The perp's book; its amounts are contracts of ctVal coin."""
    swap = f"{currency}-USDT-SWAP"
    coin_per_contract = _coin_per_swap(payloads, currency)
    if not coin_per_contract > 0.0:
        raise VenueError(f"order book of {swap}: its contract size is not known in coin")
    reply = _first(payloads, "book")
    return book_of(reply, venue="okx", instrument=swap, as_of_ns=time_of(reply.get("ts")), coin_per_unit=coin_per_contract)


def _coin_per_swap(payloads: Payloads, currency: str) -> float:
    contract = _first(payloads, "perp_instrument")
    return as_number(contract.get("ctVal")) if contract.get("ctValCcy") == currency else math.nan


def _futures(payloads: Payloads, currency: str) -> Futures:
    ticker, funding = _first(payloads, "perp_ticker"), _first(payloads, "perp_funding")
    if not ticker and not _first(payloads, "perp_mark"):
        return Futures.from_columns()
    mark = as_number(_first(payloads, "perp_mark").get("markPx"))
    return Futures.from_columns(
        instrument=[f"{currency}-USDT-SWAP"],
        venue=["okx"],
        kind=["perp"],
        settlement=["linear"],
        mark_usd=[mark],
        bid_usd=_price(ticker, "bidPx"),
        ask_usd=_price(ticker, "askPx"),
        open_interest_usd=[as_number(_first(payloads, "perp_open_interest").get("oiUsd"))],
        volume_24h_usd=[as_number(ticker.get("volCcy24h")) * (mark if mark > 0.0 else as_number(ticker.get("last")))],
        funding_8h=[_funding_8h(funding)],
        coin_per_contract=[_coin_per_swap(payloads, currency)],
    )


def _price(row: Row, key: str) -> FloatArray:
    return above_zero(np.array([as_number(row.get(key))]))


def _funding_8h(row: Row) -> float:
    """The current rate per eight hours: a contract may be funded more often than that."""
    hours = (time_of(row.get("nextFundingTime")) - time_of(row.get("fundingTime"))) / 3.6e12
    return as_number(row.get("fundingRate")) * (HOURS_OF_FUNDING / hours if 0.5 <= hours <= 24.0 else 1.0)


def _clock_ns(reply: Any) -> int:
    rows = rows_of(reply, "data", what="OKX time")
    return time_of(rows[0].get("ts")) if rows else 0


OKX = Venue(
    name="okx",
    title="OKX",
    plan=okx_plan,
    snapshot=snapshot_from_okx,
    time_request=Request("time", "publicGetPublicTime", "the venue's clock"),
    time_ns=_clock_ns,
)
