"""Run the first paths of a scenario once more and write down what its options pools took, lost and kept, beside a CPMM of equal size."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.options_amm import AmmState, AmmTrader, OptionsAmm
from tailwag.sim.amm_account import collateral_usd
from tailwag.sim.engine import RunPlan, State
from tailwag.sim.home_steps import home_steps
from tailwag.sim.ledger import PART
from tailwag.sim.scenario import Scenario


@dataclass(frozen=True, slots=True)
class AmmRecord:
    """One options pool over the first paths of a run.  Shapes: (paths,), USD unless named.

    profit_usd = fees_usd - stale_usd + vol_usd + options_usd + hedge_usd - hedge_costs_usd: at the trades, from the options while they were held (by
    the model), from the hedge, and what trading it cost.  ``share_value``: worth at the end per unit of deposit; ``worst_share_value`` the lowest of any
    step; ``least_free_share`` the smallest free part of its worth; ``starved_share`` the part of steps with less than 1 % free.  ``lvr_usd``: what a
    CPMM without fees, worth the deposit at the start, would have lost to arbitrage on the same prices.
    """

    agent: OptionsAmm
    sold_coin: FloatArray
    bought_coin: FloatArray
    premium_usd: FloatArray
    fees_usd: FloatArray
    stale_usd: FloatArray
    vol_usd: FloatArray
    options_usd: FloatArray
    hedge_usd: FloatArray
    hedge_costs_usd: FloatArray
    hedge_turnover_usd: FloatArray
    profit_usd: FloatArray
    share_value: FloatArray
    worst_share_value: FloatArray
    least_free_share: FloatArray
    starved_share: FloatArray
    lvr_usd: FloatArray

    @property
    def residual_usd(self) -> FloatArray:
        """What the account does not explain; rounding."""
        told = self.fees_usd - self.stale_usd + self.vol_usd + self.options_usd + self.hedge_usd - self.hedge_costs_usd
        return self.profit_usd - told


STARVED = 0.01


@dataclass(slots=True)
class _Seen:
    """What is written down of one pool as the run goes on."""

    plan: RunPlan
    place: int
    worst: FloatArray
    least_free: FloatArray
    starved: FloatArray
    lvr: FloatArray
    cpmm_usd: FloatArray
    last_log: FloatArray = field(default_factory=lambda: np.zeros(0))

    def note(self, state: State) -> None:
        """Keep what counts of a step."""
        own, spot = state.seats[self.place], self.plan.scenario.spot_usd * np.exp(state.log_price)
        agent, memory = self.plan.seats[self.place].agent, own.memory
        assert isinstance(agent, OptionsAmm)
        nav = _nav_usd(agent, own.holding.cash_usd, own.holding.position_coin * spot, memory)
        behind = collateral_usd(memory.holding.slots.held, spot) + agent.hedge_margin_share * np.abs(own.holding.position_coin) * spot
        free = np.where(nav > 0.0, np.maximum(nav - behind, 0.0) / np.where(nav > 0.0, nav, 1.0), 0.0)
        self.worst = np.minimum(self.worst, nav / agent.deposit_usd)
        self.least_free, self.starved = np.minimum(self.least_free, free), self.starved + (free < STARVED)
        move = state.log_price - self.last_log
        root = np.expm1(0.5 * move)
        self.lvr = self.lvr + 0.5 * self.cpmm_usd * root * root  # V (e^(x/2) - 1)^2 / 2, V dx^2 / 8 for small moves
        self.cpmm_usd, self.last_log = self.cpmm_usd * (1.0 + root), state.log_price


def _nav_usd(agent: OptionsAmm, cash_usd: FloatArray, coin_usd: FloatArray, memory: AmmState) -> FloatArray:
    return agent.deposit_usd + cash_usd + coin_usd + memory.holding.value_usd


def record_amms(scenario: Scenario, *, seed: int, paths: int) -> tuple[AmmRecord, ...]:
    """Every options pool of the scenario on the first ``paths`` paths, in the order of the scenario's agents: the same paths as the run's.

    No records where there are no pools; with several venues home's.
    """
    if not any(isinstance(agent, OptionsAmm) for agent in scenario.agents):
        return ()
    plan, states = home_steps(scenario, seed=seed, paths=paths)
    places = [place for place, seat in enumerate(plan.seats) if isinstance(seat.trader, AmmTrader)]
    in_order = sorted(places, key=lambda place: plan.seats[place].position)
    one, nothing = np.ones(paths), np.zeros(paths)
    seen = [_Seen(plan, place, one, one, nothing, nothing, one * _deposit(plan, place), nothing) for place in in_order]
    state = next(states)
    for state in states:
        for told in seen:
            told.note(state)
    return tuple(_record(plan, told, state) for told in seen)


def _deposit(plan: RunPlan, place: int) -> float:
    agent = plan.seats[place].agent
    assert isinstance(agent, OptionsAmm)
    return agent.deposit_usd


def _record(plan: RunPlan, seen: _Seen, state: State) -> AmmRecord:
    seat, own = plan.seats[seen.place], state.seats[seen.place]
    agent, memory, spot = seat.agent, own.memory, plan.scenario.spot_usd * np.exp(state.log_price)
    assert isinstance(agent, OptionsAmm)
    books, holding, account = memory.books, memory.holding, own.holding
    profit = account.pnl_usd.sum(axis=0)
    from_options = holding.settled_usd + holding.value_usd - holding.premium_usd
    costs = _costs_usd(own.holding.pnl_usd, holding.edge_usd)
    coin = account.position_coin * spot + account.cash_usd - holding.settled_usd + holding.premium_usd + costs
    return AmmRecord(
        agent=agent,
        sold_coin=books.sold_coin,
        bought_coin=books.bought_coin,
        premium_usd=-holding.premium_usd,
        fees_usd=books.fees_usd,
        stale_usd=books.stale_usd,
        vol_usd=books.vol_usd,
        options_usd=from_options - holding.edge_usd,
        hedge_usd=coin,
        hedge_costs_usd=costs,
        hedge_turnover_usd=account.turnover_usd,
        profit_usd=profit,
        share_value=_nav_usd(agent, account.cash_usd, account.position_coin * spot, memory) / agent.deposit_usd,
        worst_share_value=seen.worst,
        least_free_share=seen.least_free,
        starved_share=seen.starved / plan.scenario.grid.steps,
        lvr_usd=seen.lvr,
    )


def _costs_usd(pnl_usd: FloatArray, edge_usd: FloatArray) -> FloatArray:
    """Fees, spread, gas and funding of the hedge, + paid."""
    paid = sum(pnl_usd[PART[word]] for word in ("fees_usd", "gas_usd", "funding_usd"))
    return np.asarray(-(paid + pnl_usd[PART["spread_usd"]] - edge_usd))
