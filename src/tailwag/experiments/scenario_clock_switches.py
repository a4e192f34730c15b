"""Switches for protocols that are hedged by one public rule: begun at different times and prices, or each with numbers of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tailwag.sim.agents.power_perp import Crab
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.scenario import Scenario

Parameters = Mapping[str, Any]
MOST_SHARE = 0.9


def spread_clocks(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Strategies of one rule were hedged last at different times and prices, evenly over what the rule allows.

    Of n the k-th was hedged (k + 1/2) / n of the hours ago; prices go round in another order, from one threshold to the other.
    """

    def begun(crab: Crab, place: int, count: int) -> Crab:
        early = (place + 0.5) / count
        aside = 2.0 * _other_order(place, count) - 1.0
        return replace(crab, hedged_hours_ago=early * crab.rule.every_hours, hedged_at_log=math.log1p(aside * crab.rule.move_share))

    return _each_of_a_rule(scenario, begun)


def spread_rules(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Strategies of one rule get hours and a threshold of their own, evenly within ``share`` of it on both sides, and begin as they were."""
    share = min(float(numbers["share"]), MOST_SHARE)

    def own(crab: Crab, place: int, count: int) -> Crab:
        factor = 1.0 + share * (2.0 * (place + 0.5) / count - 1.0)
        rule = replace(crab.rule, every_hours=crab.rule.every_hours * factor, move_share=crab.rule.move_share * factor)
        return replace(crab, rule=rule)

    return _each_of_a_rule(scenario, own)


def _other_order(place: int, count: int) -> float:
    """The middle of another of ``count`` cells, even cells first, so that time and price are not spread in the same order.

    >>> [_other_order(place, 4) * 8 for place in range(4)]
    [1.0, 5.0, 3.0, 7.0]
    """
    order: list[int] = [*range(0, count, 2), *range(1, count, 2)]
    return (float(order[place]) + 0.5) / count


def _each_of_a_rule(scenario: Scenario, change: Callable[[Crab, int, int], Crab]) -> Scenario:
    """Every strategy that has the rule of another is changed, in the order of names; the scenario itself where each has a rule of its own."""
    by_rule: dict[Any, list[str]] = {}
    for agent in scenario.agents:
        if isinstance(agent, Crab):
            by_rule.setdefault(agent.rule, []).append(agent.name)
    alike = [sorted(names) for names in by_rule.values() if len(names) > 1]
    if not alike:
        return scenario
    place = {name: (number, len(names)) for names in alike for number, name in enumerate(names)}

    def changed(agent: Agent) -> Agent:
        return change(agent, *place[agent.name]) if isinstance(agent, Crab) and agent.name in place else agent

    return replace(scenario, agents=tuple(map(changed, scenario.agents)))
