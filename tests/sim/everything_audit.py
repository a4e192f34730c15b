"""An audit of a run by its raw states, step by step and path by path: it adds up itself what everybody holds and asks no check of the package.

Money in, money out, coin, options contract by contract, margin, funds and unpaid debt of leveraged accounts, pools, vaults, queues of chains
and both legs of every arbitrage.  Every number is a sum over the states' arrays, in math.fsum.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tailwag.sim import engine, venues_engine
from tailwag.sim.agents.arbitrageur import Arbitrageur
from tailwag.sim.liquidation_record import recording
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import venues_of

TOLERANCE = 1e-9
WINDOW_STEPS = 2
"""Steps of a settlement average of 30 minutes, at 15 minutes a step."""
COSTS = ("spread_usd", "fees_usd", "gas_usd", "funding_usd")
PARTS = (
    "gamma_theta_usd", "delta_usd", "vanna_usd", "vega_usd", "execution_usd", "spread_usd", "fees_usd", "gas_usd", "funding_usd", "residual_usd"
)  # fmt: skip


@dataclass
class Findings:
    """What was looked at, how far off it was at worst, and what did not hold."""

    worst: dict[str, float] = field(default_factory=dict)
    looked: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    wrong: list[str] = field(default_factory=list)

    def same(self, what: str, got: float, expected: float, size: float, where: str) -> None:
        """Two numbers that are one, relative to the size of what was added up."""
        off = abs(got - expected) / max(size, 1.0)
        self.looked[what] += 1
        self.worst[what] = max(self.worst.get(what, 0.0), off)
        if not off <= TOLERANCE:
            self.wrong.append(f"{what} at {where}: {got!r} instead of {expected!r} (of {size:.3g})")

    def holds(self, what: str, true: bool, where: str) -> None:
        """Something that is so or not."""
        self.looked[what] += 1
        if not true:
            self.wrong.append(f"{what} at {where}")


def audited(scenario: Scenario, *, seed: int, paths: int) -> Findings:
    """Play a scenario and look at everybody's accounts after every step."""
    told = Findings()
    if scenario.elsewhere is None:
        plan = _writing_down(engine.plan_run(scenario, seed=seed))
        state = engine.init(plan, 0, paths)
        market = Market("market", plan, state, told)
        for _ in range(scenario.grid.steps):
            state = engine.step(plan, state)
            market.look(state)
        market.liquidations()
        return told
    venues = venues_engine.plan_venues(venues_of(scenario), seed=seed)
    venues = replace(venues, plans=tuple(map(_writing_down, venues.plans)))
    now = venues_engine.init(venues, 0, paths)
    markets = [
        Market(venue.name, plan, own, told, funded=venue.funding is not None)
        for venue, plan, own in zip(venues.venues.venues, venues.plans, now.states)
    ]
    for _ in range(scenario.grid.steps):
        now = venues_engine.step(venues, now)
        for market, own in zip(markets, now.states):
            market.look(own)
        _legs(venues, now, told)
        _queues(now, told)
        stops = {tuple(own.outcome.tolist()) for own in now.states}
        told.holds("a path stops everywhere", len({tuple(value == 0 for value in row) for row in stops}) == 1, f"step {now.states[0].step}")
    for market in markets:
        market.liquidations()
    return told


def _writing_down(plan: Any) -> Any:
    """The plan with traders that keep every liquidation."""
    seats = [
        replace(seat, trader=replace(seat.trader, writes_down=True)) if hasattr(seat.trader, "writes_down") else seat for seat in plan.seats
    ]
    return recording(replace(plan, seats=tuple(seats)))


def _leveraged(seat: Any) -> bool:
    return hasattr(seat.trader, "records")


def _add(amounts: Iterable[float]) -> tuple[float, float]:
    """Sum, and sum of sizes."""
    listed = [float(amount) for amount in amounts]
    return math.fsum(listed), math.fsum(abs(amount) for amount in listed)


def _option_holding(memory: Any) -> Any:
    held = getattr(memory, "holding", memory)  # a taker may remember nothing but its options
    return held if hasattr(held, "slots") and hasattr(held, "premium_usd") else None


