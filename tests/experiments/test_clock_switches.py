"""Protocols of one public rule: when a crab is due that was hedged before, what spread clocks and spread rules change, and everybody's part of the gain."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.experiments import scenario_report_card
from tailwag.experiments.scenario_files import Overrides, ScenarioFile
from tailwag.experiments.scenario_gain import gain_document
from tailwag.experiments.scenario_library import library_story, open_story
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.figures.palette import palette
from tailwag.sim.agents.power_perp import Crab
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Replay
from tailwag.sim.engine import plan_run
from tailwag.sim.gain_bump import Bump
from tailwag.sim.scenario import Scenario


def opened() -> ScenarioFile:
    return open_story(library_story("synchronised-protocols"), overrides=Overrides(paths=16), given={})


def crabs(scenario: Scenario) -> list[Crab]:
    return [agent for agent in scenario.agents if isinstance(agent, Crab)]


def hedges(scenario: Scenario, *, paths: int = 16, seed: int = 2) -> Any:
    """(protocols, paths, steps): whether each hedged; protocols only, so that nobody trades ahead."""
    alone = replace(scenario, agents=tuple(crabs(scenario)))
    block = run_block(plan_run(alone, seed=seed), 0, paths, keep_agents=True)
    return np.stack([np.asarray(agent.flow_usd) != 0.0 for agent in block.agents])


@pytest.mark.parametrize(("ago", "at_log", "called"), [(6.0, 0.0, 216), (23.5, 0.004, 6)])
def test_a_crab_that_was_hedged_before_is_due_so_much_sooner(ago: float, at_log: float, called: int) -> None:
    """By the clock, in steps of five minutes, with a price that rests: funding wears a little off, so that each call trades."""
    scenario = replace(opened().scenario, price=Replay(np.zeros(576)))
    begun = replace(crabs(scenario)[0], hedged_hours_ago=ago, hedged_at_log=at_log)
    traded = hedges(replace(scenario, agents=(begun,)), paths=1)[0, 0]
    assert np.flatnonzero(traded)[0] == called - 1 + begun.delay_steps


def test_it_closes_the_whole_gap_since_its_last_hedge() -> None:
    """Last hedged 0.9 % below: a rise of 0.2 % makes 1.1 %, and 2 N (e^0.002 - e^-0.009) / S0 coin are bought, funding aside."""
    path = np.zeros(576)
    path[0] = 0.002
    scenario = replace(opened().scenario, price=Replay(path))
    one = replace(crabs(scenario)[0], iv=0.0, hedged_at_log=-0.009, delay_steps=1)
    block = run_block(plan_run(replace(scenario, agents=(one,)), seed=1), 0, 1, keep_agents=True)
    bought = np.diff(np.asarray(block.agents[0].position_coin)[0])
    assert bought[1] == pytest.approx(2.0 * 3.75e8 / 2000.0 * (math.exp(0.002) - math.exp(-0.009)), rel=1e-12)
    assert not bought[2:10].any()


@pytest.mark.parametrize("change", [{"hedged_hours_ago": 24.0}, {"hedged_hours_ago": -1.0}, {"hedged_at_log": 0.011}])
def test_a_last_hedge_that_the_rule_would_have_followed_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match="rule would have called since"):
        replace(crabs(opened().scenario)[0], **change)


def test_clocks_and_rules_are_spread_evenly_and_only_among_those_that_are_alike() -> None:
    scenario = opened().scenario
    clocks, rules = (crabs(chosen_switch(name)(scenario)) for name in ("spread-clocks", "spread-rules"))
    assert [one.hedged_hours_ago for one in clocks] == pytest.approx([3.0, 9.0, 15.0, 21.0])
    assert [math.expm1(one.hedged_at_log) for one in clocks] == pytest.approx([-0.0075, 0.0025, -0.0025, 0.0075])
    assert [one.rule.every_hours / 24.0 for one in rules] == pytest.approx([0.775, 0.925, 1.075, 1.225])
    assert [one.rule.move_share / 0.01 for one in rules] == pytest.approx([0.775, 0.925, 1.075, 1.225])
    assert {one.rule for one in clocks} == {crabs(scenario)[0].rule}
    for name in ("spread-clocks", "spread-rules"):
        apart = chosen_switch("spread-rules")(scenario)
        assert chosen_switch(name)(apart) is apart, "nobody shares a rule"
        renamed = replace(scenario, agents=scenario.agents[::-1])
        assert crabs(chosen_switch(name)(renamed))[::-1] == crabs(chosen_switch(name)(scenario))


@pytest.mark.slow
def test_alike_means_together_for_ever_spread_clocks_fall_into_step_and_spread_rules_do_not() -> None:
    scenario = opened().scenario
    together = hedges(scenario)
    assert (together == together[0]).all()
    clocks, rules = (hedges(chosen_switch(name)(scenario)).sum(axis=0) for name in ("spread-clocks", "spread-rules"))
    day = 288
    for early, late, stays in ((clocks[:, :day], clocks[:, day:], False), (rules[:, :day], rules[:, day:], True)):
        first, second = (float(part[part > 0].mean()) for part in (early, late))
        assert first < 2.5
        assert (second < 2.0) if stays else (second > 1.25 * first)


@pytest.mark.parametrize(("move", "switch"), [(0.012, None), (0.015, None), (0.02, "spread-rules")])
def test_every_protocol_s_part_of_the_gain_is_stated_and_the_sum_rule_holds(move: float, switch: str | None) -> None:
    file = opened()
    if switch is not None:
        file = replace(file, scenario=chosen_switch(switch)(file.scenario))
    document = gain_document("x", file, paths=256, seed=25, bump=Bump(size_log=move))
    parts = document["gain_by_agent"]
    assert abs(document["total"]["z"]) < 2.0
    assert sum(row["gain"]["measured"]["value"] for row in parts) == pytest.approx(document["total"]["measured"]["value"], abs=1e-9)
    shares = [row["share"] for row in parts]
    assert sum(shares) == pytest.approx(1.0)
    if switch is None:
        assert shares == pytest.approx([0.25, 0.25, 0.25, 0.25, 0.0], abs=1e-12)
    assert document["total"]["measured"]["value"] > 0.1


def test_a_bump_that_nearly_nobody_answers_is_no_disagreement() -> None:
    """0.1 % reaches the threshold once in tens of thousands of steps: none of 64 paths does, and the error that the prediction implies says so."""
    document = gain_document("x", opened(), paths=64, seed=3, bump=Bump())
    assert document["total"]["measured"]["value"] == 0.0
    assert 0.0 < document["total"]["predicted"] < 1e-3
    assert abs(document["total"]["z"]) < 2.0


def test_the_words_of_a_card_end_above_its_foot(monkeypatch: pytest.MonkeyPatch) -> None:
    long = ", ".join(f"agent {place} +0.3211 +- 0.0056 %" for place in range(40))
    for name in ("broke_first", "through", "who_lost"):
        monkeypatch.setattr(scenario_report_card, name, lambda document: f"So: {long}")
    monkeypatch.setattr(scenario_report_card, "helps", lambda document: [f"What a switch costs: {long}"])
    figure = plt.figure()
    scenario_report_card._words(figure, {"story": {"question": "Why?"}, "outcomes": [], "comparisons": [{}]}, palette("light"), top=0.8)
    plt.close(figure)
    assert min(text.get_position()[1] for text in figure.texts) >= scenario_report_card.LOWEST_WORD
    assert sum(text.get_text().endswith("…") for text in figure.texts) >= 2
