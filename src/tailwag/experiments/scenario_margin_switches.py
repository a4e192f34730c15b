"""Switches that follow the measured gain: margin of leveraged accounts, and a controller on what dealers trade."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tailwag.errors import InputError
from tailwag.hedging.policies import CharmOnly, NoHedge
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.margined import MarginedHedger
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import MINUTES_PER_YEAR
from tailwag.sim.margin_rules import DynamicMargin, IntegralControl
from tailwag.sim.scenario import Scenario

Parameters = Mapping[str, Any]


def dynamic_margin(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Maintenance margin of leveraged accounts that follows everybody's measured gain, after notice."""
    notice = _steps(scenario.grid, numbers["notice_minutes"])
    rule = DynamicMargin(numbers["threshold"], numbers["per_gain"], numbers["most"], notice)
    changed = tuple(replace(agent, margin=rule) if isinstance(agent, LeveragedTraders) else agent for agent in scenario.agents)
    return replace(scenario, agents=changed) if changed != scenario.agents else scenario


def controller(scenario: Scenario, numbers: Parameters) -> Scenario:
    """A margin on what dealers trade, set from the measured gain; refused where its closed loop would not settle at the start's gains."""
    rule = IntegralControl(numbers["target"], numbers["integral"], max(_steps(scenario.grid, numbers["every_minutes"]), 1))
    mine = [agent for agent in scenario.agents if _hedges(agent)]
    if not mine:
        return scenario
    hedged, others = (_gain(scenario, [agent for agent in scenario.agents if _hedges(agent) is side]) for side in (True, False))
    if not rule.settles(hedged, others):
        raise InputError(
            f"expected a controller that settles, got a pole of {rule.pole(hedged, others):.3g} (gain {hedged:.3g} of dealers, {others:.3g} of "
            f"others): deviations grow from decision to decision; take integral below {rule.largest_integral(hedged, others):.4g}"
        )
    return replace(scenario, agents=tuple(MarginedHedger(agent, rule) if _hedges(agent) else agent for agent in scenario.agents))


def _hedges(agent: Agent) -> bool:
    return isinstance(agent, Dealer) and not isinstance(agent.policy, NoHedge | CharmOnly)


def _gain(scenario: Scenario, agents: list[Agent]) -> float:
    spot = scenario.spot_usd
    return -scenario.impact.small_signal_per_usd(spot) * math.fsum(agent.starting_dollar_gamma_usd(spot) for agent in agents)


def _steps(grid: TimeGrid, minutes: float) -> int:
    """Whole steps of the grid's first length that last so long at least."""
    return math.ceil(minutes / (float(grid.step_years[0]) * MINUTES_PER_YEAR) - 1e-9)
