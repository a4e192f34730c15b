"""An option vault by hand: dicts and loops over plain numbers, one path at a time; it knows nothing of tailwag."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

HOURS_PER_YEAR, WINDOW_HOURS = 8760.0, 0.5


def normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def black(right: int, spot: float, strike: float, hours: float, vol: float) -> tuple[float, float]:
    """Price and |delta| of an option on the mean of its last half hour, before that half hour."""
    spread = vol * math.sqrt((hours - WINDOW_HOURS * 2.0 / 3.0) / HOURS_PER_YEAR)
    d1 = math.log(spot / strike) / spread + spread / 2.0
    return right * (spot * normal(right * d1) - strike * normal(right * (d1 - spread))), normal(right * d1)


def sold_at(bids: Sequence[tuple[float, float]], offered: float, reserve: float) -> tuple[float, float]:
    """Coin sold and the one price, from bids (price, coin): the best first, all at the worst that is needed."""
    left, price = offered, 0.0
    for bid, coin in sorted(bids, reverse=True):
        taken = min(left, coin) if bid >= reserve else 0.0
        if taken > 0.0:
            left, price = left - taken, bid
    return offered - left, price


def vault_by_hand(
    vault: dict[str, Any], prices: Sequence[float], step_hours: float, makers: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """The vault along one path: its books, with every sale and every expiry.

    ``vault``: right, assets, delta, step_usd, reserve, performance, management, limit, iv, length_hours, start_hours, auctions (steps, in order of
    epoch and part), parts.  ``makers``: (share of the model price, coin) that each bids for in every auction of a strike.
    """
    right, assets = vault["right"], vault["assets"]
    told: dict[str, Any] = {
        "premium": 0.0,
        "payoff": 0.0,
        "fee": 0.0,
        "offered": 0.0,
        "sold": 0.0,
        "model": 0.0,
        "sales": [],
        "to_coin": 0.0,
    }
    open_options: dict[tuple[float, int], float] = {}
    epoch_premium = locked = 0.0
    for step in range(1, len(prices)):
        spot, unit = prices[step], prices[step] if right > 0 else 1.0
        earned = newly_locked = 0.0
        for number, due in enumerate(vault["auctions"]):
            if due != step:
                continue
            ends = vault["start_hours"] + vault["length_hours"] * (number // vault["parts"] + 1)
            expiry = math.ceil(ends / step_hours - 1e-9)
            hours = expiry * step_hours - step * step_hours
            grid = [vault["step_usd"] * place for place in range(1, int(4 * spot / vault["step_usd"]))]
            nearest = min(grid, key=lambda strike: abs(black(right, spot, strike, hours, vault["iv"])[1] - vault["delta"]))
            size = min(assets - locked, assets / vault["parts"])
            rest, place = 1.0, 0
            while rest > 1e-12:
                part = min(rest, vault["limit"])
                strike = nearest + right * place * vault["step_usd"]
                collateral = 1.0 if right > 0 else strike
                offered = size * part / collateral
                model = black(right, spot, strike, hours, vault["iv"])[0]
                coin, price = sold_at([(share * model, most) for share, most in makers], offered, vault["reserve"] * model)
                open_options[strike, expiry] = open_options.get((strike, expiry), 0.0) + coin
                told["sales"].append((step, strike, offered, coin, price))
                told["offered"] += offered
                told["sold"] += coin
                told["model"] += coin * model
                told["premium"] += coin * price
                earned += coin * price / unit
                newly_locked += coin * collateral
                rest, place = rest - part, place + 1
        assets, locked, epoch_premium = assets + earned, locked + newly_locked, epoch_premium + earned
        due_now = {key: coin for key, coin in open_options.items() if key[1] == step}
        window = [prices[past] for past in range(step + 1) if (step - past) * step_hours < WINDOW_HOURS - 1e-9]
        paid = sum(coin * max(right * (sum(window) / len(window) - strike), 0.0) for (strike, _), coin in due_now.items())
        for key in due_now:
            del open_options[key]
        assets -= paid / unit
        told["payoff"] += paid
        hours_in = step * step_hours - vault["start_hours"]
        if hours_in > 0.0 and abs(hours_in % vault["length_hours"]) < 1e-9:
            gain = epoch_premium - paid / unit
            fee = vault["performance"] * gain + vault["management"] * vault["length_hours"] / HOURS_PER_YEAR * assets if gain > 0.0 else 0.0
            assets, told["fee"] = assets - fee, told["fee"] + fee * unit
            locked = epoch_premium = 0.0
    told.update(assets=assets, locked=locked, open=dict(open_options))
    return told
