"""Bybit live: USDC- and USDT-settled options of one coin a contract, IV as decimals, forwards and index with every row.

Bybit writes "0" (or nothing) for a missing price, volatility or delivery price; open interest and volume count coin.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tailwag.errors import VenueError
from tailwag.market.book import OrderBook
from tailwag.market.chain import Chain
from tailwag.market.clock import epoch_ns
from tailwag.market.instrument import CALL, PUT
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.sources.contract_sizes import linear_perp_coin
from tailwag.sources.deribit_records import as_number
from tailwag.sources.listing import contradicted, listed
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

BOOK_LEVELS = 500
PAGE_ROWS = 1_000
MOST_PAGES = 10
"""Far more than any currency lists; a cursor that never ends must end here."""


def bybit_plan(currency: str) -> Plan:
    """The public requests for one currency: quotes of all its options, their list page by page, and its USDT perp."""
    yield Request("tickers", "publicGetV5MarketTickers", f"{currency} options", {"category": "option", "baseCoin": currency}, needed=True)
    asked = {"category": "option", "baseCoin": currency, "limit": PAGE_ROWS}
    for page in range(MOST_PAGES):
        reply = yield Request(f"instruments_{page}", "publicGetV5MarketInstrumentsInfo", f"option list, page {page + 1}", dict(asked))
        cursor = _result(reply).get("nextPageCursor")
        if not cursor or not isinstance(cursor, str):
            break
        asked["cursor"] = cursor
    perp = {"category": "linear", "symbol": f"{currency}USDT"}
    yield Request("perp_ticker", "publicGetV5MarketTickers", f"ticker of {currency}USDT", perp)
    yield Request("book", "publicGetV5MarketOrderbook", f"order book of {currency}USDT", {**perp, "limit": BOOK_LEVELS})


def snapshot_from_bybit(payloads: Payloads, *, currency: str, source: Source) -> Snapshot:
    """The snapshot in Bybit's replies, each under its plan's key and as sent.

    Raises VenueError for a reply of another shape, EmptyChainError where Bybit lists no option of the currency.
    """
    tickers = rows_of(payloads.get("tickers"), "result", "list", what="Bybit tickers")
    pages = [payloads[key] for key in sorted(payloads) if key.startswith("instruments_")]
    instruments = [row for page in pages for row in rows_of(page, "result", "list", what="Bybit instruments")]
    as_of_ns = time_of(_reply_time(payloads.get("tickers")))
    if not as_of_ns:
        raise VenueError("Bybit: the reply does not say when it was made (time in milliseconds since 1970); ask again")
    names = option_names([row.get("symbol") for row in (*tickers, *instruments)], currency=currency, title="Bybit")
    chain = _chain(names, rows_by(tickers, "symbol"), rows_by(instruments, "symbol"), currency=currency, as_of_ns=as_of_ns)
    books, doubts = ((), ()) if payloads.get("book") is None else book_or_doubt(lambda: _book(payloads["book"], currency))
    return snapshot_of(chain, futures=_futures(payloads, currency, as_of_ns), source=source, books=books, doubts=doubts)


def _chain(names: list[str], quoted: dict[str, Row], known: dict[str, Row], *, currency: str, as_of_ns: int) -> Chain:
    rows, instruments = [quoted.get(name, {}) for name in names], [known.get(name, {}) for name in names]
    listing = listed(names, currency)
    stated = np.array([(2 if row.get("deliveryTime") else 0) | (4 if row.get("optionsType") else 0) for row in instruments], dtype=np.int64)
    expiry_ns = np.where(stated & 2, epoch_ns(column(instruments, "deliveryTime")), listing.expiry_ns)
    right = np.array([{"Call": CALL, "Put": PUT}.get(str(row.get("optionsType")), 0) for row in instruments], dtype=np.int64)
    size = len(names)
    return Chain.from_columns(
        currency=currency,
        as_of_ns=as_of_ns,
        instrument=names,
        venue=["bybit"] * size,
        right=listing.right,
        strike_usd=listing.strike_usd,
        expiry_ns=expiry_ns,
        # every option here pays a stablecoin, also those whose name says nothing of it
        settlement=["inverse" if row.get("settleCoin") == currency else "linear" for row in instruments],
        coin_per_contract=np.ones(size),
        open_interest_contracts=column(rows, "openInterest"),
        bid_quoted=above_zero(column(rows, "bid1Price")),
        ask_quoted=above_zero(column(rows, "ask1Price")),
        mark_quoted=above_zero(column(rows, "markPrice")),
        iv=column(rows, "markIv"),
        underlying_usd=above_zero(column(rows, "underlyingPrice")),
        underlying_name=["underlyingPrice" if row.get("underlyingPrice") else "" for row in rows],
        index_usd=above_zero(column(rows, "indexPrice")),
        estimated_delivery_usd=above_zero(column(rows, "predictedDeliveryPrice")),
        delta_published=column(rows, "delta"),
        gamma_published=column(rows, "gamma"),
        vega_published=column(rows, "vega"),
        volume_contracts=column(rows, "volume24h"),
        codes=listing.codes | contradicted(listing, strike_usd=listing.strike_usd, expiry_ns=expiry_ns, right=right, stated=stated),
    )


def _book(reply: Any, currency: str) -> OrderBook:
    result = _result(reply)
    return book_of(result, venue="bybit", instrument=f"{currency}USDT", as_of_ns=time_of(result.get("ts")), sides=("b", "a"))


def _futures(payloads: Payloads, currency: str, as_of_ns: int) -> Futures:
    rows = rows_of(payloads.get("perp_ticker"), "result", "list", what="Bybit perp ticker")[:1]
    hours = column(rows, "fundingIntervalHour")
    with np.errstate(invalid="ignore"):
        per_8h = np.where((hours >= 1.0) & (hours <= 24.0), 8.0 / hours, 1.0)
    return Futures.from_columns(
        instrument=[f"{currency}USDT"] * len(rows),
        venue=["bybit"] * len(rows),
        kind=["perp"] * len(rows),
        settlement=["linear"] * len(rows),
        mark_usd=above_zero(column(rows, "markPrice")),
        bid_usd=above_zero(column(rows, "bid1Price")),
        ask_usd=above_zero(column(rows, "ask1Price")),
        open_interest_usd=column(rows, "openInterestValue"),
        volume_24h_usd=column(rows, "turnover24h"),
        funding_8h=column(rows, "fundingRate") * per_8h,
        coin_per_contract=[linear_perp_coin("bybit", as_of_ns)] * len(rows),
    )


def _result(reply: Any) -> Row:
    result = reply.get("result") if isinstance(reply, dict) else None
    return result if isinstance(result, dict) else {}


def _reply_time(reply: Any) -> float:
    return as_number(reply.get("time")) if isinstance(reply, dict) else float("nan")


BYBIT = Venue(
    name="bybit",
    title="Bybit",
    plan=bybit_plan,
    snapshot=snapshot_from_bybit,
    time_request=Request("time", "publicGetV5MarketTime", "the venue's clock"),
    time_ns=lambda reply: time_of(_reply_time(reply)),
)
