"""Kinds of a scenario file whose flow starts or ends a move, and the switches that meet them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from tailwag.errors import InputError, UnitError
from tailwag.experiments.scenario_compare import mean_of
from tailwag.experiments.scenario_files import read_scenario
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.hedging.policies import Band, EveryStep
from tailwag.sim.agents.hawkes import SelfExcitingOrders
from tailwag.sim.agents.insurer import ConstantProportion, PortfolioInsurer, SyntheticPut
from tailwag.sim.agents.manipulator import SettlementManipulator
from tailwag.sim.agents.momentum import TrendFollower
from tailwag.sim.agents.predator import Predator
from tailwag.sim.agents.price_band import PriceBand
from tailwag.sim.blocks import run_block
from tailwag.sim.engine import plan_run
from tailwag.sim.liquidation_push import LevelSight
from tailwag.sources.opening import RawFile

MARKET = """
[run]
horizon_days = 0.25
step_minutes = 15
paths = 8
seed = 3
clearing = "implicit"
[price]
model = "gbm"
spot_usd = 60000
vol = 0.6
[impact]
permanent_per_usd = 2e-11
"""
INSURER = 'kind = "insurer"\nname = "i"\nholding_usd = 4e8\nrule = {kind = "put", floor_share = 0.9, iv = 0.5, days = 30}\ndelay_steps = 0'
CALLS = 'options = [{right = "call", strike_usd = 60000, days = 0.125, contracts = 900, iv = 0.6, settlement = "average-30min"}]'
PUSHER = f'kind = "manipulator"\nname = "m"\n{CALLS}\npush_usd = 3e7\nunwind_minutes = 60\ndelay_steps = 0'
PREDATOR = 'kind = "predator"\nname = "p"\nsees_flow_share = 0.5\ndelay_steps = 0'
LEVELS = "\nmost_usd = 6e8\nlevels = {share = 0.4, impact_per_usd = 2e-11, reach_log = 0.05, passes_share = 0.1, cost_bps = 4}"
LADDER = (
    'kind = "liquidation-ladder"\nname = "l"\ndelay_steps = 0\nclusters = [{distance_log = -0.02, width_log = 0.004, notional_usd = 9e8}]'
)
HEDGER = 'kind = "dealer"\nname = "d"\ngamma_usd = -4e9\npolicy = {kind = "every-step"}\ndelay_steps = 3'


def read(*agents: str) -> Any:
    data = (MARKET + "".join(f"[[agent]]\n{agent}\n" for agent in agents)).encode()
    return read_scenario(RawFile("flow.toml", data, hashlib.sha256(data).hexdigest()), ".")


def test_every_kind_is_read_as_it_is_written() -> None:
    agents = read(
        INSURER + '\npolicy = "band:2e6usd"\nspeed = 0.5',
        'kind = "insurer"\nholding_usd = 1e8\nrule = {kind = "proportion", floor_share = 0.8, multiplier = 3}\ndelay_steps = 0',
        'kind = "momentum"\nusd_per_log = -2e9\nhalf_life_minutes = 45\nmost_usd = 1e7\ndelay_steps = 0',
        'kind = "hawkes"\nbackground_per_hour = 5\nchildren = 0.4\nhalf_life_minutes = 10\norder_usd = 1e6\nsame_side_share = 0.7',
        PUSHER + "\nreach_log = 0.02",
        PREDATOR + '\nahead = 0.5\nmost_usd = 1e6\nunwinds = "after"',
    ).scenario.agents
    assert agents[0] == PortfolioInsurer("i", SyntheticPut(0.9, 0.5, 30.0), 4e8, 0, Band(half_width_usd=2e6), 0.5)
    assert agents[1] == PortfolioInsurer("insurer-2", ConstantProportion(0.8, 3.0, 1.0), 1e8, 0, EveryStep())
    assert agents[2] == TrendFollower("momentum-3", 0, -2e9, 45.0, 1e7)
    assert agents[3] == SelfExcitingOrders("hawkes-4", 0, 5.0, 0.4, 10.0, 1e6, 0.7)
    assert isinstance(agents[4], SettlementManipulator)
    assert (agents[4].push_usd, agents[4].unwind_minutes, agents[4].reach_log, agents[4].options.rows) == (3e7, 60.0, 0.02, 1)
    assert agents[5] == Predator("p", 0, 0.5, 0.5, 1e6, "after")
    assert read(PREDATOR + LEVELS).scenario.agents[0] == Predator("p", 0, 0.5, most_usd=6e8, levels=LevelSight(0.4, 2e-11, 0.05, 0.1, 4.0))


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (INSURER.replace("0.9", "90"), UnitError, "floor_share"),
        (INSURER.replace('"put"', '"call"'), InputError, "put, proportion"),
        (INSURER.replace("iv =", "vol ="), InputError, "unknown key"),
        (INSURER.replace("iv = 0.5", "iv = 50"), UnitError, "0.5"),
        (PUSHER.replace(', settlement = "average-30min"', ""), InputError, "settles on an average"),
        (PREDATOR.replace("0.5", "2"), InputError, "private flow"),
        (PREDATOR + '\nunwinds = "never"', InputError, "into, after"),
        (PREDATOR + LEVELS.replace("impact_per_usd = 2e-11, ", ""), InputError, "impact_per_usd is missing"),
        (PREDATOR + LEVELS.replace("0.4", "40"), UnitError, "levels: expected share from 0 to 1"),
        (PREDATOR + LEVELS.replace("reach_log", "reach"), InputError, "unknown key .reach."),
        ('kind = "hawkes"\nbackground_per_hour = 5\nchildren = 1.2\nhalf_life_minutes = 10\norder_usd = 1', InputError, "explodes"),
        ('kind = "momentum"\nusd_per_log = 1e9\ndelay_steps = 0', InputError, "half_life_minutes is missing"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(text: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as refused:
        read(text)
    assert "\n" not in str(refused.value)


def test_a_manipulator_whose_window_the_run_does_not_reach_says_so() -> None:
    file = read(PUSHER.replace("days = 0.125", "days = 2"))
    assert any("nothing is pushed" in note for note in file.notes), file.notes


def test_the_ban_takes_the_push_away_and_nothing_else() -> None:
    scenario = read(PUSHER).scenario
    quiet = chosen_switch("window-ban")(scenario)
    assert quiet.agents[0].push_usd == 0.0
    assert chosen_switch("window-ban")(quiet) is quiet
    pushed, still = (run_block(plan_run(one, seed=1), 0, 2000) for one in (scenario, quiet))
    assert (still.log_price == still.fundamental_log).all()
    earned = pushed.agents[0].pnl_usd.sum(axis=0) - still.agents[0].pnl_usd.sum(axis=0)
    assert mean_of(earned).value > 4.0 * float(mean_of(earned).standard_error or 0.0), "no fees here: it pays"


def test_private_flow_and_auctions_change_the_market_as_they_say() -> None:
    scenario = read(HEDGER, PREDATOR).scenario
    blind, batched = chosen_switch("private-flow")(scenario), chosen_switch("batch-auction:every_minutes=45")(scenario)
    assert blind.agents[1].sees_flow_share == 0.0
    assert batched.batch_steps == 3
    assert chosen_switch("private-flow")(blind) is blind
    hunted = read(PREDATOR + LEVELS, LADDER).scenario
    hidden = chosen_switch("private-flow")(hunted)
    assert hidden.agents[0] == replace(hunted.agents[0], sees_flow_share=0.0, levels=None)
    assert [run_block(plan_run(one, seed=1), 0, 100).agents[0].turnover_usd.any() for one in (hunted, hidden)] == [True, False]
    assert chosen_switch("batch-auction:every_minutes=10")(scenario) is scenario
    found = {name: run_block(plan_run(one, seed=1), 0, 400) for name, one in (("base", scenario), ("blind", blind), ("batched", batched))}
    leaked = found["blind"].agents[0].pnl_usd.sum(axis=0) - found["base"].agents[0].pnl_usd.sum(axis=0)
    assert mean_of(leaked).value > 4.0 * float(mean_of(leaked).standard_error or 0.0)
    assert not found["batched"].net_flow_usd[:, [0, 1, 3, 4]].any()
    assert not found["blind"].agents[1].turnover_usd.any()


def test_switches_for_hedgers_reach_insurers() -> None:
    scenario = read(INSURER).scenario
    slow, wide, banded = (chosen_switch(name)(scenario).agents[0] for name in ("slower-hedging", "wider-bands", "price-band-pause"))
    assert slow.speed == 0.25
    assert isinstance(wide.policy, Band)
    assert isinstance(banded, PriceBand)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("", "something to liquidate, got none"),
        ("density_usd = 0", "something to liquidate, got none"),
        ("clusters = [{distance_log = -0.05, width_log = 0.01, notional_usd = 0}]", "something to liquidate, got none"),
        ("levels_per_log = 100", "levels_per_log alone; state level_usd"),
        ("density_usd = 1e9\nlevel_usd = 1e6", "level_usd alone; state levels_per_log"),
        ("clusters = [{distance_log = -5, width_log = 0.01, notional_usd = 1e8}]", "from -3 to 3, got -5; log of the distance"),
        ("clusters = [{distance_log = -0.05, width_log = 0.01}]", "notional_usd is missing"),
    ],
)
def test_a_ladder_that_would_liquidate_nothing_is_refused(keys: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read(f'kind = "liquidation-ladder"\nname = "l"\ndelay_steps = 0\n{keys}\n')


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("order_usd", "1e15", "order_usd above 0 and at most 9e"),
        ("background_per_hour", "0", "background_per_hour above 0"),
        ("half_life_minutes", "1e7", "orders settle before the start, got about 72,134,752; shorten half_life_minutes"),
    ],
)
def test_orders_that_cannot_be_drawn_are_refused_before_they_are(key: str, value: str, sentence: str) -> None:
    keys = {"background_per_hour": "12", "children": "0.6", "half_life_minutes": "20", "order_usd": "1e6", "delay_steps": "0", key: value}
    text = "\n".join(f"{name} = {number}" for name, number in keys.items())
    with pytest.raises(InputError, match=sentence):
        plan_run(read(f'kind = "hawkes"\nname = "h"\n{text}\n').scenario, seed=1)
