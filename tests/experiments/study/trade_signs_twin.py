"""Signs from trades, again: loops over dictionaries with formulas of their own; imports nothing of the package."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

DAY_MS = 86_400_000
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
Print = dict[str, Any]
Cell = tuple[int, str]


def expiry_ms(name: str) -> int:
    day = name.split("-")[1]
    when = datetime(2000 + int(day[-2:]), MONTHS.index(day[-5:-2]) + 1, int(day[:-5]), 8, tzinfo=UTC)
    return int(when.timestamp() * 1000)


def gamma_usd_per_pct(spot: float, strike: float, years: float, vol: float) -> float:
    deviation = vol * math.sqrt(years)
    d1 = math.log(spot / strike) / deviation + 0.5 * deviation
    return math.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi) / (spot * deviation) * spot * spot * 0.01


def distinct(prints: list[Print]) -> list[Print]:
    seen: dict[str, Print] = {}
    for one in prints:
        seen.setdefault(one["trade_id"], one)
    return sorted(seen.values(), key=lambda one: (one["timestamp"], int(one["trade_id"])))


def dealers(one: Print) -> tuple[float, float]:
    """What dealers bought for certain, and how much nobody knows."""
    amount = one["amount"]
    if one.get("block_trade_id") or one.get("liquidation") == "MT" or one["direction"] not in ("buy", "sell"):
        return 0.0, amount
    taker = amount if one["direction"] == "buy" else -amount
    return (taker if one.get("liquidation") == "M" else -taker), 0.0


def daily(prints: list[Print]) -> dict[Cell, dict[str, float]]:
    """(day, option) -> held, assumed, spot, gamma of one coin; only open options."""
    trades = distinct(prints)
    first, last = trades[0]["timestamp"] // DAY_MS, trades[-1]["timestamp"] // DAY_MS
    found: dict[Cell, dict[str, float]] = {}
    for day in range(first, last + 1):
        end = (day + 1) * DAY_MS
        held: dict[str, float] = defaultdict(float)
        unknown: dict[str, float] = defaultdict(float)
        vol: dict[str, float] = {}
        spot = math.nan
        for one in trades:
            if one["timestamp"] >= end:
                continue
            name = one["instrument_name"]
            sure, unsure = dealers(one)
            held[name] += sure
            unknown[name] += unsure
            spot = one["index_price"] or spot
            if one.get("iv"):
                vol[name] = one["iv"] / 100.0
        for name in held:
            left = expiry_ms(name) - end
            if left <= 0:
                continue
            strike = float(name.split("-")[2])
            gamma = gamma_usd_per_pct(spot, strike, left / (365.0 * DAY_MS), vol[name]) if name in vol else 0.0
            found[day, name] = {"held": held[name], "unknown": unknown[name], "spot": spot, "gamma": gamma}
    return found


def rule_sign(rule: str, name: str, spot: float) -> float:
    call, strike = name.endswith("C"), float(name.split("-")[2])
    if rule == "long-calls-short-puts":
        return 1.0 if call else -1.0
    if rule == "short-all":
        return -1.0
    return 1.0 if (strike > spot if call else strike < spot) else -1.0


def share(cells: dict[Cell, dict[str, float]], rule: str, weight: str) -> tuple[float, float, float]:
    """Share of weight with the other sign, and the least and the most that it could be."""
    total = other = surely_other = surely_same = 0.0
    for (_, name), cell in cells.items():
        held = cell["held"]
        if abs(held) < 1e-6:
            continue
        size = {"options": 1.0, "contracts": abs(held), "gamma": abs(held) * cell["gamma"]}[weight]
        differs = math.copysign(1.0, held) != rule_sign(rule, name, cell["spot"])
        sure = abs(held) > cell["unknown"] + 1e-6
        total += size
        other += size * differs
        surely_other += size * (differs and sure)
        surely_same += size * (not differs and sure)
    return other / total, surely_other / total, 1.0 - surely_same / total


def net_gamma(cells: dict[Cell, dict[str, float]]) -> dict[int, float]:
    found: dict[int, float] = defaultdict(float)
    for (day, _), cell in cells.items():
        if abs(cell["held"]) >= 1e-6:
            found[day] += cell["held"] * cell["gamma"]
    return dict(found)
