"""A scenario file of one's own, asked what the library is asked: what breaks first, through which link, which switch helps, what it costs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from tailwag.errors import InputError
from tailwag.experiments.scenario_files import NOTHING_SAID, Overrides, ScenarioFile, load_scenario
from tailwag.experiments.scenario_library import library_names, library_story, open_story, story_files
from tailwag.experiments.scenario_matrix_twins import alike
from tailwag.experiments.scenario_outcomes import liquidates
from tailwag.experiments.scenario_story import Figure, Story
from tailwag.experiments.scenario_switches import SWITCHES, Chosen, chosen_switch, for_agents
from tailwag.sim.agents.squeezer import GammaSqueezer
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import everybody
from tailwag.sources.opening import RawFile, read_file

DISLOCATION_LOG = 0.01
"""Price this far from where it would stand with nobody trading is an event of a file that tells no story."""
LIQUIDATED_PCT = 0.1
"""Liquidations that would move home's price by so many per cent, all at once, are an event of a file that tells no story."""
MOST_NAMED = 6
QUESTION = "What breaks first, through which link, which switch helps, and what does it cost?"
LOOK_AT = (
    "what comes first on most paths, and whose flow brought price there",
    "the switch that changes the answer most, and whose profit pays for it",
    "the standard errors: where a difference is not clear, run more paths",
)


@dataclass(frozen=True, slots=True)
class OpenStory:
    """A story with its scenario, read and checked, and the files that the scenario names."""

    story: Story
    file: ScenarioFile
    given: dict[str, RawFile]


def story_of(word: str, *, overrides: Overrides = NOTHING_SAID) -> OpenStory:
    """The scenario of that name in the library, or in a file of that name.

    InputError classes where there is neither, or for what in the file cannot be.
    """
    if is_file(word):
        return own_story(word, overrides=overrides)
    try:
        story = library_story(word)
    except InputError as error:
        raise InputError(f"{error}; a scenario file of your own is named by its path, NAME.toml") from None
    given = story_files(story)
    return OpenStory(story, open_story(story, overrides=overrides, given=given), given)


def is_file(word: str) -> bool:
    """Whether a word stands for a file and not for a scenario of the library, whose names go first."""
    return word not in library_names() and (os.path.isfile(word) or word.endswith(".toml"))


def own_story(path: str, *, overrides: Overrides = NOTHING_SAID) -> OpenStory:
    """The story of a scenario file that tells none: the answer is what is liquidated where somebody is leveraged, else the largest push on price.

    Its switches are all that change something in it.
    """
    file = load_scenario(path, overrides=overrides)
    folder = os.path.dirname(os.path.abspath(path))
    agents = everybody(file.scenario)
    if not agents:
        raise InputError(f"{file.name}: expected agents whose flow moves the price, got none; write an [[agent]]")
    names = [agent.name for agent in agents]
    told = ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
    story = Story(
        name=file.name.removesuffix(".toml"),
        sentence=f"A scenario of your own: {told}",
        story=f"{file.name}: {told}, for {file.scenario.grid.horizon_years * 365.0:.3g} days in {file.scenario.grid.steps:,} steps.",
        question=QUESTION,
        look_at=LOOK_AT,
        answer="liquidated_usd" if any(map(liquidates, agents)) else "largest_excess",
        harm="more",
        dislocation_log=DISLOCATION_LOG,
        liquidation_usd=LIQUIDATED_PCT * (file.source.depth_usd_per_pct or 0.0),
        switches=tuple(_that_change(file.scenario)),
        sources=(Figure("every figure of the scenario", f"{file.name}, as stated; what it leaves out has the default of the reference"),),
        scenario={},
    )
    return OpenStory(story, file, {name: read_file(os.path.join(folder, *name.split("/"))) for name in file.files})


def _that_change(scenario: Scenario) -> Iterator[str]:
    """Every switch under which something in the scenario is different, and the scenario can be."""
    squeezed = any(isinstance(agent, GammaSqueezer) for agent in everybody(scenario))
    for switch in SWITCHES:
        if switch.name == "block-seller" and not squeezed:  # somebody new, who ends a squeeze and otherwise only sells
            continue
        if any(_changes(chosen, scenario) for chosen in for_agents(chosen_switch(switch.name), scenario)):
            yield switch.name


def _changes(chosen: Chosen, scenario: Scenario) -> bool:
    try:
        return not alike(chosen(scenario), scenario)
    except InputError:
        return False
