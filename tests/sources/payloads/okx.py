"""Made-up OKX replies: every number is text, a contract is 0.01 BTC, IV is decimal, empty text where there is no quote."""

from __future__ import annotations

from typing import Any

from tests.sources.payloads.market import AS_OF_MS, INDEX_USD, Quote, ladder, quotes

SWAP = "BTC-USDT-SWAP"
COIN_PER_CONTRACT = 0.01


def name(q: Quote) -> str:
    return f"BTC-USD-{q.expiry:%y%m%d}-{q.strike}-{q.letter}"


def envelope(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": rows}


def _each(make: Any) -> dict[str, Any]:
    return envelope([{"instType": "OPTION", "instId": name(q), **make(q)} for q in quotes()])


def instruments() -> dict[str, Any]:
    return _each(
        lambda q: {
            "uly": "BTC-USD",
            "instFamily": "BTC-USD",
            "settleCcy": "BTC",
            "ctVal": "1",
            "ctMult": "0.01",
            "ctValCcy": "BTC",
            "optType": q.letter,
            "stk": str(q.strike),
            "expTime": str(q.expiry_ms),
            "tickSz": "0.0001",
            "lotSz": "1",
            "state": "live",
        }
    )


def summary() -> dict[str, Any]:
    # the plain greeks are premium-adjusted: delta - price; only the BS ones are what the chain keeps
    return _each(
        lambda q: {
            "uly": "BTC-USD",
            "delta": f"{q.delta - q.price_coin:.10f}",
            "deltaBS": f"{q.delta:.10f}",
            "gamma": "9.9",
            "gammaBS": f"{q.gamma:.14f}",
            "vega": "0.001",
            "vegaBS": "51.25",
            "theta": "-0.001",
            "thetaBS": "-20.5",
            "markVol": f"{q.vol:.6f}",
            "bidVol": "0",
            "askVol": "",
            "realVol": "",
            "volLv": "0.48",
            "fwdPx": f"{q.forward:.8f}",
            "lever": "3.1",
            "ts": str(AS_OF_MS),
        }
    )


def open_interest() -> dict[str, Any]:
    return _each(
        lambda q: {
            "oi": str(round(q.open_interest_coin / COIN_PER_CONTRACT)),
            "oiCcy": str(q.open_interest_coin),
            "oiUsd": str(round(q.open_interest_coin * INDEX_USD, 2)),
            "ts": str(AS_OF_MS + 40),
        }
    )


def tickers() -> dict[str, Any]:
    return _each(
        lambda q: {
            "last": "",
            "lastSz": "0",
            "bidPx": "" if q.price_coin < 0.0005 else f"{q.price_coin * 0.97:.4f}",
            "bidSz": "0",
            "askPx": f"{q.price_coin * 1.03 + 0.0001:.4f}",
            "askSz": "20",
            "vol24h": "150",
            "volCcy24h": "1.5",
            "ts": str(AS_OF_MS + 20),
        }
    )


def marks() -> dict[str, Any]:
    return _each(lambda q: {"markPx": f"{q.price_coin:.12f}", "ts": str(AS_OF_MS + 10)})


def index() -> dict[str, Any]:
    return envelope([{"instId": "BTC-USD", "idxPx": str(INDEX_USD), "high24h": "97000", "low24h": "95000", "ts": str(AS_OF_MS)}])


def perp(**fields: str) -> dict[str, Any]:
    return envelope([{"instType": "SWAP", "instId": SWAP, "ts": str(AS_OF_MS), **fields}])


def book() -> dict[str, Any]:
    bids, asks = ladder(0.3)
    return envelope(
        [
            {
                "bids": [[f"{price}", f"{coin / COIN_PER_CONTRACT:.2f}", "4"] for price, coin in bids],
                "asks": [[f"{price}", f"{coin / COIN_PER_CONTRACT:.2f}", "4"] for price, coin in asks],
                "ts": str(AS_OF_MS + 30),
            }
        ]
    )


def payloads() -> dict[str, Any]:
    """Everything under the adapter's keys."""
    return {
        "instruments": instruments(),
        "summary": summary(),
        "open_interest": open_interest(),
        "tickers": tickers(),
        "marks": marks(),
        "index": index(),
        "perp_instrument": perp(ctVal="0.01", ctMult="1", ctValCcy="BTC", settleCcy="USDT"),
        "perp_ticker": perp(last="96512.5", bidPx="96512", askPx="96512.5", vol24h="9300000", volCcy24h="93000"),
        "perp_mark": perp(markPx="96515.5"),
        "perp_open_interest": perp(oi="2700000", oiCcy="27000", oiUsd="2605900000"),
        "perp_funding": perp(fundingRate="0.00004", fundingTime=str(AS_OF_MS + 5_400_000), nextFundingTime=str(AS_OF_MS + 19_800_000)),
        "book": book(),
    }


def routes() -> dict[str, Any]:
    """Replies by path and the parameters that tell them apart."""
    every, public, market = payloads(), "/api/v5/public", "/api/v5/market"
    return {
        f"{public}/instruments?instType=OPTION&instFamily=BTC-USD": every["instruments"],
        f"{public}/instruments?instType=SWAP&instId={SWAP}": every["perp_instrument"],
        f"{public}/opt-summary?instFamily=BTC-USD": every["summary"],
        f"{public}/open-interest?instType=OPTION&instFamily=BTC-USD": every["open_interest"],
        f"{public}/open-interest?instType=SWAP&instId={SWAP}": every["perp_open_interest"],
        f"{public}/mark-price?instType=OPTION&instFamily=BTC-USD": every["marks"],
        f"{public}/mark-price?instType=SWAP&instId={SWAP}": every["perp_mark"],
        f"{public}/funding-rate?instId={SWAP}": every["perp_funding"],
        f"{public}/time": envelope([{"ts": str(AS_OF_MS)}]),
        f"{market}/tickers?instType=OPTION&instFamily=BTC-USD": every["tickers"],
        f"{market}/ticker?instId={SWAP}": every["perp_ticker"],
        f"{market}/index-tickers?instId=BTC-USD": every["index"],
        f"{market}/books-full?instId={SWAP}": every["book"],
    }
