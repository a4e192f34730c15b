"""A scenario's twins for the matrix: each switch that changes something there, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.scenario_matrix_words import reason_for
from tailwag.experiments.scenario_story import Story
from tailwag.experiments.scenario_switches import Chosen, chosen_switch, for_agents
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import venues_of

SPLIT_BY = ("agent", "venue")
"""Numbers of a switch that are no numbers: where none is named, there is one twin for each."""


@dataclass(frozen=True, slots=True)
class Twin:
    """One switch in one scenario: as it was asked for, its row in the matrix, with the scenario's numbers, and the changed scenario.

    ``scenario`` None: it changes nothing here, or (``cannot``) the scenario cannot run with it; ``reason`` says why.
    """

    asked: str
    row: str
    chosen: Chosen
    scenario: Scenario | None
    reason: str = ""
    cannot: bool = False


def twins(story: Story, scenario: Scenario, words: Sequence[str]) -> Iterator[Twin]:
    """Every switch with its twin of a scenario; numbers that were not asked for are the scenario's own."""
    for word in words:
        asked = chosen_switch(word)
        for chosen in for_agents(chosen_switch(word, story.switch_parameters), scenario):
            yield _twin(asked, chosen, scenario)


def _twin(asked: Chosen, chosen: Chosen, scenario: Scenario) -> Twin:
    split = {key: chosen.parameters[key] for key in SPLIT_BY if key in chosen.parameters}
    row = Chosen(asked.switch, {**asked.parameters, **split}).label
    try:
        changed = chosen(scenario)
    except InputError as error:
        return Twin(asked.label, row, chosen, None, str(error), cannot=True)
    if alike(changed, scenario):
        return Twin(asked.label, row, chosen, None, reason_for(chosen.switch.name, several_venues=scenario.elsewhere is not None))
    return Twin(asked.label, row, chosen, changed)


def alike(one: Scenario, other: Scenario) -> bool:
    """Whether two scenarios run to the same bits because nothing that decides a run differs: agents by content, in any order, the rest by value."""
    if one.elsewhere is None or other.elsewhere is None:
        return one.elsewhere is other.elsewhere and _same_market(one, other)
    mine, theirs = venues_of(one), venues_of(other)
    if len(mine.venues) != len(theirs.venues) or not _same_fields(mine, theirs, but=("venues",)):
        return False
    pairs = list(zip(mine.venues, theirs.venues))
    return all(_same_fields(venue, twin, but=("scenario",)) and _same_market(venue.scenario, twin.scenario) for venue, twin in pairs)


def _same_market(one: Scenario, other: Scenario) -> bool:
    contents = [sorted(agent.content() for agent in scenario.agents) for scenario in (one, other)]
    return contents[0] == contents[1] and _same_fields(one, other, but=("agents", "elsewhere"))


def _same_fields(one: Any, other: Any, *, but: tuple[str, ...]) -> bool:
    pairs = [(getattr(one, entry.name), getattr(other, entry.name)) for entry in fields(one) if entry.name not in but]
    return all(mine is theirs or repr(mine) == repr(theirs) for mine, theirs in pairs)
