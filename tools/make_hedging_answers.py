"""Write tests/answers/hedging.json: hedging answers from code that shares nothing with the package.

Bands: numerical minimisation of cost plus risk instead of the cube root; the integral equation of the hedger's stationary mis-hedge instead
of Siegmund's correction. Costs: the expected absolute move by quadrature, QuantLib prices, and a binomial replication that tries every sign
of the two trades at each node. Discrete hedging: a two-dimensional integral over price and time.  Run: python tools/make_hedging_answers.py
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import QuantLib as ql
from mpmath import exp, findroot, inf, log, mp, mpf, npdf, quad, sqrt, zeta
from scipy.stats import norm

mp.dps = 30
TARGET = Path(__file__).parent.parent / "tests" / "answers" / "hedging.json"
DAYS_30 = 30 / 365


def black_gamma(spot: Any, strike: Any, vol: Any, years: Any) -> Any:
    width = vol * sqrt(years)
    return npdf(log(spot / strike) / width + width / 2) / (spot * width)


def best_bands() -> list[dict[str, float]]:
    """Half-widths that minimise costs plus risk of a constant-gamma hedge, for trades to the edge and to the centre, found numerically."""
    rows = []
    for gamma, spot, cost, aversion, vol in (
        (mpf("0.02"), 5000, mpf("5e-4"), 1, mpf("0.2")),
        (black_gamma(mpf(60000), 60000, mpf("0.6"), mpf(30) / 365), 60000, mpf("5e-4"), mpf("1e-4"), mpf("0.6")),
        (mpf("-3e-6"), 3000, mpf("1e-3"), mpf("2e-6"), mpf("0.9")),
        (mpf("1.5e-4"), 120, mpf("2e-5"), mpf("0.03"), mpf("0.35")),
    ):
        wander = gamma * vol * spot

        def edge_cost(h: Any, w: Any = wander, s: Any = spot, c: Any = cost, a: Any = aversion, v: Any = vol) -> Any:
            return c * s * w**2 / (2 * h) + a * (v * s) ** 2 * h**2 / 6

        def centre_cost(h: Any, w: Any = wander, s: Any = spot, c: Any = cost, a: Any = aversion, v: Any = vol) -> Any:
            return c * s * w**2 / h + a * (v * s) ** 2 * h**2 / 12

        edge, centre = lowest(edge_cost, abs(wander)), lowest(centre_cost, abs(wander))
        rows.append(
            {
                "gamma": float(gamma),
                "spot_usd": float(spot),
                "cost_share": float(cost),
                "risk_aversion_per_usd": float(aversion),
                "edge_coin": float(edge),
                "centre_coin": float(centre),
                "centre_over_edge": float(centre_cost(centre) / edge_cost(edge)),
            }
        )
    return rows


def lowest(cost: Any, scale: Any) -> Any:
    """The minimum of a cost with one valley, in log width: bisection on its slope by central differences."""

    def slope(y: Any) -> Any:
        step = mpf("1e-9")
        return (cost(exp(y + step)) - cost(exp(y - step))) / cost(exp(y))

    return exp(findroot(slope, (log(scale) - 25, log(scale) + 25), solver="anderson", tol=1e-30, maxsteps=400, verify=False))


def zakamouline() -> list[dict[str, float]]:
    """The printed formulas once more, in logarithms and 30 digits."""
    rows = []
    for gamma, spot, vol, years, cost, aversion in (
        (0.02, 5000.0, 0.2, 0.25, 5e-4, 1.0),
        (3.8511202e-5, 60000.0, 0.6, DAYS_30, 5e-4, 1e-4),
        (4e-4, 3000.0, 0.85, 7 / 365, 1e-3, 2e-6),
        (2e-5, 90000.0, 0.45, 90 / 365, 2e-4, 1e-7),
    ):
        g, s, v, t, c, a = (mpf(x) for x in (gamma, spot, vol, years, cost, aversion))
        idle = exp(log(c) - log(a) - log(s) - 2 * log(v) - log(t))
        widened = exp(log(mpf("1.12")) + mpf("0.31") * log(c) + mpf("0.05") * log(t) - log(v) / 4 + (log(g) - log(a)) / 2)
        pull = exp(
            log(mpf("4.76")) + mpf("0.78") * log(c) - mpf("0.02") * log(t) - log(v) / 4 + mpf("0.15") * (log(a) + 2 * log(s) + log(g))
        )
        rows.append(
            {
                "gamma": gamma,
                "spot_usd": spot,
                "vol": vol,
                "years": years,
                "cost_share": cost,
                "risk_aversion_per_usd": aversion,
                "h0": float(idle),
                "h1": float(widened),
                "k": float(-pull),
                "vol_short": float(v * sqrt(1 + pull)),
                "vol_long": float(v * sqrt(max(1 - pull, mpf(0)))),
            }
        )
    return rows


def stationary_bands() -> list[dict[str, Any]]:
    """Turnover, squared mis-hedge and trade rate of a band looked at once a step, from the stationary law of the mis-hedge.

    The mis-hedge is a Gaussian walk of unit time step; its law after each trade has a density inside the band and atoms where trades end.
    """
    return [
        {"half_width_steps": h, "target": target, **stationary(h, target)}
        for h, target in itertools.product((3.0, 6.0, 12.0, 20.0, 40.0), ("edge", "centre"))
    ]


def stationary(h: float, target: str) -> dict[str, float]:
    nodes, weights = np.polynomial.legendre.leggauss(int(40 * h + 160))
    inside, weights = h * nodes, h * weights
    atoms = np.array([-h, h]) if target == "edge" else np.array([0.0])
    points = np.concatenate([inside, atoms])
    size = len(points)
    move = np.zeros((size, size))  # row: to, column: from; densities at the nodes, masses at the atoms
    into = norm.pdf(inside[:, None] - points[None, :])
    mass = np.concatenate([weights, np.ones(len(atoms))])
    move[: len(inside)] = into * mass[None, :]
    above, below = norm.sf(h - points), norm.cdf(-h - points)
    if target == "edge":
        move[-2], move[-1] = below * mass, above * mass
    else:
        move[-1] = (above + below) * mass
    system = np.vstack([move - np.eye(size), mass[None, :]])
    law = np.linalg.lstsq(system, np.concatenate([np.zeros(size), [1.0]]), rcond=None)[0] * mass
    excess = norm.pdf(h - points) - (h - points) * above + norm.pdf(h + points) - (h + points) * below
    traded = excess if target == "edge" else excess + h * (above + below)
    return {
        "turnover": float(law @ traded),
        "mean_square": float(law @ points**2),
        "trades": float(law @ (above + below)),
    }


def black_call(spot: float, strike: float, vol: float, years: float, rate: float = 0.0) -> float:
    growth = float(np.exp(rate * years))
    return (
        float(ql.blackFormula(ql.Option.Call, strike, spot * growth, vol * float(np.sqrt(years)), 1 / growth))
        if vol > 0
        else max(spot - strike, 0.0)
    )


def vols_with_costs() -> list[dict[str, float]]:
    """Extra variance = expected cost of trading |Gamma dS| at the one-way cost, by quadrature over the move, against gamma's own income."""
    average_move = float(quad(lambda z: abs(z) * npdf(z), [-inf, 0, inf]))
    rows = []
    for vol, interval, round_trip in itertools.product((0.2, 0.65), (1 / 12, 1 / 52, 1 / 250), (0.01, 0.001)):
        one_way = round_trip / 2
        income = 0.5 * vol**2 * interval  # of S^2 Gamma = 1 over one interval
        normal_cost = one_way * vol * np.sqrt(interval) * average_move
        binomial_cost = one_way * vol * np.sqrt(interval)
        vols = {
            "short": vol * np.sqrt(1 + normal_cost / income),
            "long": vol * np.sqrt(max(1 - normal_cost / income, 0)),
            "binomial_short": vol * np.sqrt(1 + binomial_cost / income),
            "binomial_long": vol * np.sqrt(max(1 - binomial_cost / income, 0)),
        }
        rows.append(
            {
                "vol": vol,
                "interval_years": interval,
                "cost_share": one_way,
                "leland_number": normal_cost / income,
                **{f"vol_{side}": float(v) for side, v in vols.items()},
                **{f"price_{side}": black_call(100, 100, float(v), 1) for side, v in vols.items()},
            }
        )
    return rows


