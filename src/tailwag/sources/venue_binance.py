"""Binance live: USDT-settled options of ``unit`` coin a contract, IV as decimals, open interest expiry by expiry.

Binance sends no forward with its options: the forward of an expiry comes from put-call parity. It writes "-1.0" or "0" for a missing
volatility and "0" for a missing quote; ``exercisePrice`` is the index, and in the last hour before expiry the estimated delivery price.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tailwag.errors import VenueError
from tailwag.kernels.arrays import FloatArray
from tailwag.market.book import OrderBook
from tailwag.market.chain import Chain
from tailwag.market.clock import epoch_ns
from tailwag.market.instrument import CALL, PUT
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.sources.contract_sizes import linear_perp_coin
from tailwag.sources.deribit_records import as_number
from tailwag.sources.listing import OPTION, contradicted, kind_of, listed
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

BOOK_LEVELS = 1_000
MOST_EXPIRIES = 60
OPEN_INTEREST = "open_interest_"


def binance_plan(currency: str) -> Plan:
    """The public requests for one currency: the list of options first, since open interest is asked for expiry by expiry."""
    pair = f"{currency}USDT"
    info = yield Request("exchange_info", "eapiPublicGetExchangeInfo", "option list", needed=True)
    yield Request("marks", "eapiPublicGetMark", "marks, vols and greeks", needed=True)
    for expiry in _expiries(info, currency)[:MOST_EXPIRIES]:
        asked = {"underlyingAsset": currency, "expiration": expiry}
        yield Request(f"{OPEN_INTEREST}{expiry}", "eapiPublicGetOpenInterest", f"open interest of {expiry}", asked)
    yield Request("tickers", "eapiPublicGetTicker", "quotes and volumes")
    yield Request("index", "eapiPublicGetIndex", "index price", {"underlying": pair})
    yield Request("perp_ticker", "fapiPublicGetTicker24hr", f"ticker of {pair}", {"symbol": pair})
    yield Request("perp_mark", "fapiPublicGetPremiumIndex", f"mark and funding of {pair}", {"symbol": pair})
    yield Request("perp_open_interest", "fapiPublicGetOpenInterest", f"open interest of {pair}", {"symbol": pair})
    yield Request("book", "fapiPublicGetDepth", f"order book of {pair}", {"symbol": pair, "limit": BOOK_LEVELS})


def _expiries(info: Any, currency: str) -> list[str]:
    """The expiries as the venue spells them in names, YYMMDD, soonest first."""
    names = [row.get("symbol") for row in rows_of(info, "optionSymbols", what="Binance option list")]
    return sorted({name.split("-")[1] for name in names if isinstance(name, str) and kind_of(name, currency) == OPTION})


def snapshot_from_binance(payloads: Payloads, *, currency: str, source: Source) -> Snapshot:
    """The snapshot in Binance's replies, each under its plan's key and as sent.

    Raises VenueError for a reply of another shape, EmptyChainError where Binance lists no option of the currency.
    """
    info = payloads.get("exchange_info")
    listed_rows = rows_of(info, "optionSymbols", what="Binance option list")
    interest = [
        row for key, reply in payloads.items() if key.startswith(OPEN_INTEREST) for row in rows_of(reply, what="Binance open interest")
    ]
    marks = rows_of(payloads.get("marks"), what="Binance marks")
    tables = {
        "instruments": rows_by(listed_rows, "symbol"),
        "marks": rows_by(marks, "symbol"),
        "tickers": rows_by(rows_of(payloads.get("tickers"), what="Binance tickers"), "symbol"),
        "open_interest": rows_by(interest, "symbol"),
    }
    as_of_ns = time_of(info.get("serverTime") if isinstance(info, dict) else None)
    if not as_of_ns:
        raise VenueError("Binance: the option list does not say when it was made (serverTime in milliseconds since 1970); ask again")
    names = option_names([row.get("symbol") for row in (*listed_rows, *marks)], currency=currency, title="Binance")
    index_usd = _number(payloads.get("index"), "indexPrice")
    chain = _chain(names, tables, currency=currency, as_of_ns=as_of_ns, index_usd=index_usd)
    books, doubts = ((), ()) if payloads.get("book") is None else book_or_doubt(lambda: _book(payloads["book"], currency))
    return snapshot_of(
        chain, futures=_futures(payloads, currency, as_of_ns), source=source, index_usd=index_usd, books=books, doubts=doubts
    )


def _chain(names: list[str], tables: dict[str, dict[str, Row]], *, currency: str, as_of_ns: int, index_usd: float) -> Chain:
    rows = {key: [table.get(name, {}) for name in names] for key, table in tables.items()}
    instruments, listing = rows["instruments"], listed(names, currency)
    stated = np.array(
        [(1 if r.get("strikePrice") else 0) | (2 if r.get("expiryDate") else 0) | (4 if r.get("side") else 0) for r in instruments]
    )
    expiry_ns = np.where(stated & 2, epoch_ns(column(instruments, "expiryDate")), listing.expiry_ns)
    strike_usd = np.where(stated & 1, column(instruments, "strikePrice"), listing.strike_usd)
    right = np.array([{"CALL": CALL, "PUT": PUT}.get(str(row.get("side")), 0) for row in instruments], dtype=np.int64)
    exercise_usd = above_zero(column(rows["tickers"], "exercisePrice"))
    return Chain.from_columns(
        currency=currency,
        as_of_ns=as_of_ns,
        instrument=names,
        venue=["binance"] * len(names),
        right=listing.right,
        strike_usd=strike_usd,
        expiry_ns=expiry_ns,
        settlement=["inverse" if row.get("quoteAsset") == currency else "linear" for row in instruments],
        coin_per_contract=column(instruments, "unit"),
        open_interest_contracts=column(rows["open_interest"], "sumOpenInterest"),
        bid_quoted=above_zero(column(rows["tickers"], "bidPrice")),
        ask_quoted=above_zero(column(rows["tickers"], "askPrice")),
        mark_quoted=above_zero(column(rows["marks"], "markPrice")),
        iv=_vol(column(rows["marks"], "markIV")),
        index_usd=np.full(len(names), index_usd) if index_usd > 0.0 else exercise_usd,
        estimated_delivery_usd=exercise_usd,
        delta_published=column(rows["marks"], "delta"),
        gamma_published=column(rows["marks"], "gamma"),
        vega_published=column(rows["marks"], "vega"),
        volume_contracts=column(rows["tickers"], "volume"),
        codes=listing.codes | contradicted(listing, strike_usd=strike_usd, expiry_ns=expiry_ns, right=right, stated=stated),
    )


def _vol(values: FloatArray) -> FloatArray:
    """-1 is the venue's word for none, so it is missing rather than negative."""
    return np.where(values == -1.0, np.nan, values)


