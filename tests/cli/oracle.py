"""A second opinion on ``tailwag measure`` in plain Python: reads the raw Deribit reply itself and shares no code with the package.

Formulas are written out from the published definitions (Black on the forward, act/365, USD per 1 % at the median index); sums are exact;
flips are found by a dense scan and bisection, flows by repricing every option.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
YEAR_MS = 365 * 24 * 3600 * 1000
HOUR_MS = 3600 * 1000
WINDOW_MS = 30 * 60 * 1000


@dataclass(frozen=True)
class Row:
    """One option as the file states it."""

    name: str
    right: int
    strike: float
    expiry_ms: int
    forward: float
    iv: float
    coins: float
    linear: bool
    masked: bool


@dataclass(frozen=True)
class Market:
    """A saved book summary: rows, time of the quotes, median index."""

    rows: tuple[Row, ...]
    at_ms: int
    spot: float

    def live(self) -> list[Row]:
        """Rows that enter sums."""
        return [row for row in self.rows if not row.masked]


def read_market(path: Path) -> Market:
    """Read a saved ``get_book_summary_by_currency`` reply."""
    records = json.loads(path.read_text())["result"]
    at_ms = min(record["creation_timestamp"] for record in records)
    index = statistics.median(record["estimated_delivery_price"] for record in records)
    forwards: dict[str, list[float]] = defaultdict(list)
    for record in records:
        forwards[record["instrument_name"].split("-")[1]].append(record["underlying_price"])
    rows = []
    for record in records:
        base, expiry, strike, letter = record["instrument_name"].split("-")
        day, month, year = int(expiry[:-5]), MONTHS.index(expiry[-5:-2]) + 1, 2000 + int(expiry[-2:])
        expires = dt.datetime(year, month, day, 8, tzinfo=dt.UTC)
        coins, vol = record["open_interest"], record["mark_iv"]
        bad = coins is None or coins < 0 or vol is None or vol <= 0
        rows.append(
            Row(
                name=record["instrument_name"],
                right=1 if letter == "C" else -1,
                strike=float(strike),
                expiry_ms=int(expires.timestamp()) * 1000,
                forward=statistics.median(forwards[expiry]),
                iv=math.nan if bad else vol / 100,
                coins=math.nan if coins is None else float(coins),
                linear="_" in base,
                masked=bad,
            )
        )
    return Market(tuple(rows), at_ms, index)


# one option


def below(x: float) -> float:
    """Standard normal distribution."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def density(x: float) -> float:
    """Standard normal density."""
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


@dataclass(frozen=True)
class Greeks:
    """Of one long coin: per USD, per 1.00 vol, per calendar year."""

    price: float
    delta: float
    gamma: float
    vega: float
    vanna: float
    charm: float


