"""Switches where there are several venues: applied on each of them, or to what ties them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.scenario_tables import nearest, shown
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import everybody, home_scenario, venues_of

Apply = Callable[[Scenario, Mapping[str, Any]], Scenario]


def on_every_venue(apply: Apply, scenario: Scenario, numbers: Mapping[str, Any]) -> Scenario:
    """The change on every venue's own market; on the scenario itself where it has no other venue beside it."""
    if scenario.elsewhere is None:
        return apply(scenario, numbers)
    venues = venues_of(scenario)
    changed = tuple(replace(venue, scenario=apply(venue.scenario, numbers)) for venue in venues.venues)
    return home_scenario(replace(venues, venues=changed))


def without_arbitrage(scenario: Scenario, numbers: Mapping[str, Any]) -> Scenario:
    """The venues with nobody between them."""
    if scenario.elsewhere is None or not scenario.elsewhere.arbitrageurs:
        return scenario
    return home_scenario(replace(venues_of(scenario), arbitrageurs=()))


def liquidate_on_index(scenario: Scenario, numbers: Mapping[str, Any]) -> Scenario:
    """Every venue that liquidates looks at the index; as it is where there is no other venue."""
    if scenario.elsewhere is None:
        return scenario
    venues = venues_of(scenario)
    return home_scenario(replace(venues, venues=tuple(replace(venue, mark="index") for venue in venues.venues)))


def hedge_on(scenario: Scenario, numbers: Mapping[str, Any]) -> Scenario:
    """All dealers on one venue, wherever they traded; as it is where there is no other venue."""
    if scenario.elsewhere is None:
        return scenario
    venues, name = venues_of(scenario), str(numbers["venue"])
    known = [venue.name for venue in venues.venues]
    if name not in known:
        raise InputError(f"expected a venue ({', '.join(known)}), got {shown(name)}{nearest(name, known)}")
    dealers = tuple(agent for venue in venues.venues for agent in venue.scenario.agents if isinstance(agent, Dealer))
    moved = []
    for venue in venues.venues:
        others = tuple(agent for agent in venue.scenario.agents if not isinstance(agent, Dealer))
        agents = (*others, *dealers) if venue.name == name else others
        moved.append(replace(venue, scenario=replace(venue.scenario, agents=agents)))
    return home_scenario(replace(venues, venues=tuple(moved)))


def without_one(scenario: Scenario, name: str) -> Scenario:
    """The venues without one agent or arbitrageur, wherever it trades; InputError where nobody is called so."""
    names = [agent.name for agent in everybody(scenario)]
    if name not in names:
        raise InputError(f"expected an agent of the scenario ({', '.join(names)}), got {shown(name)}{nearest(name, names)}")
    if scenario.elsewhere is None:
        return replace(scenario, agents=tuple(agent for agent in scenario.agents if agent.name != name))
    venues = venues_of(scenario)
    kept = tuple(
        replace(venue, scenario=replace(venue.scenario, agents=tuple(agent for agent in venue.scenario.agents if agent.name != name)))
        for venue in venues.venues
    )
    left = tuple(arbitrageur for arbitrageur in venues.arbitrageurs if arbitrageur.name != name)
    return home_scenario(replace(venues, venues=kept, arbitrageurs=left))
