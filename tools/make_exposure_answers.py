"""Make tests/answers/exposure.json: exposures of a small book at 40 digits, flips in closed form, all without the package.

The Greeks are numerical derivatives of a Black price written here, so no formula is shared with the package.  Run: python tools/make_exposure_answers.py
"""

from __future__ import annotations

import json
from pathlib import Path

from mpmath import diff, erf, log, mp, mpf, sqrt

mp.dps = 40
SPOT = mpf(60000)
BOOK = [  # right, strike, years, iv, forward, position, open interest
    (1, 55000, "0.02", "0.62", 60100, "120.5", "200"),
    (-1, 55000, "0.02", "0.64", 60100, "-340", "340"),
    (1, 60000, "0.02", "0.58", 60100, "-75.25", "80"),
    (-1, 60000, "0.02", "0.58", 60100, "60", "410"),
    (1, 70000, "0.02", "0.66", 60100, "500", "500"),
    (-1, 45000, "0.3", "0.71", 61200, "-900", "900"),
    (1, 60000, "0.3", "0.63", 61200, "210", "230"),
    (1, 80000, "0.3", "0.69", 61200, "-640", "640"),
    (-1, 60000, "1.1", "0.66", 63500, "330", "345"),
    (1, 120000, "1.1", "0.74", 63500, "1250", "1250"),
]
SKEW, CURVATURE = mpf("-0.12"), mpf("0.25")
"""Smile for the moves: vol(k) = level + SKEW k + CURVATURE k^2, k = ln(K / F)."""
MOVED_SPOTS = (48000, 57000, 60000, 63000, 75000)


def norm_cdf(x):
    return (1 + erf(x / sqrt(mpf(2)))) / 2


def price(right, forward, strike, years, vol):
    sd = vol * sqrt(years)
    d1 = log(forward / strike) / sd + sd / 2
    return right * (forward * norm_cdf(right * d1) - strike * norm_cdf(right * (d1 - sd)))


def greeks(right, forward, strike, years, vol):
    def at(f, t, v):
        return price(right, f, strike, t, v)

    return {
        "price": at(forward, years, vol),
        "delta": diff(lambda f: at(f, years, vol), forward),
        "gamma": diff(lambda f: at(f, years, vol), forward, 2),
        "vega": diff(lambda v: at(forward, years, v), vol),
        "vanna": diff(lambda f, v: at(f, years, v), (forward, vol), (1, 1)),
        "charm": -diff(lambda f, t: at(f, t, vol), (forward, years), (1, 1)),
    }


def smile_change(strike, forward, log_move, ratio):
    k = log(mpf(strike) / forward)
    moved = k - (1 - ratio) * log_move
    return SKEW * (moved - k) + CURVATURE * (moved**2 - k**2)


def totals(spot, ratio):
    names = (
        "gex_usd_per_pct",
        "gross_gex_usd_per_pct",
        "vanna_usd_per_volpt",
        "charm_usd_per_day",
        "delta_usd",
        "delta_usd_coin",
        "vega_usd_per_volpt",
    )
    out = dict.fromkeys(names, mpf(0))
    for right, strike, years, iv, forward, position, interest in BOOK:
        moved_forward = mpf(forward) * spot / SPOT
        vol = mpf(iv) + smile_change(strike, mpf(forward), log(spot / SPOT), ratio)
        greek = greeks(right, moved_forward, mpf(strike), mpf(years), vol)
        held = mpf(position)
        out["gex_usd_per_pct"] += held * greek["gamma"] * spot**2 / 100
        out["gross_gex_usd_per_pct"] += mpf(interest) * greek["gamma"] * spot**2 / 100
        out["vanna_usd_per_volpt"] += held * greek["vanna"] * spot / 100
        out["charm_usd_per_day"] += held * greek["charm"] * spot / 365
        out["delta_usd"] += held * greek["delta"] * spot
        out["delta_usd_coin"] += held * (greek["delta"] - greek["price"] / moved_forward) * spot
        out["vega_usd_per_volpt"] += held * greek["vega"] / 100
    return {name: float(value) for name, value in out.items()}


def flows():
    """Full repricing with d1 written out again: delta before and after, (move %, vol points, hours)."""

    def delta_at(spot, shift, hours):
        total = mpf(0)
        for right, strike, years, iv, forward, position, _ in BOOK:
            left = mpf(years) - mpf(hours) / 8760
            if left <= 0:
                continue
            vol = mpf(iv) + smile_change(strike, mpf(forward), log(spot / SPOT), mpf(0)) + shift
            f = mpf(forward) * spot / SPOT
            total += mpf(position) * diff(
                lambda x, right=right, strike=strike, left=left, vol=vol: price(right, x, mpf(strike), left, vol), f
            )
        return total

    before = delta_at(SPOT, mpf(0), 0)
    rows = []
    for move, shift, hours in ((-10, 0, 0), (3, 5, 1), (3, -5, 24), (0, 5, 0), (1, 0, 0), (5, -5, 200)):
        after = delta_at(SPOT * (1 + mpf(move) / 100), mpf(shift) / 100, hours)
        rows.append({"move_pct": move, "vol_move_volpt": shift, "hours": hours, "buy_coin": float(-(after - before))})
    return rows


def two_strike_flips():
    cases = [((70000, 50000), "0.6", mpf(30) / 365, n) for n in ((1, 1), (2, 1), (1, 3))]
    cases += [
        ((80000, 65000), "0.45", mpf(7) / 365, (5, 2)),
        ((61000, 58000), "0.5", mpf(10) / 365, (3, 4)),
        ((66000, 54000), "0.35", mpf(2) / 365, (1, 1)),
    ]
    rows = []
    for (first, second), vol, years, (long, short) in cases:
        variance = mpf(vol) ** 2 * years
        flip = log(mpf(first) * second) / 2 - variance / 2 + variance * log(mpf(long) / short) / log(mpf(second) / first)
        rows.append(
            {
                "long_strike": first,
                "short_strike": second,
                "vol": float(vol),
                "days": float(years * 365),
                "long": long,
                "short": short,
                "flip_usd": float(mp.exp(flip)),
            }
        )
    return rows


def main() -> None:
    answers = {
        "spot_usd": float(SPOT),
        "smile": {"skew": float(SKEW), "curvature": float(CURVATURE)},
        "book": [
            [right, strike, float(years), float(iv), forward, float(position), float(interest)]
            for right, strike, years, iv, forward, position, interest in BOOK
        ],
        "profile": [{"spot_usd": spot, "ratio": ratio, **totals(mpf(spot), mpf(ratio))} for ratio in (1, 0) for spot in MOVED_SPOTS],
        "flows_sticky_moneyness": flows(),
        "two_strike_flips": two_strike_flips(),
    }
    target = Path(__file__).parent.parent / "tests" / "answers" / "exposure.json"
    target.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
