"""Made-up Deribit replies: IV in per cent, prices and open interest in coin, book amounts in USD, null for no quote."""

from __future__ import annotations

from typing import Any

from tests.sources.payloads.market import AS_OF_MS, EXPIRIES, INDEX_USD, ladder, quotes

LINEAR_NAME = "BTC_USDC-25SEP26-96000-C"


def envelope(result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "result": result, "usIn": AS_OF_MS * 1000 - 250, "usOut": AS_OF_MS * 1000, "usDiff": 250, "testnet": False}


def options() -> dict[str, Any]:
    rows = []
    for q in quotes():
        mark = round(q.price_coin, 8)
        rows.append(
            {
                "instrument_name": q.deribit_name,
                "base_currency": "BTC",
                "quote_currency": "BTC",
                "underlying_index": "SYN.BTC-18SEP26" if q.expiry == EXPIRIES[0] else f"BTC-{q.expiry.day}{q.expiry:%b%y}".upper(),
                "underlying_price": q.forward,
                "mark_price": mark,
                "mark_iv": round(100 * q.vol, 2),
                "bid_price": None if mark < 0.0005 else round(mark * 0.97, 4),
                "ask_price": round(mark * 1.03 + 0.0001, 4),
                "mid_price": None,
                "open_interest": q.open_interest_coin,
                "volume": 2.5,
                "volume_usd": 1234.5,
                "estimated_delivery_price": INDEX_USD,
                "interest_rate": 0.0,
                "creation_timestamp": AS_OF_MS,
                "high": None,
                "low": None,
                "last": None,
                "price_change": None,
            }
        )
    return envelope(rows)


def linear_options() -> dict[str, Any]:
    q = next(quote for quote in quotes() if (quote.expiry, quote.strike, quote.right) == (EXPIRIES[1], 96_000, 1))
    row = {
        "instrument_name": LINEAR_NAME,
        "base_currency": "BTC",
        "quote_currency": "USDC",
        "underlying_index": "BTC_USDC-25SEP26",
        "underlying_price": q.forward,
        "mark_price": round(q.price_coin * q.forward, 4),
        "mark_iv": round(100 * q.vol, 2),
        "bid_price": 2_000.0,
        "ask_price": 2_300.0,
        "open_interest": 3.25,
        "volume": 0.0,
        "estimated_delivery_price": INDEX_USD,
        "interest_rate": 0.0,
        "creation_timestamp": AS_OF_MS,
    }
    other = {**row, "instrument_name": "SOL_USDC-25SEP26-200-C", "base_currency": "SOL", "underlying_price": 210.0, "mark_price": 15.0}
    return envelope([row, other])


def futures() -> dict[str, Any]:
    common = {"base_currency": "BTC", "quote_currency": "USD", "creation_timestamp": AS_OF_MS, "estimated_delivery_price": INDEX_USD}
    perp = {
        **common,
        "instrument_name": "BTC-PERPETUAL",
        "mark_price": 96_520.1,
        "bid_price": 96_512.0,
        "ask_price": 96_512.5,
        "open_interest": 1_012_000_000,
        "volume": 4_900.5,
        "volume_usd": 472_000_000.0,
        "funding_8h": 0.00008,
        "current_funding": 0.00001,
    }
    dated = {
        **common,
        "instrument_name": "BTC-25DEC26",
        "mark_price": 97_849.0,
        "bid_price": 97_847.5,
        "ask_price": 97_850.0,
        "open_interest": 310_000_000,
        "volume": 610.0,
        "volume_usd": 59_000_000.0,
    }
    return envelope([perp, dated])


def index() -> dict[str, Any]:
    return envelope({"index_price": INDEX_USD, "estimated_delivery_price": INDEX_USD})


def book() -> dict[str, Any]:
    bids, asks = ladder(0.25)
    return envelope(
        {
            "instrument_name": "BTC-PERPETUAL",
            "timestamp": AS_OF_MS,
            "state": "open",
            "change_id": 7,
            "bids": [[price, round(price * coin, 2)] for price, coin in bids],
            "asks": [[price, round(price * coin, 2)] for price, coin in asks],
            "best_bid_price": bids[0][0],
            "best_ask_price": asks[0][0],
            "mark_price": 96_520.1,
            "index_price": INDEX_USD,
            "open_interest": 1_012_000_000,
        }
    )


def trades() -> dict[str, Any]:
    name = next(quotes()).deribit_name
    common = {"instrument_name": name, "index_price": INDEX_USD, "price": 0.2755, "mark_price": 0.2751, "iv": 61.2, "tick_direction": 1}
    rows = [
        {**common, "trade_id": "900001", "trade_seq": 11, "timestamp": AS_OF_MS - 5_000, "direction": "buy", "amount": 1.5},
        {
            **common,
            "trade_id": "900002",
            "trade_seq": 12,
            "timestamp": AS_OF_MS - 4_000,
            "direction": "sell",
            "amount": 25.0,
            "block_trade_id": "77",
        },
        {
            **common,
            "trade_id": "900003",
            "trade_seq": 13,
            "timestamp": AS_OF_MS - 3_000,
            "direction": "sell",
            "amount": 0.4,
            "liquidation": "T",
        },
    ]
    return envelope({"trades": rows, "has_more": False})


def payloads() -> dict[str, Any]:
    """Everything under the adapter's keys."""
    return {
        "options": options(),
        "linear_options": linear_options(),
        "futures": futures(),
        "index": index(),
        "book": book(),
        "trades": trades(),
    }


def routes() -> dict[str, Any]:
    """Replies by path and the parameters that tell them apart."""
    summary = "/api/v2/public/get_book_summary_by_currency"
    return {
        f"{summary}?currency=BTC&kind=option": options(),
        f"{summary}?currency=BTC&kind=future": futures(),
        f"{summary}?currency=USDC&kind=option": linear_options(),
        "/api/v2/public/get_index_price?index_name=btc_usd": index(),
        "/api/v2/public/get_order_book?instrument_name=BTC-PERPETUAL": book(),
        "/api/v2/public/get_last_trades_by_currency?currency=BTC&kind=option": trades(),
        "/api/v2/public/get_time": envelope(AS_OF_MS),
    }
