"""Where to hedge: the same dealers on each venue of a scenario in turn, with what it costs, what it moves and what it ties up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.run_report_words import dollars
from tailwag.experiments.run_venues import combined_gain
from tailwag.experiments.scenario_files import ScenarioFile
from tailwag.experiments.scenario_venues_switches import hedge_on
from tailwag.figures.numbers import money
from tailwag.kernels.arrays import FloatArray
from tailwag.margin.initial import MarginShare
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.blocks import paths_per_block
from tailwag.sim.estimates import Estimate
from tailwag.sim.ledger import PART
from tailwag.sim.scenario import Scenario, starting_gain
from tailwag.sim.state import AgentPaths
from tailwag.sim.venues_block import run_venues_block
from tailwag.sim.venues_engine import plan_venues
from tailwag.sim.venues_home import venues_of

DAYS_PER_YEAR = 365.0
COSTS = ("spread_usd", "fees_usd", "gas_usd", "funding_usd")
FULL = "full value"
"""Spot, and whatever states no rules: the whole value is tied up."""


@dataclass(frozen=True, slots=True)
class HedgePlace:
    """One venue as the place of all dealers' hedges.

    ``cost_usd_a_day``: spread, fees, gas and funding paid; ``mishedge_usd``: root mean square; ``gain_alone``: loop gain against the venue's own depth,
    ``gain_together``: against the combined depth of arbitrage without limit; ``excess_log``: mean over paths of the largest distance of the venue's
    price from fundamental.  ``margin_usd``: on the largest position of a path; ``margin_per_gamma``: that over the S^2 Gamma that is hedged.
    """

    venue: str
    instrument: str
    cost_usd_a_day: Estimate
    mishedge_usd: Estimate
    gain_alone: float
    gain_together: float
    excess_log: Estimate
    wait_seconds: float
    margin: MarginShare
    margin_usd: float
    margin_per_gamma: float


def hedge_places(file: ScenarioFile, *, paths: int | None = None) -> tuple[HedgePlace, ...]:
    """Every venue of a scenario file as the place where all its dealers hedge, on the same shocks; ``paths``: as many of the run's as are to be run.

    InputError for a file with one venue, or without a dealer that has gamma.
    """
    if file.scenario.elsewhere is None:
        raise InputError(f"{file.name}: expected [[venue]] tables to choose from, got one venue")
    wanted = min(paths or file.paths, paths_per_block(file.scenario.grid.steps))
    return tuple(_place(file, venue.name, wanted) for venue in venues_of(file.scenario).venues)


def _place(file: ScenarioFile, name: str, paths: int) -> HedgePlace:
    moved = hedge_on(file.scenario, {"venue": name})
    venues = venues_of(moved)
    number = [venue.name for venue in venues.venues].index(name)
    venue = venues.venues[number]
    plan = plan_venues(venues, seed=file.seed)
    block = run_venues_block(plan, 0, paths)
    told = block.venues[number]
    names = {agent.name for agent in venue.scenario.agents if isinstance(agent, Dealer)}
    mine = [agent for agent in told.agents if agent.name in names]
    gamma = _gamma_usd(venue.scenario)
    peak = _sum([agent.peak_position_usd for agent in mine], paths)
    margin_usd = float(_sum([venue.tied_up_usd(agent.peak_position_usd) for agent in mine], paths).mean())
    kind = FULL if venue.initial_margin is None else venue.initial_margin.kind
    waiting = block.waiting[number]
    return HedgePlace(
        venue=name,
        instrument=venue.instrument,
        cost_usd_a_day=_mean(_costs(mine, paths) / (venue.scenario.grid.horizon_years * DAYS_PER_YEAR)),
        mishedge_usd=_mean(np.sqrt(_sum([agent.gap_squared_usd for agent in mine], paths))),
        gain_alone=starting_gain(venue.scenario) + 0.0,
        gain_together=combined_gain(moved),
        excess_log=_mean(np.abs(told.log_price - told.fundamental_log).max(axis=1)),
        wait_seconds=0.0 if waiting is None else float(waiting.mean_delay_seconds.mean()),
        margin=MarginShare(margin_usd / float(peak.mean()) if peak.any() else 1.0, kind),
        margin_usd=margin_usd,
        margin_per_gamma=margin_usd / gamma,
    )


def _gamma_usd(scenario: Scenario) -> float:
    """Size of the dealers' dollar gammas that are hedged."""
    gamma = math.fsum(abs(agent.starting_dollar_gamma_usd(scenario.spot_usd)) for agent in scenario.agents if isinstance(agent, Dealer))
    if gamma <= 0.0:
        raise InputError("expected a dealer that hedges gamma on one of the venues, got none; add one")
    return gamma


def _costs(agents: Sequence[AgentPaths], paths: int) -> FloatArray:
    return -_sum([agent.pnl_usd[PART[name]] for agent in agents for name in COSTS], paths)


def _sum(parts: Sequence[FloatArray], paths: int) -> FloatArray:
    total = np.zeros(paths)
    for part in parts:
        total = total + part
    return total


def _mean(values: FloatArray) -> Estimate:
    error = float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else None
    return Estimate(float(values.mean()), error, "" if error is not None else "one path has no standard error")


def hedge_table(found: Sequence[HedgePlace]) -> str:
    """The places as a text table, one line each."""
    head = (
        "venue",
        "instrument",
        "cost a day",
        "mis-hedge",
        "gain alone",
        "together",
        "pushes",
        "waits",
        "margin",
        "ties up",
        "per USD of gamma",
    )
    rows = [head] + [
        (
            one.venue,
            one.instrument,
            dollars(one.cost_usd_a_day.to_document()),
            money(one.mishedge_usd.value or 0.0),
            f"{one.gain_alone:.3f}",
            f"{one.gain_together:.3f}",
            f"{1e4 * (one.excess_log.value or 0.0):.1f} bp",
            f"{one.wait_seconds:.0f} s",
            f"{100 * one.margin.share:.2f} % ({one.margin.kind})",
            money(one.margin_usd),
            f"{one.margin_per_gamma:.5f}",
        )
        for one in found
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
