"""Batch auctions of a scenario: how many steps there are from one to the next, and whose orders cannot wait for one."""

from __future__ import annotations

from collections.abc import Iterable

from tailwag.errors import InputError
from tailwag.experiments.scenario_tables import Table
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import MINUTES_PER_YEAR

EVERY = "auction_every_minutes"
WHOLE_STEPS = 1e-9
"""How near a whole number of steps the time between two auctions must be."""


def auction_steps(run: Table, grid: TimeGrid) -> int:
    """Steps from one auction to the next by ``[run] auction_every_minutes``; 1 where there is none.

    InputError where steps differ, or where the time is no whole number of steps.
    """
    if EVERY not in run:
        return 1
    minutes = run.number(
        EVERY, least=0.0, above=True, hint="minutes from one auction to the next; leave it out where orders clear in every step"
    )
    if not grid.is_uniform:
        raise run.refuse(f"expected {EVERY} with step_minutes, got it with time_grid, whose steps differ; state step_minutes")
    step = float(grid.step_years[0]) * MINUTES_PER_YEAR
    steps = round(minutes / step)
    if steps < 1 or abs(minutes / step - steps) > WHOLE_STEPS * steps:
        raise run.refuse(
            f"expected {EVERY} as a whole number of steps of {step:g} minutes, got {minutes:g}; such as {max(steps, 2) * step:g}"
        )
    if steps > grid.steps:
        raise run.refuse(
            f"expected {EVERY} within the run of {grid.steps * step:g} minutes, got {minutes:g}; the one auction would be its end"
        )
    return steps


def refuse_late_accounts(agents: Iterable[object]) -> None:
    """InputError for leveraged traders whose liquidations come late: sized when they are called, they would fill after the accounts were settled."""
    late = next((agent.name for agent in agents if isinstance(agent, LeveragedTraders) and agent.delay_steps), None)
    if late is not None:
        raise InputError(
            f"expected leveraged traders who are liquidated in the step of the move, got agent {late!r} with late orders, whose size is fixed when "
            "they are called; an auction would fill them after their accounts were settled"
        )


def auction_note(steps: int, grid: TimeGrid) -> tuple[str, ...]:
    """What auctions mean for the run, in a sentence; none where there are none."""
    if steps == 1:
        return ()
    minutes = steps * float(grid.step_years[0]) * MINUTES_PER_YEAR
    return (f"[run]: orders clear in an auction every {minutes:g} minutes and at the end, at one price; those that arrive between wait",)