def binomial_prices() -> list[dict[str, float]]:
    rows = []
    for steps, sign, cost, rate, strike in (
        *((n, -1, 0.005, 0.1, 100.0) for n in (13, 52, 250)),
        *((n, -1, 0.0, 0.1, 100.0) for n in (52, 250)),
        *((n, +1, 0.005, 0.0, 100.0) for n in (12, 53)),
        *((n, -1, 0.002, 0.03, 110.0) for n in (7, 60)),
        (40, +1, 0.003, 0.02, 90.0),
    ):
        price = replicate(strike, 1.0, 0.2, sign=sign, cost=cost, steps=steps, rate=rate)
        rows.append({"strike_usd": strike, "gamma_sign": sign, "cost_share": cost, "steps": steps, "rate": rate, "price_usd": price})
    return rows


def replicate(strike: float, years: float, vol: float, *, sign: int, cost: float, steps: int, rate: float) -> float:
    """Self-financing replication of the physically delivered call (held for sign -1, written for +1), node by node, all four sign cases."""
    interval = years / steps
    up, growth = np.exp(vol * np.sqrt(interval)), np.exp(rate * interval)
    ends = [100.0 * up ** (steps - 2 * j) for j in range(steps + 1)]
    side = -sign
    book = [(side * 1.0, -side * strike) if s > strike * (1 + 1e-12) else (0.0, 0.0) for s in ends]
    for level in range(steps - 1, -1, -1):
        prices = [100.0 * up ** (level - 2 * j) for j in range(level + 1)]
        book = [one_node(s * up, s / up, book[j], book[j + 1], cost, growth) for j, s in enumerate(prices)]
    return side * (book[0][0] * 100.0 + book[0][1])


