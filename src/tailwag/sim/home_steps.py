"""A scenario stepped once more for whoever writes down what its agents did; with other venues beside it, all of them step together."""

from __future__ import annotations

from collections.abc import Iterator

from tailwag.sim import engine, venues_engine
from tailwag.sim.engine import RunPlan, State
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import venues_of


def home_steps(scenario: Scenario, *, seed: int, paths: int) -> tuple[RunPlan, Iterator[State]]:
    """Home's plan, and home's state at the start and after every step: the first ``paths`` paths of the run itself."""
    if scenario.elsewhere is not None:
        told = venues_engine.plan_venues(venues_of(scenario), seed=seed, full_pnl=False)
        return told.plans[0], _together(told, paths)
    plan = engine.plan_run(scenario, seed=seed, full_pnl=False)
    return plan, _alone(plan, paths)


def _alone(plan: RunPlan, paths: int) -> Iterator[State]:
    state = engine.init(plan, 0, paths)
    yield state
    for _ in range(plan.scenario.grid.steps):
        state = engine.step(plan, state)
        yield state


def _together(plan: venues_engine.VenuesPlan, paths: int) -> Iterator[State]:
    state = venues_engine.init(plan, 0, paths)
    yield state.states[0]
    for _ in range(plan.plans[0].scenario.grid.steps):
        state = venues_engine.step(plan, state)
        yield state.states[0]
