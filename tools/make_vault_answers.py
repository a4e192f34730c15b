"""Strikes by delta for option vaults: QuantLib's strike from a forward delta, mpmath's root where vol depends on the strike, and the listed ones by trying all.

Run: python tools/make_vault_answers.py    (writes tests/answers/vault_strikes.json)
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import mpmath as mp
import QuantLib as ql

ANSWERS = Path(__file__).resolve().parents[1] / "tests" / "answers" / "vault_strikes.json"
WINDOW_HOURS, HOURS_PER_YEAR, FLOOR = 0.5, 8760, 0.01


def acting_years(hours: float) -> mp.mpf:
    """Time that the mean of the last half hour leaves vol to act before its window opens."""
    return (mp.mpf(hours) - mp.mpf(2) / 3 * WINDOW_HOURS) / HOURS_PER_YEAR


def vol_at(point: dict[str, Any], strike: mp.mpf) -> mp.mpf:
    return max(mp.mpf(point["iv"]) + point["skew"] * mp.log(strike / point["spot_usd"]) + point["vol_shift"], mp.mpf(FLOOR))


def delta_at(point: dict[str, Any], strike: mp.mpf) -> mp.mpf:
    spread = vol_at(point, strike) * mp.sqrt(acting_years(point["hours"]))
    d1 = mp.log(point["spot_usd"] / strike) / spread + spread / 2
    return mp.ncdf(point["right"] * d1)


def exact_strike(point: dict[str, Any]) -> float:
    spread = float((mp.mpf(point["iv"]) + point["vol_shift"]) * mp.sqrt(acting_years(point["hours"])))
    right = ql.Option.Call if point["right"] > 0 else ql.Option.Put
    flat = ql.BlackDeltaCalculator(right, ql.DeltaVolQuote.Fwd, point["spot_usd"], 1.0, 1.0, spread).strikeFromDelta(
        point["right"] * point["delta"]
    )
    if point["skew"] == 0.0:
        return float(flat)
    return float(mp.exp(mp.findroot(lambda log: delta_at(point, mp.exp(log)) - point["delta"], mp.log(flat))))


def listed_strike(point: dict[str, Any]) -> float:
    """Every strike of the grid between a third and three times the price is tried."""
    step = point["step_usd"]
    low, high = int(point["spot_usd"] / 3 / step), int(3 * point["spot_usd"] / step)
    strikes = [place * step for place in range(max(low, 1), high + 1)]
    return min(strikes, key=lambda strike: (abs(delta_at(point, mp.mpf(strike)) - point["delta"]), -point["right"] * strike))


def main() -> None:
    mp.mp.dps = 30
    chosen = random.Random(11)
    points = []
    for number in range(40):
        point = {
            "right": 1 if number % 2 else -1,
            "delta": chosen.choice([0.05, 0.1, 0.15, 0.25, 0.4]),
            "spot_usd": round(chosen.uniform(1500, 110_000), 2),
            "hours": chosen.choice([24, 71, 165.75, 500]),
            "iv": round(chosen.uniform(0.3, 1.4), 3),
            "skew": chosen.choice([0.0, 0.0, -0.3, 0.25]),
            "vol_shift": chosen.choice([0.0, 0.15, -0.1]),
            "step_usd": chosen.choice([100.0, 500.0, 1000.0]),
        }
        points.append({**point, "strike_usd": exact_strike(point), "listed_usd": listed_strike(point)})
    ANSWERS.write_text(json.dumps({"source": "tools/make_vault_answers.py", "points": points}, indent=1) + "\n")


if __name__ == "__main__":
    main()
