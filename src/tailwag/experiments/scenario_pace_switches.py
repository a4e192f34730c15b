"""Switches of how hedgers trade: a part of the gap, to the edge of a band, at certain times, or against each other first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tailwag.experiments.scenario_changed_agents import with_agents
from tailwag.hedging.policies import AtTimes, Band, CharmOnly, NoHedge
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.insurer import PortfolioInsurer
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.agents.quoting_dealer import QuotingDealer
from tailwag.sim.scenario import Scenario

Parameters = Mapping[str, Any]
Apply = Callable[[Scenario, Parameters], Scenario]

Hedger = Dealer | PortfolioInsurer | QuotingDealer
"""Agents that trade by a policy at a speed."""


def _each_hedger(scenario: Scenario, change: Callable[[Hedger], Agent]) -> Scenario:
    return with_agents(scenario, (change(agent) if isinstance(agent, Hedger) else agent for agent in scenario.agents))


def _hedges(agent: Hedger) -> bool:
    return not isinstance(agent.policy, NoHedge | CharmOnly)


def slower_hedging(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Hedgers close only a share of their gap in each step."""
    return _each_hedger(scenario, lambda agent: replace(agent, speed=agent.speed * min(numbers["share"], 1.0)) if _hedges(agent) else agent)


def wider_bands(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Hedgers trade to the edge of a band as wide as what ``move`` leaves at the start's gamma; a wider band stays."""

    def wider(agent: Hedger) -> Hedger:
        width = abs(agent.starting_dollar_gamma_usd(scenario.spot_usd)) * numbers["move"]
        if isinstance(agent.policy, Band):
            width = max(width, agent.policy.half_width_usd or (agent.policy.half_width_coin or 0.0) * scenario.spot_usd)
        return replace(agent, policy=Band(half_width_usd=width)) if _hedges(agent) and width > 0.0 else agent

    return _each_hedger(scenario, wider)


def at_times(*, jitter: bool) -> Apply:
    """Hedgers trade once in every period: all at its end, or each at a time of its own drawn by chance."""

    def apply(scenario: Scenario, numbers: Parameters) -> Scenario:
        every = numbers["every_minutes"]
        policy = AtTimes(every, jitter_minutes=every if jitter else 0.0)
        return _each_hedger(scenario, lambda agent: replace(agent, policy=policy) if _hedges(agent) else agent)

    return apply


def internal_crossing(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Opposite orders of one step meet each other first, without fee and spread."""
    return replace(scenario, costs=replace(scenario.costs, internal_crossing=True))
