"""Run the first paths of a scenario once more and write down what venues took from margined accounts, and who bore what."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim import engine
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.engine import RunPlan, State, plan_run
from tailwag.sim.margined_events import Takeovers
from tailwag.sim.margined_trader import MarginedTrader
from tailwag.sim.scenario import Scenario


@dataclass(frozen=True, slots=True)
class MarginedRecord:
    """One agent's takeovers on the first paths of a run.  (paths,): the part of the book that the backstop has at the end, what the insurance fund gained
    and what nobody paid, USD."""

    agent: MarginedBook
    paths: int
    takeovers: Takeovers
    taken_share: FloatArray
    fund_usd: FloatArray
    bad_debt_usd: FloatArray

    def forced_usd(self, leg: int) -> FloatArray:
        """USD of a leg that was taken on each path, (paths,): the perp at its price, options at their mark."""
        rows = self.takeovers
        weights = np.where(rows.leg == leg, np.abs(rows.coin) * rows.price_usd, 0.0)
        return np.bincount(rows.path, weights=weights, minlength=self.paths).astype(np.float64)


def record_takeovers(scenario: Scenario, *, seed: int, paths: int) -> tuple[MarginedRecord, ...]:
    """What was taken from every margined book of a scenario on its first ``paths`` paths, in the order of its agents, home's venue first.

    The same paths as those of the run, by the plain engine.  Empty where there is none.
    """
    if scenario.elsewhere is not None:
        from tailwag.sim import venues_engine
        from tailwag.sim.venues_home import venues_of

        plans = venues_engine.plan_venues(venues_of(scenario), seed=seed)
        plans = replace(plans, plans=tuple(map(writing_down, plans.plans)))
        begun = now = venues_engine.init(plans, 0, paths)
        for _ in range(scenario.grid.steps):
            now = venues_engine.step(plans, now)
        places = zip(plans.plans, begun.states, now.states)
        return tuple(record for plan, first, last in places for record in _records(plan, first, last))
    plan = writing_down(plan_run(scenario, seed=seed))
    first = state = engine.init(plan, 0, paths)
    for _ in range(scenario.grid.steps):
        state = engine.step(plan, state)
    return _records(plan, first, state)


def writing_down(plan: RunPlan) -> RunPlan:
    """The plan with margined accounts that write down every takeover."""
    seats = (
        replace(seat, trader=replace(seat.trader, writes_down=True)) if isinstance(seat.trader, MarginedTrader) else seat
        for seat in plan.seats
    )
    return replace(plan, seats=tuple(seats))


def _records(plan: RunPlan, first: State, last: State) -> tuple[MarginedRecord, ...]:
    places = sorted(
        (place for place, seat in enumerate(plan.seats) if isinstance(seat.trader, MarginedTrader)), key=lambda p: plan.seats[p].position
    )
    return tuple(_record(plan, place, first, last) for place in places)


def _record(plan: RunPlan, place: int, first: State, last: State) -> MarginedRecord:
    agent, memory = plan.seats[place].agent, last.seats[place].memory
    assert isinstance(agent, MarginedBook)
    has, had = memory.accounts, first.seats[place].memory.accounts
    return MarginedRecord(
        agent, has.share.size, Takeovers.joined(memory.events), 1.0 - has.share, has.fund_usd - had.fund_usd, has.bad_debt_usd
    )
