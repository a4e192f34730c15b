"""A scenario with some of its agents changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tailwag.sim.agents.protocol import Agent
from tailwag.sim.scenario import Scenario


def with_agents(scenario: Scenario, agents: Iterable[Agent]) -> Scenario:
    """The scenario with these agents in place of its own, one for one; itself where each is the one that it was."""
    changed = tuple(agents)
    return scenario if all(new is old for new, old in zip(changed, scenario.agents)) else replace(scenario, agents=changed)
