"""Made-up Binance replies: text numbers, USDT-settled, no forward, "-1.0" for a missing vol, open interest expiry by expiry."""

from __future__ import annotations

from typing import Any

from tests.sources.payloads.market import AS_OF_MS, EXPIRIES, INDEX_USD, Quote, ladder, quotes

DOGE = "DOGE-260925-0.25-C"


def name(q: Quote) -> str:
    return f"BTC-{q.expiry:%y%m%d}-{q.strike}-{q.letter}"


def without_vol(q: Quote) -> bool:
    """The far calls of the front expiry have no vol."""
    return q.expiry == EXPIRIES[0] and q.strike == 140_000


def exchange_info() -> dict[str, Any]:
    rows = [
        {
            "symbol": name(q),
            "side": "CALL" if q.right > 0 else "PUT",
            "strikePrice": f"{q.strike}.00000000",
            "underlying": "BTCUSDT",
            "unit": 1,
            "expiryDate": q.expiry_ms,
            "quoteAsset": "USDT",
            "minQty": "0.01",
            "filters": [],
        }
        for q in quotes()
    ]
    doge = {"symbol": DOGE, "side": "CALL", "strikePrice": "0.25", "underlying": "DOGEUSDT", "unit": 1000, "expiryDate": 1_790_323_200_000}
    return {"timezone": "UTC", "serverTime": AS_OF_MS, "optionContracts": [], "optionAssets": [], "optionSymbols": [*rows, doge]}


def marks() -> list[dict[str, Any]]:
    rows = [
        {
            "symbol": name(q),
            "markPrice": f"{q.price_coin * q.forward:.6f}",
            "bidIV": "-1.0",
            "askIV": "0.9",
            "markIV": "-1.0" if without_vol(q) else f"{q.vol:.8f}",
            "delta": f"{q.delta:.8f}",
            "gamma": f"{q.gamma:.8f}",
            "vega": "51.3",
            "theta": "-20.2",
            "highPriceLimit": "30000",
            "lowPriceLimit": "5",
            "riskFreeInterest": "0.05",
        }
        for q in quotes()
    ]
    return [*rows, {**rows[0], "symbol": DOGE, "markIV": "1.2"}]


def open_interest(expiry: str) -> list[dict[str, Any]]:
    return [
        {
            "symbol": name(q),
            "sumOpenInterest": str(q.open_interest_coin),
            "sumOpenInterestUsd": str(round(q.open_interest_coin * INDEX_USD, 4)),
            "timestamp": str(AS_OF_MS - 30_000),
        }
        for q in quotes()
        if f"{q.expiry:%y%m%d}" == expiry
    ]


def tickers() -> list[dict[str, Any]]:
    return [
        {
            "symbol": name(q),
            "bidPrice": "0" if q.price_coin < 0.0005 else f"{q.price_coin * q.forward * 0.97:.0f}",
            "askPrice": f"{q.price_coin * q.forward * 1.03 + 10:.0f}",
            "lastPrice": "0",
            "volume": "0.75",
            "amount": "500",
            "strikePrice": str(q.strike),
            "exercisePrice": str(INDEX_USD),
            "openTime": 0,
            "closeTime": 0,
        }
        for q in quotes()
    ]


def book() -> dict[str, Any]:
    bids, asks = ladder(0.4)
    text = [[[f"{price:.2f}", f"{coin:.3f}"] for price, coin in side] for side in (bids, asks)]
    return {"lastUpdateId": 12, "E": AS_OF_MS + 25, "T": AS_OF_MS + 20, "bids": text[0], "asks": text[1]}


def payloads() -> dict[str, Any]:
    """Everything under the adapter's keys."""
    return {
        "exchange_info": exchange_info(),
        "marks": marks(),
        **{f"open_interest_{day:%y%m%d}": open_interest(f"{day:%y%m%d}") for day in EXPIRIES},
        "tickers": tickers(),
        "index": {"time": AS_OF_MS, "indexPrice": str(INDEX_USD)},
        "perp_ticker": {"symbol": "BTCUSDT", "volume": "150000.5", "quoteVolume": "14500000000.25", "lastPrice": "96512.4"},
        "perp_mark": {
            "symbol": "BTCUSDT",
            "markPrice": "96510.5",
            "indexPrice": str(INDEX_USD),
            "lastFundingRate": "0.00007",
            "time": AS_OF_MS,
        },
        "perp_open_interest": {"symbol": "BTCUSDT", "openInterest": "80000.125", "time": AS_OF_MS},
        "book": book(),
    }


def routes() -> dict[str, Any]:
    """Replies by path and the parameters that tell them apart."""
    every = payloads()
    interest = {
        f"/eapi/v1/openInterest?underlyingAsset=BTC&expiration={day:%y%m%d}": every[f"open_interest_{day:%y%m%d}"] for day in EXPIRIES
    }
    return {
        "/eapi/v1/exchangeInfo": every["exchange_info"],
        "/eapi/v1/mark": every["marks"],
        "/eapi/v1/ticker": every["tickers"],
        "/eapi/v1/index?underlying=BTCUSDT": every["index"],
        "/eapi/v1/time": {"serverTime": AS_OF_MS},
        "/fapi/v1/ticker/24hr?symbol=BTCUSDT": every["perp_ticker"],
        "/fapi/v1/premiumIndex?symbol=BTCUSDT": every["perp_mark"],
        "/fapi/v1/openInterest?symbol=BTCUSDT": every["perp_open_interest"],
        "/fapi/v1/depth?symbol=BTCUSDT": every["book"],
        **interest,
    }