class Market:
    """One market as it was at the start and one step ago."""

    def __init__(self, name: str, plan: Any, state: Any, told: Findings, *, funded: bool = False) -> None:
        self.name, self.plan, self.start, self.last, self.told, self.funded = name, plan, state, state, told, funded
        self.spot = plan.scenario.spot_usd
        self.moved_coin = np.zeros(state.log_price.shape)
        self.fills: dict[int, Any] = {}
        self.funds: dict[tuple[int, int, int], float] = {}

    def look(self, state: Any) -> None:
        """Everything that can be added up after a step."""
        for path in range(state.log_price.size):
            where = f"{self.name}, step {state.step}, path {path}"
            self._prices(state, path, where)
            self._coin_and_cash(state, path, where)
            self._profits(state, path, where)
            self._options(state, path, where)
            for place, seat in enumerate(self.plan.seats):
                if _leveraged(seat):
                    funds = [one.seats[place].memory.accounts.fund[path] for one in (self.last, state)]
                    self.funds[place, state.step, path] = max(map(float, funds))
                    self._accounts(place, state, path, where)
                if hasattr(seat.trader, "writes_down"):
                    self._margined(place, state, path, f"{where}, {seat.agent.name}")
                if hasattr(getattr(state.seats[place].memory, "books", None), "stale_usd"):
                    self._pool(state.seats[place], path, f"{where}, {seat.agent.name}")
                if hasattr(getattr(state.seats[place].memory, "books", None), "premium_usd"):
                    self._vault(state.seats[place], path, where)
        self.fills[state.step] = (np.array(self.last.log_price), np.array(state.log_price), np.array(state.outcome))
        self.last = state

    def _prices(self, state: Any, path: int, where: str) -> None:
        self.told.holds("the price is a number", bool(np.isfinite(state.log_price[path] + state.vol_shift[path])), where)
        if self.last.outcome[path] != 0:
            self.told.holds("a stopped path stands still", state.log_price[path] == self.last.log_price[path], where)
            for before, after in zip(self.last.seats, state.seats):
                same = before.holding.position_coin[path] == after.holding.position_coin[path]
                self.told.holds("a stopped path trades nothing", bool(same), where)

    def _coin_and_cash(self, state: Any, path: int, where: str) -> None:
        coins = [own.holding.position_coin[path] for own in state.seats]
        starts = [own.holding.position_coin[path] for own in self.start.seats]
        got, size = _add([*coins, state.liquidity_coin[path]])
        self.told.same("coin", got, math.fsum(starts), size + _add(starts)[1], where)
        cash = [own.holding.cash_usd[path] for own in state.seats]
        pots = (state.liquidity_usd[path], state.venue_usd[path], state.holders_usd[path])
        got, size = _add([*cash, *pots])
        began = [own.holding.cash_usd[path] for own in self.start.seats]
        first = math.fsum([*map(float, began), float(self.start.liquidity_usd[path])])
        turnover = math.fsum(float(own.holding.turnover_usd[path]) for own in state.seats)
        self.told.same("cash", got, first, size + turnover, where)

    def _profits(self, state: Any, path: int, where: str) -> None:
        """An account's parts of profit, costs apart, are what its trades of the step and its coin earned."""
        old, new = (self.spot * math.exp(one.log_price[path]) for one in (self.last, state))
        for seat, own, was, _begun in zip(self.plan.seats, state.seats, self.last.seats, self.start.seats):
            held, had = own.holding, was.holding
            parts = {name: float(held.pnl_usd[row, path] - had.pnl_usd[row, path]) for row, name in enumerate(PARTS)}
            self.told.holds("profit is a number", all(map(math.isfinite, parts.values())), where)
            cash, coin = float(held.cash_usd[path] - had.cash_usd[path]), float(held.position_coin[path])
            wealth = cash + coin * new - float(had.position_coin[path]) * old
            options = _option_holding(own.memory)
            if options is None and self._plain(seat):
                size = abs(coin) * new + float(held.turnover_usd[path]) + 1.0
                self.told.same("profit without options", sum(parts.values()), wealth, size, f"{where}, {seat.agent.name}")
            elif options is not None and getattr(own.memory, "book", None) is None:
                before = _option_holding(was.memory)
                wealth += float(options.value_usd[path] - before.value_usd[path])
                size = (
                    abs(coin) * new + float(held.turnover_usd[path] + abs(held.cash_usd[path])) + abs(float(options.value_usd[path])) + 1.0
                )
                self.told.same("profit with options", sum(parts.values()), wealth, size, f"{where}, {seat.agent.name}")

    @staticmethod
    def _plain(seat: Any) -> bool:
        """An account whose wealth is its coin and cash alone."""
        kind = type(seat.agent).__name__
        return kind in (
            "Momentum",
            "Hawkes",
            "HawkesFlow",
            "Insurer",
            "Predator",
            "ArbitrageLeg",
            "Ladder",
            "LiquidationLadder",
            "LeveragedTraders",
        )

    def _options(self, state: Any, path: int, where: str) -> None:
        holders = [held for own in state.seats if (held := _option_holding(own.memory)) is not None]
        if not holders:
            return
        net: dict[tuple[float, int, float], list[float]] = defaultdict(list)
        for held in holders:
            rows = held.slots.held
            for slot in range(rows.coin.shape[0]):
                if rows.coin[slot, path] != 0.0:
                    key = (float(rows.right[slot, path]), int(rows.expiry_step[slot, path]), float(rows.strike_usd[slot, path]))
                    net[key].append(float(rows.coin[slot, path]))
                    self.told.holds("an option that expired is gone", key[1] > state.step or state.outcome[path] != 0, where)
        for key, coins in net.items():
            got, size = _add(coins)
            self.told.same("option coin", got, 0.0, size, f"{where}, {key}")
        for what in ("premium_usd", "edge_usd", "settled_usd", "value_usd"):
            got, size = _add(getattr(held, what)[path] for held in holders)
            paid = _add(held.premium_usd[path] for held in holders)[1] if what == "value_usd" else 0.0  # what values were summed from
            self.told.same(f"options' {what}", got, 0.0, size + paid, where)

    def _accounts(self, place: int, state: Any, path: int, where: str) -> None:
        """Margin, fund and debt of leveraged traders against what the market paid for what was liquidated."""
        seat, own, begun = self.plan.seats[place], state.seats[place], self.start.seats[place]
        now, first = own.memory.accounts, begun.memory.accounts
        linear = getattr(seat.agent.rules.contract, "name", "") == "LINEAR"
        price, start = self.spot * math.exp(state.log_price[path]), self.spot
        sides = [float(side) for side in now.side[:, 0]]
        net, net_first = (math.fsum(side * float(size) for side, size in zip(sides, one.size[:, path])) for one in (now, first))
        held, had = own.holding, begun.holding
        where = f"{where}, {seat.agent.name}"
        gross = float(sum(held.pnl_usd[PARTS.index(name), path] for name in COSTS))
        cash = float(held.cash_usd[path]) - gross
        coin, coin_first = float(held.position_coin[path]), float(had.position_coin[path])
        size = _add(first.size[:, path])[1]
        self.told.same("leveraged positions", coin if linear else -cash, net if linear else net - net_first, size, where)
        owned, owned_first = (_owned(one, sides, path, at, linear) for one, at in ((now, price), (first, start)))
        earned = cash + coin * price - coin_first * start if linear else coin - net / price - coin_first + net_first / start
        self.told.same("margin, fund and debt", owned - owned_first, earned, size * (price if linear else 1.0 / price), where)
        self.told.holds("positions have no sign", bool((now.size[:, path] >= 0.0).all()), where)
        self.told.holds("debt has no sign", bool(now.bad_debt[path] >= -TOLERANCE * size * price), where)
        self.told.holds(
            "closed accounts owe nothing", not bool(((now.size[:, path] == 0.0) & (now.wallet[:, path] < -1e-6 * size)).any()), where
        )

    def _margined(self, place: int, state: Any, path: int, where: str) -> None:
        """Purses, backstop, fund and debt of a margined account against the ledger; its perp and the backstop's are all that the market sold it."""
        own, begun, was = (one.seats[place] for one in (state, self.start, self.last))
        now, first, before = (one.memory.accounts for one in (own, begun, was))
        names = ("option_cash_usd", "perp_cash_usd", "taken_cash_usd", "fund_usd")
        cash = [float(getattr(now, name)[path]) for name in names] + [-float(now.bad_debt_usd[path])]
        start = [float(getattr(first, name)[path]) for name in names]
        costs = float(sum(own.holding.pnl_usd[PARTS.index(name), path] for name in COSTS))
        got, size = _add(cash)
        paid = float(own.holding.cash_usd[path]) - costs
        self.told.same("margined purses", got - math.fsum(start), paid, size + float(own.holding.turnover_usd[path]), where)
        coin = [float(now.perp_coin[path]), float(now.taken_coin[path])]
        self.told.same("margined perps", math.fsum(coin), float(own.holding.position_coin[path]), _add(coin)[1], where)
        self.told.holds("a share of a book goes one way", 0.0 <= now.share[path] <= before.share[path] <= 1.0, where)
        self.told.holds(
            "a fund pays what it has", bool(now.fund_usd[path] >= 0.0 and now.bad_debt_usd[path] >= before.bad_debt_usd[path]), where
        )
        if now.bad_debt_usd[path] > before.bad_debt_usd[path]:
            self.told.holds("debt is left by an empty fund alone", bool(now.fund_usd[path] <= 1e-6), where)

    def _takeovers(self) -> None:
        """Options that went to a backstop are those written down, each with price, counterparty and reason."""
        for place, seat in enumerate(self.plan.seats):
            if not hasattr(seat.trader, "writes_down"):
                continue
            for events in self.last.seats[place].memory.events:
                for row in range(events.step.size):
                    where = f"{self.name}, step {int(events.step[row])}, path {int(events.path[row])}, {seat.agent.name}"
                    whole = bool(events.counterparty(row) and events.reason(row)) and float(events.price_usd[row]) > 0.0
                    self.told.holds("a takeover has a price, a counterparty and a reason", whole, where)
                    if int(events.leg[row]) == 0:
                        fine = self._within(int(events.step[row]), int(events.path[row]), float(events.price_usd[row]))
                        self.told.holds("a forced hedge is priced by the market", fine, where)

    def _vault(self, own: Any, path: int, where: str) -> None:
        books, held = own.memory.books, own.memory.holding
        paid = float(books.premium_usd[path])
        self.told.same("a vault's premium", paid, -float(held.premium_usd[path]), abs(paid), where)
        self.told.same(
            "a vault's payoff", float(books.payoff_usd[path]), -float(held.settled_usd[path]), abs(float(books.payoff_usd[path])), where
        )
        self.told.holds("what is sold was offered", 0.0 <= float(books.sold[path]) <= float(books.offered[path]) * (1.0 + TOLERANCE), where)

    def _pool(self, own: Any, path: int, where: str) -> None:
        """What an options pool gained at its trades is fees, less stale quotes, and its vol against the market's; and it holds what it traded."""
        books, held = own.memory.books, own.memory.holding
        parts = [float(books.fees_usd[path]), -float(books.stale_usd[path]), float(books.vol_usd[path])]
        got, size = _add(parts)
        self.told.same("an options pool's edge", got, float(held.edge_usd[path]), size + abs(float(held.premium_usd[path])), where)
        traded = float(books.sold_coin[path] + books.bought_coin[path])
        self.told.same("an options pool's coin", traded, float(held.traded_coin[path]), traded, where)

    def liquidations(self) -> None:
        """Every liquidation has a price that the market traded at, a counterparty and a reason, and together they are what was traded."""
        self._takeovers()
        for place, seat in enumerate(self.plan.seats):
            if not _leveraged(seat):
                continue
            memory, holding = self.last.seats[place].memory, self.last.seats[place].holding
            traded: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
            swapped: dict[tuple[int, int], list[float]] = defaultdict(list)
            for events in memory.events:
                for row in range(events.step.size):
                    step, path, against = int(events.step[row]), int(events.path[row]), int(events.against[row])
                    price, usd, side = (float(getattr(events, name)[row]) for name in ("price_usd", "usd", "side"))
                    where = f"{self.name}, step {step}, path {path}, {seat.agent.name}"
                    self.told.holds("a liquidation has a price and a size", math.isfinite(price) and price > 0.0 and usd > 0.0, where)
                    self.told.holds("a liquidation has a side", side in (1.0, -1.0), where)
                    self.told.holds("a liquidation has a counterparty", against in (0, 1, 2, 3, 4), where)
                    self.told.holds("a liquidation has a reason", self._reason(against), where)
                    if against in (1, 4):
                        full = self.funds[place, step, path] > 0.0
                        self.told.holds("only a fund that holds something bears a loss", full == (against == 1), where)
                    coin = usd / price
                    if against in (0, 1, 4):
                        traded[path][step].append(-side * usd)
                        self.told.holds("a liquidation is priced by the market", self._within(step, path, price), where)
                    else:
                        linear = getattr(seat.agent.rules.contract, "name", "") == "LINEAR"
                        swapped[step, path].append(side * (coin if linear else usd))
            for path in range(self.last.log_price.size):
                got, expected = math.fsum(abs(math.fsum(day)) for day in traded[path].values()), float(holding.turnover_usd[path])
                self.told.same("liquidations are what was traded", got, expected, expected, f"{self.name}, path {path}, {seat.agent.name}")
            for (step, path), amounts in swapped.items():
                got, size = _add(amounts)
                self.told.same("both sides of a deleveraging", got, 0.0, size, f"{self.name}, step {step}, path {path}, {seat.agent.name}")

    @staticmethod
    def _reason(against: int) -> bool:
        from tailwag.sim.liquidation_events import Against

        return bool(Against(against).reason) and bool(Against(against).words)

    def _within(self, step: int, path: int, price: float) -> bool:
        """Fills lie between the prices of two steps as far as the exogenous move reached."""
        low, high = self.told_prices(step, path)
        return low <= price <= high

    def told_prices(self, step: int, path: int) -> tuple[float, float]:
        """Prices that a fill of a step can have: widely around where it began and ended."""
        before, after, _ = self.fills[step]
        ends = (self.spot * math.exp(before[path]), self.spot * math.exp(after[path]))
        return 0.7 * min(ends), 1.4 * max(ends)


