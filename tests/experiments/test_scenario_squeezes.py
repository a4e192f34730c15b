"""Squeezes and late prices in the answer of a played scenario: what was earned by path, legs that sum to the profit, and their switches."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tailwag.experiments.scenario_files import Overrides
from tailwag.experiments.scenario_late_prices import late_loss_usd, late_price_fee, pool_accounts
from tailwag.experiments.scenario_library import library_story, open_story
from tailwag.experiments.scenario_play import play
from tailwag.experiments.scenario_squeezes import sell_a_block, squeeze_sentence, squeezed_usd, squeezers_of
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.sim.agents.block_seller import BlockSeller
from tailwag.sim.agents.options_amm import OptionsAmm
from tailwag.sim.amm_record import record_amms
from tailwag.sim.blocks import run_block
from tailwag.sim.engine import plan_run
from tailwag.sim.option_record import record_options
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import BlockPaths

PATHS = 6
AMOUNT = re.compile(r"([+\u2212-])\$([\d.]+)(k|m|bn|)")


def scenario_of(name: str) -> tuple[Scenario, int]:
    file = open_story(library_story(name), overrides=Overrides(paths=PATHS), given={})
    return file.scenario, file.seed


def ran(scenario: Scenario, seed: int) -> BlockPaths:
    return run_block(plan_run(scenario, seed=seed), 0, PATHS, keep_agents=True)


def document(*entries: dict[str, Any], paths: int = 900) -> dict[str, Any]:
    kinds = {"one": "squeezer", "two": "squeezer", "desk": "quoting-dealer"}
    return {
        "paths": paths,
        "run": {"option_trades": list(entries), "assumptions": {"agents": [{"name": name, "kind": kind} for name, kind in kinds.items()]}},
    }


def entry(name: str, options: float, edge: float, costs: float, profit: float) -> dict[str, Any]:
    amounts = {"options_usd": options, "edge_usd": edge, "hedge_costs_usd": costs, "profit_usd": profit}
    return {"agent": name, "paths": 256, **{key: {"value": value, "standard_error": None} for key, value in amounts.items()}}


def amounts_of(sentence: str) -> list[float]:
    scale = {"": 1.0, "k": 1e3, "m": 1e6, "bn": 1e9}
    return [(1.0 if sign == "+" else -1.0) * float(number) * scale[unit] for sign, number, unit in AMOUNT.findall(sentence)]


def test_the_legs_of_the_sentence_are_those_of_the_account_and_sum_to_it() -> None:
    """Options 7.4 m, 0.3 m of it lost in spreads; coin lost 2.1 m and 0.25 m of costs: 5.05 m together."""
    told = squeeze_sentence(document(entry("one", 7.4e6, -0.3e6, 0.25e6, 5.05e6)))
    legs = amounts_of(told)
    assert legs == pytest.approx([7.7e6, -0.3e6, -2.1e6, -0.25e6, 5.05e6])
    assert sum(legs[:-1]) == pytest.approx(legs[-1])
    assert "The squeeze of one: options" in told
    assert "(mean of the first 256 paths)" in told
    assert "(mean of 256 paths)" in squeeze_sentence(document(entry("one", 1.0, 1.0, 1.0, 1.0), paths=256))


def test_every_squeezer_has_its_sentence_and_nobody_else() -> None:
    everyone = document(entry("desk", -1e6, 0.0, 0.0, -1e6), entry("one", 1e6, 0.0, 0.0, 1e6), entry("two", 2e6, 0.0, 0.0, 2e6))
    told = squeeze_sentence(everyone)
    assert re.findall(r"squeeze of (\w+):", told) == ["one", "two"]
    assert squeezers_of(everyone) == {"one", "two"}
    assert squeeze_sentence(document()) == ""


def test_what_the_squeeze_earned_is_its_account_of_legs_on_every_path() -> None:
    scenario, seed = scenario_of("gamma-squeeze")
    block = ran(scenario, seed)
    found = squeezed_usd(scenario, block)
    assert found is not None
    legs = next(one for one in record_options(scenario, seed=seed, paths=PATHS) if one.name == "squeezer")
    assert found == pytest.approx(legs.profit_usd, rel=1e-9)
    account = block.agents[next(at for at, agent in enumerate(scenario.agents) if agent.name == "squeezer")]
    worth = account.final_cash_usd + account.final_position_coin * scenario.spot_usd * np.exp(block.log_price[:, -1])
    assert found == pytest.approx(worth, rel=1e-9), "the calls are sold back, so cash and coin are all there is"
    assert squeezed_usd(scenario_of("zero-dte-flow")[0], block) is None
    assert late_loss_usd(scenario, block) is None


def test_a_block_is_sold_once_and_takes_from_the_squeeze() -> None:
    scenario, seed = scenario_of("gamma-squeeze")
    other = sell_a_block(scenario, {"block_usd": 4e8, "at_log": 0.01})
    seller = other.agents[-1]
    assert isinstance(seller, BlockSeller)
    assert (seller.block_usd, seller.at_log, seller.delay_steps) == (4e8, 0.01, 1)
    assert other.agents[:-1] == scenario.agents
    assert sell_a_block(other, {"block_usd": 1e8, "at_log": 0.05}) is other
    base, switched = (squeezed_usd(one, ran(one, seed)) for one in (scenario, other))
    assert base is not None
    assert switched is not None
    assert (switched - base).mean() < -1e6
    at_once = scenario_of("options-amm")[0]
    assert sell_a_block(at_once, {"block_usd": 1e8, "at_log": 0.05}).agents[-1].delay_steps == 0


def test_the_loss_to_late_prices_is_stale_quotes_less_fees() -> None:
    whole, seed = scenario_of("options-amm")
    scenario = replace(whole, grid=replace(whole.grid, years=whole.grid.years[:9]))
    found = late_loss_usd(scenario, ran(scenario, seed))
    late = next(one for one in record_amms(scenario, seed=seed, paths=PATHS) if one.agent.name == "late price")
    assert found == pytest.approx(late.stale_usd - late.fees_usd, rel=1e-6, abs=1e-3)
    assert late.stale_usd.any()


def test_each_pool_has_its_sentence_in_the_signs_of_the_others() -> None:
    figures = {"sold_coin": 16_477.9, "bought_coin": 12.34567, "fees_usd": 86.5e3, "share_value": 0.9968, "starved_share": 0.256}
    figures |= {"stale_usd": 152.3e3, "lvr_usd": 16.9e3}
    pool: dict[str, Any] = {"agent": "late", "paths": 128, "mode": "oracle", "deposit_usd": 2e7}
    pool |= {name: {"value": value, "standard_error": 0.01 * value} for name, value in figures.items()}
    (told,) = pool_accounts({"run": {"options_pools": [pool]}})
    for words in (
        "sold 16,478 coin of options and bought 12.35",
        "$86.5k in fees",
        "lost $152.3k ± $1.5k",
        "ended at 0.9968",
        "in 26% of steps",
    ):
        assert words in told
    assert pool_accounts({"run": {}}) == []


def test_a_late_price_fee_is_a_floor_for_late_pools_alone() -> None:
    scenario, _ = scenario_of("options-amm")
    dearer = late_price_fee(scenario, {"spot_share": 0.004})
    changed = [(old, new) for old, new in zip(scenario.agents, dearer.agents) if old != new]
    assert [old.name for old, _ in changed] == ["late price"]
    (_, pool) = changed[0]
    assert isinstance(pool, OptionsAmm)
    assert pool.fees.spot_share == 0.004
    assert late_price_fee(scenario, {"spot_share": 0.0005}) is scenario


@pytest.mark.slow
def test_the_answer_says_the_legs_and_counts_no_squeezer_among_the_costs() -> None:
    story = library_story("gamma-squeeze")
    file = open_story(story, overrides=Overrides(paths=24), given={})
    played = play(story, file, [chosen_switch("block-seller:at_log=0.01")]).document
    legs = next(one for one in played["headline"] if one.startswith("The squeeze of squeezer"))
    told = amounts_of(legs)
    assert sum(told[:4]) == pytest.approx(told[4], rel=0.01)
    assert not [one for one in played["headline"] if one.startswith("What block-seller") and "profit of squeezer" in one]
