"""Several venues once more, one path and one number at a time, in dictionaries and loops; it imports nothing of the package."""

from __future__ import annotations

import math
from typing import Any

SECONDS = 365.0 * 86_400.0


def play(world: dict[str, Any]) -> list[dict[str, Any]]:
    """Every step's prices, positions, cash and queue of a world of linear venues.

    world: ``dt`` (years), ``shocks`` (log), ``cap``, ``venues`` and ``arbs``.  A venue: name, s0, per_usd, per_coin, passing (per usd, half-life
    in years), drift, fee (share), gas, gamma (dealer's, hedged a step late), funding (function of premium -> rate per year) or None, ema_years,
    index (bool), block_seconds, room (USD a block) or None, message, fair (function of time).  An arb: name, first, second, capital, latency,
    speed, margin (share), years, wanted (a year).
    """
    venues = {one["name"]: _opened(one, world) for one in world["venues"]}
    told = []
    for now, shock in enumerate(world["shocks"], start=1):
        dt = world["dt"]
        for one in venues.values():
            _fund(one, dt)
            _gate(one, now, dt)
        for one in venues.values():
            _step(one, shock, dt)
        index = _index(venues, world["cap"])
        for one in venues.values():
            keeps = math.exp(-dt / one["ema_years"]) if one["ema_years"] else 0.0
            one["premium"] = keeps * one["premium"] + (1.0 - keeps) * (_price(one) / index - 1.0)
        for one in venues.values():
            dealer = one["books"]["dealer"]
            wants = -one["gamma"] * one["x"] - dealer["bought"] - sum(u for u, _ in dealer["way"].values())
            _order(dealer, 0, wants, 0.0)
        orders = [(arb, _decide(arb, venues, now * dt)) for arb in world["arbs"]]
        for arb, coin in orders:
            for name, side in ((arb["first"], 1.0), (arb["second"], -1.0)):
                one = venues[name]
                _order(one["books"][arb["name"]], arb["latency"] + one["message"] - 1, 0.0, side * coin)
        told.append({name: _told(one) for name, one in venues.items()})
    return told


def _opened(one: dict[str, Any], world: dict[str, Any]) -> dict[str, Any]:
    names = ["dealer"] + [arb["name"] for arb in world["arbs"] if one["name"] in (arb["first"], arb["second"])]
    books = {name: {"coin": 0.0, "cash": 0.0, "bought": 0.0, "funding": 0.0, "way": {}} for name in names}
    return {**one, "x": 0.0, "passes": 0.0, "premium": 0.0, "books": books, "waited": 0.0, "served": 0.0, "queue": 0.0}


def _price(one: dict[str, Any]) -> float:
    return one["s0"] * math.exp(one["x"])


def _fund(one: dict[str, Any], dt: float) -> None:
    if one["funding"] is None:
        return
    rate = one["funding"](one["premium"]) * dt
    for book in one["books"].values():
        paid = rate * book["coin"] * _price(one)
        book["cash"] -= paid
        book["funding"] -= paid


def _gate(one: dict[str, Any], now: int, dt: float) -> None:
    if one["block_seconds"] is None:
        return
    blocks = [math.floor(step * dt * SECONDS / one["block_seconds"] * (1.0 + 1e-9) + 1e-9) for step in (now - 1, now)]
    room = (blocks[1] - blocks[0]) * one["room"]
    price = _price(one)
    asked = sum(abs(book["way"].get(0, (0.0, 0.0))[0] + book["way"].get(0, (0.0, 0.0))[1] * price) for book in one["books"].values())
    share = 1.0 if asked <= room else room / asked
    for book in one["books"].values():
        usd, coin = book["way"].get(0, (0.0, 0.0))
        book["way"][0] = (usd * share, coin * share)
        later = book["way"].get(1, (0.0, 0.0))
        book["way"][1] = (later[0] + usd - usd * share, later[1] + coin - coin * share)
    one["queue"] = asked * (1.0 - share)
    one["waited"] += one["queue"] * dt
    one["served"] += asked * share


