"""A small invented market that every venue's made-up replies describe: nothing here was ever observed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

AS_OF = datetime(2026, 9, 15, 14, 30, 0, 125_000, tzinfo=UTC)
AS_OF_MS = int(AS_OF.timestamp() * 1000)
AS_OF_NS = AS_OF_MS * 1_000_000
INDEX_USD = 96_512.34
EXPIRIES = (datetime(2026, 9, 18, 8, tzinfo=UTC), datetime(2026, 9, 25, 8, tzinfo=UTC), datetime(2026, 12, 25, 8, tzinfo=UTC))
STRIKES = (70_000, 85_000, 92_000, 96_000, 100_000, 110_000, 140_000)


@dataclass(frozen=True, slots=True)
class Quote:
    """One invented option in plain units: USD, coin of open interest, decimal vol."""

    expiry: datetime
    strike: int
    right: int
    forward: float
    vol: float
    price_coin: float
    delta: float
    gamma: float
    open_interest_coin: float

    @property
    def letter(self) -> str:
        return "C" if self.right > 0 else "P"

    @property
    def deribit_name(self) -> str:
        return f"BTC-{self.expiry.day}{self.expiry:%b%y}-{self.strike}-{self.letter}".upper()

    @property
    def expiry_ms(self) -> int:
        return int(self.expiry.timestamp() * 1000)


def quotes() -> Iterator[Quote]:
    """Every option of the market, in the order that the venues list them."""
    for day in EXPIRIES:
        years = (day - AS_OF).total_seconds() / (365 * 86_400)
        forward = round(INDEX_USD * math.exp(0.05 * years), 2)
        for strike in STRIKES:
            for right in (1, -1):
                vol = round(0.48 + 0.35 * math.log(strike / forward) ** 2 - 0.04 * math.log(strike / forward), 4)
                width = vol * math.sqrt(years)
                upper = math.log(forward / strike) / width + width / 2
                price = right * (_below(right * upper) - strike / forward * _below(right * (upper - width)))
                gamma = math.exp(-upper * upper / 2) / math.sqrt(2 * math.pi) / (forward * width)
                held = round(10 + strike / 1000 + 7 * (right > 0) + 100 * (day.month == 12), 1)
                yield Quote(day, strike, right, forward, vol, price, right * _below(right * upper), gamma, held)


def _below(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def ladder(coin_per_level: float, levels: int = 120) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Bids and asks of the perp, half a dollar apart around the index, as (USD, coin)."""
    bids = [(96_512.0 - 0.5 * i, coin_per_level * (1 + i % 5)) for i in range(levels)]
    asks = [(96_512.5 + 0.5 * i, coin_per_level * (1 + i % 7)) for i in range(levels)]
    return bids, asks
