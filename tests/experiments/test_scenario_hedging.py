"""Where dealers hedge, as outcomes of a comparison: cost, push and margin per dollar of gamma, again from the trajectories alone."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.experiments.scenario_texts import saved
from tests.experiments.test_scenario_venues import WHOLE

from tailwag.errors import InputError
from tailwag.experiments.scenario_arms import run_arm
from tailwag.experiments.scenario_compare import compared
from tailwag.experiments.scenario_files import load_scenario
from tailwag.experiments.scenario_hedging import HEADS, hedging_cells, hedging_sentence
from tailwag.experiments.scenario_library import library_story, open_story
from tailwag.experiments.scenario_outcomes import Watch
from tailwag.experiments.scenario_play import play
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.margin.initial import InitialMargin, LeverageTiers, initial_margin
from tailwag.market.clock import parse_time_ns
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_block import VenuesBlock, run_venues_block
from tailwag.sim.venues_engine import plan_venues
from tailwag.sim.venues_home import venues_of
from tailwag.sources.rules import load_rules

WATCH, GAMMA = Watch(None, 25.0, 0.01), 5e9
PATHS, SEED = 5, 3


def on(tmp_path: Path, venue: str) -> Scenario:
    return chosen_switch(f"hedge-on:venue={venue}")(load_scenario(saved(tmp_path, WHOLE)).scenario)


def trajectories(scenario: Scenario) -> VenuesBlock:
    return run_venues_block(plan_venues(venues_of(scenario), seed=SEED), 0, PATHS, keep_agents=True)


def prices(block: VenuesBlock, place: int) -> np.ndarray:
    return np.asarray(68_000.0 * np.exp(block.venues[place].log_price))


def largest_margin(coins: np.ndarray, price: np.ndarray, *, base: float, per_coin: float) -> float:
    """Deribit's initial margin of the position of the largest value on a path, its coins counted at the first price."""
    value = max(abs(coin) * at for coin, at in zip(coins, price))
    return min(base + per_coin * value / 68_000.0, 1.0) * value


def test_on_a_perp_the_cost_is_its_funding_and_the_margin_its_table(tmp_path: Path) -> None:
    scenario = on(tmp_path, "perp")
    told, block = run_arm("perp", scenario, WATCH, paths=PATHS, seed=SEED).columns, trajectories(scenario)
    perp, spot, _ = (prices(block, place) for place in range(3))
    dealers = [agent for agent in block.venues[0].agents if agent.name in ("at home", "on chain")]
    for path in range(PATHS):
        paid, margin, premium = 0.0, 0.0, 0.0
        for step in range(36):
            if step:
                # index: the mean of spot and the chain, each first moved to within 0.5 % of their median (here their mean)
                chain = prices(block, 2)[path, step]
                middle = 0.5 * (spot[path, step] + chain)
                inside = [min(max(one, 0.995 * middle), 1.005 * middle) for one in (spot[path, step], chain)]
                keeps = math.exp(-300.0 / 30.0)
                premium = keeps * premium + (1.0 - keeps) * (perp[path, step] / (0.5 * sum(inside)) - 1.0)
            rate = min(max(max(0.00025, premium) + min(-0.00025, premium), -0.005), 0.005) * (5.0 / 60.0) / 8.0
            paid += rate * perp[path, step] * sum(float(np.asarray(agent.position_coin)[path, step]) for agent in dealers)
        for agent in dealers:
            margin += largest_margin(np.asarray(agent.position_coin)[path], perp[path], base=0.02, per_coin=5e-5)
        assert told["hedge_cost_usd"][path] == pytest.approx(paid, rel=1e-9, abs=1e-6)
        assert told["hedge_margin_usd"][path] == pytest.approx(margin, rel=1e-9)
        assert told["margin_per_gamma"][path] == pytest.approx(margin / GAMMA, rel=1e-9)
    assert np.abs(told["hedge_cost_usd"]).max() > 1.0
    assert told["hedge_gain"] == pytest.approx(np.full(PATHS, GAMMA * 2e-11))


