"""Made-up Bybit replies: every number is text, options pay USDC or USDT, "0" where there is no quote, the list comes in two pages."""

from __future__ import annotations

from typing import Any

from tests.sources.payloads.market import AS_OF_MS, EXPIRIES, INDEX_USD, Quote, ladder, quotes


def name(q: Quote) -> str:
    """The December options pay USDT, which their name says; the others USDC, which it does not."""
    return q.deribit_name + ("-USDT" if q.expiry == EXPIRIES[2] else "")


def envelope(result: dict[str, Any]) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": AS_OF_MS}


def tickers() -> dict[str, Any]:
    rows = [
        {
            "symbol": name(q),
            "bid1Price": "0" if q.price_coin < 0.0005 else f"{q.price_coin * q.forward * 0.97:.0f}",
            "bid1Size": "0",
            "bid1Iv": "0",
            "ask1Price": f"{q.price_coin * q.forward * 1.03 + 10:.0f}",
            "ask1Size": "5",
            "ask1Iv": "0.9",
            "lastPrice": "0",
            "highPrice24h": "0",
            "lowPrice24h": "0",
            "markPrice": f"{q.price_coin * q.forward:.8f}",
            "indexPrice": str(INDEX_USD),
            "markIv": f"{q.vol:.4f}",
            "underlyingPrice": f"{q.forward:.2f}",
            "openInterest": str(q.open_interest_coin),
            "turnover24h": "1000",
            "volume24h": "1.25",
            "totalVolume": "3",
            "totalTurnover": "3000",
            "delta": f"{q.delta:.8f}",
            "gamma": f"{q.gamma:.10f}",
            "vega": "51.2",
            "theta": "-20.1",
            "predictedDeliveryPrice": "0",
            "change24h": "0",
        }
        for q in quotes()
    ]
    return envelope({"category": "option", "list": rows})


def instruments(page: int) -> dict[str, Any]:
    rows = [
        {
            "symbol": name(q),
            "status": "Trading",
            "baseCoin": "BTC",
            "quoteCoin": "USDT" if name(q).endswith("USDT") else "USDC",
            "settleCoin": "USDT" if name(q).endswith("USDT") else "USDC",
            "optionsType": "Call" if q.right > 0 else "Put",
            "launchTime": str(AS_OF_MS - 86_400_000),
            "deliveryTime": str(q.expiry_ms),
            "lotSizeFilter": {"maxOrderQty": "500", "minOrderQty": "0.01", "qtyStep": "0.01"},
        }
        for q in quotes()
    ]
    half = len(rows) // 2
    return envelope({"category": "option", "list": rows[half:] if page else rows[:half], "nextPageCursor": "" if page else "second%2Cpage"})


def perp_ticker() -> dict[str, Any]:
    row = {
        "symbol": "BTCUSDT",
        "markPrice": "96514.2",
        "indexPrice": str(INDEX_USD),
        "bid1Price": "96512.0",
        "ask1Price": "96512.5",
        "openInterest": "51000",
        "openInterestValue": "4922000000",
        "turnover24h": "9100000000",
        "volume24h": "94000",
        "fundingRate": "0.00003",
        "fundingIntervalHour": "4",
    }
    return envelope({"category": "linear", "list": [row]})


def book() -> dict[str, Any]:
    bids, asks = ladder(0.2)
    text = [[[f"{price:.2f}", f"{coin:.3f}"] for price, coin in side] for side in (bids, asks)]
    return envelope({"s": "BTCUSDT", "b": text[0], "a": text[1], "ts": AS_OF_MS + 15, "u": 18, "seq": 7, "cts": AS_OF_MS})


def payloads() -> dict[str, Any]:
    """Everything under the adapter's keys."""
    return {
        "tickers": tickers(),
        "instruments_0": instruments(0),
        "instruments_1": instruments(1),
        "perp_ticker": perp_ticker(),
        "book": book(),
    }


def routes() -> dict[str, Any]:
    """Replies by path and the parameters that tell them apart."""
    market = "/v5/market"
    return {
        f"{market}/tickers?category=option&baseCoin=BTC": tickers(),
        f"{market}/tickers?category=linear&symbol=BTCUSDT": perp_ticker(),
        f"{market}/instruments-info?category=option&baseCoin=BTC&cursor=second%2Cpage": instruments(1),
        f"{market}/instruments-info?category=option&baseCoin=BTC": instruments(0),
        f"{market}/orderbook?category=linear&symbol=BTCUSDT": book(),
        f"{market}/time": envelope({"timeSecond": str(AS_OF_MS // 1000), "timeNano": str(AS_OF_MS * 1_000_000)}),
    }
