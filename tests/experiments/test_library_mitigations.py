"""Every mitigation has a story of the library in which it is asked for and changes the market; only application, nothing runs."""

from __future__ import annotations

from collections.abc import Iterator

from tailwag.experiments.scenario_compare import _not_written
from tailwag.experiments.scenario_library import library, library_story, open_story
from tailwag.experiments.scenario_switches import SWITCHES, chosen_switch, for_agents
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import everybody, venues_of


def markets(scenario: Scenario) -> list[Scenario]:
    return [scenario] if scenario.elsewhere is None else [venue.scenario for venue in venues_of(scenario).venues]


def said(scenario: Scenario) -> list[object]:
    """What a switch may change, as text: rules, agents and where they trade; equal where nothing was changed."""
    rules = [
        (one.batch_steps, one.halt_log_move, repr(one.costs), repr([agent.content() for agent in one.agents])) for one in markets(scenario)
    ]
    marks = [] if scenario.elsewhere is None else [(venue.name, venue.mark) for venue in venues_of(scenario).venues]
    return [rules, marks, [agent.name for agent in everybody(scenario)]]


def changed() -> Iterator[tuple[str, str]]:
    for story in library():
        if story.needs:
            continue
        scenario = open_story(story, given={}).scenario
        for word in story.switches:
            for chosen in for_agents(chosen_switch(word, story.switch_parameters), scenario):
                if said(chosen(scenario)) != said(scenario):
                    yield chosen.switch.name, story.name


def test_every_mitigation_changes_the_market_of_a_story_that_names_it() -> None:
    mitigations = {switch.name for switch in SWITCHES if switch.kind == "mitigation"}
    found = {name for name, _ in changed()}
    assert mitigations == found & mitigations


def test_options_that_are_added_are_not_counted_as_left_out() -> None:
    scenario = open_story(library_story("short-gamma-weekend"), given={}).scenario
    hedged, limited = (chosen_switch(word)(scenario) for word in ("power-perp-hedge", "strike-limit"))
    assert _not_written(scenario, hedged) == 0.0
    assert 0.3 < (_not_written(scenario, limited) or 0.0) < 0.7


def test_a_storys_whole_number_is_the_decimal_that_a_user_types() -> None:
    """Dealers draw their times by what they are, to the letter: 10 and 10.0 would be two dealers."""
    told = chosen_switch("random-times", {"random-times": {"every_minutes": 10}})
    typed = chosen_switch("random-times:every_minutes=10")
    assert repr(told.parameters) == repr(typed.parameters)
