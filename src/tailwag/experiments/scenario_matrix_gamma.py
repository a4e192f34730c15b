"""The sign of dealers' gamma against a cascade: the same shocks with dealers long, short, and with none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.scenario_arms import Arm
from tailwag.experiments.scenario_compare import mean_of
from tailwag.experiments.scenario_outcomes import MEASURES, liquidates
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.experiments.scenario_venues_switches import on_every_venue
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import everybody

OUTCOMES = ("liquidated_usd", "largest_fall")
Document = dict[str, Any]
Against = Callable[[str, Scenario], tuple[Arm, Arm]]


def dealer_signs(name: str, scenario: Scenario, against: Against) -> Iterator[Document]:
    """Cascade size with dealers long and short gamma, each less that with no dealers, paired; nothing where nobody is liquidated or nobody deals.

    One row for each of ``OUTCOMES``: ``none`` (mean), ``long`` and ``short`` (mean, difference from none, its standard error and z).
    """
    gamma = math.fsum(agent.starting_dollar_gamma_usd(scenario.spot_usd) for agent in everybody(scenario) if isinstance(agent, Dealer))
    if gamma == 0.0 or not any(map(liquidates, everybody(scenario))):
        return
    try:
        flipped = chosen_switch("flip-gamma")(scenario)
    except InputError:
        return
    base, none = against("no dealers", on_every_venue(_without_dealers, scenario, {}))
    other = against("flip-gamma", flipped)[1]
    arms = {"long": base, "short": other} if gamma > 0.0 else {"long": other, "short": base}
    for measure in MEASURES:
        if measure.name in OUTCOMES:
            said = {"outcome": measure.name, "words": measure.words, "unit": measure.unit}
            signs = {sign: _against_none(arm, none, measure.name) for sign, arm in arms.items()}
            yield {"scenario": name, "gamma_usd": gamma, **said, "none": mean_of(none.columns[measure.name]).to_document(), **signs}


def _against_none(arm: Arm, none: Arm, outcome: str) -> Document:
    found = mean_of(arm.columns[outcome] - none.columns[outcome])
    error = found.standard_error
    z = found.value / error if error and found.value is not None else None
    return {"mean": mean_of(arm.columns[outcome]).to_document(), "difference": found.to_document(), "z": z}


def _without_dealers(scenario: Scenario, numbers: Mapping[str, Any]) -> Scenario:
    return replace(scenario, agents=tuple(agent for agent in scenario.agents if not isinstance(agent, Dealer)))