def test_on_spot_the_cost_is_its_fee_and_the_whole_position_is_tied_up(tmp_path: Path) -> None:
    scenario = on(tmp_path, "spot")
    told, block = run_arm("spot", scenario, WATCH, paths=PATHS, seed=SEED).columns, trajectories(scenario)
    dealers = [agent for agent in block.venues[1].agents if agent.name in ("at home", "on chain")]
    assert told["hedge_cost_usd"] == pytest.approx(1e-4 * sum(agent.turnover_usd for agent in dealers), rel=1e-9)
    whole = sum((np.abs(np.asarray(agent.position_coin)) * prices(block, 1)).max(axis=1) for agent in dealers)
    assert told["hedge_margin_usd"] == pytest.approx(whole, rel=1e-9)
    pushed = np.abs(block.venues[1].log_price - block.venues[1].fundamental_log).max(axis=1)
    assert told["hedge_push"] == pytest.approx(pushed, rel=1e-12)
    assert told["hedge_gain"] == pytest.approx(np.full(PATHS, GAMMA * 3e-11))


def test_a_difference_that_is_the_same_on_every_path_has_no_z(tmp_path: Path) -> None:
    arms = [run_arm(name, on(tmp_path, name), WATCH, paths=PATHS, seed=SEED) for name in ("spot", "perp")]
    rows: dict[str, Any] = {row["outcome"]: row for row in compared(*arms, chosen_switch("hedge-on:venue=perp"))["outcomes"]}
    assert rows["hedge_gain"]["z"] is None
    assert rows["hedge_gain"]["verdict"] == "lower"
    assert rows["margin_per_gamma"]["verdict"] == "better"


def test_one_venue_and_a_market_without_dealers_have_no_such_outcomes(tmp_path: Path) -> None:
    alone = replace(on(tmp_path, "perp"), elsewhere=None)
    nobody = on(tmp_path, "spot")  # home has no dealer then; take the ones on spot away too
    for name in ("at home", "on chain"):
        nobody = chosen_switch(f"without:agent={name}")(nobody)
    for scenario in (alone, nobody):
        columns = run_arm("base", scenario, WATCH, paths=2, seed=SEED).columns
        assert "hedge_cost_usd" not in columns
        assert "margin_per_gamma" not in columns


def test_the_answer_names_the_cheapest_the_calmest_and_the_leanest_venue() -> None:
    story = library_story("where-to-hedge")
    file = open_story(story, given={})
    grid = file.scenario.grid
    brief = replace(file, paths=4, scenario=replace(file.scenario, grid=replace(grid, years=grid.years[:13])))
    chosen = [chosen_switch(f"hedge-on:venue={name}") for name in ("spot", "perp", "future", "chain")]
    document = play(story, brief, chosen).document
    cells = hedging_cells(document)
    assert [row[0] for row in cells] == ["as it is", "on spot", "on perp", "on future", "on chain"]
    assert all(len(row) == len(HEADS) for row in cells)
    assert [row[2] for row in cells] == ["0.050", "0.050", "0.040", "0.120", "0.200"]
    said = hedging_sentence(document)
    assert said in document["headline"]
    assert said.startswith("Where to hedge: cheapest on spot")
    assert "ties up least margin on perp" in said
    assert not hedging_sentence({**document, "comparisons": []})


def test_initial_margin_by_path_is_that_of_each_size() -> None:
    at_ns = parse_time_ns("2026-02-05T00:00:00Z")
    binance = initial_margin(load_rules("margin_binance_btcusdt"), at_ns)
    assert binance.margin_usd([5e4, 6e4, 2e6, 5e9], price_usd=70_000.0) == pytest.approx([400.0, 600.0, 2e6 / 75.0, 5e9])
    assert InitialMargin(LeverageTiers((1e6,), (0.5,))).margin_usd(1e6, price_usd=1.0) == 1e6  # never more than the value
    with pytest.raises(InputError, match="rising upper edges"):
        LeverageTiers((2.0, 1.0), (1.0, 1.0))
