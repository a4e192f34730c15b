"""Switches of the option market: limits on what quoting dealers may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tailwag.experiments.scenario_changed_agents import with_agents
from tailwag.sim.agents.quoting_dealer import QuotingDealer
from tailwag.sim.scenario import Scenario

Parameters = Mapping[str, Any]


def position_limit(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Quoting dealers may be net long or short no more than so many of their largest quotes, at one strike and at one expiry."""

    def limited(dealer: QuotingDealer) -> QuotingDealer:
        rule = dealer.rule
        strike, expiry = (numbers[key] * rule.size_coin for key in ("strike_sizes", "expiry_sizes"))
        if rule.size_coin == 0.0:
            return dealer
        tighter = replace(
            rule, strike_limit_coin=_least(rule.strike_limit_coin, strike), expiry_limit_coin=_least(rule.expiry_limit_coin, expiry)
        )
        return dealer if tighter == rule else replace(dealer, rule=tighter)

    return with_agents(scenario, (limited(agent) if isinstance(agent, QuotingDealer) else agent for agent in scenario.agents))


def _least(stated: float | None, wanted: float) -> float:
    return wanted if stated is None else min(stated, wanted)
