"""A gamma squeeze once more, in plain Python: floats, dicts and loops, nothing shared with the product.

One squeezer, one dealer who quotes model vol plus and minus a half-spread and hedges at once at the price at which a step clears, and perhaps a
holder who sells a block.  Impact is a log price for each coin of net flow, and stays.  Settlement is not reached.
"""

from __future__ import annotations

import math

YEAR_HOURS = 8760.0


def cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def option(right: int, spot: float, strike: float, vol: float, years: float) -> dict[str, float]:
    """Price, delta and vega of one coin."""
    w = vol * math.sqrt(years)
    d1 = math.log(spot / strike) / w + 0.5 * w
    price = right * (spot * cdf(right * d1) - strike * cdf(right * (d1 - w)))
    return {
        "price": price,
        "delta": right * cdf(right * d1),
        "vega": spot * math.exp(-0.5 * d1 * d1) / math.sqrt(2 * math.pi) * math.sqrt(years),
    }


def strike_of(right: int, spot: float, delta: float, vol: float, years: float) -> float:
    low, high = spot * 1e-2, spot * 1e2
    for _ in range(200):
        middle = math.sqrt(low * high)
        found = abs(option(right, spot, middle, vol, years)["delta"])
        further = (found > delta) == (right > 0)
        low, high = (middle, high) if further else (low, middle)
    return math.sqrt(low * high)


def play(world: dict) -> dict:
    """The run of a world; see the keys that are read.  Answers prices after each step, accounts at the end, and what was bought."""
    spot0, lam, right, moves = world["spot"], world["per_coin"], world["right"], world["moves"]
    years_left = lambda step: (world["expiry_step"] - step) * world["step_hours"] / YEAR_HOURS  # noqa: E731
    log, strike = 0.0, None
    held = {"squeezer": 0.0, "dealer": 0.0, "block": 0.0}
    cash = dict.fromkeys((*held, "market", "venue"), 0.0)
    calls, used, bought_usd, block_done, prices, spent = 0.0, 0.0, 0.0, 0.0, [spot0], 0.0
    for step in range(1, len(moves) + 1):
        pre = log + moves[step - 1]
        spot = spot0 * math.exp(pre)
        first, last = world["buys"]
        if first <= step <= last:
            strike = strike or strike_of(right, spot, world["delta"], world["iv"], years_left(step))
            now = option(right, spot, strike, world["iv"], years_left(step))
            limit, ask = now["price"] * (1 + world["over"]), now["price"] + world["half_volpt"] / 100 * now["vega"]
            due = world["premium"] * (step - first + 1) / (last - first + 1) - used
            coin = min(max(due, 0.0) / limit, world["strike_limit"] - calls) if ask <= limit else 0.0
            calls, used, spent = calls + coin, used + coin * limit, spent + coin * ask
            cash["squeezer"] -= coin * ask
            cash["dealer"] += coin * ask
        first, last = world["sells_options"]
        if first <= step <= last and calls:
            now = option(right, spot, strike, world["iv"], years_left(step))
            bid = max(now["price"] - world["half_volpt"] / 100 * now["vega"], 0.0)
            coin = calls / (last - step + 1) if bid >= now["price"] * (1 - world["over"]) else 0.0
            calls -= coin
            cash["squeezer"] += coin * bid
            cash["dealer"] -= coin * bid
        orders_usd = {"block": 0.0}
        orders_coin = {"squeezer": 0.0}
        first, last = world["pushes"]
        if first <= step <= last and right * pre < world["target"]:
            share = min(used / world["premium"], 1.0) if world["premium"] else 1.0
            due = world["push"] * share * (step - first + 1) / (last - first + 1) - right * bought_usd
            orders_coin["squeezer"] = right * max(due, 0.0) / spot
        first, last = world["sells_spot"]
        if first <= step <= last:
            orders_coin["squeezer"] = -held["squeezer"] / (last - step + 1)
        if world["block"] and (right * pre >= world["block_at"] or block_done > 0.0):
            part = min(world["block"] / world["block_slices"], world["block"] - block_done)
            block_done += part
            orders_usd["block"] = -right * part

        def dealer(at: float, step: int = step, calls: float = calls, strike: float | None = strike) -> float:
            if not world["hedges"] or not calls:
                return -held["dealer"]
            return calls * option(right, spot0 * math.exp(at), strike, world["iv"], years_left(step))["delta"] - held["dealer"]

        fixed = sum(orders_usd.values()) / spot + orders_coin["squeezer"]
        low, high = pre - 0.5, pre + 0.5
        for _ in range(100):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if pre + lam * (fixed + dealer(middle)) > middle else (low, middle)
        log = pre + lam * (fixed + dealer(0.5 * (low + high)))
        after = spot0 * math.exp(log)
        fill = 0.5 * (spot + after)
        coins = {
            "squeezer": orders_coin["squeezer"],
            "block": orders_usd["block"] / fill,
            "dealer": dealer(log),
        }
        bought_usd += orders_coin["squeezer"] * spot
        for name, coin in coins.items():
            fee = world["fee_bps"] * 1e-4 * abs(coin) * fill
            held[name] += coin
            cash[name] -= coin * fill + fee
            cash["market"] += coin * fill
            cash["venue"] += fee
        prices.append(after)
    worth = 0.0 if not calls else calls * option(right, prices[-1], strike, world["iv"], years_left(len(moves)))["price"]
    profit = {name: cash[name] + held[name] * prices[-1] for name in held}
    profit["squeezer"] += worth
    profit["dealer"] -= worth
    return {"prices": prices, "profit": profit, "calls": calls, "spent": spent, "cash": cash, "held": held}
