"""A scenario with some of its agents changed is itself where nothing was."""

from __future__ import annotations

from dataclasses import replace

import tailwag.experiments.scenario_switches as switches
from tailwag.experiments.scenario_changed_agents import with_agents
from tailwag.experiments.scenario_files import Overrides
from tailwag.experiments.scenario_library import library_story, open_story


def test_the_same_agents_are_the_same_scenario_and_one_new_one_is_another() -> None:
    scenario = open_story(library_story("quiet-pin"), overrides=Overrides(), given={}).scenario
    assert with_agents(scenario, iter(scenario.agents)) is scenario
    first, *others = scenario.agents
    twin = replace(first)  # equal, and yet somebody else: who wants him the same gives him back
    changed = with_agents(scenario, (twin, *others))
    assert changed is not scenario
    assert changed.agents[0] is twin
    assert changed.agents[1:] == scenario.agents[1:]


def test_every_public_name_of_the_switches_is_there() -> None:
    assert {"SWITCHES", "Chosen", "Switch", "chosen_switch", "for_agents", "kept_share"} <= set(vars(switches))
    assert all(isinstance(one, switches.Switch) and callable(one.apply) for one in switches.SWITCHES)
