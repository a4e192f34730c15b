"""Write tests/answers/pools.json: pools and their arbitrage from code that shares nothing with the package.

A pool's value is the least that its reserves can be worth on its invariant curve (found by a root, not by a formula) and is differentiated
numerically at 40 digits; the split of the loss between arbitrageurs and fees is the stationary law of the mispricing, solved as an integral
equation on Gauss-Legendre nodes; a power perp is the sum of its settlements.  Run: python tools/make_pools.py   (half a minute)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import diff, exp, findroot, log, mp, mpf, nsum, sqrt
from scipy.stats import norm

mp.dps = 40
TARGET = Path(__file__).parent.parent / "tests" / "answers" / "pools.json"
Row = dict[str, Any]


def least_value(price: mpf, cash_of: Any, guess: mpf) -> mpf:
    """min over the coin x on the invariant curve of price x + cash(x)."""
    worth = lambda u: price * exp(u) + cash_of(exp(u))  # noqa: E731
    return worth(findroot(lambda u: diff(worth, u), log(guess), tol=mpf(10) ** -50, verify=False))


def weighted(weight: str, constant: str) -> Any:
    theta, k = mpf(weight), mpf(constant)

    def value(price: mpf) -> mpf:
        cash = lambda x: (k / x**theta) ** (1 / (1 - theta))  # noqa: E731
        start = k * (theta / ((1 - theta) * price)) ** (1 - theta)
        return least_value(price, cash, start * mpf("1.01"))

    return value


def ranged(liquidity: str, low: str, high: str) -> Any:
    size, a, b = mpf(liquidity), mpf(low), mpf(high)

    def value(price: mpf) -> mpf:
        if price <= a:
            return price * size * (1 / sqrt(a) - 1 / sqrt(b))
        if price >= b:
            return size * (sqrt(b) - sqrt(a))
        cash = lambda x: size**2 / (x + size / sqrt(b)) - size * sqrt(a)  # noqa: E731
        return least_value(price, cash, size * (1 / sqrt(price) - 1 / sqrt(b)) * mpf("1.001"))

    return value


def curves() -> list[Row]:
    """Value, coin and change of coin of pools at prices, inside ranges and outside."""
    rows: list[Row] = []
    for weight, constant in (("0.5", "1000"), ("0.8", "35"), ("0.3", "1e6"), ("0.05", "12")):
        for price in ("0.7", "100", "60000"):
            value = weighted(weight, constant)
            rows.append({"weight": float(weight), "constant": float(constant), **answers(value, price)})
    for low, high in (("54000", "66000"), ("48000", "75000"), ("59000", "60500")):
        for price in ("50000", "54500", "59900", "60000", "65000", "80000"):
            rows.append({"liquidity": 1.0, "low": float(low), "high": float(high), **answers(ranged("1", low, high), price)})
    return rows


def answers(value: Any, price: str) -> Row:
    at = mpf(price)
    return {
        "price": float(at),
        "value": float(value(at)),
        "coin": float(diff(value, at, h=at * mpf("1e-10"))),
        "coin_per_usd": float(diff(value, at, 2, h=at * mpf("1e-8"))),
    }


def depths() -> list[Row]:
    """Log move of a purchase of cash size, by following the invariant itself."""
    rows = []
    for value, bought in (("2e8", "1e6"), ("2e8", "-3e7"), ("5e6", "4e6")):
        x, y = mpf(value) / 2 / 60_000, mpf(value) / 2
        paid = y + mpf(bought)
        coin = x * y / paid
        rows.append({"value": float(mpf(value)), "bought": float(mpf(bought)), "log_move": float(log((paid / coin) / (y / x)))})
    return rows


def stationary(fee: float, deviation: float, nodes: int = 400) -> Row:
    """Mispricing after trading lives in [-fee, fee] with two atoms; each block adds a normal step and arbitrage clips it.

    Unknown: density on the nodes and one atom (by symmetry).  Per block: the chance of a trade, and the profit over the pool's value,
    exp(+-fee / 2) (cosh(u / 2) - 1) with u the distance beyond the edge.
    """
    z, w = np.polynomial.legendre.leggauss(nodes)
    z, w = fee * z, fee * w
    kernel = norm.pdf((z[:, None] - z[None, :]) / deviation) / deviation
    atoms = (norm.pdf((z - fee) / deviation) + norm.pdf((z + fee) / deviation)) / deviation
    move = np.zeros((nodes + 1, nodes + 1))
    move[:nodes, :nodes], move[:nodes, nodes] = kernel * w, atoms
    move[nodes, :nodes] = w * norm.sf((fee - z) / deviation)
    move[nodes, nodes] = 0.5 + norm.sf(2.0 * fee / deviation)
    system = np.vstack([move - np.eye(nodes + 1), np.append(w, 2.0)])
    law = np.linalg.lstsq(system, np.append(np.zeros(nodes + 1), 1.0), rcond=None)[0]
    starts, masses = np.append(z, [fee, -fee]), np.append(w * law[:-1], [law[-1], law[-1]])
    u, v = np.polynomial.legendre.leggauss(200)
    u, v = 6.0 * deviation * (u + 1.0), 6.0 * deviation * v
    trade, profit = 0.0, 0.0
    for side in (1.0, -1.0):
        distance = fee - side * starts
        trade += float(masses @ norm.sf(distance / deviation))
        beyond = norm.pdf((distance[:, None] + u[None, :]) / deviation) / deviation
        profit += float(np.exp(side * fee / 2.0) * (masses @ (beyond @ (v * (np.cosh(u / 2.0) - 1.0)))))
    return {"trade_share": trade, "profit_per_block": profit}


def grid() -> list[Row]:
    """Fees by block times at 5 % a day."""
    rows = []
    for fee_bps in (1.0, 5.0, 30.0, 100.0):
        for seconds in (2.0, 12.0, 120.0, 600.0):
            days = seconds / 86_400.0
            deviation = 0.05 * days**0.5
            found = stationary(fee_bps * 1e-4, deviation)
            again = stationary(fee_bps * 1e-4, deviation, nodes=300)
            assert abs(found["trade_share"] / again["trade_share"] - 1.0) < 1e-8, (fee_bps, seconds, found, again)
            kept = found["profit_per_block"] / days * 1e4
            rows.append({"fee_bps": fee_bps, "seconds": seconds, "trade_share": found["trade_share"], "arbitrage_bp_per_day": kept})
    return rows


def powers() -> list[Row]:
    """Everlasting claims on S^p as the sum over settlements n = 1, 2, ... of 2^-n E[S^p at n f]."""
    rows = []
    for power, vol, days, rate in ((2, "0.6", "1", "0"), (2, "0.9", "17.5", "0"), (3, "0.5", "1", "0.04"), ("0.5", "0.7", "7", "0.02")):
        p, s, f, r = mpf(power), mpf(vol), mpf(days) / 365, mpf(rate)
        growth = (p - 1) * (r + p * s**2 / 2)
        mark = nsum(lambda n, g=growth, f=f: mpf(2) ** -n * exp(g * f * n), [1, mp.inf])
        rows.append({"power": float(p), "vol": float(s), "days": float(mpf(days)), "rate": float(r), "mark": float(mark)})
    return rows


if __name__ == "__main__":
    told = {"curves": curves(), "depths": depths(), "grid": grid(), "powers": powers()}
    TARGET.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {TARGET}")