def _step(one: dict[str, Any], shock: float, dt: float) -> None:
    kept = 0.5 ** (dt / one["passing"][1])
    pre = one["x"] + shock + one["drift"] * dt + (kept - 1.0) * one["passes"]
    one["passes"] *= kept
    before = one["s0"] * math.exp(pre)
    due = {name: book["way"].pop(0, (0.0, 0.0)) for name, book in one["books"].items()}
    for book in one["books"].values():
        book["way"] = {slot - 1: amount for slot, amount in book["way"].items()}
    usd = sum(u + c * before for u, c in due.values())
    coin = sum(c + u / before for u, c in due.values())
    one["x"] = pre + (one["per_usd"] + one["passing"][0]) * usd + one["per_coin"] * coin
    one["passes"] += one["passing"][0] * usd
    middle = 0.5 * (before + _price(one))
    for name, (u, c) in due.items():
        book, got = one["books"][name], u / middle + c
        book["coin"] += got
        book["bought"] += u + c * before
        book["cash"] -= got * middle + one["fee"] * abs(got * middle) + (one["gas"] if abs(got * middle) > 1.0 else 0.0)


def _order(book: dict[str, Any], slot: int, usd: float, coin: float) -> None:
    had = book["way"].get(slot, (0.0, 0.0))
    book["way"][slot] = (had[0] + usd, had[1] + coin)


def _index(venues: dict[str, Any], cap: float) -> float:
    prices = sorted(_price(one) for one in venues.values() if one["index"])
    half = len(prices) // 2
    middle = prices[half] if len(prices) % 2 else 0.5 * (prices[half - 1] + prices[half])
    capped = [min(max(price, middle * (1.0 - cap)), middle * (1.0 + cap)) for price in prices]
    return sum(capped) / len(capped)


def _decide(arb: dict[str, Any], venues: dict[str, Any], time: float) -> float:
    """Coins to buy on the first and sell on the second venue."""
    legs = [venues[arb["first"]], venues[arb["second"]]]
    prices = [_price(one) for one in legs]
    slopes = [(one["per_usd"] + one["passing"][0]) * price + one["per_coin"] for one, price in zip(legs, prices)]
    way = [sum(coin for _, coin in one["books"][arb["name"]]["way"].values()) for one in legs]
    seen = [math.log(price) - one["fair"](time) + slope * flying for one, price, slope, flying in zip(legs, prices, slopes, way)]
    gap = seen[1] - seen[0]
    costs = legs[0]["fee"] + legs[1]["fee"] + arb["margin"]
    if arb["years"] == 0.0:
        side, excess = math.copysign(1.0, gap), max(abs(gap) - costs, 0.0)
    else:
        side, excess = _with_carry(arb, legs, slopes, gap, costs, sum(one["index"] for one in venues.values()))
    coin = side * arb["speed"] * excess / (slopes[0] + slopes[1])
    gain = abs(coin) * 0.5 * (prices[0] + prices[1]) * (excess - 0.5 * arb["speed"] * excess)
    if gain <= legs[0]["gas"] + legs[1]["gas"]:
        return 0.0
    held = legs[0]["books"][arb["name"]]["coin"] + way[0]
    most = arb["capital"] / (prices[0] + prices[1])
    if coin > 0.0:
        return min(coin, max(most - held, 0.0))
    return max(coin, min(-most - held, 0.0))


def _with_carry(
    arb: dict[str, Any], legs: list[dict[str, Any]], slopes: list[float], gap: float, costs: float, in_index: int
) -> tuple[float, float]:
    """Side and how far the difference may shrink until what is left and its funding no longer pay, by a scan and halving."""
    parts = [slope / (slopes[0] + slopes[1]) for slope in slopes]
    weights = [(1.0 / in_index if one["index"] else 0.0) for one in legs]

    def pays(shrunk: float) -> float:
        moves = [parts[0] * shrunk, -parts[1] * shrunk]
        index = sum(weight * move for weight, move in zip(weights, moves))
        funding = [one["funding"](one["premium"] + move - index) if one["funding"] is not None else 0.0 for one, move in zip(legs, moves)]
        return gap - shrunk + arb["years"] * (funding[1] - funding[0])

    wanted = costs + 2.0 * arb["wanted"] * arb["years"]
    now = pays(0.0)
    side = math.copysign(1.0, now)
    if abs(now) <= wanted:
        return side, 0.0
    low, high = 0.0, abs(now)
    while high - low > 1e-17:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if side * pays(side * middle) > wanted else (low, middle)
    return side, low


def _told(one: dict[str, Any]) -> dict[str, Any]:
    books = {name: {key: book[key] for key in ("coin", "cash", "funding")} for name, book in one["books"].items()}
    return {
        "x": one["x"],
        "premium": one["premium"],
        "queue": one["queue"],
        "waited": one["waited"],
        "served": one["served"],
        "books": books,
    }
