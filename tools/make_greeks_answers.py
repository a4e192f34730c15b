"""Reference greeks, implied vols and settlement-average greeks, from nothing but prices in 50 digits.

Every greek is a numerical derivative (mpmath's diff, at raised precision) of a price; no formula of a greek is typed here. Prices are
F N(d1) - K N(d2) by mpmath's error function, and for the settlement average an integral over the normal density. A few points are also
priced by QuantLib. Implied vols are roots, in 50 digits, of the price that a double holds exactly.

Run: python tools/make_greeks_answers.py    (writes tests/answers/greeks.json, greeks_settlement.json, implied.json)
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mpmath as mp

ANSWERS = Path(__file__).resolve().parents[1] / "tests" / "answers"
DIGITS = 50
SECOND = 1 / (365 * 24 * 3600)

# order of differentiation by (forward, vol, years); a minus sign for calendar time
DERIVATIVES = {
    "delta": ((1, 0, 0), 1),
    "gamma": ((2, 0, 0), 1),
    "vega": ((0, 1, 0), 1),
    "theta": ((0, 0, 1), -1),
    "vanna": ((1, 1, 0), 1),
    "charm": ((1, 0, 1), -1),
    "vomma": ((0, 2, 0), 1),
    "speed": ((3, 0, 0), 1),
    "zomma": ((2, 1, 0), 1),
    "colour": ((2, 0, 1), -1),
}
Parts = tuple[Callable[[mp.mpf, mp.mpf, mp.mpf], mp.mpf], ...]
GATE = ("delta", "gamma", "vega", "vanna", "charm")


def price(right: int, forward: mp.mpf, strike: mp.mpf, years: mp.mpf, vol: mp.mpf) -> mp.mpf:
    w = vol * mp.sqrt(years)
    d1 = mp.log(forward / strike) / w + w / 2
    return right * (forward * mp.ncdf(right * d1) - strike * mp.ncdf(right * (d1 - w)))


def derivatives(parts: Parts, at: tuple[mp.mpf, ...], names: tuple[str, ...]) -> dict[str, mp.mpf]:
    """Each part is differentiated by itself, so that the digits of a far wing are not lost beside the intrinsic value."""
    return {name: DERIVATIVES[name][1] * mp.fsum(mp.diff(part, at, DERIVATIVES[name][0]) for part in parts) for name in names}


def reference(point: dict[str, Any], names: tuple[str, ...] = tuple(DERIVATIVES), *, coin: bool = True) -> dict[str, Any]:
    """USD greeks of a point, and under "coin" the derivatives of price/forward."""
    mp.mp.dps = DIGITS
    right, strike = point["right"], mp.mpf(point["strike_usd"])
    at = (mp.mpf(point["forward_usd"]), mp.mpf(point["vol"]), mp.mpf(point["years"]))
    out = 1 if at[0] <= strike else -1  # the right that is out of the money: put-call parity adds the intrinsic value
    share = 1 if out != right else 0
    in_usd: Parts = (
        lambda forward, vol, years: price(out, forward, strike, years, vol),
        lambda forward, vol, years: share * right * (forward - strike),
    )
    in_coin: Parts = tuple(lambda f, v, t, part=part: part(f, v, t) / f for part in in_usd)  # type: ignore[misc]
    value = mp.fsum(part(*at) for part in in_usd)
    answer = {"price": value, **derivatives(in_usd, at, names), "rho": _rho(value, at[2])}
    result = {name: float(number) for name, number in answer.items()}
    if coin:
        net = {"price_coin": value / at[0], "net_delta": answer["delta"] - value / at[0], "rho": _rho(value / at[0], at[2])}
        coins = {**net, **derivatives(in_coin, at, names)}
        result["coin"] = {name: float(number) for name, number in coins.items()}
    return result


def _rho(value: mp.mpf, years: mp.mpf) -> mp.mpf:
    return mp.diff(lambda rate: mp.exp(-rate * years) * value, 0)


def points(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """One second to five years, 1 % to 1000 % vol, from the money out to 40 standard deviations, calls and puts, strikes 1e-6 to 1e6 forwards."""
    draw = random.Random(seed)
    made = 0
    while made < count:
        forward = draw.choice([60000.0, 91630.07, 3500.0, 100.0, 0.4321])
        years = math.exp(draw.uniform(math.log(SECOND), math.log(5.0)))
        years = draw.choice([years, years, SECOND, 1 / 365, 30 / 365, 5.0])
        vol = draw.choice([math.exp(draw.uniform(math.log(0.01), math.log(10.0)))] * 6 + [0.01, 10.0])
        deviations = draw.choice([draw.uniform(-3, 3), draw.uniform(-8, 8), draw.uniform(-40, 40), draw.gauss(0, 1e-4), 0.0])
        log_moneyness = deviations * vol * math.sqrt(years)
        if abs(log_moneyness) > 13.8:
            continue
        strike = forward * math.exp(log_moneyness)
        made += 1
        yield {"right": draw.choice([1, -1]), "forward_usd": forward, "strike_usd": strike, "years": years, "vol": vol}


def quantlib(point: dict[str, Any]) -> dict[str, float]:
    import QuantLib as ql

    kind = ql.Option.Call if point["right"] > 0 else ql.Option.Put
    deviation = point["vol"] * math.sqrt(point["years"])
    calculator = ql.BlackCalculator(ql.PlainVanillaPayoff(kind, point["strike_usd"]), point["forward_usd"], deviation, 1.0)
    return {
        "price": calculator.value(),
        "delta": calculator.deltaForward(),
        "gamma": calculator.gammaForward(),
        "vega": calculator.vega(point["years"]),
    }


def greeks_file() -> dict[str, Any]:
    rows = [{**point, **reference(point)} for point in points(500, seed=21)]
    ordinary = [{"right": r, "forward_usd": 60000.0, "strike_usd": k, "years": t, "vol": v} for r in (1, -1) for k, t, v in QUANTLIB_GRID]
    return {
        "source": "mpmath, 50 digits, tools/make_greeks_answers.py",
        "points": rows,
        "quantlib": [{**p, **quantlib(p)} for p in ordinary],
    }


QUANTLIB_GRID = [(k, t, v) for k in (40000.0, 60000.0, 65000.0, 90000.0) for t, v in ((7 / 365, 0.8), (30 / 365, 0.65), (1.0, 0.5))]


def settlement_price(
    right: int, spot: mp.mpf, strike: mp.mpf, left: mp.mpf, vol: mp.mpf, known: mp.mpf, window: mp.mpf, frozen: mp.mpf
) -> mp.mpf:
    """E max(right (settlement - strike), 0); `known` = sum of the index over the part gone by, `frozen` = spot in the absolute vol."""
    mean = (known + left * spot) / window
    spread = frozen * vol * mp.sqrt(left**3 / 3) / window
    edge = (strike - mean) / spread
    low, high = (edge, edge + 60) if right > 0 else (edge - 60, edge)
    cuts = sorted({low, high, *(c for c in (mp.mpf(-8), mp.mpf(0), mp.mpf(8)) if low < c < high)})
    return mp.quad(lambda z: right * (mean + spread * z - strike) * mp.npdf(z), cuts)


def settlement_point(right: int, minutes: float, vol: float, average: float, strike: float) -> dict[str, Any]:
    mp.mp.dps = 40
    window = mp.mpf(30) / (365 * 24 * 60)
    point = {
        "right": right,
        "spot_usd": 60000.0,
        "strike_usd": strike,
        "years": minutes / (365 * 24 * 60),
        "vol": vol,
        "running_average_usd": average,
    }
    spot, struck, left, sigma = (mp.mpf(point[name]) for name in ("spot_usd", "strike_usd", "years", "vol"))
    window = mp.mpf(float(window))
    known = (window - left) * mp.mpf(average)

    def value(s: mp.mpf, v: mp.mpf, later: mp.mpf) -> mp.mpf:
        return settlement_price(right, s, struck, left - later, v, known + spot * later, window, spot)

    def differ(orders: tuple[int, int, int], steps: tuple[mp.mpf, mp.mpf, mp.mpf]) -> mp.mpf:
        """Central differences with one Richardson round, each order at most 2."""
        return (
            4 * _central(value, (spot, sigma, mp.mpf(0)), orders, [s / 2 for s in steps])
            - _central(value, (spot, sigma, mp.mpf(0)), orders, list(steps))
        ) / 3

    steps = (spot * mp.mpf(10) ** -9, sigma * mp.mpf(10) ** -7, left * mp.mpf(10) ** -7)
    orders = {
        "delta": (1, 0, 0),
        "gamma": (2, 0, 0),
        "vega": (0, 1, 0),
        "theta": (0, 0, 1),
        "vanna": (1, 1, 0),
        "charm": (1, 0, 1),
        "vomma": (0, 2, 0),
    }
    return {**point, "price": float(value(spot, sigma, mp.mpf(0))), **{name: float(differ(order, steps)) for name, order in orders.items()}}


def _central(function: Callable[..., mp.mpf], at: tuple[mp.mpf, ...], orders: tuple[int, ...], steps: list[mp.mpf]) -> mp.mpf:
    stencils = {0: ((0, 1),), 1: ((-1, mp.mpf(-1) / 2), (1, mp.mpf(1) / 2)), 2: ((-1, 1), (0, -2), (1, 1))}
    terms: list[tuple[list[mp.mpf], mp.mpf]] = [([], mp.mpf(1))]
    for centre, order, step in zip(at, orders, steps):
        terms = [
            ([*place, centre + shift * step], factor * weight / step**order) for place, factor in terms for shift, weight in stencils[order]
        ]
    return mp.fsum(factor * function(*place) for place, factor in terms)


def settlement_file() -> dict[str, Any]:
    cases = [
        (1, 10.0, 0.6, 60000.0, 60000.0),
        (1, 10.0, 0.6, 59950.0, 60010.0),
        (-1, 20.0, 0.9, 60080.0, 60030.0),
        (-1, 3.0, 0.45, 59990.0, 59995.0),
        (1, 29.0, 1.5, 60400.0, 60100.0),
        (-1, 1.0, 0.6, 60001.0, 60000.0),
    ]
    return {
        "source": "mpmath quadrature and differences, tools/make_greeks_answers.py",
        "points": [settlement_point(*case) for case in cases],
    }


def implied_point(point: dict[str, Any]) -> dict[str, Any] | None:
    """The vol of the double nearest to the price; None where that price underflows or holds no vol."""
    mp.mp.dps = DIGITS
    right, forward, strike = point["right"], mp.mpf(point["forward_usd"]), mp.mpf(point["strike_usd"])
    years, vol = mp.mpf(point["years"]), mp.mpf(point["vol"])
    quoted = float(price(right, forward, strike, years, vol))
    bound = point["forward_usd"] if right > 0 else point["strike_usd"]
    if not max(1e-290, right * (point["forward_usd"] - point["strike_usd"])) < quoted < bound:
        return None
    root = mp.findroot(
        lambda v: mp.log(price(right, forward, strike, years, v) / mp.mpf(quoted)), (vol, vol * (1 + mp.mpf(10) ** -12)), tol=1e-60
    )
    return {**{name: point[name] for name in ("right", "forward_usd", "strike_usd", "years")}, "price_usd": quoted, "iv": float(root)}


def implied_file() -> dict[str, Any]:
    """Out of the money to 8 deviations (total vol to 3), and the same points in the money where the price still holds a vol."""
    draw = random.Random(8)
    rows: dict[str, list[dict[str, Any]]] = {"out_of_the_money": [], "in_the_money": []}
    while len(rows["out_of_the_money"]) < 300:
        total, deviations = math.exp(draw.uniform(math.log(2e-4), math.log(3.0))), draw.uniform(-8, 8)
        years = math.exp(draw.uniform(math.log(60 * SECOND), math.log(5.0)))
        point = {
            "forward_usd": 60000.0,
            "strike_usd": 60000.0 * math.exp(deviations * total),
            "years": years,
            "vol": total / math.sqrt(years),
        }
        out = 1 if deviations > 0 else -1
        for name, right in (("out_of_the_money", out), ("in_the_money", -out)):
            answer = implied_point({**point, "right": right})
            if answer is not None:
                rows[name].append(answer)
    return {"source": "mpmath, 50 digits, tools/make_greeks_answers.py", **rows}


def main() -> None:
    for name, content in (("greeks", greeks_file()), ("greeks_settlement", settlement_file()), ("implied", implied_file())):
        rows = json.dumps(content, allow_nan=False).replace('{"right"', '\n{"right"').replace('{"forward_usd"', '\n{"forward_usd"')
        (ANSWERS / f"{name}.json").write_text(rows + "\n")
        print(f"wrote {name}.json", file=sys.stderr)


if __name__ == "__main__":
    main()