def one_node(
    price_up: float, price_down: float, high: tuple[float, float], low: tuple[float, float], cost: float, growth: float
) -> tuple[float, float]:
    found = []
    for sign_up, sign_down in itertools.product((-1, 1), repeat=2):  # whether the hedger buys (+1) or sells at each of the two next prices
        keep_up, keep_down = price_up * (1 + sign_up * cost), price_down * (1 + sign_down * cost)
        matrix = np.array([[keep_up, growth], [keep_down, growth]])
        wanted = np.array([high[0] * keep_up + high[1], low[0] * keep_down + low[1]])
        holding, debt = np.linalg.solve(matrix, wanted)
        if sign_up * (high[0] - holding) >= -1e-12 and sign_down * (low[0] - holding) >= -1e-12:
            found.append((float(holding), float(debt)))
    assert found, "no self-financing trade at this node"
    assert max(x[0] for x in found) - min(x[0] for x in found) < 1e-9, "several self-financing trades at this node"
    return found[0]


def discrete_errors() -> list[dict[str, float]]:
    """Standard deviation of the discretely hedged profit and loss, integrated over price and time without any closed form."""
    rows = []
    for strike, years, vol, trades in ((100.0, 1 / 12, 0.2, 84), (110.0, 1 / 12, 0.2, 84), (100.0, 1.0, 0.8, 252), (80.0, 0.5, 0.6, 100)):
        nodes, weights = np.polynomial.legendre.leggauss(300)
        integral = 0.0
        for u, weight in zip(0.5 * (nodes + 1.0), 0.5 * weights, strict=True):  # time left = years * u^2
            left = years * u * u
            mean, spread, width = np.log(100.0 / strike) - 0.5 * vol**2 * (years - left), vol * np.sqrt(years - left), vol * np.sqrt(left)
            centre, reach = (mean, spread) if spread < width else (-0.5 * width**2, width)
            y = np.linspace(centre - 12 * reach, centre + 12 * reach, 4001)  # ln(spot/strike), over the narrower of its law and of gamma
            dollar_gamma = strike * np.exp(y) * norm.pdf(y / width + width / 2) / width
            integral += weight * 2.0 * years * u * np.trapezoid(dollar_gamma**2 * norm.pdf(y, mean, spread), y)
        rows.append(
            {
                "strike_usd": strike,
                "years": years,
                "vol": vol,
                "trades": trades,
                "std_usd": float(np.sqrt(0.5 * vol**4 * years / trades * integral)),
            }
        )
    return rows


def overshoot() -> float:
    """Mean overshoot of a Gaussian walk: second over twice the first moment of its ladder height, by the zeta function."""
    return float(-zeta(mpf(1) / 2) / sqrt(2 * mp.pi))


def main() -> None:
    answers = {
        "best_bands": best_bands(),
        "zakamouline": zakamouline(),
        "stationary_bands": stationary_bands(),
        "vols_with_costs": vols_with_costs(),
        "binomial_prices": binomial_prices(),
        "discrete_errors": discrete_errors(),
        "overshoot": overshoot(),
    }
    TARGET.write_text(json.dumps(answers, indent=1) + "\n")
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
