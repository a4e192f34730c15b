"""Made-up Deribit replies in Deribit's own shape, for tests: nothing here was ever observed."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

AS_OF = datetime(2026, 3, 20, 12, 0, 0, 250_000, tzinfo=UTC)
AS_OF_MS = int(AS_OF.timestamp() * 1000)
AS_OF_NS = AS_OF_MS * 1_000_000
INDEX_USD = 70_000.0
EXPIRIES = {
    "21MAR26": datetime(2026, 3, 21, 8, tzinfo=UTC),
    "27MAR26": datetime(2026, 3, 27, 8, tzinfo=UTC),
    "26JUN26": datetime(2026, 6, 26, 8, tzinfo=UTC),
}
STRIKES = (50_000, 60_000, 65_000, 68_000, 70_000, 72_000, 75_000, 80_000, 100_000)


def price_coin(right: int, forward: float, strike: float, years: float, vol: float) -> float:
    """Black's price in coin, by the error function alone."""
    width = vol * math.sqrt(years)
    d1 = math.log(forward / strike) / width + width / 2

    def below(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2))

    return right * (below(right * d1) - strike / forward * below(right * (d1 - width)))


def summary(expiry: str, strike: int, letter: str, **changes: Any) -> dict[str, Any]:
    """One row of get_book_summary_by_currency; ``changes`` replace keys (DROP removes one)."""
    moment = EXPIRIES[expiry]
    years = (moment - AS_OF).total_seconds() / (365 * 86_400)
    forward = round(INDEX_USD * math.exp(0.04 * years), 2)
    vol_pct = round(50 + 40 * math.log(strike / forward) ** 2, 2)
    mark = max(round(price_coin(1 if letter == "C" else -1, forward, strike, years, vol_pct / 100), 8), 1e-8)
    row = {
        "instrument_name": f"BTC-{expiry}-{strike}-{letter}",
        "base_currency": "BTC",
        "quote_currency": "BTC",
        "creation_timestamp": AS_OF_MS,
        "open_interest": round(100.0 + strike / 1000 + (5 if letter == "C" else 0), 1),
        "mark_iv": vol_pct,
        "mark_price": mark,
        "bid_price": max(round(mark * 0.98, 6), 1e-6),
        "ask_price": round(mark * 1.02 + 0.0001, 6),
        "underlying_price": forward,
        "underlying_index": f"BTC-{expiry}",
        "estimated_delivery_price": INDEX_USD,
        "interest_rate": 0,
        "volume": 1.5,
        "volume_usd": 900.0,
        "last": None,
        "high": None,
        "low": None,
    }
    row.update(changes)
    return {key: value for key, value in row.items() if value is not DROP}


DROP = object()
"""As a change: the key is not there at all."""


def summaries() -> list[dict[str, Any]]:
    """A small chain: 3 expiries, 9 strikes, calls and puts."""
    return [summary(expiry, strike, letter) for expiry in EXPIRIES for strike in STRIKES for letter in "CP"]


def instrument(name: str, **changes: Any) -> dict[str, Any]:
    """One row of get_instruments for an option of the chain above."""
    _, expiry, strike, letter = name.split("-")
    row = {
        "instrument_name": name,
        "kind": "option",
        "expiration_timestamp": int(EXPIRIES[expiry].timestamp() * 1000),
        "creation_timestamp": AS_OF_MS - 86_400_000,
        "strike": float(strike),
        "option_type": "call" if letter == "C" else "put",
        "instrument_type": "reversed",
        "contract_size": 1,
        "tick_size": 0.0001,
        "settlement_currency": "BTC",
    }
    row.update(changes)
    return {key: value for key, value in row.items() if value is not DROP}


def reply(rows: Any) -> dict[str, Any]:
    """The JSON-RPC envelope around a result."""
    return {"jsonrpc": "2.0", "id": 1, "result": rows, "usIn": AS_OF_MS * 1000, "usOut": AS_OF_MS * 1000 + 99}


def ticker(expiry: str, strike: int, letter: str, **changes: Any) -> dict[str, Any]:
    """One ticker of an option: the summary's numbers under the ticker's keys, greeks beside them."""
    known = summary(expiry, strike, letter)
    row = {
        "instrument_name": known["instrument_name"],
        "timestamp": AS_OF_MS,
        "index_price": INDEX_USD,
        "underlying_price": known["underlying_price"],
        "underlying_index": known["underlying_index"],
        "mark_price": known["mark_price"],
        "mark_iv": known["mark_iv"],
        "bid_iv": known["mark_iv"] - 1,
        "ask_iv": known["mark_iv"] + 1,
        "best_bid_price": known["bid_price"],
        "best_ask_price": known["ask_price"],
        "best_bid_amount": 3.0,
        "best_ask_amount": 4.0,
        "open_interest": known["open_interest"],
        "estimated_delivery_price": INDEX_USD,
        "greeks": {"delta": 0.5, "gamma": 0.00002, "vega": 30.0, "theta": -50.0, "rho": 1.0},
        "stats": {"volume": 2.0, "volume_usd": 100.0},
        "state": "open",
    }
    row.update(changes)
    return {key: value for key, value in row.items() if value is not DROP}


def perpetual(**changes: Any) -> dict[str, Any]:
    """The perp's row of a futures summary: open interest in USD."""
    row = {
        "instrument_name": "BTC-PERPETUAL",
        "base_currency": "BTC",
        "quote_currency": "USD",
        "creation_timestamp": AS_OF_MS,
        "open_interest": 1_000_000_000,
        "mark_price": 70_010.0,
        "bid_price": 70_009.5,
        "ask_price": 70_010.5,
        "estimated_delivery_price": INDEX_USD,
        "volume": 5000.0,
        "volume_usd": 350_000_000.0,
        "funding_8h": 0.0001,
    }
    row.update(changes)
    return row