def _owned(accounts: Any, sides: list[float], path: int, price: float, linear: bool) -> float:
    unit = price if linear else -1.0 / price
    amounts = [
        float(accounts.wallet[row, path]) + side * float(accounts.size[row, path]) * (unit - float(accounts.entry[row, path]))
        for row, side in enumerate(sides)
    ]
    return math.fsum([*amounts, float(accounts.fund[path]), -float(accounts.bad_debt[path]), float(accounts.outside[path])])


def _legs(venues: Any, now: Any, told: Findings) -> None:
    """What an arbitrageur holds and has on its way on one venue it is short on the other."""
    for arbitrageur, legs in zip(venues.venues.arbitrageurs, venues.legs):
        assert isinstance(arbitrageur, Arbitrageur)
        seats = [now.states[place].seats[seat] for place, seat in legs]
        step = now.states[0].step
        ends = [expiry.step for place, _ in legs if (expiry := venues.expiries[place]) is not None]
        if any(end - WINDOW_STEPS <= step < end for end in ends):
            continue  # a carry trade sells its coin over the settlement average: its legs differ there
        for path in range(now.states[0].log_price.size):
            live = all(now.states[place].outcome[path] == 0 for place, _ in legs)
            if live:
                amounts = [float(seat.holding.position_coin[path]) + float(seat.flight.coin[:, path].sum()) for seat in seats]
                got, size = _add(amounts)
                traded = sum(float(seat.holding.turnover_usd[path]) for seat in seats) / 50000.0
                told.same(
                    "both legs of an arbitrage", got, 0.0, size + traded, f"step {now.states[0].step}, path {path}, {arbitrageur.name}"
                )


def _queues(now: Any, told: Findings) -> None:
    for queue in now.waiting:
        if queue is not None:
            for path in range(queue.arrived_usd.size):
                told.holds("a queue has no sign", bool(queue.queue_usd[path] >= 0.0), f"path {path}")
