"""Switches that follow the measured gain: what they change, what they refuse, and what they do on common seeds, harm included."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.sim.test_ladder import LAMBDA
from tests.sim.test_leveraged import MIX, rules, scenario

from tailwag.errors import InputError
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.hedging.policies import EveryStep
from tailwag.margin.contract import Contract
from tailwag.margin.initial import initial_margin
from tailwag.market.clock import parse_time_ns
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.margined import MarginedHedger
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import plan_run
from tailwag.sim.leverage_buckets import LeverageBucket
from tailwag.sim.scenario import Scenario
from tailwag.sources.rules import load_rules

DEALER = Dealer("dealer", EveryStep(), 0, gamma_usd=-0.4 / LAMBDA)
FEW = tuple(replace(bucket, notional_usd=0.2 * bucket.notional_usd) for bucket in MIX)
TRADERS = LeveragedTraders("traders", 0, FEW, rules(Contract.LINEAR), fund_usd=1e7)


def world(steps: int, vol: float) -> Scenario:
    return replace(scenario(np.zeros(steps), TRADERS, DEALER), price=Gbm(vol=vol))


def test_what_they_change_and_what_they_leave() -> None:
    base = world(3, 1.0)
    one = chosen_switch("dynamic-margin:notice_minutes=7")(base)
    assert one.agents[1] is DEALER
    assert one.agents[0].margin is not None
    assert one.agents[0].margin.notice_steps == 7
    two = chosen_switch("controller:every_minutes=2,target=0.3")(base)
    assert two.agents[0] is TRADERS
    assert isinstance(two.agents[1], MarginedHedger)
    assert two.agents[1].rule.every_steps == 2
    bare = replace(base, agents=(DEALER,))
    assert chosen_switch("dynamic-margin")(bare) is bare
    alone = replace(base, agents=(TRADERS,))
    assert chosen_switch("controller")(alone) is alone


def test_a_controller_that_would_not_settle_is_refused_with_the_integral_that_does() -> None:
    bare = replace(world(3, 1.0), agents=(DEALER,))
    with pytest.raises(InputError, match="take integral below 20"):  # 2 x 0.4 / 0.2^2
        chosen_switch("controller:integral=20.5")(bare)
    assert chosen_switch("controller:integral=19.5")(bare) is not bare


@pytest.mark.slow
def test_effects_on_common_seeds_with_their_errors() -> None:
    """The controller takes vol away and leaves a mis-hedge; a margin that rises with the gain liquidates more than the table's."""
    base = world(240, 1.5)
    block = run_block(plan_run(base, seed=9), 0, 300)
    vol = np.square(np.diff(block.log_price, axis=1)).sum(axis=1)
    calm = run_block(plan_run(chosen_switch("controller")(base), seed=9), 0, 300)
    gap = vol - np.square(np.diff(calm.log_price, axis=1)).sum(axis=1)
    assert gap.mean() > 4.0 * gap.std() / math.sqrt(gap.size)
    assert (calm.agents[1].gap_squared_usd > block.agents[1].gap_squared_usd).all()
    called = run_block(plan_run(chosen_switch("dynamic-margin:notice_minutes=1")(base), seed=9), 0, 300)
    more = called.agents[0].turnover_usd - block.agents[0].turnover_usd
    assert more.mean() > 4.0 * more.std() / math.sqrt(more.size)


def capped(gain: float, **numbers: str) -> list[float]:
    """Leverage of each bucket under a margin for new positions, where dealers alone have this gain and nobody's levels lie near."""
    few = tuple(LeverageBucket("long", leverage, 1e3, 1e5, 0.001, accounts=3) for leverage in (20.0, 50.0, 100.0))
    table = initial_margin(load_rules("margin_binance_btcusdt"), parse_time_ns("2026-02-05T00:00:00Z"))
    traders = LeveragedTraders("traders", 0, few, rules(Contract.LINEAR, margin=0.004), fund_usd=1e7, initial=table)
    base = replace(world(3, 1.0), agents=(traders, replace(DEALER, gamma_usd=-gain / LAMBDA)))
    words = ",".join(f"{key}={value}" for key, value in {"binds": "new", **numbers}.items())
    changed = chosen_switch(f"dynamic-margin:{words}")(base).agents[0]
    assert isinstance(changed, LeveragedTraders)
    assert (changed.margin is None) is (words.startswith("binds=new"))
    return [bucket.leverage for bucket in changed.buckets]


def test_a_margin_for_new_positions_caps_leverage_and_calls_nobody() -> None:
    """Binance asks 1 % of USD 100,000: times 1 + 2 (0.6 - 0.2) it is 1.8 %, 55.6 x; below the threshold the table's own stays."""
    assert capped(0.6) == pytest.approx([20.0, 50.0, 1.0 / 0.018], rel=1e-6)
    assert capped(0.1) == [20.0, 50.0, 100.0]
    assert capped(0.9, most="5", per_gain="10") == pytest.approx([20.0, 20.0, 20.0], rel=1e-6)
    assert capped(0.6, binds="both") == pytest.approx([20.0, 50.0, 1.0 / 0.018], rel=1e-6)


def test_a_margin_for_new_positions_wants_a_known_table_and_a_word_that_it_knows() -> None:
    with pytest.raises(InputError, match="initial margin is known"):
        chosen_switch("dynamic-margin:binds=new")(world(3, 1.0))
    with pytest.raises(InputError, match="binds as one of open, new, both"):
        chosen_switch("dynamic-margin:binds=old")(world(3, 1.0))


@pytest.mark.slow
def test_new_positions_under_more_margin_are_liquidated_less_on_common_seeds() -> None:
    table = initial_margin(load_rules("margin_binance_btcusdt"), parse_time_ns("2026-02-05T00:00:00Z"))
    base = world(240, 1.5)
    base = replace(base, agents=(replace(TRADERS, initial=table), DEALER))
    sold = {}
    for name in ("", "dynamic-margin:binds=open", "dynamic-margin:binds=new"):
        scenario = chosen_switch(name)(base) if name else base
        block = run_block(plan_run(scenario, seed=3), 0, 200)
        sold[name] = next(agent for agent in block.agents if agent.name == "traders").turnover_usd
    for name, sign in (("dynamic-margin:binds=open", 1.0), ("dynamic-margin:binds=new", -1.0)):
        change = sold[name] - sold[""]
        assert sign * change.mean() > 3.0 * change.std(ddof=1) / math.sqrt(change.size), name