GONE = Greeks(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def black(right: int, forward: float, strike: float, years: float, vol: float) -> Greeks:
    """Black's formula and its derivatives."""
    root = vol * math.sqrt(years)
    d1 = math.log(forward / strike) / root + root / 2
    d2 = d1 - root
    return Greeks(
        price=right * (forward * below(right * d1) - strike * below(right * d2)),
        delta=right * below(right * d1),
        gamma=density(d1) / (forward * root),
        vega=forward * density(d1) * math.sqrt(years),
        vanna=-density(d1) * d2 / vol,
        charm=density(d1) * d2 / (2 * years),
    )


def averaging(right: int, spot: float, strike: float, left_ms: float, vol: float, average: float) -> Greeks:
    """Inside the 30-minute settlement average, ``average`` being the mean index so far (normal law of the time left)."""
    share, years = left_ms / WINDOW_MS, left_ms / YEAR_MS
    window_years = WINDOW_MS / YEAR_MS
    deviation = spot * vol * math.sqrt(years**3 / 3) / window_years
    d = ((1 - share) * average + share * spot - strike) / deviation
    exercised = right * below(right * d)
    return Greeks(
        price=right * ((1 - share) * average + share * spot - strike) * below(right * d) + deviation * density(d),
        delta=share * exercised,
        gamma=share * share * density(d) / deviation,
        vega=deviation * density(d) / vol,
        vanna=-share * density(d) * d / vol,
        charm=share * density(d) * d * 1.5 / years - exercised / window_years,
    )


def greeks_of(row: Row, market: Market, *, ratio: float = 1.0, shift: float = 0.0, hours: float = 0.0) -> Greeks:
    """A row with spot at ``ratio`` times today's, its vol moved by ``shift``, ``hours`` from now; settled options are gone."""
    left_ms = row.expiry_ms - market.at_ms - hours * HOUR_MS
    if left_ms <= 0:
        return GONE
    vol = max(row.iv + shift, 1e-4)
    if left_ms < WINDOW_MS:  # no file here starts inside the window: the whole average is seen at the moved spot
        return averaging(row.right, market.spot * ratio, row.strike, left_ms, vol, market.spot * ratio)
    return black(row.right, row.forward * ratio, row.strike, left_ms / YEAR_MS, vol)


# who is short

Signs = Callable[[Row], float]
RULES: dict[str, Signs] = {
    "long-calls-short-puts": lambda row: 1.0 if row.right > 0 else -1.0,
    "short-all": lambda row: -1.0,
    "long-all": lambda row: 1.0,
    "customers-buy:0.8": lambda row: 1.0 - 2.0 * 0.8,
    "customers-buy:0.3": lambda row: 1.0 - 2.0 * 0.3,
    "customers-sell-otm": lambda row: 1.0 if row.right * (row.strike - row.forward) > 0 else -1.0,
    "mixture:short-all@0.7+long-calls-short-puts@0.3": lambda row: -0.7 + 0.3 * (1.0 if row.right > 0 else -1.0),
}


class Held:
    """A market's rows in the hands of dealers under one rule, and everything that ``measure`` says about them."""

    def __init__(self, market: Market, rule: str) -> None:
        self.market, self.rule = market, rule
        self.rows = market.live()
        self.position = [RULES[rule](row) * row.coins for row in self.rows]
        self.now = [greeks_of(row, market) for row in self.rows]

    def total(
        self, value: Callable[[Row, Greeks], float], weights: list[float] | None = None, keep: Callable[[Row], bool] = lambda row: True
    ) -> float:
        """Exact sum of weight * value over kept rows."""
        weights = self.position if weights is None else weights
        return math.fsum(w * value(row, g) for row, g, w in zip(self.rows, self.now, weights, strict=True) if keep(row))

    @property
    def coins(self) -> list[float]:
        """Open interest, unsigned."""
        return [row.coins for row in self.rows]

    def measures(self, keep: Callable[[Row], bool] = lambda row: True, *, numeraire: str = "usd") -> dict[str, float]:
        """The totals of the exposure block."""
        spot = self.market.spot
        coin = 1.0 if numeraire == "coin" else 0.0
        return {
            "gex_usd_per_pct": self.total(lambda row, g: g.gamma, keep=keep) * spot**2 / 100,
            "gross_gex_usd_per_pct": self.total(lambda row, g: g.gamma, self.coins, keep) * spot**2 / 100,
            "vanna_usd_per_volpt": self.total(lambda row, g: g.vanna, keep=keep) * spot / 100,
            "charm_usd_per_day": self.total(lambda row, g: g.charm, keep=keep) * spot / 365,
            "delta_usd": self.total(lambda row, g: g.delta - coin * g.price / row.forward, keep=keep) * spot,
            "vega_usd_per_volpt": self.total(lambda row, g: g.vega, keep=keep) / 100,
        }

    def scales(self) -> dict[str, float]:
        """Unsigned sums: how large a rounding error of a signed sum may be."""
        spot = self.market.spot
        return {
            "gex_usd_per_pct": self.total(lambda row, g: g.gamma, self.coins) * spot**2 / 100,
            "gross_gex_usd_per_pct": 0.0,
            "vanna_usd_per_volpt": self.total(lambda row, g: abs(g.vanna), self.coins) * spot / 100,
            "charm_usd_per_day": self.total(lambda row, g: abs(g.charm), self.coins) * spot / 365,
            "delta_usd": self.total(lambda row, g: 1.0, self.coins) * spot,
            "vega_usd_per_volpt": self.total(lambda row, g: g.vega, self.coins) / 100,
        }

    def repriced(
        self,
        value: Callable[[Greeks], float],
        *,
        ratio: float = 1.0,
        shift: float = 0.0,
        hours: float = 0.0,
        weights: list[float] | None = None,
    ) -> float:
        """Exact sum of position * value after a move."""
        held = self.position if weights is None else weights
        moved = (greeks_of(row, self.market, ratio=ratio, shift=shift, hours=hours) for row in self.rows)
        return math.fsum(w * value(g) for w, g in zip(held, moved, strict=True))

    def gex_at(self, spot: float, *, hours: float = 0.0) -> float:
        """GEX at another spot and time."""
        return self.repriced(lambda g: g.gamma, ratio=spot / self.market.spot, hours=hours) * spot**2 / 100

    def gross_at(self, *, hours: float) -> float:
        """Unsigned GEX at the current spot at a later time."""
        return self.repriced(lambda g: g.gamma, hours=hours, weights=self.coins) * self.market.spot**2 / 100

    def flips(self, low: float, high: float, *, points: int = 4001, hours: float = 0.0) -> list[tuple[float, str]]:
        """Every crossing of zero within low to high times spot, by a dense scan and bisection."""
        spot = self.market.spot
        spots = [spot * (low + (high - low) * i / (points - 1)) for i in range(points)]
        values = [self.gex_at(s, hours=hours) for s in spots]
        found = []
        for i in range(1, points):
            left, right = values[i - 1], values[i]
            if left == 0.0 or left * right >= 0.0:
                continue
            found.append((self._bisect(spots[i - 1], spots[i], hours), "negative-to-positive" if left < 0 else "positive-to-negative"))
        return found

    def _bisect(self, low: float, high: float, hours: float) -> float:
        start = self.gex_at(low, hours=hours) > 0
        for _ in range(200):
            middle = 0.5 * (low + high)
            if middle in (low, high):
                break
            if (self.gex_at(middle, hours=hours) > 0) == start:
                low = middle
            else:
                high = middle
        return 0.5 * (low + high)

    def flow(self, move_pct: float, volpt: float, hours: float) -> dict[str, float]:
        """What hedgers buy, and its first-order parts at today's greeks."""
        spot, ratio = self.market.spot, 1 + move_pct / 100
        after = self.repriced(lambda g: g.delta, ratio=ratio, shift=volpt / 100, hours=hours)
        buy = -(after - self.total(lambda row, g: g.delta))
        moved = math.fsum(
            w * g.vanna * (max(row.iv + volpt / 100, 1e-4) - row.iv) for row, g, w in zip(self.rows, self.now, self.position, strict=True)
        )
        return {
            "buy_coin": buy,
            "buy_usd": buy * spot,
            "gamma_usd": -self.total(lambda row, g: g.gamma) * spot**2 * move_pct / 100,
            "vanna_usd": -moved * spot,
            "charm_usd": -self.total(lambda row, g: g.charm) * spot * hours / 8760,
        }

    def strikes(self, right: int | None = None) -> dict[float, float]:
        """Unsigned gamma by strike."""
        found: dict[float, list[float]] = defaultdict(list)
        for row, g in zip(self.rows, self.now, strict=True):
            if right in (None, row.right):
                found[row.strike].append(row.coins * g.gamma)
        return {strike: math.fsum(parts) for strike, parts in found.items()}

    def max_pain(self) -> dict[int, float]:
        """Per expiry the listed strike at which holders are paid least; open interest is known even where the vol is not."""
        listed: dict[int, list[Row]] = defaultdict(list)
        for row in self.market.rows:
            if math.isfinite(row.coins) and row.coins >= 0:
                listed[row.expiry_ms].append(row)
        best = {}
        for expiry, rows in listed.items():
            paid = {
                at: math.fsum(row.coins * max(row.right * (at - row.strike), 0.0) for row in rows) for at in {row.strike for row in rows}
            }
            best[expiry] = min(sorted(paid), key=lambda at: paid[at])
        return best


def square_root_depth(flow_usd: float, *, daily_volume_usd: float, daily_vol: float, y: float = 1.0) -> float:
    """Secant: dollars per 1 % at this flow under move = Y * vol * sqrt(flow / volume)."""
    return flow_usd / (100 * y * daily_vol * math.sqrt(flow_usd / daily_volume_usd))


def time_text(ms: int) -> str:
    """ISO 8601 as the document writes it."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{moment.microsecond:06d}Z" if moment.microsecond else "Z")


def two_option_flip(*, strikes: tuple[float, float], coins: tuple[float, float], vol: float, years: float) -> float:
    """Spot at which n1 long options at K1 and n2 short ones at K2 have no net gamma: the closed form (same vol and time, forward = spot)."""
    (k1, k2), (n1, n2) = strikes, coins
    variance = vol * vol * years
    return math.exp(0.5 * math.log(k1 * k2) - 0.5 * variance + variance * math.log(n1 / n2) / math.log(k2 / k1))


def option(name: str, **fields: Any) -> dict[str, Any]:
    """One made-up row of ``get_book_summary_by_currency``."""
    row = {
        "instrument_name": name,
        "base_currency": name.split("-")[0].split("_")[0],
        "quote_currency": "USDC" if "_USDC" in name else name.split("-")[0],
        "bid_price": None,
        "ask_price": None,
        "last": None,
        "high": None,
        "low": None,
        "volume": 0.0,
        "interest_rate": 0,
        "underlying_index": f"{name.split('-')[0].split('_')[0]}-{name.split('-')[1]}",
    }
    return {**row, **fields}
