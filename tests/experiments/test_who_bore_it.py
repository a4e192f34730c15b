"""Who bore what accounts on margin lacked: a comparison's outcomes against every liquidation written down on the same paths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.experiments.test_purse_switches import sellers
from tests.sim.test_leveraged import MIX, rules, scenario
from tests.sim.test_leveraged_rows import plan_of, wild

from tailwag.experiments.scenario_outcomes import Columns, Watch, path_columns
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.margin.contract import Contract
from tailwag.sim.agents.arbitrageur import Arbitrageur
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.blocks import run_block
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.leverage_buckets import LeverageBucket
from tailwag.sim.liquidation_events import Against
from tailwag.sim.liquidation_record import Record, record_liquidations
from tailwag.sim.margined_record import record_takeovers
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues import Venue, Venues
from tailwag.sim.venues_home import home_scenario

WATCH = Watch(None, 0.0, 0.01)
SEED, PATHS = 3, 24
WHOLE, ROUNDS = (Contract.LINEAR, False, True), (Contract.INVERSE, True, False)
"""Binance's way: whole, and deleveraged; Deribit's: in rounds, and shared among the winners."""


def traders(way: tuple[Contract, bool, bool], *, name: str = "traders", delay_steps: int = 0, fund_usd: float = 3e6) -> LeveragedTraders:
    contract, rounds, deleverages = way
    venue = rules(contract, rounds=rounds, deleverages=deleverages, margin=0.008)
    return LeveragedTraders(name, delay_steps, MIX, venue, fund_usd=fund_usd, premium_share=0.002)


def columns_of(world: Scenario, *, paths: int = PATHS) -> Columns:
    return path_columns(world, run_block(plan_run(world, seed=SEED), 0, paths, keep_agents=True), WATCH)


def closed_against(record: Record, *parties: Against) -> np.ndarray:
    rows = record.liquidations
    return record.per_path(rows.usd, np.isin(rows.against, parties))


@pytest.mark.parametrize("delay_steps", [0, 2])
@pytest.mark.parametrize("way", [WHOLE, ROUNDS])
def test_what_is_measured_is_what_was_written_down(way: tuple[Contract, bool, bool], delay_steps: int) -> None:
    world = wild(traders(way, delay_steps=delay_steps))
    columns, (record,) = columns_of(world), record_liquidations(world, seed=SEED, paths=PATHS)
    assert columns["fund_paid_usd"] == pytest.approx(np.maximum(-record.fund_usd, 0.0), rel=1e-12, abs=1e-6)
    assert columns["bad_debt_usd"] == pytest.approx(record.bad_debt_usd, rel=1e-12, abs=1e-6)
    assert (columns["fund_paid_usd"] > 1e5).any()
    market = closed_against(record, Against.MARKET, Against.FUND, Against.EMPTY_FUND)
    assert columns["liquidated_usd"] == pytest.approx(market, rel=1e-9)
    if not way[2]:
        assert "deleveraged_usd" not in columns
        assert (columns["shared_usd"] > 1e4).any()
        assert (columns["shared_usd"] >= 0.0).all()
        return
    assert "shared_usd" not in columns
    assert (columns["deleveraged_usd"] > 1e6).any()
    assert columns["deleveraged_usd"] == pytest.approx(closed_against(record, Against.OTHER_SIDE), rel=1e-12, abs=1e-6)
    assert columns["deleveraged_usd"] == pytest.approx(closed_against(record, Against.BANKRUPT), rel=1e-12, abs=1e-6)
    assert not delay_steps or (columns["bad_debt_usd"] > 1e4).any()


@pytest.mark.parametrize("way", [WHOLE, ROUNDS])
def test_rows_and_columns_and_blocks_of_any_size_say_the_same(way: tuple[Contract, bool, bool]) -> None:
    world, names = wild(traders(way)), ("fund_paid_usd", "bad_debt_usd", "deleveraged_usd" if way[2] else "shared_usd")
    whole = columns_of(world)
    plain = path_columns(world, run_block(plan_of(world, compiled=False, seed=SEED), 0, PATHS, keep_agents=True), WATCH)
    plan = plan_run(world, seed=SEED)
    parts = [path_columns(world, run_block(plan, first, 7, keep_agents=True), WATCH) for first in (0, 7)]
    for name in names:
        assert plain[name] == pytest.approx(whole[name], rel=1e-9, abs=1e-3), name
        assert (np.concatenate([part[name] for part in parts]) == whole[name][:14]).all(), name


def test_with_nobody_to_take_it_the_fund_goes_and_the_rest_is_bad_debt() -> None:
    """Longs alone, and a jump: the other side bears nothing, the whole fund is gone."""
    longs = (LeverageBucket("long", 40.0, 5e7, 1e5, 0.01, accounts=6),)
    for way in (WHOLE, ROUNDS):
        agent = replace(traders(way, fund_usd=1e5), buckets=longs, premium_share=None)
        world = scenario(np.array([-0.09, 0.02]), agent)
        columns = columns_of(world, paths=1)
        last = 1.0 if way[0] is Contract.LINEAR else np.exp(run_block(plan_run(world, seed=SEED), 0, 1).log_price[0, -1])
        assert columns["fund_paid_usd"] == pytest.approx([1e5 * last], rel=1e-9)
        assert columns["bad_debt_usd"][0] > 1e6
        assert not columns["deleveraged_usd" if way[2] else "shared_usd"].any()


def test_venues_are_summed() -> None:
    """Binance's way at home and Deribit's elsewhere: each venue's own part, and funds and bad debt of both together."""
    home = replace(wild(traders(WHOLE, delay_steps=2)), clearing="lagged")
    away = replace(home, agents=(traders(ROUNDS, name="others", delay_steps=1),))
    carried = Arbitrageur("arbitrageurs", "A", "B", capital_usd=1e8, latency_steps=1)
    world = home_scenario(Venues((Venue("A", home), Venue("B", away)), (carried,)))
    columns, records = columns_of(world, paths=8), record_liquidations(world, seed=SEED, paths=8)
    assert [record.agent.name for record in records] == ["traders", "others"]
    assert all((record.fund_usd < 0.0).any() for record in records)
    assert columns["fund_paid_usd"] == pytest.approx(sum(np.maximum(-record.fund_usd, 0.0) for record in records), rel=1e-9, abs=1e-3)
    assert columns["bad_debt_usd"] == pytest.approx(sum(record.bad_debt_usd for record in records), rel=1e-9, abs=1e-3)
    assert columns["deleveraged_usd"] == pytest.approx(closed_against(records[0], Against.OTHER_SIDE), rel=1e-9, abs=1e-3)
    assert (columns["deleveraged_usd"] > 0.0).any()
    assert (columns["shared_usd"] > 0.0).any()


