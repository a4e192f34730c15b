"""Strategies that a public rule hedges: what their hedges make due, predicted to the last round, and where the prediction says that it is not exact."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.sim.gain_markets import SPOT, constant, crab, market

import tailwag.experiments.scenario_gain_public as public
from tailwag.errors import InputError
from tailwag.experiments.scenario_gain import RESOLUTION, gain_document
from tailwag.experiments.scenario_gain_law import predict_gain
from tailwag.experiments.scenario_library import library_story, open_story
from tailwag.sim.agents.power_perp import TimeOrThreshold
from tailwag.sim.gain_bump import Bump, measure_gain
from tailwag.sim.impact import ImpactModel
from tailwag.sim.scenario import Scenario

PER_USD = 4e-11


def protocols(*worth_usd: float, shares: tuple[float, ...] = (), delay_steps: int = 1) -> Scenario:
    """Strategies of public rules alone, thresholds of 1 % where none are given."""
    thresholds = shares or (0.01,) * len(worth_usd)
    agents = [
        replace(crab(), name=f"protocol {place}", notional_usd=worth, rule=TimeOrThreshold(24.0, share), delay_steps=delay_steps)
        for place, (worth, share) in enumerate(zip(worth_usd, thresholds))
    ]
    return market(*agents, clearing="lagged", impact=ImpactModel(permanent_per_usd=PER_USD))


def at_rest(size_log: float) -> Bump:
    return Bump(size_log=size_log, noise_log=0.0)


def by_hand(worth_usd: float, move: float) -> float:
    """The answer of one strategy to one move, by its own loop: hedged at each price that is 1 % from the last hedge."""
    x, last, coin = move, 0.0, 2.0 * worth_usd / SPOT
    worn = math.exp(-0.36 * 5.0 / 525_600)
    while abs(math.expm1(x - last)) >= 0.01:
        wanted = 2.0 * worth_usd * worn * math.exp(x) / SPOT
        last, x, coin = x, x + PER_USD * (wanted - coin) * SPOT * math.exp(x), wanted
    return x


@pytest.mark.parametrize("size_log", [0.009, 0.0102, 0.03, 0.047, 0.06])
def test_every_round_of_one_strategy_is_that_of_a_plain_loop(size_log: float) -> None:
    """At a gain of 0.24 a move of 4.2 % and more makes the hedge due again."""
    found = predict_gain(protocols(3e9), at_rest(size_log))
    answer = by_hand(3e9, size_log) - by_hand(3e9, -size_log)
    assert found.total == pytest.approx(1.0 - 2.0 * size_log / answer, abs=1e-12)
    assert found.due_again == 0.0


@pytest.mark.parametrize(
    ("world", "sizes"),
    [
        (protocols(3e9), (0.0102, 0.05)),
        (protocols(1e9, 1.5e9, 0.7e9, delay_steps=2), (0.012, 0.06)),
        (protocols(2e9, 1.2e9, shares=(0.01, 0.014)), (0.0115, 0.013, 0.04)),
    ],
    ids=["one", "three, two steps late", "two thresholds: the first makes the second due"],
)
def test_a_cascade_of_public_hedges_is_measured_as_predicted(world: Scenario, sizes: tuple[float, ...]) -> None:
    for size in sizes:
        predicted, measured = predict_gain(world, at_rest(size)), measure_gain(world, paths=2, seed=1, bump=at_rest(size))
        assert predicted.total > 0.05
        assert measured.total.value == pytest.approx(predicted.total, abs=RESOLUTION)
        for part, one in zip(predicted.agents, measured.agents):
            assert one.gain.value == pytest.approx(part.gain, abs=1e-6)


def test_the_second_threshold_is_reached_through_the_first_alone() -> None:
    """1.15 % calls the rule of 1 % only, whose hedge makes the rule of 1.4 % due: without that round the sum would be short."""
    both, first = protocols(3.2e9, 1.2e9, shares=(0.01, 0.014)), protocols(3.2e9)
    told = predict_gain(both, at_rest(0.0115))
    assert told.agents[1].gain > 0.02
    assert told.total > predict_gain(first, at_rest(0.0115)).total + 0.02


def test_one_round_alone_would_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = predict_gain(protocols(3e9), at_rest(0.05)).total
    once = 1.0 - 1.0 / (1.0 + PER_USD * 6e9)
    assert whole > once + 0.02
    monkeypatch.setattr(public, "MOST_HEDGES", 1)
    with pytest.raises(InputError, match="without end"):
        predict_gain(protocols(3e9), at_rest(0.05))


def test_hedges_that_make_each_other_due_without_end_are_refused() -> None:
    with pytest.raises(InputError, match="makes others due without end"):
        predict_gain(protocols(1.4e10), at_rest(0.012))


@pytest.mark.parametrize("size_log", [0.0079, 0.0083, 0.012, 0.025])
def test_beside_same_step_dealers_the_rule_looks_at_the_price_that_they_have_made(size_log: float) -> None:
    """A gain of 0.2 in the step makes 1 % of 0.8 %; the hedge is of that price, and its own push does not enlarge it."""
    world = market(crab(), constant(0.2))
    predicted, measured = predict_gain(world, at_rest(size_log)), measure_gain(world, paths=2, seed=1, bump=at_rest(size_log))
    assert predicted.due_again == 0.0
    assert measured.total.value == pytest.approx(predicted.total, abs=1e-6)
    assert predicted.total == pytest.approx(1.0 - 0.8 / 1.15, abs=3e-3) if size_log > 0.0081 else predicted.total < 0.28


@pytest.mark.parametrize(("size_log", "due"), [(0.0102, 0.0), (0.02, 0.0), (0.009, 1.0), (0.05, 1.0)])
def test_the_prediction_says_where_it_is_not_exact(size_log: float, due: float) -> None:
    """Late dealers push price over a threshold that the move itself does not reach (0.9 %), or a second one (5 %)."""
    world = market(crab(), constant(0.2, delay_steps=1), clearing="lagged")
    predicted, measured = predict_gain(world, at_rest(size_log)), measure_gain(world, paths=2, seed=1, bump=at_rest(size_log))
    assert predicted.due_again == pytest.approx(due)
    apart = abs((measured.total.value or math.nan) - predicted.total)
    assert apart < RESOLUTION if due == 0.0 else apart > 0.01


def test_a_move_just_beyond_the_threshold_is_not_lost_to_a_search_that_hops_over_it() -> None:
    """A hedge of 0.24 of the move: at rest price is 1.4 %, and less that hedge below the threshold, which the move itself is not."""
    world = market(replace(crab(), notional_usd=4e9), constant(0.1, delay_steps=1), clearing="lagged")
    predicted, measured = predict_gain(world, at_rest(0.0102)), measure_gain(world, paths=2, seed=1, bump=at_rest(0.0102))
    assert predicted.due_again == 0.0
    assert measured.total.value == pytest.approx(predicted.total, abs=RESOLUTION)


def test_the_document_tells_on_which_moves_a_rule_calls_once_more() -> None:
    file = open_story(library_story("synchronised-protocols"), given={})
    whole = gain_document("x", file, paths=8, seed=1, bump=at_rest(0.05))
    assert not any("calls once more" in note for note in whole["notes"]), "protocols alone: every round is counted"
    beside = replace(
        file, scenario=replace(file.scenario, agents=(*file.scenario.agents[:4], constant(0.1, delay_steps=1, per_usd=6.667e-11)))
    )
    notes = gain_document("x", beside, paths=8, seed=1, bump=at_rest(0.05))["notes"]
    assert any(note.startswith("on 100 % of moves") for note in notes)


@pytest.mark.slow
def test_four_protocols_of_one_rule_over_twenty_seeds() -> None:
    """The library's own scenario, its searcher too, at a bump that cascades on most paths."""
    scenario = open_story(library_story("synchronised-protocols"), given={}).scenario
    for size in (0.01, 0.05):
        bump = Bump(size_log=size)
        predicted = predict_gain(scenario, bump)
        found = []
        for seed in range(1, 21):
            one = measure_gain(scenario, paths=512, seed=seed, bump=bump).total
            assert one.value is not None
            found.append(
                (one.value - predicted.total) / math.hypot(max(one.standard_error or 0.0, predicted.deviation / math.sqrt(512)), RESOLUTION)
            )
        print(f"{size:g}: mean z {np.mean(found):+.2f}, sd {np.std(found, ddof=1):.2f}")
        assert abs(np.mean(found)) < 4.0 / math.sqrt(20)
        assert 0.5 < np.std(found, ddof=1) < 1.6
