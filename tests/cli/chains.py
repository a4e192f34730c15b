"""Made-up, seeded Deribit replies for the command line's tests: several expiries, inverse and USDC-linear mixed, some rows damaged."""

from __future__ import annotations

import datetime as dt
import json
import math
import random
from pathlib import Path
from typing import Any

from tests.cli.oracle import MONTHS, YEAR_MS, black, option


def deribit_date(moment: dt.datetime) -> str:
    """27MAR26."""
    return f"{moment.day}{MONTHS[moment.month - 1]}{moment.year % 100:02d}"


def random_chain(seed: int, *, currency: str = "BTC", as_of: dt.datetime | None = None, damaged: bool = True) -> list[dict[str, Any]]:
    """Rows of one reply.  Forwards jitter within an expiry, one vol is 0, one open interest is missing, several are zero."""
    rng = random.Random(seed)
    at = as_of or dt.datetime(
        2026, rng.randint(1, 12), rng.randint(1, 28), rng.randint(9, 23), rng.randint(0, 59), 13, 250_000, tzinfo=dt.UTC
    )
    at_ms = round(at.timestamp() * 1000)
    index = round(rng.uniform(20_000, 120_000) if currency == "BTC" else rng.uniform(1_500, 5_000), 2)
    rows = []
    for days in sorted(rng.sample([1, 2, 3, 7, 14, 30, 90, 180], 3)):
        expires = dt.datetime(at.year, at.month, at.day, 8, tzinfo=dt.UTC) + dt.timedelta(days=days)
        years = (round(expires.timestamp() * 1000) - at_ms) / YEAR_MS
        forward = index * math.exp(rng.uniform(-0.05, 0.15) * years)
        level, skew = rng.uniform(0.35, 0.9), rng.uniform(-0.2, 0.1)
        reach = min(3.0 * level * math.sqrt(years), 0.7)
        strikes = sorted({round(forward * math.exp(reach * (i / 4 - 1)) / 50) * 50 for i in range(9)})
        for strike in strikes:
            for letter in "CP":
                rows.append(_row(rng, currency, expires, strike, letter, at_ms, index, forward, years, level, skew))
    if damaged:
        rows[3]["mark_iv"] = 0.0
        rows[8]["open_interest"] = None
    return rows


def _row(
    rng: random.Random,
    currency: str,
    expires: dt.datetime,
    strike: int,
    letter: str,
    at_ms: int,
    index: float,
    forward: float,
    years: float,
    level: float,
    skew: float,
) -> dict[str, Any]:
    right = 1 if letter == "C" else -1
    k = math.log(strike / forward)
    vol_pct = round(100 * max(level + skew * k + 0.3 * k * k, 0.15), 2)
    linear = rng.random() < 0.25
    usd = black(right, forward, strike, years, vol_pct / 100).price
    mark = round(usd, 2) if linear else round(usd / forward, 8)
    return option(
        f"{currency}{'_USDC' if linear else ''}-{deribit_date(expires)}-{strike}-{letter}",
        creation_timestamp=at_ms + rng.randint(0, 900),
        open_interest=0.0 if rng.random() < 0.15 else round(rng.expovariate(1 / 400), 1),
        mark_iv=vol_pct,
        mark_price=mark,
        underlying_price=round(forward + rng.uniform(-2, 2), 2),
        estimated_delivery_price=round(index + rng.uniform(-1, 1), 2),
    )


def save(rows: list[dict[str, Any]], path: Path) -> Path:
    """Write rows as Deribit sends them."""
    path.write_text(json.dumps({"jsonrpc": "2.0", "id": 1, "result": rows}))
    return path
