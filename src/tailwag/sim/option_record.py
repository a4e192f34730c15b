"""Run the first paths of a scenario once more and write down what its agents traded in options with each other, and what dealers met."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim import venues_engine
from tailwag.sim.agents.quoting_dealer import QuotingState
from tailwag.sim.engine import RunPlan, State, init, plan_run, step
from tailwag.sim.option_slots import OptionHolding
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import PNL_PARTS
from tailwag.sim.venues_home import venues_of


@dataclass(frozen=True, slots=True)
class OptionRecord:
    """One agent's option trades over the first paths of a run.  Shapes: (paths,).

    ``premium_usd`` paid (+) or received, ``edge_usd`` what the prices were better than the model's, ``settled_usd`` received at expiries, ``value_usd``
    what is still held is worth; their sum with premium, settled + value - premium, is the options' profit, ``edge_usd`` of it made at the trades.
    ``unfilled_coin`` found no quote within its limit, ``refused_coin`` of it no slot.  A dealer's ``crossed_coin`` counts both sides of what
    it bought and sold in one step; ``against_usd`` is the move of model prices against it within ``watch_steps`` of ``watched_coin`` of fills;
    None for others.
    """

    name: str
    traded_coin: FloatArray
    premium_usd: FloatArray
    edge_usd: FloatArray
    settled_usd: FloatArray
    value_usd: FloatArray
    unfilled_coin: FloatArray
    refused_coin: FloatArray
    hedge_costs_usd: FloatArray
    profit_usd: FloatArray
    crossed_coin: FloatArray | None = None
    against_usd: FloatArray | None = None
    watched_coin: FloatArray | None = None
    watch_steps: int | None = None

    @property
    def options_usd(self) -> FloatArray:
        """Profit of the options by themselves, hedges left out."""
        return self.settled_usd + self.value_usd - self.premium_usd


def record_options(scenario: Scenario, *, seed: int, paths: int) -> tuple[OptionRecord, ...]:
    """What every agent that trades options traded on the first ``paths`` paths, in the order of the scenario's agents; empty without an option market."""
    if scenario.options is None:
        return ()
    found = []
    for plan, state in _played(scenario, seed, paths):
        for place in sorted(range(len(plan.seats)), key=lambda seat: plan.seats[seat].position):
            own = state.seats[place]
            found.append(_record(plan.seats[place].agent.name, own.memory, own.holding.pnl_usd))
    return tuple(record for record in found if record is not None)


def _played(scenario: Scenario, seed: int, paths: int) -> list[tuple[RunPlan, State]]:
    """Every market of the scenario at the end of its run; none where nobody trades options."""
    if scenario.elsewhere is not None:
        return _played_everywhere(scenario, seed, paths)
    plan = plan_run(scenario, seed=seed)
    state = init(plan, 0, paths)
    if not any(holding_of(own.memory) is not None for own in state.seats):
        return []
    for _ in range(scenario.grid.steps):
        state = step(plan, state)
    return [(plan, state)]


def _played_everywhere(scenario: Scenario, seed: int, paths: int) -> list[tuple[RunPlan, State]]:
    plan = venues_engine.plan_venues(venues_of(scenario), seed=seed)
    state = venues_engine.init(plan, 0, paths)
    if not any(holding_of(own.memory) is not None for market in state.states for own in market.seats):
        return []
    for _ in range(scenario.grid.steps):
        state = venues_engine.step(plan, state)
    return list(zip(plan.plans, state.states))


def holding_of(memory: object) -> OptionHolding | None:
    """The options that an agent traded: what it remembers as ``holding``, or all that it remembers; None where it trades none."""
    held = getattr(memory, "holding", memory)
    return held if isinstance(held, OptionHolding) else None


def _record(name: str, memory: object, pnl_usd: FloatArray) -> OptionRecord | None:
    held = holding_of(memory)
    if held is None:
        return None
    part = {word: pnl_usd[row] for row, word in enumerate(PNL_PARTS)}
    watch = memory.watch if isinstance(memory, QuotingState) else None
    crossing = memory.crossing if isinstance(memory, QuotingState) else None
    return OptionRecord(
        name,
        held.traded_coin,
        held.premium_usd,
        held.edge_usd,
        held.settled_usd,
        held.value_usd,
        held.unfilled_coin,
        held.refused_coin,
        held.edge_usd - part["spread_usd"] - part["fees_usd"] - part["gas_usd"] - part["funding_usd"],
        np.asarray(pnl_usd.sum(axis=0)),
        None if crossing is None else crossing.crossed_coin,
        None if watch is None else watch.against_usd,
        None if watch is None else watch.coin,
        None if watch is None else watch.steps,
    )
