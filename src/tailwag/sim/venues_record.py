"""Write down every liquidation on all venues of a scenario."""

from __future__ import annotations

from dataclasses import replace

from tailwag.sim.liquidation_record import Record, recording, records_of
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_engine import init, plan_venues, step
from tailwag.sim.venues_home import venues_of


def record_everywhere(scenario: Scenario, *, seed: int, paths: int) -> tuple[Record, ...]:
    """Every liquidation on the first ``paths`` paths, home's leveraged traders first, then venue by venue; the paths of the run itself."""
    plan = plan_venues(venues_of(scenario), seed=seed)
    plan = replace(plan, plans=tuple(map(recording, plan.plans)))
    first = state = init(plan, 0, paths)
    for _ in range(scenario.grid.steps):
        state = step(plan, state)
    return tuple(record for one, had, has in zip(plan.plans, first.states, state.states) for record in records_of(one, had, has))
