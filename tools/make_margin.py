"""Write tests/answers/margin.json: liquidation prices by root finding on the equity of an account, with 40 digits and no formula of the package.

Every answer comes from the definition (equity = margin + profit; liquidated where it equals the maintenance margin), found by bisection in
mpmath, with tiers looked up by a plain loop at every price tried.  Run: python tools/make_margin.py
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpmath import mp, mpf

mp.dps = 40
TARGET = Path(__file__).parent.parent / "tests" / "answers" / "margin.json"
TIERS = [(mpf(edge), mpf(rate)) for edge, rate in (("50000", "0.004"), ("600000", "0.005"), ("3000000", "0.0065"), ("12000000", "0.01"))]


def root(function: Callable[[Any], Any], low: Any, high: Any) -> Any:
    """Bisection to 60 halvings and more: no derivative, no closed form."""
    rising = function(high) > function(low)
    for _ in range(150):
        middle = (low + high) / 2
        if (function(middle) > 0) == rising:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def linear_equity(side: int, entry: Any, leverage: Any, price: Any) -> Any:
    """USD for one coin."""
    return entry / leverage + side * (price - entry)


def inverse_equity(side: int, entry: Any, leverage: Any, price: Any) -> Any:
    """Coin for one USD of contract."""
    return 1 / (entry * leverage) + side * (1 / entry - 1 / price)


def prices(kind: str, side: int, entry: Any, leverage: Any, share: Any) -> dict[str, Any]:
    equity, notional = (linear_equity, lambda p: p) if kind == "linear" else (inverse_equity, lambda p: 1 / p)
    low, high = (entry / 100, entry) if side > 0 else (entry, entry * 100)
    bankruptcy = root(lambda p: equity(side, entry, leverage, p), low, high)
    liquidation = root(lambda p: equity(side, entry, leverage, p) - share * notional(p), low, high)
    return {
        "kind": kind,
        "side": side,
        "entry_usd": float(entry),
        "leverage": float(leverage),
        "maintenance_share": float(share),
        "bankruptcy_usd": float(bankruptcy),
        "liquidation_usd": float(liquidation),
    }


def tier_margin(notional: Any) -> Any:
    """Every slice of the notional at its own tier's rate: the marginal reading, which needs no constant."""
    total, floor = mpf(0), mpf(0)
    for edge, rate in TIERS:
        total += rate * (min(notional, edge) - floor)
        floor = edge
        if notional <= edge:
            break
    return total


def tiered(side: int, size: Any, entry: Any, wallet: Any, other: Any) -> dict[str, Any]:
    def excess(price: Any) -> Any:
        return wallet + side * size * (price - entry) - tier_margin(size * price) - other

    low, high = (entry / 1000, entry) if side > 0 else (entry, entry * 3)
    return {
        "side": side,
        "size_coin": float(size),
        "entry_usd": float(entry),
        "wallet_usd": float(wallet),
        "other_margin_usd": float(other),
        "liquidation_usd": float(root(excess, low, high)),
    }


def main() -> None:
    grid = itertools.product(("linear", "inverse"), (1, -1), ("43210.5", "97000"), ("3", "12.5", "60"), ("0.004", "0.0125"))
    answer = {
        "prices": [prices(kind, side, mpf(entry), mpf(leverage), mpf(share)) for kind, side, entry, leverage, share in grid],
        "tiered": [
            tiered(side, mpf(size), mpf(entry), mpf(size) * mpf(entry) / mpf(leverage), mpf(other))
            for side, size, entry, leverage, other in itertools.product(
                (1, -1), ("0.7", "9", "45", "120"), ("65432.1",), ("4", "20"), ("0", "250")
            )
        ],
        "tier_margin": [{"notional_usd": n, "margin_usd": float(tier_margin(mpf(n)))} for n in (1e3, 5e4, 5.5e4, 6e5, 1e6, 3e6, 1.1e7)],
    }
    TARGET.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
