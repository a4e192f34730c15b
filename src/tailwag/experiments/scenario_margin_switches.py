"""Switches that follow the measured gain: margin of leveraged accounts, and a controller on what dealers trade."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.scenario_tables import nearest, shown
from tailwag.hedging.policies import CharmOnly, NoHedge
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.margined import MarginedHedger
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import MINUTES_PER_YEAR
from tailwag.sim.margin_rules import DynamicMargin, IntegralControl
from tailwag.sim.scenario import Scenario, starting_gain

Parameters = Mapping[str, Any]


BINDS = ("open", "new", "both")
"""Which positions a margin that follows the gain binds: those that are open, those that are opened under it, or both."""


def dynamic_margin(scenario: Scenario, numbers: Parameters) -> Scenario:
    """A margin of leveraged accounts that follows everybody's measured gain: on open positions after notice, or on positions when they are opened."""
    if numbers["binds"] not in BINDS:
        raise InputError(
            f"expected binds as one of {', '.join(BINDS)}, got {shown(numbers['binds'])}{nearest(str(numbers['binds']), BINDS)}"
        )
    notice = _steps(scenario.grid, numbers["notice_minutes"])
    rule = DynamicMargin(numbers["threshold"], numbers["per_gain"], numbers["most"], notice)
    factor = float(rule.factor(np.array([starting_gain(scenario)]))[0])

    def bound(agent: Agent) -> Agent:
        if not isinstance(agent, LeveragedTraders):
            return agent
        capped = agent if numbers["binds"] == "open" else opened_under(agent, factor, scenario.spot_usd)
        return capped if numbers["binds"] == "new" else replace(capped, margin=rule)

    changed = tuple(map(bound, scenario.agents))
    return replace(scenario, agents=changed) if changed != scenario.agents else scenario


def opened_under(agent: LeveragedTraders, factor: float, spot_usd: float) -> LeveragedTraders:
    """The same positions, opened when the venue's initial margin stood at ``factor`` of its table: leverage is 1 / (factor x initial) at most.

    Whoever had posted as much already is as before.  InputError for traders whose venue's initial margin is not known.
    """
    if agent.initial is None:
        raise InputError(f"agent {agent.name!r}: expected a venue whose initial margin is known, got none; take binds=open")
    most = [
        bucket.account_usd / (factor * float(agent.initial.margin_usd(bucket.account_usd, price_usd=spot_usd))) for bucket in agent.buckets
    ]
    buckets = tuple(
        replace(bucket, leverage=cap) if factor > 1.0 and bucket.leverage > cap else bucket for bucket, cap in zip(agent.buckets, most)
    )
    return agent if buckets == agent.buckets else replace(agent, buckets=buckets)


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
