"""Switches: what a venue, a lender or a dealer could change, each a pure function from scenario to scenario, compared on the same seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.scenario_book_switches import kept_share
from tailwag.experiments.scenario_switch_table import SWITCHES, Parameters, Switch
from tailwag.experiments.scenario_tables import nearest, shown
from tailwag.experiments.scenario_venues_switches import on_every_venue
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import everybody

__all__ = ["SWITCHES", "Chosen", "Parameters", "Switch", "chosen_switch", "for_agents", "kept_share"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A switch with its numbers, as a comparison runs it."""

    switch: Switch
    parameters: Parameters

    @property
    def label(self) -> str:
        """The name, with the numbers that differ from the switch's own.

        >>> chosen_switch("circuit-breaker:log_move=0.1").label
        'circuit-breaker:log_move=0.1'
        """
        own = self.switch.parameters
        said = [
            f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
            for key, value in self.parameters.items()
            if own[key] != value
        ]
        return ":".join((self.switch.name, ",".join(said))) if said else self.switch.name

    def __call__(self, scenario: Scenario) -> Scenario:
        """The changed scenario; InputError, with the switch named, where there is none."""
        try:
            if self.switch.by_venue:
                return on_every_venue(self.switch.apply, scenario, self.parameters)
            return self.switch.apply(scenario, self.parameters)
        except InputError as error:
            raise type(error)(f"switch {self.label}: {error}") from None


def chosen_switch(text: str, defaults: Mapping[str, Parameters] | None = None) -> Chosen:
    """The switch that NAME or NAME:key=value,key=value stands for; ``defaults`` by name go before the switch's own numbers.

    Raises InputError for an unknown switch or key, or a value that is no number where one is needed.
    """
    name, _, rest = text.strip().partition(":")
    known = {switch.name: switch for switch in SWITCHES}
    if name not in known:
        raise InputError(f"expected a switch ({', '.join(known)}), got {shown(name)}{nearest(name, known)}")
    switch = known[name]
    given = {
        **switch.parameters,
        **{key: _like(switch.parameters.get(key), value) for key, value in ((defaults or {}).get(name) or {}).items()},
    }
    for word in filter(None, rest.split(",")):
        key, equals, value = word.partition("=")
        if not equals or key not in given:
            raise InputError(
                f"switch {name}: expected {', '.join(f'{one}=...' for one in given) or 'no numbers'}, got {shown(word)}{nearest(key, given)}"
            )
        given[key] = _value(name, key, value, switch.parameters[key])
    return Chosen(switch, given)


def _like(own: Any, value: Any) -> Any:
    """A whole number where the switch has a decimal is that decimal: an agent's random numbers follow from what it is, to the letter."""
    return float(value) if isinstance(own, float) and isinstance(value, int) else value


def _value(name: str, key: str, text: str, own: Any) -> Any:
    if isinstance(own, str):
        return text
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"switch {name}: expected {key} as a number such as {own:g}, got {shown(text)}") from None
    if not 0.0 < value < 1e9:
        raise InputError(f"switch {name}: expected {key} above 0 and below 1e9, got {value:g}")
    return value


def for_agents(chosen: Chosen, scenario: Scenario) -> tuple[Chosen, ...]:
    """The switch itself; where it takes one agent or venue and none is named, one for each."""
    if chosen.parameters.get("venue") == "" and scenario.elsewhere is not None:
        places = scenario.elsewhere.venues
        return tuple(Chosen(chosen.switch, {**chosen.parameters, "venue": venue.name}) for venue in places)
    if chosen.parameters.get("agent") != "":
        return (chosen,)
    return tuple(Chosen(chosen.switch, {**chosen.parameters, "agent": agent.name}) for agent in everybody(scenario))
