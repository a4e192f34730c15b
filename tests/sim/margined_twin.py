"""A margined account once more, in plain Python: one path, floats and dictionaries, nothing shared with the product.

Prices are sought by brute force: small even steps from the price before trading in the direction of the flow there, then a halved bracket.  What an
account has and must have is added up anew from balances at every price that is tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

SECOND = 1.0 / (365.0 * 86_400.0)
SCAN = 2e-5


@dataclass
class World:
    """One account on one path; rows are (right, strike, expiry in years, coin, iv); ``moves`` the exogenous log moves."""

    spot: float
    hours: float
    moves: list[float]
    rows: list[tuple[int, float, float, float, float]]
    collateral: float
    cross: bool
    hedge: float
    backstop: float
    delay: int
    per_usd: float
    beta: float = 0.0
    behind_perp: float = 0.5
    fund: float = 0.0
    accounts: int = 1
    figures: dict[str, float] = field(default_factory=dict)


def phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def option(right: int, strike: float, left: float, vol: float, spot: float) -> tuple[float, float]:
    """Value and delta."""
    root = max(vol, 0.01) * math.sqrt(max(left, SECOND))
    d1 = math.log(spot / strike) / root + 0.5 * root
    if right > 0:
        return spot * phi(d1) - strike * phi(d1 - root), phi(d1)
    return strike * phi(root - d1) - spot * phi(-d1), -phi(-d1)


def play(world: World) -> list[dict[str, Any]]:  # noqa: C901
    """Every step: price, balances, what was closed."""
    w, f = world, world.figures
    now: dict[str, Any] = {
        "share": 1.0,
        "taken": 0.0,
        "taken_cash": 0.0,
        "fund": w.fund,
        "debt": 0.0,
        "x": 0.0,
        "shift": 0.0,
        "locked": False,
    }
    year = 365.0 * 24.0
    alive = list(range(len(w.rows)))

    def book(t: int, x: float, shift: float, rows: list[int]) -> dict[str, float]:
        spot = w.spot * math.exp(x)
        told = {"all": 0.0, "short": 0.0, "needs": 0.0, "initial": 0.0, "delta": 0.0, "gross": 0.0}
        for row in rows:
            right, strike, expiry, coin, iv = w.rows[row]
            value, delta = option(right, strike, expiry - t * w.hours / year, iv + shift, spot)
            told["all"] += coin * value
            told["delta"] += coin * delta
            told["gross"] += abs(coin)
            if coin < 0.0:
                told["short"] += coin * value
                beyond = f["mm"] * spot if right > 0 else f["mm"] * max(spot, value)
                told["needs"] -= coin * beyond
                told["initial"] -= coin * max(
                    max(f["im"] * spot - max(right * (strike - spot), 0.0), f["least"] * spot), beyond if right < 0 else 0.0
                )
        return told

    def perp_margin(coin: float, spot: float, base: float) -> float:
        each = abs(coin) / w.accounts
        return w.accounts * each * (base + f["per_coin"] * each) * spot

    first = book(0, 0.0, 0.0, alive)
    now["perp"] = -w.hedge * first["delta"]
    now["perp_cash"] = w.behind_perp * w.collateral - now["perp"] * w.spot
    now["option_cash"] = (1.0 - w.behind_perp) * w.collateral - first["all"]
    flight: list[dict[str, float]] = [{"perp": 0.0, "taken": 0.0, "forced": 0.0} for _ in range(w.delay)]
    told = [dict(now, price=w.spot, options_closed=0.0, perp_closed=0.0, debt_paid=0.0)]

    def aim(t: int, x: float, shift: float) -> dict[str, float]:
        spot, held = w.spot * math.exp(x), book(t, x, shift, alive)
        ordered = now["perp"] + sum(order["perp"] for order in flight)
        has_options = now["option_cash"] + now["share"] * held["short"]
        has_perp = now["perp_cash"] + now["perp"] * spot
        need_options, need_perp = now["share"] * held["needs"], perp_margin(ordered, spot, f["perp"])

        def part(has: float, need: float) -> float:
            if has >= need:
                return 1.0
            return max(has, 0.0) / need if need > 0.0 else 0.0

        if w.cross:
            options_kept = perp_kept = part(has_options + has_perp, need_options + need_perp)
        else:
            options_kept = part(has_options, need_options)
            perp_kept = part(has_perp, need_perp) * options_kept
        wish = -w.hedge * now["share"] * held["delta"]
        if now["locked"]:
            wish = min(max(wish, min(ordered, 0.0)), max(ordered, 0.0))
        left = now["share"] * options_kept
        return {
            "options_kept": options_kept,
            "perp": perp_kept * wish,
            "forced": (perp_kept - 1.0) * wish,
            "taken": -w.backstop * (1.0 - left) * held["delta"],
            "all": held["all"],
            "gross": held["gross"],
        }

    for t, move in enumerate(w.moves, start=1):
        last, shift = now["x"], now["shift"]
        pre = last + move
        before = w.spot * math.exp(pre)
        due = flight.pop(0) if w.delay else None
        if w.delay:
            flight.append({"perp": 0.0, "taken": 0.0, "forced": 0.0})

        def bought(x: float, due: dict[str, float] | None = due) -> float:
            if due is not None:
                return due["perp"] + due["taken"]
            goal = aim(t, x, shift + w.beta * (x - last))  # noqa: B023
            return goal["perp"] + goal["taken"] - now["perp"] - now["taken"]

        def excess(x: float) -> float:
            return pre + w.per_usd * bought(x) * before - x  # noqa: B023

        x = pre
        side = math.copysign(1.0, excess(pre)) if excess(pre) != 0.0 else 0.0
        if side:
            while side * excess(x + side * SCAN) > 0.0:
                x += side * SCAN
                assert abs(x) < 2.0
            low, high = x, x + side * SCAN
            for _ in range(80):
                middle = 0.5 * (low + high)
                low, high = (middle, high) if side * excess(middle) > 0.0 else (low, middle)
            x = 0.5 * (low + high)
        after, new_shift = w.spot * math.exp(x), shift + w.beta * (x - last)
        fill = 0.5 * (before + after)
        goal = aim(t, x, new_shift)
        filled = due or {"perp": goal["perp"] - now["perp"], "taken": goal["taken"] - now["taken"], "forced": goal["forced"]}
        for leg in ("perp", "taken"):
            now[leg] += filled[leg]
            now[f"{leg}_cash"] -= filled[leg] * fill
        if w.delay:
            goal = aim(t, x, new_shift)
            going = {leg: sum(order[leg] for order in flight) for leg in ("perp", "taken")}
            flight[-1] = {leg: goal[leg] - now[leg] - going[leg] for leg in going} | {"forced": goal["forced"]}
        over = (1.0 - goal["options_kept"]) * now["share"]
        now["share"] -= over
        now["option_cash"] += over * goal["all"]
        now["taken_cash"] -= over * goal["all"]
        fees = [f["option_fee"] * over * goal["gross"] * after, f["perp_fee"] * abs(filled["forced"]) * fill]
        worth = [now["option_cash"] + now["share"] * goal["all"], now["perp_cash"] + now["perp"] * after]
        if w.cross:
            part = min(1.0, max(sum(worth), 0.0) / sum(fees)) if sum(fees) else 0.0
            fees = [part * fee for fee in fees]
        else:
            fees = [min(fee, max(has, 0.0)) for fee, has in zip(fees, worth)]
        now["option_cash"] -= fees[0]
        now["perp_cash"] -= fees[1]
        now["fund"] += sum(fees)
        for row in [row for row in alive if w.rows[row][2] <= (t + 1e-6) * w.hours / year]:
            right, strike, _, coin, _ = w.rows[row]
            pays = coin * max(right * (after - strike), 0.0)
            now["option_cash"] += now["share"] * pays
            now["taken_cash"] += (1.0 - now["share"]) * pays
            alive.remove(row)
        options_gone = now["share"] == 0.0 or not alive
        perp_gone = now["perp"] == 0.0 and not any(order["perp"] for order in flight)
        lacks = 0.0
        if w.cross and options_gone and perp_gone:
            lacks = max(-(now["option_cash"] + now["perp_cash"]), 0.0)
            now["option_cash"] += lacks
        if not w.cross:
            for cash, gone in (("option_cash", options_gone), ("perp_cash", perp_gone)):
                if gone and now[cash] < 0.0:
                    lacks -= now[cash]
                    now[cash] = 0.0
        paid = min(lacks, now["fund"])
        now["fund"] -= paid
        now["debt"] += lacks - paid
        now["x"], now["shift"] = x, new_shift
        held = book(t, x, new_shift, alive)
        ordered = now["perp"] + sum(order["perp"] for order in flight)
        wish = max(abs(ordered), abs(w.hedge * now["share"] * held["delta"]))
        has = now["perp_cash"] + now["perp"] * after
        asked = perp_margin(wish, after, f["perp_initial"])
        if w.cross:
            has += now["option_cash"] + now["share"] * held["short"]
            asked += now["share"] * held["initial"]
        now["locked"] = has < asked
        told.append(dict(now, price=after, options_closed=over, perp_closed=filled["forced"], debt_paid=paid))
    return told
