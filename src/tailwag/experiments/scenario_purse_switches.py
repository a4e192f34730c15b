"""Switches on margined books: a purse for each leg in place of one, and a backstop that hedges what it takes over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.agents.protocol import Market
from tailwag.sim.scenario import Scenario

Parameters = Mapping[str, Any]


def isolated_margin(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Options and perp of every margined book have a purse of their own; refused where either purse would lack its initial margin."""

    def parted(agent: MarginedBook) -> MarginedBook:
        alone = replace(agent, terms=replace(agent.terms, margin="isolated"), hedge_collateral_share=numbers["behind_perp"])
        alone.at_work(Market(scenario.spot_usd, scenario.grid))
        return alone

    return _each_book(scenario, lambda agent: parted(agent) if agent.terms.cross else agent)


def backstop_hedges(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Who takes over hedges a share of the delta."""
    return _each_book(scenario, lambda agent: replace(agent, backstop_hedge_share=numbers["share"]))


def _each_book(scenario: Scenario, change: Callable[[MarginedBook], MarginedBook]) -> Scenario:
    changed = tuple(change(agent) if isinstance(agent, MarginedBook) else agent for agent in scenario.agents)
    return scenario if changed == scenario.agents else replace(scenario, agents=changed)
