"""A simulated option exchange in virtual time: a market that moves, expires and lists anew, its replies, and its own truth.

It knows nothing of the product: prices are the textbook's, replies are built from the venue's public documentation.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

SECOND_NS = 1_000_000_000
YEAR_SECONDS = 365.0 * 86_400.0
START = datetime(2026, 3, 10, tzinfo=UTC)
START_NS = int(START.timestamp()) * SECOND_NS
ROLL_HOUR = 8
AHEAD_DAYS = (0, 1, 2, 3, 10, 17, 31, 59, 115, 199)
"""Expiries that are listed at the start, in days from the first 08:00 UTC."""
PERP = "BTC-PERPETUAL"


@dataclass(slots=True)
class Option:
    """One listed option and what is true of it now."""

    name: str
    expiry_ns: int
    strike_usd: float
    right: int
    open_interest_coin: float
    wobble_volpt: float = 0.0


@dataclass(slots=True)
class Truth:
    """What the exchange holds true at one time, as rows of (name, expiry ns, strike, right, open interest, volatility %, forward)."""

    at_ns: int
    index_usd: float
    rows: list[tuple[Any, ...]]
    bid_usd: float
    ask_usd: float


@dataclass(slots=True)
class Exchange:
    """The market at one virtual second; ``advance`` moves it on, never back."""

    seed: int
    instruments: int = 1_000
    seconds: float = 0.0
    index_usd: float = 100_000.0
    options: dict[str, Option] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    listed_days: list[int] = field(default_factory=list)
    rolls: int = 0
    chance: random.Random = field(init=False)
    change_id: int = 1_000
    next_roll_ns: int = 0
    standing: bool = False
    """While True time passes and no price, volatility or open interest changes."""
    moved_at_ns: int = START_NS

    def __post_init__(self) -> None:
        self.chance = random.Random(f"exchange/{self.seed}")
        for days in AHEAD_DAYS:
            self._list(days)
        self.next_roll_ns = min(option.expiry_ns for option in self.options.values())

    # the market

    def _list(self, days: int) -> None:
        expiry = START + timedelta(days=days, hours=ROLL_HOUR)
        stem = f"BTC-{expiry.day}{expiry.strftime('%b').upper()}{expiry.year % 100:02d}"
        strikes = self.instruments // (2 * len(AHEAD_DAYS))
        step = 1_000.0 if days < 20 else 2_500.0
        middle = round(self.index_usd / step) * step
        self.listed_days.append(days)
        for rank in range(strikes):
            strike = middle + step * (rank - strikes // 2)
            for right, letter in ((1, "C"), (-1, "P")):
                held = round(self.chance.expovariate(1 / 200.0), 1) if self.chance.random() < 0.93 else 0.0
                name = f"{stem}-{strike:.0f}-{letter}"
                self.names.append(name)
                self.options[name] = Option(name, int(expiry.timestamp()) * SECOND_NS, strike, right, held)

    @property
    def now_ns(self) -> int:
        """To the millisecond, as the venue counts."""
        return START_NS + round(self.seconds * 1_000.0) * (SECOND_NS // 1_000)

    def advance(self, seconds: float) -> None:
        """Prices, volatilities and open interest after so many seconds; expiries roll at 08:00 UTC."""
        if seconds <= 0.0:
            return
        self.seconds += seconds
        if self.standing:
            return
        self.moved_at_ns = self.now_ns
        self.index_usd = round(self.index_usd * math.exp(0.5 * math.sqrt(seconds / YEAR_SECONDS) * self.chance.gauss(0.0, 1.0)), 2)
        for name in self.chance.sample(self.names, min(max(round(seconds), 1), len(self.names) // 20)):
            option = self.options[name]
            option.wobble_volpt = max(min(option.wobble_volpt + self.chance.gauss(0.0, 0.2), 3.0), -3.0)
            option.open_interest_coin = round(max(option.open_interest_coin + self.chance.uniform(-5.0, 5.0), 0.0), 1)
        self._roll()

    def _roll(self) -> None:
        if self.now_ns < self.next_roll_ns:
            return
        gone = [name for name, option in self.options.items() if option.expiry_ns <= self.now_ns]
        for name in gone:
            del self.options[name]
        self.names = list(self.options)
        self.rolls += 1
        self._list(max(day for day in self.listed_days if day < 10) + 1)
        self.next_roll_ns = min(option.expiry_ns for option in self.options.values())

    def forward_usd(self, option: Option) -> float:
        years = (option.expiry_ns - self.moved_at_ns) / SECOND_NS / YEAR_SECONDS
        return round(self.index_usd * math.exp(0.05 * years), 4)

    def vol_pct(self, option: Option) -> float:
        years = max((option.expiry_ns - self.moved_at_ns) / SECOND_NS / YEAR_SECONDS, 1e-6)
        away = math.log(option.strike_usd / self.index_usd) / math.sqrt(years + 0.05)
        return round(50.0 + 8.0 * away * away - 4.0 * away + option.wobble_volpt, 2)

    def truth(self) -> Truth:
        rows = [
            (option.name, option.expiry_ns, option.strike_usd, option.right, option.open_interest_coin, self.vol_pct(option), forward)
            for option in self.options.values()
            for forward in (self.forward_usd(option),)
        ]
        return Truth(self.now_ns, self.index_usd, rows, *self.touch())

    def touch(self) -> tuple[float, float]:
        """Best bid and ask of the perp."""
        middle = round(self.index_usd * 2.0) / 2.0
        return middle - 0.5, middle + 0.5

    # replies, as documented for public/get_book_summary_by_currency, get_index_price, get_order_book, get_time

    def summary_rows(self, truth: Truth, *, stamp_ms: int) -> list[dict[str, Any]]:
        return [summary_row(row, truth, stamp_ms=stamp_ms) for row in truth.rows]

    def ladder(self, *, levels: int = 40) -> tuple[list[list[float]], list[list[float]]]:
        """Bids and asks of the perp, [price, USD]."""
        bid, ask = self.touch()
        return (
            [[bid - 5.0 * rank, 10_000.0 + 1_000.0 * rank] for rank in range(levels)],
            [[ask + 5.0 * rank, 10_000.0 + 1_000.0 * rank] for rank in range(levels)],
        )

    def order_book(self, *, stamp_ms: int) -> dict[str, Any]:
        bids, asks = self.ladder()
        self.change_id += 1
        return {
            "instrument_name": PERP,
            "timestamp": stamp_ms,
            "change_id": self.change_id,
            "state": "open",
            "bids": bids,
            "asks": asks,
            "best_bid_price": bids[0][0],
            "best_ask_price": asks[0][0],
            "best_bid_amount": bids[0][1],
            "best_ask_amount": asks[0][1],
            "index_price": self.index_usd,
            "mark_price": self.index_usd,
            "open_interest": 1e9,
            "funding_8h": 0.0001,
            "current_funding": 0.0,
            "stats": {"volume": 1_000.0, "volume_usd": 1e8},
        }

    def perp_summary(self, *, stamp_ms: int) -> dict[str, Any]:
        bid, ask = self.touch()
        return {
            "instrument_name": PERP,
            "creation_timestamp": stamp_ms,
            "mark_price": self.index_usd,
            "bid_price": bid,
            "ask_price": ask,
            "open_interest": 1e9,
            "volume_usd": 4e9,
            "estimated_delivery_price": self.index_usd,
            "base_currency": "BTC",
            "quote_currency": "USD",
            "funding_8h": 0.0001,
        }


def summary_row(row: tuple[Any, ...], truth: Truth, *, stamp_ms: int) -> dict[str, Any]:
    name, expiry_ns, strike, right, held, vol_pct, forward = row
    mark = black_in_coin(right, forward, strike, (expiry_ns - truth.at_ns) / SECOND_NS / YEAR_SECONDS, vol_pct / 100.0)
    return {
        "instrument_name": name,
        "creation_timestamp": stamp_ms,
        "open_interest": held,
        "mark_iv": vol_pct,
        "mark_price": mark,
        "bid_price": round(mark * 0.97, 4) or None,
        "ask_price": round(mark * 1.03 + 0.0001, 4),
        "underlying_price": forward,
        "underlying_index": name.rsplit("-", 2)[0],
        "estimated_delivery_price": truth.index_usd,
        "interest_rate": 0.0,
        "volume": 1.0,
        "base_currency": "BTC",
        "quote_currency": "BTC",
    }


def black_in_coin(right: int, forward: float, strike: float, years: float, vol: float) -> float:
    """Undiscounted Black price over the forward, rounded as the venue rounds marks."""
    width = vol * math.sqrt(max(years, 1e-12))
    upper = math.log(forward / strike) / width + width / 2.0
    price = right * (forward * _normal(right * upper) - strike * _normal(right * (upper - width)))
    return round(max(price, 0.0) / forward, 6)


def _normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))