def _book(reply: Any, currency: str) -> OrderBook:
    when = reply.get("E") if isinstance(reply, dict) else None
    return book_of(reply, venue="binance", instrument=f"{currency}USDT", as_of_ns=time_of(when))


def _futures(payloads: Payloads, currency: str, as_of_ns: int) -> Futures:
    ticker, premium, interest = (payloads.get(key) for key in ("perp_ticker", "perp_mark", "perp_open_interest"))
    if ticker is None and premium is None:
        return Futures.from_columns()
    mark_usd = _number(premium, "markPrice")
    return Futures.from_columns(
        instrument=[f"{currency}USDT"],
        venue=["binance"],
        kind=["perp"],
        settlement=["linear"],
        mark_usd=[mark_usd],
        open_interest_usd=[_number(interest, "openInterest") * mark_usd],
        volume_24h_usd=[_number(ticker, "quoteVolume")],
        funding_8h=[_number(premium, "lastFundingRate")],
        coin_per_contract=[linear_perp_coin("binance", as_of_ns)],
    )


def _number(reply: Any, key: str) -> float:
    return as_number(reply.get(key)) if isinstance(reply, dict) else float("nan")


BINANCE = Venue(
    name="binance",
    title="Binance",
    plan=binance_plan,
    snapshot=snapshot_from_binance,
    time_request=Request("time", "eapiPublicGetTime", "the venue's clock"),
    time_ns=lambda reply: time_of(_number(reply, "serverTime")),
)
