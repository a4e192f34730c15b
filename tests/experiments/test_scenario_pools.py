"""Pools in a comparison: their loss, fees and who keeps the rest by path against plain loops, the fee that follows vol as a switch, and its story."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tailwag.experiments.scenario_arms import run_arm
from tailwag.experiments.scenario_compare import compared, outcome_rows
from tailwag.experiments.scenario_files import Overrides
from tailwag.experiments.scenario_hedge_switches import dynamic_fee
from tailwag.experiments.scenario_library import library_story, open_story
from tailwag.experiments.scenario_play import watch_of
from tailwag.experiments.scenario_pools import BASE, fee_sentences, loss_sentence, pool_columns, pool_split
from tailwag.experiments.scenario_report_card import WHOLE, scenario_card
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.figures.shares import stacked_shares
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.blocks import run_block
from tailwag.sim.engine import plan_run
from tailwag.sim.scenario import Scenario

NUMBERS = {"share": 0.75, "half_life_minutes": 90.0}


def pool_fee(steps: int = 96) -> Scenario:
    scenario = open_story(library_story("pool-fee"), overrides=Overrides(paths=8), given={}).scenario
    return replace(scenario, grid=replace(scenario.grid, years=scenario.grid.years[: steps + 1]))


def by_hand(scenario: Scenario, log_price: Any, *, per_vol: float, base: float) -> dict[str, float]:
    """One path of the story's pool, a constant product of 400 million, by its own arithmetic."""
    spot, liquidity = 3000.0, 2e8 / math.sqrt(3000.0)
    pool, variance, lost, fees, others, asked = spot, 0.36, 0.0, 0.0, 0.0, 0.0
    years = 5.0 / 525_600
    for before, after in pairwise(log_price):
        fee = base + per_vol * math.sqrt(variance)
        market = spot * math.exp(after)
        reached = min(max(pool, market * math.exp(-fee)), market * math.exp(fee))
        coin, cash = liquidity / math.sqrt(pool) - liquidity / math.sqrt(reached), liquidity * (math.sqrt(reached) - math.sqrt(pool))
        lost += coin * market - cash
        fees += cash * (math.exp(fee) - 1.0) if cash > 0.0 else -cash * (1.0 - math.exp(-fee))
        others += fee * 2e7 * 365.0 * years
        asked += fee / (len(log_price) - 1)
        variance += (1.0 - 0.5 ** (5.0 / 90.0)) * ((after - before) ** 2 / years - variance)
        pool = reached
    return {"lvr_usd": lost, "arbitrage_kept_usd": lost - fees, "pool_fees_usd": fees + others, "mean_pool_fee": asked}


@pytest.mark.parametrize("switched", [False, True])
def test_what_pools_lose_and_earn_is_that_of_a_plain_loop(switched: bool) -> None:
    base = pool_fee()
    scenario = dynamic_fee(base, NUMBERS) if switched else base
    block = run_block(plan_run(scenario, seed=3), 0, 5)
    found = pool_columns(scenario, block)
    per_vol, fixed = (0.75 * 0.003 / 0.6, 0.25 * 0.003) if switched else (0.0, 0.003)
    for path in range(5):
        for name, value in by_hand(scenario, block.log_price[path].tolist(), per_vol=per_vol, base=fixed).items():
            assert found[name][path] == pytest.approx(value, rel=1e-9), name
    assert (found["lvr_usd"] >= found["arbitrage_kept_usd"]).all()
    nobody = replace(scenario, agents=scenario.agents[1:])
    assert pool_columns(nobody, run_block(plan_run(nobody, seed=3), 0, 2)) == {}, "an owner alone is no pool that is arbitraged here"


