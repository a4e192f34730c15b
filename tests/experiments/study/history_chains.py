"""Small made chains: a few options at a few times, as Deribit's chain Parquet and CSV state them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

DAY_NS, HOUR_NS, SECOND_NS = 86_400 * 10**9, 3_600 * 10**9, 10**9
START_NS = 1_772_352_000_000_000_000 + 2 * HOUR_NS
"""2026-03-01T10:00:00Z."""


def _normal(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def _price_coin(right: int, forward: float, strike: float, years: float, iv: float) -> float:
    d1 = (math.log(forward / strike) + 0.5 * iv * iv * years) / (iv * math.sqrt(years))
    d2 = d1 - iv * math.sqrt(years)
    return right * (forward * _normal(right * d1) - strike * _normal(right * d2)) / forward


def crawl(
    at_ns: int, *, spot: float = 60_000.0, currency: str = "BTC", days: tuple[int, ...] = (1, 6, 40), seed: int = 1
) -> list[dict[str, Any]]:
    """Rows of one crawl: seven strikes a side of three expiries at 08:00 UTC; every row's index price differs a little."""
    draw = np.random.default_rng([seed, at_ns // SECOND_NS])
    first = (at_ns + 16 * HOUR_NS) // DAY_NS * DAY_NS + 8 * HOUR_NS
    rows = []
    for day in days:
        expiry_ns = first + (day - 1) * DAY_NS
        expiry = datetime.fromtimestamp(expiry_ns / 1e9, UTC)
        years = (expiry_ns - at_ns) / (365.0 * DAY_NS)
        forward = spot * (1.0 + 0.05 * years)
        name = f"{currency}-{expiry.day}{expiry:%b}{expiry:%y}".upper()
        for step in range(-3, 4):
            strike = round(spot * (1.0 + 0.03 * step) / 500.0) * 500.0
            for right, letter in ((1, "C"), (-1, "P")):
                iv = 0.5 + 0.1 * math.log(forward / strike) + 0.02 * day / 40.0
                mark = _price_coin(right, forward, strike, years, iv)
                rows.append(
                    {
                        "timestamp": at_ns,
                        "instrument_name": f"{name}-{strike:.0f}-{letter}",
                        "underlying": forward,
                        "underlying_name": name,
                        "option_type": "call" if right > 0 else "put",
                        "strike": strike,
                        "expiry_datetime": expiry_ns,
                        "bid_price": 0.97 * mark,
                        "ask_price": 1.03 * mark,
                        "mark_price": mark,
                        "implied_volatility": iv,
                        "open_interest": float(np.round(draw.gamma(2.0, 60.0), 1)),
                        "currency": currency,
                        "index_price": spot * (1.0 + 1e-4 * draw.random()),
                        "snapshot": f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y%m%dT%H%M%SZ}",
                    }
                )
    return rows


def crawls(count: int, *, every_ns: int = 6 * HOUR_NS, **said: Any) -> list[dict[str, Any]]:
    """Rows of several crawls on a wandering spot."""
    spots = 60_000.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(5).standard_normal(count)))
    return [row for rank in range(count) for row in crawl(START_NS + rank * every_ns + 1000 * rank, spot=float(spots[rank]), **said)]


def saved(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    """Rows as a chain Parquet, or a CSV where the name says so."""
    folder.mkdir(parents=True, exist_ok=True)
    times = [pl.from_epoch(key, time_unit="ns").dt.replace_time_zone("UTC").alias(key) for key in ("timestamp", "expiry_datetime")]
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(times)
    path = folder / name
    if name.endswith(".csv"):
        text = [pl.col(key).dt.strftime("%Y-%m-%dT%H:%M:%S%.9f+00:00") for key in ("timestamp", "expiry_datetime")]
        frame.with_columns(text).write_csv(path)
    else:
        frame.write_parquet(path)
    return path
