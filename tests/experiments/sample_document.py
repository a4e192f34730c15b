"""A generated, synthetic measure document: plain dicts, made by short code of its own that shares nothing with the package."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

AS_OF = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SPOT_USD = 91_630.0
DAYS = np.array([1, 2, 3, 4, 11, 18, 25, 60, 88, 116, 207, 298]) - 0.0625
MOVES_PCT = (-10, -5, -3, -1, 0, 1, 3, 5, 10)
_normal_cdf = np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2.0)), otypes=[float])


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _strikes(days: float) -> np.ndarray:
    step = 1_000 if days < 5 else 2_000 if days < 40 else 5_000
    reach = SPOT_USD * min(0.75, 0.12 + 0.05 * math.sqrt(days))
    low = math.ceil((SPOT_USD - reach) / step)
    high = math.floor((SPOT_USD + 1.6 * reach) / step)
    return step * np.arange(max(low, 1), high + 1, dtype=float)


class _Market:
    """Rows of the synthetic chain, and its repricing."""

    def __init__(self, expiries: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.days = DAYS[:expiries]
        rows = [(day, strike, right) for day in self.days for strike in _strikes(day) for right in (1, -1)]
        self.day, self.strike, self.right = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
        self.years = self.day / 365.0
        self.forward = SPOT_USD * np.exp(0.055 * self.years)
        out_of_money = np.where(self.right > 0, self.strike > self.forward, self.strike < self.forward)
        distance = np.log(self.strike / SPOT_USD) / (0.55 * np.sqrt(self.years))
        quarterly = np.where(np.isin(self.day, self.days[[k for k in (3, 6, 8, 10) if k < expiries]]), 5.0, 1.0)
        round_strike = np.where(self.strike % 10_000 == 0, 3.5, 1.0)
        self.open_interest = np.round(
            200 * quarterly * round_strike * np.exp(-0.35 * distance**2) * (0.5 + out_of_money) * rng.lognormal(0, 0.6, self.day.size), 1
        )

    def vol(self, forward: np.ndarray) -> np.ndarray:
        """Sticky moneyness: the smile rides on the forward."""
        scaled = np.log(self.strike / forward) / np.sqrt(self.years + 0.02)
        return (0.46 + 0.08 * np.exp(-self.years * 6)) * (1 - 0.05 * scaled + 0.05 * scaled**2 / (1 + 0.3 * np.abs(scaled)))

    def delta_gamma(self, ratio: float, vol_shift: float = 0.0, hours: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        forward = self.forward * ratio
        years = np.maximum(self.years - hours / 8760.0, 1e-6)
        vol = np.maximum(self.vol(forward) + vol_shift, 0.05)
        spread = vol * np.sqrt(years)
        d1 = np.log(forward / self.strike) / spread + spread / 2
        return _normal_cdf(d1) - (self.right < 0), np.exp(-(d1**2) / 2) / math.sqrt(2 * math.pi) / (forward * spread)


def sample_document(
    *, liquidity: bool = True, my_book: bool = False, expiries: int = 12, seed: int = 7, masked: bool = True
) -> dict[str, Any]:
    """A whole document of `tailwag.measure/1`; every number follows from one small synthetic market."""
    market = _Market(expiries, seed)
    when = [_stamp(AS_OF + timedelta(days=float(day))) for day in market.days]
    first = market.right * market.open_interest
    second = np.where((market.strike - market.forward) * market.right > 0, 1.0, -1.0) * market.open_interest
    rules = ["long-calls-short-puts", "customers-sell-otm"]
    _, gamma = market.delta_gamma(1.0)
    per_row = gamma * SPOT_USD**2 / 100
    gex, other = float((first * per_row).sum()), float((second * per_row).sum())
    gross = float((market.open_interest * per_row).sum())
    depth = 78e6 if liquidity else None

    def over_depth(usd: float) -> float | None:
        return None if depth is None else -usd / depth

    levels = np.linspace(0.7, 1.3, 121)
    profile_gex = [float((first * market.delta_gamma(ratio)[1]).sum()) * (SPOT_USD * ratio) ** 2 / 100 for ratio in levels]
    flips = _flips(levels * SPOT_USD, profile_gex)
    zones = [] if depth is None else _zones(levels * SPOT_USD, [-value / depth for value in profile_gex])
    by_expiry, calendar = [], []
    for day, stamp in zip(market.days, when, strict=True):
        rows = market.day == day
        lost = float((market.open_interest * per_row)[rows].sum())
        at_money = int(np.argmin(np.abs(np.log(market.strike / market.forward)) + 10.0 * ~rows))
        by_expiry.append(
            {
                "expiry": stamp,
                "gex_usd_per_pct": float((first * per_row)[rows].sum()),
                "gross_gex_usd_per_pct": lost,
                "open_interest_coin": float(market.open_interest[rows].sum()),
                "forward_usd": float(market.forward[at_money]),
                "atm_iv": float(market.vol(market.forward)[at_money]),
            }
        )
        calendar.append({"at": stamp, "event": "expiry", "gross_gex_removed_usd_per_pct": lost})
    calendar.insert(0, {"at": _stamp(AS_OF + timedelta(hours=6.5)), "event": "funding", "gross_gex_removed_usd_per_pct": None})
    calendar.insert(1, {"at": _stamp(AS_OF + timedelta(hours=22)), "event": "settlement-average", "gross_gex_removed_usd_per_pct": None})
    by_strike = []
    for strike in np.unique(market.strike):
        rows = market.strike == strike
        call = float((first * per_row)[rows & (market.right > 0)].sum())
        put = float((first * per_row)[rows & (market.right < 0)].sum())
        by_strike.append(
            {"strike_usd": float(strike), "gex_usd_per_pct": call + put, "call_gex_usd_per_pct": call, "put_gex_usd_per_pct": put}
        )
    flows = _flows(market, first)
    call_wall = max(by_strike, key=lambda row: row["call_gex_usd_per_pct"])["strike_usd"]
    put_wall = min(by_strike, key=lambda row: row["put_gex_usd_per_pct"])["strike_usd"]
    gain = over_depth(gex)
    undetermined = (gex > 0) != (other > 0)
    names = ["damping" if value > 0 else "amplifying" for value in (gex, other)]
    headline = (
        f"SYNTHETIC demo data: sign undetermined: {rules[0]} says {names[0]}, {rules[1]} says {names[1]}."
        if undetermined
        else f"Hedging is {names[0]} moves here: both rules agree."
    )
    laws = [
        ("book", 41e6, 0.26, "perp book, captured 09:29 UTC"),
        ("square-root", 78e6, None, "30-day volume and volatility"),
        ("long-run", 155e6, None, "half of the square-root impact stays"),
    ]
    return {
        "schema": "tailwag.measure/1",
        "as_of": _stamp(AS_OF),
        "currency": "BTC",
        "spot_usd": SPOT_USD,
        "source": {"kind": "demo", "name": "demo", "sha256": "0" * 64, "synthetic": True},
        "status": "degraded" if masked else "ok",
        "degraded": ["1.3 % of open interest has no usable volatility; its exposure is unknown."] if masked else [],
        "headline": [
            headline,
            f"If spot moves +1 %, dealers of {rules[0]} must trade {-gex / 1e6:+.1f} million USD; -1 % forces the reverse.",
            "The next expiry takes away the gamma of the shortest options.",
        ],
        "assumptions": {
            "rules": rules,
            "dynamics": "sticky-moneyness",
            "vol": "venue",
            "numeraire": "usd",
            "hedge_share": 1.0,
            "move_pct": 1.0,
            "liquidity": {"law": "square-root" if liquidity else "none", "from": "volume" if liquidity else "none"},
        },
        "chain": {
            "instruments": int(market.day.size),
            "expiries": len(when),
            "open_interest_coin": float(market.open_interest.sum()),
            "masked": [
                {"code": "iv_missing", "instruments": 9, "open_interest_share": 0.0093},
                {"code": "expired", "instruments": 4, "open_interest_share": 0.0036},
                {"code": "oi_missing", "instruments": 2, "open_interest_share": 0.0},
            ]
            if masked
            else [],
            "warnings": [
                {"code": "one_sided", "instruments": 61, "open_interest_share": 0.034},
                {"code": "crossed", "instruments": 3, "open_interest_share": 0.0012},
            ]
            if masked
            else [],
        },
        "exposure": {
            "gex_usd_per_pct": gex,
            "gross_gex_usd_per_pct": gross,
            "vanna_usd_per_volpt": 41.2e6,
            "charm_usd_per_day": -18.7e6,
            "delta_usd": 2.31e9,
            "vega_usd_per_volpt": 3.4e6,
            "by_expiry": by_expiry,
            "by_strike": by_strike,
            "by_venue": [{"venue": "deribit", "gex_usd_per_pct": gex, "gross_gex_usd_per_pct": gross}],
            "by_right": [
                {"right": "call", "gex_usd_per_pct": sum(row["call_gex_usd_per_pct"] for row in by_strike)},
                {"right": "put", "gex_usd_per_pct": sum(row["put_gex_usd_per_pct"] for row in by_strike)},
            ],
        },
        "profile": [
            {"spot_usd": float(ratio * SPOT_USD), "gex_usd_per_pct": value, "gain": over_depth(value)}
            for ratio, value in zip(levels, profile_gex, strict=True)
        ],
        "levels": {
            "flip_status": "none" if not flips else "one" if len(flips) == 1 else "many",
            "flips": flips,
            "flip_stability": 0.94 if flips else None,
            "call_wall_usd": call_wall,
            "put_wall_usd": put_wall,
            "absolute_gamma_strike_usd": 90_000.0,
            "max_pain": [{"expiry": stamp, "strike_usd": 90_000.0 + 1_000 * k} for k, stamp in enumerate(when)],
            "oi_concentration": {"herfindahl": 0.041, "top5_share": 0.33, "strikes": 85},
            "zero_dte_share": 0.072,
        },
        "flows": flows,
        "gain": {
            "value": gain,
            "reason": None if liquidity else "no liquidity known: give --liquidity or --depth-usd-per-pct",
            "law": "square-root" if liquidity else None,
            "depth_usd_per_pct": depth,
            "with_vanna": None if gain is None else gain * 0.86,
            "low": None if gain is None else -abs(gain) * 1.3,
            "high": None if gain is None else abs(gain) * 2.1,
            "break_even_depth_usd_per_pct": abs(gex),
            "amplification": None if gain is None or gain >= 1 else 1 / (1 - gain),
            "regime": "undetermined" if undetermined else names[0],
            "by_law": [
                {
                    "law": law,
                    "value": -gex / usd,
                    "depth_usd_per_pct": usd,
                    "bid_usd_per_pct": usd * 0.9 if law == "book" else None,
                    "ask_usd_per_pct": usd * 1.1 if law == "book" else None,
                    "reach_pct": reach,
                    "source": source,
                }
                for law, usd, reach, source in laws
            ]
            if liquidity
            else [],
            "by_rule": [
                {"rule": rule, "gex_usd_per_pct": value, "value": over_depth(value)}
                for rule, value in zip(rules, (gex, other), strict=True)
            ],
            "by_expiry": [{"expiry": row["expiry"], "value": over_depth(row["gex_usd_per_pct"])} for row in by_expiry],
            "runaway_zones_usd": zones,
        },
        "forward": [
            {
                "hours": hours,
                "gex_usd_per_pct": gex * (1 + 0.004 * hours),
                "gain": over_depth(gex * (1 + 0.004 * hours)),
                "flips_usd": [flip["spot_usd"] for flip in flips],
            }
            for hours in (1, 6, 24)
        ]
        + [
            {
                "hours": round(24 * float(day), 2),
                "gex_usd_per_pct": sum(row["gex_usd_per_pct"] for row in by_expiry[k + 1 :]),
                "gain": over_depth(sum(row["gex_usd_per_pct"] for row in by_expiry[k + 1 :])),
                "flips_usd": [],
                "event": f"after expiry {when[k]}",
            }
            for k, day in enumerate(market.days)
        ],
        "calendar": calendar,
        "surface": _surface(market, when, seed),
        "my_book": _my_book(when) if my_book else None,
        "trade": [_trade()] if my_book else None,
        "book": {
            "instrument": [
                f"BTC-{int(day)}D-{int(strike)}-{'C' if right > 0 else 'P'}"
                for day, strike, right in zip(market.day, market.strike, market.right, strict=True)
            ],
            "position_coin": first.tolist(),
            "strike_usd": market.strike.tolist(),
            "expiry": [_stamp(AS_OF + timedelta(days=float(day))) for day in market.day],
            "gex_usd_per_pct": (first * per_row).tolist(),
        },
    }


def empty_document() -> dict[str, Any]:
    """The same shape with every number unknown: what an empty venue reply becomes."""
    document = sample_document(expiries=1, liquidity=False)
    blank = _blanked(document)
    blank.update(
        schema=document["schema"],
        as_of=document["as_of"],
        currency="BTC",
        source=document["source"],
        status="degraded",
        degraded=["The venue listed no option."],
    )
    blank["headline"] = ["Nothing is listed, so nothing can be measured."]
    return blank


def hostile_document() -> dict[str, Any]:
    """Markup and control characters wherever a venue or a file can put text."""
    attack = '</script><script>document.title="owned"</script><img src=x onerror=alert(1)>\x1b[31m[red]\u202e'
    document = sample_document(my_book=True)
    document["source"].update(name=attack, kind=attack)
    document["headline"].append(attack)
    document["degraded"].append(attack)
    document["assumptions"]["rules"][0] = attack
    document["gain"]["by_rule"][0]["rule"] = attack
    document["gain"]["by_law"][0].update(law=attack, source=attack)
    document["chain"]["masked"][0]["code"] = attack
    document["exposure"]["by_venue"][0]["venue"] = attack
    document["exposure"]["by_expiry"][0]["expiry"] = attack
    document["calendar"][0].update(event=attack, at=attack)
    document["surface"]["smiles"][0].update(venue=attack, model=attack, expiry=attack, notes=[attack])
    document["my_book"]["options"][0]["instrument"] = attack
    document["my_book"]["futures"][0] = attack
    document["trade"][0].update(trade=attack, assumption=attack)
    document["forward"][0]["event"] = attack
    document["currency"] = attack
    return document


def _blanked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _blanked(item) for key, item in value.items()}
    return [] if isinstance(value, list) else None


def _flips(spots: np.ndarray, gex: list[float]) -> list[dict[str, Any]]:
    found = []
    for left, right, low, high in zip(spots, spots[1:], gex, gex[1:], strict=False):
        if low * high < 0:
            found.append(
                {
                    "spot_usd": float(left + (right - left) * low / (low - high)),
                    "crossing": "negative-to-positive" if high > 0 else "positive-to-negative",
                }
            )
    return found


def _zones(spots: np.ndarray, gains: list[float]) -> list[list[float]]:
    zones: list[list[float]] = []
    open_at = None
    for spot, gain in zip(spots, gains, strict=True):
        if gain >= 1 and open_at is None:
            open_at = float(spot)
        if gain < 1 and open_at is not None:
            zones.append([open_at, float(spot)])
            open_at = None
    return [*zones, [open_at, float(spots[-1])]] if open_at is not None else zones


def _flows(market: _Market, position: np.ndarray) -> list[dict[str, Any]]:
    start, gamma = market.delta_gamma(1.0)
    rows = []
    for hours in (0, 1, 24):
        charm = -SPOT_USD * float((position * (market.delta_gamma(1.0, hours=hours)[0] - start)).sum())
        for vol in (-5, 0, 5):
            vanna = -SPOT_USD * float((position * (market.delta_gamma(1.0, vol / 100)[0] - start)).sum())
            for move in MOVES_PCT:
                after, _ = market.delta_gamma(1 + move / 100, vol / 100, hours)
                buy = -float((position * (after - start)).sum())
                gamma_usd = -(SPOT_USD**2) * move / 100 * float((position * gamma).sum())
                rows.append(
                    {
                        "spot_move_pct": move,
                        "vol_move_volpt": vol,
                        "hours": hours,
                        "buy_coin": buy,
                        "buy_usd": buy * SPOT_USD,
                        "gamma_usd": gamma_usd,
                        "vanna_usd": vanna,
                        "charm_usd": charm,
                        "expiry_usd": 3.1e7 if hours == 24 else 0.0,
                        "residual_usd": buy * SPOT_USD - gamma_usd - vanna - charm,
                    }
                )
    return rows


def _surface(market: _Market, when: list[str], seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed + 1)
    smiles, forwards = [], []
    for day, stamp in zip(market.days, when, strict=True):
        rows = np.flatnonzero((market.day == day) & ((market.strike - market.forward) * market.right >= 0))
        rows = rows[np.argsort(market.strike[rows])]
        forward = float(market.forward[rows[0]])
        points = []
        for row in rows:
            moneyness = float(np.log(market.strike[row] / forward))
            fit = float(market.vol(market.forward)[row])
            half = 0.004 + 0.05 * moneyness**2 / math.sqrt(market.years[row] + 0.02)
            mark = fit + 0.002 * rng.standard_normal()
            bid = None if rng.random() < 0.12 else mark - half
            points.append(
                {
                    "strike_usd": float(market.strike[row]),
                    "log_moneyness": moneyness,
                    "right": "call" if market.right[row] > 0 else "put",
                    "bid_iv": bid,
                    "ask_iv": None if rng.random() < 0.05 else mark + half,
                    "mark_iv": mark,
                    "fit_iv": fit,
                }
            )
        grid = np.linspace(points[0]["log_moneyness"] - 0.02, points[-1]["log_moneyness"] + 0.02, 60)
        scaled = grid / math.sqrt(day / 365 + 0.02)
        curve = (0.46 + 0.08 * math.exp(-day / 365 * 6)) * (1 - 0.05 * scaled + 0.05 * scaled**2 / (1 + 0.3 * np.abs(scaled)))
        smiles.append(
            {
                "venue": "deribit",
                "expiry": stamp,
                "years": float(day / 365),
                "forward_usd": forward,
                "model": "svi" if day > 2 else "svi-repaired",
                "parameters": {"a": 0.01, "b": 0.05, "rho": -0.3, "m": 0.01, "sigma": 0.1},
                "rmse_volpt": float(0.15 + 0.2 * rng.random()),
                "butterfly_min_g": 0.31,
                "notes": [] if day > 2 else ["butterfly repaired: g reached -0.02 at k = 0.14"],
                "points": points,
                "curve": [
                    {"log_moneyness": float(k), "strike_usd": float(forward * math.exp(k)), "iv": float(iv)}
                    for k, iv in zip(grid, curve, strict=True)
                ],
            }
        )
        forwards.append({"venue": "deribit", "expiry": stamp, "forward_usd": forward, "source": "future" if day > 20 else "synthetic"})
    return {"forwards": forwards, "smiles": smiles, "calendar_violations": []}


_GREEKS = {
    "value_usd": 508_738.9,
    "value_coin": 5.26,
    "delta_usd": -11.3e6,
    "delta_coin": -116.7,
    "net_delta_coin": -122.0,
    "gamma_coin_per_usd": -0.0038,
    "gex_usd_per_pct": -358_000.0,
    "gex_coin_per_pct": -3.7,
    "vega_usd_per_volpt": 15_000.0,
    "vega_coin_per_volpt": 0.155,
    "vanna_usd_per_volpt": -101_900.0,
    "vanna_coin_per_volpt": -1.05,
    "charm_usd_per_day": 157_100.0,
    "charm_coin_per_day": 1.62,
}


def _my_book(when: list[str]) -> dict[str, Any]:
    flows = [
        {
            "spot_move_pct": move,
            "vol_move_volpt": 0,
            "hours": 0,
            "buy_coin": 1.92 * move,
            "buy_usd": 176_000.0 * move,
            "market_buy_usd": 9e6 * move,
        }
        for move in MOVES_PCT
    ]
    use = {"by": "expiry", "key": when[0], "gex_usd_per_pct": -176_000.0, "share": 0.5, "limit_usd_per_pct": 500_000.0, "breached": False}
    return {
        "greeks": _GREEKS,
        "flows": flows,
        "options": [{"instrument": "BTC-27MAR26-100000-C", "position_coin": -150.0, "iv": 0.446, "priced_from": "chain"}],
        "futures": ["-500000 USD of BTC-PERPETUAL"],
        "unpriced": [{"instrument": "BTC-1JAN30-100000-C", "reason": "no smile for this expiry"}],
        "limits": [use],
    }


def _trade() -> dict[str, Any]:
    return {
        "trade": "-500 contracts of BTC-27MAR26-100000-C",
        "assumption": "dealers take the other side and hedge it",
        "own_before": None,
        "own_after": {"greeks": _GREEKS},
        "market_gex_before_usd_per_pct": -23.7e6,
        "market_gex_after_usd_per_pct": -21.5e6,
        "market_gain_before": 0.30,
        "market_gain_after": 0.27,
        "market_flips_after_usd": [92_100.0],
    }