def test_a_switched_fee_is_what_it_was_at_the_vol_that_is_expected_whatever_the_price_model() -> None:
    """The story's vol wanders (no model of one vol), and yet the switch finds its 60 %."""
    base = pool_fee()
    changed = dynamic_fee(base, NUMBERS)
    before, after = (scenario.agents[0] for scenario in (base, changed))
    assert isinstance(before, PoolArbitrage)
    assert isinstance(after, PoolArbitrage)
    assert after.terms.fee.starting_bps == pytest.approx(before.terms.fee.starting_bps)
    assert after.terms.fee.start_vol == pytest.approx(0.6, rel=1e-12)
    assert after.terms.fee.base_bps == pytest.approx(7.5)
    assert dynamic_fee(changed, NUMBERS) is changed, "a fee that follows vol already is left alone"


def played() -> dict[str, Any]:
    """As much of a document as the sentences and the picture of pools read; the first day of the story."""
    story, scenario, switch = library_story("pool-fee"), pool_fee(288), chosen_switch("dynamic-fee:share=0.8")
    arms = [run_arm(name, one, watch_of(story), paths=64, seed=31) for name, one in ((BASE, scenario), (switch.label, switch(scenario)))]
    return {"outcomes": outcome_rows(arms[0].columns), "comparisons": [compared(arms[0], arms[1], switch)], "story": story.to_document()}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return played()


def test_the_split_adds_up_to_the_loss_and_the_fees(document: dict[str, Any]) -> None:
    split = pool_split(document)
    assert split is not None
    assert split.labels == (BASE, "dynamic-fee:share=0.8")
    rows = {row["outcome"]: row for row in document["comparisons"][0]["outcomes"]}
    for place, which in enumerate(("base", "switched")):
        lvr, kept, fees = (rows[name][which]["value"] for name in ("lvr_usd", "arbitrage_kept_usd", "pool_fees_usd"))
        assert split.kept_usd[place] == kept
        assert split.kept_usd[place] + split.paid_back_usd[place] == pytest.approx(lvr)
        assert split.paid_back_usd[place] + split.others_usd[place] == pytest.approx(fees)
    assert split.others_usd[0] == pytest.approx(2e7 * 0.003), "a day's trading of others at the fixed fee"
    drawn = stacked_shares(split.labels, split.parts, axis_title="over the run").data
    assert [float(one.x[0]) for one in drawn] == pytest.approx([values[0] / 1e3 for values in split.parts.values()])
    assert pool_split({"outcomes": [], "comparisons": []}) is None


def test_what_a_fee_changes_is_told_with_its_errors(document: dict[str, Any]) -> None:
    told = loss_sentence(document)
    assert "against rebalancing (LVR)" in told
    assert told.count("±") == 3
    (changed,) = fee_sentences(document)
    assert changed.startswith("dynamic-fee:share=0.8: LVR ")
    for words in ("fees ", "kept by arbitrageurs −$", "mean fee ", "realised vol ", "largest push "):
        assert words in changed
    assert loss_sentence({"outcomes": []}) == ""
    assert list(fee_sentences({"outcomes": [], "comparisons": document["comparisons"]})) == [], "no pool here"
    same = {**document["comparisons"][0], "outcomes": [{**row, "paths_that_differ": 0} for row in document["comparisons"][0]["outcomes"]]}
    assert list(fee_sentences({**document, "comparisons": [same]})) == [], "a switch that touches no pool has no sentence here"


@pytest.mark.slow
def test_in_the_story_a_fee_that_follows_vol_leaves_arbitrageurs_less_and_costs_the_price_a_little() -> None:
    """Both beyond three standard errors, while the fee asked is lower on average."""
    from tailwag.experiments.scenario_play import play

    story = library_story("pool-fee")
    file = open_story(story, overrides=Overrides(), given={})
    found = play(story, file, [chosen_switch("dynamic-fee", story.switch_parameters)], lenient=False).document
    rows = {row["outcome"]: row for row in found["comparisons"][0]["outcomes"]}
    z = {name: row["z"] for name, row in rows.items()}
    assert z["arbitrage_kept_usd"] < -3.0
    assert z["mean_pool_fee"] < -3.0
    assert z["realised_vol"] > 3.0
    assert scenario_card(found)[:4] == b"\x89PNG"
    assert "On the same shocks" in WHOLE
    assert np.isfinite(rows["lvr_usd"]["difference"]["value"])
