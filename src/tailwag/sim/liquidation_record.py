"""Run the first paths of a scenario once more and write down every liquidation, and what it did to the purse of its venue."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.margin.contract import Contract
from tailwag.sim.agents.leveraged import LeveragedTraders, trader_of
from tailwag.sim.engine import RunPlan, Seat, State, init, plan_run, step
from tailwag.sim.leveraged_columns import ColumnState
from tailwag.sim.liquidation_events import Liquidations
from tailwag.sim.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Record:
    """The liquidations of one agent on the first paths of a run, and who bore what.  Shapes: (paths,), USD at the last price.

    ``longs_usd``, ``shorts_usd``: gain of each side's margin with its open profit, funding included; ``fund_usd`` what the fund gained
    (fees less what it paid); ``bad_debt_usd`` what nobody paid.
    """

    agent: LeveragedTraders
    paths: int
    liquidations: Liquidations
    longs_usd: FloatArray
    shorts_usd: FloatArray
    fund_usd: FloatArray
    bad_debt_usd: FloatArray

    def per_path(self, amounts: FloatArray, chosen: BoolArray) -> FloatArray:
        """Sum of the chosen liquidations' amounts on each path, (paths,)."""
        weights = np.where(chosen, amounts, 0.0)
        return np.bincount(self.liquidations.path, weights=weights, minlength=self.paths).astype(np.float64)


def record_liquidations(scenario: Scenario, *, seed: int, paths: int) -> tuple[Record, ...]:
    """Every liquidation of the scenario's leveraged traders on the first ``paths`` paths, in the order of the scenario's agents.

    The same paths as those of the run, by the plain engine.  Empty where nobody is leveraged.
    """
    if scenario.elsewhere is not None:
        from tailwag.sim.venues_record import record_everywhere

        return record_everywhere(scenario, seed=seed, paths=paths)
    plan = recording(plan_run(scenario, seed=seed))
    if not any(isinstance(seat.agent, LeveragedTraders) for seat in plan.seats):
        return ()
    first = state = init(plan, 0, paths)
    for _ in range(scenario.grid.steps):
        state = step(plan, state)
    return records_of(plan, first, state)


def records_of(plan: RunPlan, first: State, last: State) -> tuple[Record, ...]:
    """What is written down of the leveraged traders of one market between two states, in the order of its agents."""
    found = sorted(
        (place for place, seat in enumerate(plan.seats) if isinstance(seat.agent, LeveragedTraders)), key=lambda p: plan.seats[p].position
    )
    spot = plan.scenario.spot_usd * np.exp(last.log_price)
    return tuple(_record(plan, place, first.seats[place].memory, last.seats[place].memory, spot) for place in found)


def recording(plan: RunPlan) -> RunPlan:
    """The plan with leveraged traders that write every liquidation down."""
    return replace(plan, seats=tuple(_recording(seat, plan.scenario.spot_usd) for seat in plan.seats))


def _recording(seat: Seat, spot_usd: float) -> Seat:
    if not isinstance(seat.agent, LeveragedTraders):
        return seat
    return replace(seat, trader=trader_of(seat.agent, spot_usd, records=True))


def _record(plan: RunPlan, place: int, before: ColumnState, after: ColumnState, spot: FloatArray) -> Record:
    agent = plan.seats[place].agent
    assert isinstance(agent, LeveragedTraders)
    contract, start = agent.rules.contract, np.full(spot.shape, plan.scenario.spot_usd)
    in_usd = np.ones(spot.shape) if contract is Contract.LINEAR else spot
    had, has = (
        state.accounts.wallet + state.accounts.profit(contract.unit_value(price)) for state, price in ((before, start), (after, spot))
    )
    gained = (has - had) * in_usd
    side = before.accounts.side
    return Record(
        agent,
        spot.size,
        Liquidations.joined(after.events),
        np.where(side > 0.0, gained, 0.0).sum(axis=0),
        np.where(side < 0.0, gained, 0.0).sum(axis=0),
        (after.accounts.fund - before.accounts.fund) * in_usd,
        after.accounts.bad_debt * in_usd,
    )