def test_a_margined_book_has_a_fund_and_no_other_side() -> None:
    world = chosen_switch("isolated-margin:behind_perp=0.1")(sellers())
    (book,) = world.agents
    assert isinstance(book, MarginedBook)
    grid = TimeGrid.uniform(horizon_days=1.5, step_minutes=60.0)
    world = replace(world, grid=grid, agents=(replace(book, fund_usd=2e5),))
    columns = path_columns(world, run_block(plan_run(world, seed=31), 0, 20, keep_agents=True), WATCH)
    (record,) = record_takeovers(world, seed=31, paths=20)
    assert (record.fund_usd < 0.0).any()
    assert (record.fund_usd > 0.0).any()
    assert columns["fund_paid_usd"] == pytest.approx(np.maximum(-record.fund_usd, 0.0), rel=1e-12)
    assert columns["bad_debt_usd"] == pytest.approx(record.bad_debt_usd, rel=1e-12)
    assert not {"deleveraged_usd", "shared_usd"} & set(columns)


def test_where_nobody_is_on_margin_nothing_is_said() -> None:
    world = replace(wild(traders(WHOLE)), agents=wild(traders(WHOLE)).agents[1:])
    assert not {"fund_paid_usd", "bad_debt_usd", "deleveraged_usd", "shared_usd"} & set(columns_of(world, paths=2))
