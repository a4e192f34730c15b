"""What a scenario says that does nothing, or hardly what was meant: said before a run, because no number shows it afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.scenario_tables import Table
from tailwag.hedging.policies import AtTimes, Leland
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import MINUTES_PER_YEAR
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Scenario

WHOLE = 1e-6
NOTED_SPOT, MOST_SPOT = 0.005, 0.2
"""A first price that differs from the measured one by more than the former is said, by more than the latter refused."""
MOST_STRIKE_RATIO = 5.0


def doubts(scenario: Scenario) -> tuple[str, ...]:
    """Sentences on numbers that nothing reads in this run and on trading times that the steps cannot meet."""
    found = [sentence for agent in scenario.agents if isinstance(agent, Dealer) for sentence in _times(agent, scenario.grid)]
    if scenario.vol.vega_impact_per_usd and not any(getattr(agent, "vega_hedge_share", 0.0) for agent in scenario.agents):
        found.append(
            "[vol]: vega_impact_per_usd moves nothing, because nobody hedges vega; give an agent a vega_hedge_share or leave it out"
        )
    return tuple(found)


def _times(dealer: Dealer, grid: TimeGrid) -> Iterator[str]:
    policy = dealer.policy
    if not isinstance(policy, AtTimes | Leland):
        return
    every, run = policy.every_minutes, grid.horizon_years * MINUTES_PER_YEAR
    step = float(grid.step_years.max()) * MINUTES_PER_YEAR
    ratio, said = every / step, f"agent {dealer.name!a} trades every {every:g} minutes"
    if every > run * (1.0 + WHOLE):
        late = " but for the chance of its first period" if getattr(policy, "jitter_minutes", 0.0) else ""
        yield f"{said}, longer than the run of {run:g} minutes: it never trades{late}"
    elif ratio < 1.0 - WHOLE:
        longest = f"the step of {step:g} minutes" if grid.is_uniform else f"the longest step of {step:.3g} minutes"
        yield f"{said}, finer than {longest}: it trades once a step there"
    elif grid.is_uniform and abs(ratio - round(ratio)) > WHOLE * ratio:
        yield (
            f"{said}, no multiple of the step of {step:g} minutes: it trades in the step that holds each time, "
            f"{math.floor(ratio)} or {math.ceil(ratio)} steps apart"
        )


def spot_note(table: Table, name: str, measured_usd: float, spot_usd: float) -> tuple[str, ...]:
    """Refuse a first price far from the one that a book was measured at; say it where they differ at all."""
    change = spot_usd / measured_usd - 1.0
    if abs(change) > MOST_SPOT:
        raise table.refuse(
            f"[price] spot_usd = {spot_usd:,.10g}, but {name} was measured at {measured_usd:,.10g}; take the measurement's spot_usd, or another book"
        )
    if abs(change) <= NOTED_SPOT:
        return ()
    return (
        f"{name}: measured at {measured_usd:,.10g}, simulated from spot_usd = {spot_usd:,.10g} ({100 * change:+.2g} %): its gamma is another there",
    )


def refuse_far_strikes(table: Table, book: OptionBook, spot_usd: float) -> None:
    """Refuse a book without one strike within a factor of five of the first price: a spot or a strike in another unit."""
    ratio = np.abs(np.log(book.strike_usd / spot_usd))
    if float(ratio.min()) > math.log(MOST_STRIKE_RATIO):
        nearest = float(book.strike_usd[int(ratio.argmin())])
        raise InputError(
            f"{table.place}: [price] spot_usd = {spot_usd:,.10g}, but the nearest strike is {nearest:,.10g}; "
            f"expected one within a factor of {MOST_STRIKE_RATIO:g}: give both in USD per coin"
        )
