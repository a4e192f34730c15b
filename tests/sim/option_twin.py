"""The option market once more, in plain Python: one path at a time, dicts and floats, every rule spelled out, nothing shared with the product.

Written from docs/explanation/option-market.md.  Prices before and after trading are given; what is answered is who bought what from whom, what
everybody holds, and everybody's cash from premium and settlement.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

YEAR_MINUTES = 365.0 * 24.0 * 60.0


@dataclass
class Option:
    """A contract on one path."""

    call: bool
    expiry: int
    strike: float


@dataclass
class Ask:
    """One taker's order on one path: contract number, coin (+ buys), limit (None: any price), auction or not."""

    contract: int
    coin: float
    limit: float | None
    auction: bool


@dataclass
class Fixed:
    """A maker of stated prices: model price times (1 -+ half), of a stated size."""

    half: float
    size: float


@dataclass
class Leaning:
    """A maker who quotes in vol points around the model's vol and leans by vega and gamma, within limits by strike and expiry."""

    half_volpt: float
    size: float
    vega_lean: float
    gamma_lean: float
    strike_limit: float
    expiry_limit: float


@dataclass
class World:
    """Terms, clock and the prices of one path: before trading in each step (index step), and cleared (index step, from 0)."""

    iv: float
    skew: float
    averaged: bool
    step_minutes: float
    before: list
    cleared: list
    shift_before: list
    options: list
    takers: dict = field(default_factory=dict)  # name -> {step: [Ask]}
    makers: dict = field(default_factory=dict)  # name -> Fixed | Leaning
    slots: dict = field(default_factory=dict)  # name -> most contracts held at a time


@dataclass
class Ledger:
    """What came out: (name, contract) -> coin at the end, cash by name, edge by name, paid at settlement by name, refused coin by name."""

    coin: dict
    cash: dict
    edge: dict
    settled: dict
    refused: dict


def cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def pdf(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def counted(world: World, option: Option, step: int) -> bool:
    """Whether a step's price belongs to the mean of the last 30 minutes."""
    return world.averaged and step >= 1 and 0 <= (option.expiry - step) * world.step_minutes < 30.0 - 1e-6


def priced(world: World, option: Option, step: int, spot: float, shift: float) -> tuple[float, float, float]:
    """Model price, vega and S^2 gamma of one coin at a step, before the step's own price is counted in any mean."""
    moneyness = max(-0.5, min(0.5, math.log(option.strike / spot)))
    vol = max(world.iv + world.skew * moneyness + shift, 0.01)
    side = 1.0 if option.call else -1.0
    minutes = max((option.expiry - step) * world.step_minutes, 1.0 / 60.0)
    if world.averaged and minutes < 30.0 - 1e-6:
        seen = [world.cleared[at] for at in range(step) if counted(world, option, at)] or [world.cleared[step - 1]]
        mean, share = sum(seen) / len(seen), minutes / 30.0
        sd = spot * vol * math.sqrt(minutes / YEAR_MINUTES / 3.0) * share
        away = (1.0 - share) * mean + share * spot - option.strike
        d = away / sd
        vega, vanna, vomma = sd * pdf(d) / vol, -share * pdf(d) * d / vol, sd * pdf(d) * (d / vol) ** 2
        return side * away * cdf(side * d) + sd * pdf(d), vega, leaning(world, option, spot, share**2 * pdf(d) / sd, vega, vanna, vomma)
    years = (minutes - (20.0 if world.averaged else 0.0)) / YEAR_MINUTES
    w = vol * math.sqrt(years)
    d1 = math.log(spot / option.strike) / w + 0.5 * w
    price = side * (spot * cdf(side * d1) - option.strike * cdf(side * (d1 - w)))
    vega = spot * pdf(d1) * math.sqrt(years)
    d2 = d1 - w
    return price, vega, leaning(world, option, spot, pdf(d1) / (spot * w), vega, -pdf(d1) * d2 / vol, vega * d1 * d2 / vol)


def leaning(world: World, option: Option, spot: float, gamma: float, vega: float, vanna: float, vomma: float) -> float:
    """S^2 gamma with the vol following spot by the skew."""
    turn = -world.skew if abs(math.log(option.strike / spot)) < 0.5 else 0.0
    return spot * spot * gamma + 2.0 * vanna * turn * spot + vomma * turn**2 - vega * turn


def play(world: World) -> Ledger:  # noqa: C901 - every rule spelled out in one place
    """The whole path."""
    held: dict = defaultdict(float)
    cash, edge, settled, refused = (defaultdict(float) for _ in range(4))

    def room(name: str, contract: int) -> bool:
        if held[name, contract] != 0.0 or name not in world.slots:
            return True
        return sum(1 for (who, _), coin in held.items() if who == name and coin != 0.0) < world.slots[name]

    def quoted(name: str, contract: int, step: int) -> tuple[float, float, float, float]:
        """bid, ask, most it buys, most it sells."""
        maker, option = world.makers[name], world.options[contract]
        price, vega, _ = priced(world, option, step, world.before[step], world.shift_before[step])
        if not room(name, contract):
            return 0.0, 0.0, 0.0, 0.0
        if isinstance(maker, Fixed):
            return price * (1.0 - maker.half), price * (1.0 + maker.half), maker.size, maker.size
        own_vega = own_gamma = 0.0
        for (who, number), coin in held.items():
            if who == name and coin != 0.0:
                _, one_vega, one_gamma = priced(world, world.options[number], step, world.before[step], world.shift_before[step])
                own_vega, own_gamma = own_vega + coin * one_vega, own_gamma + coin * one_gamma
        lean = -(maker.vega_lean * own_vega + maker.gamma_lean * own_gamma) / 1e6
        middle, half = price + vega * lean / 100.0, vega * maker.half_volpt / 100.0
        at_expiry = [
            (number, coin) for (who, number), coin in held.items() if who == name and world.options[number].expiry == option.expiry
        ]
        at_strike = sum(coin for number, coin in at_expiry if world.options[number].strike == option.strike)
        total = sum(coin for _, coin in at_expiry)
        buys = max(min(maker.size, maker.strike_limit - at_strike, maker.expiry_limit - total), 0.0)
        sells = max(min(maker.size, maker.strike_limit + at_strike, maker.expiry_limit + total), 0.0)
        return max(middle - half, 0.0), max(middle + half, 0.0), buys, sells

    for step in range(1, len(world.cleared)):
        for taker in sorted(world.takers):
            for ask in world.takers[taker].get(step, []):
                if not room(taker, ask.contract):
                    refused[taker] += abs(ask.coin)
                    continue
                offers = []
                for name in sorted(world.makers):
                    if name == taker:
                        continue
                    bid, offer, buys, sells = quoted(name, ask.contract, step)
                    price, size = (offer, sells) if ask.coin > 0 else (bid, buys)
                    good = ask.limit is None or (price <= ask.limit if ask.coin > 0 else price >= ask.limit)
                    if size > 0.0 and good:
                        offers.append((price, size, name))
                left, deals = abs(ask.coin), []
                for price in sorted({offer[0] for offer in offers}, reverse=ask.coin < 0):
                    level = [offer for offer in offers if offer[0] == price]
                    depth = sum(size for _, size, _ in level)
                    take = min(left, depth)
                    deals += [(name, take * size / depth, price) for _, size, name in level if take > 0.0]
                    left -= take
                if ask.auction and deals:
                    worst = max(deal[2] for deal in deals) if ask.coin > 0 else min(deal[2] for deal in deals)
                    deals = [(name, coin, worst) for name, coin, _ in deals]
                model = priced(world, world.options[ask.contract], step, world.before[step], world.shift_before[step])[0]
                sign = 1.0 if ask.coin > 0 else -1.0
                for name, coin, price in deals:
                    for who, signed in ((taker, sign * coin), (name, -sign * coin)):
                        held[who, ask.contract] += signed
                        cash[who] -= signed * price
                        edge[who] += signed * (model - price)
        for number, option in enumerate(world.options):
            if option.expiry != step:
                continue
            seen = [world.cleared[at] for at in range(step + 1) if counted(world, option, at)] or [world.cleared[step]]
            pays = max((1.0 if option.call else -1.0) * (sum(seen) / len(seen) - option.strike), 0.0)
            for (who, which), coin in list(held.items()):
                if which == number and coin != 0.0:
                    cash[who] += coin * pays
                    settled[who] += coin * pays
                    held[who, which] = 0.0
    return Ledger(dict(held), dict(cash), dict(edge), dict(settled), dict(refused))
