"""Coin as the collateral of linear positions: liquidation by the account's equity, against a solver that knows only balances."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from tests.contracts.agent import AgentContract
from tests.experiments.scenario_texts import BASE, saved
from tests.sim.anchors import SPOT
from tests.sim.test_ladder import LAMBDA
from tests.sim.test_leveraged import conserved, rules, scenario

from tailwag.errors import InputError
from tailwag.experiments.scenario_files import load_scenario
from tailwag.experiments.scenario_gain_levels import leveraged_law
from tailwag.experiments.scenario_gain_setting import Setting
from tailwag.margin.contract import Contract
from tailwag.margin.funding import DeadBandFunding
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.impact import ImpactModel
from tailwag.sim.leverage_buckets import LeverageBucket, buckets_from_open_interest, opened
from tailwag.sim.leveraged_accounts import trigger_prices
from tailwag.sim.scenario import starting_gain
from tailwag.sim.venues import Venue

COINS = (
    LeverageBucket("long", 8.0, 4e8, 1e5, 0.02, accounts=7, collateral="coin"),
    LeverageBucket("long", 30.0, 2e8, 1e5, 0.01, accounts=9),
    LeverageBucket("short", 20.0, 3e8, 1e5, 0.015, accounts=8, collateral="coin"),
    LeverageBucket("short", 60.0, 1e8, 2e5, 0.01, accounts=5),
)
LINEAR = Contract.LINEAR


def traders(**changes: Any) -> LeveragedTraders:
    given: dict[str, Any] = {"buckets": COINS, "rules": rules(LINEAR), "fund_usd": 1e5}
    return LeveragedTraders("traders", changes.pop("delay_steps", 0), **{**given, **changes})


class TestCrossCollateral(AgentContract):
    agent = traders()


def liquidated_at(side: float, *, position: float, coins: float, entry: float, margin: float) -> float:
    """The price at which coins x P + side x position x (P - entry) = margin x position x P, by a root finder."""

    def room(price: float) -> float:
        return coins * price + side * position * (price - entry) - margin * position * price

    return float(brentq(room, entry * 1e-3, entry * 1e3, xtol=1e-9, rtol=1e-15))


@pytest.mark.parametrize(("side", "leverage"), [("long", 3.0), ("long", 22.0), ("short", 3.0), ("short", 22.0)])
def test_the_level_is_where_the_accounts_equity_is_its_maintenance_margin(side: str, leverage: float) -> None:
    margin = 0.0065
    bucket = LeverageBucket(side, leverage, 5e7, 1e5, 0.03, accounts=1, collateral="coin")
    book = opened((bucket,), rules(LINEAR, margin=margin), spot_usd=SPOT, fund=0.0, quantiles=[np.array([[0.3]])])
    entry, sign = float(book.entry[0, 0]), 1.0 if side == "long" else -1.0
    position = 5e7 / SPOT
    level = liquidated_at(sign, position=position, coins=position / leverage, entry=entry, margin=margin)
    found = trigger_prices(book, LINEAR)[0 if side == "long" else 1]
    assert found[0] == pytest.approx(level, rel=1e-11)
    in_usd = (1.0 - sign / leverage) / (1.0 - sign * margin) * entry
    assert level > in_usd, "coin loses value with a long, and gains it with a short"
    for price in (0.8 * entry, entry, 1.2 * entry):
        equity = position / leverage * price + sign * position * (price - entry)
        assert float(book.wallet[0, 0] + book.profit(np.array([price]))[0, 0]) == pytest.approx(equity, rel=1e-11, abs=1e-6)


def test_a_liquidated_long_sells_position_and_coin_and_keeps_what_the_balances_leave() -> None:
    """One account, a fall to just below its level, a deep market: what is left by hand from coin, position and the venue's fee."""
    leverage, margin, fee = 10.0, 0.005, 0.002
    bucket = LeverageBucket("long", leverage, 6e6, 1e5, 1e-6, accounts=1, collateral="coin")
    agent = traders(buckets=(bucket,), rules=rules(LINEAR, margin=margin, fee=fee))
    entry = SPOT
    position, level = 6e6 / SPOT, entry / (1.0 + 1.0 / leverage - margin)
    world = scenario(np.array([0.0, math.log(level / entry) - 1e-4, 0.0]), agent, impact=ImpactModel(permanent_per_usd=1e-15))
    plan = plan_run(world, seed=0)
    state = init(plan, 0, 1)
    book = state.seats[0].memory.accounts
    entry = float(book.entry[0, 0])
    assert state.seats[0].holding.position_coin[0] == pytest.approx(position * (1.0 + 1.0 / leverage), rel=1e-12)
    before = float(SPOT * np.exp(state.log_price[0]))
    for _ in range(3):
        before, last = float(SPOT * np.exp(state.log_price[0])), state
        state = step(plan, state)
        if state.seats[0].holding.position_coin[0] < 0.5 * position:
            break
    fill = float(SPOT * np.exp(state.log_price[0]))  # the price before trading is the cleared one in a market this deep
    assert last.seats[0].holding.position_coin[0] > position
    coins = position / leverage
    usd = position * (fill - entry) + coins * fill
    paid = fee * (position + coins) * fill
    after = state.seats[0].memory.accounts
    assert after.size[0, 0] == 0.0
    assert after.wallet[0, 0] == pytest.approx(usd - min(paid, usd), rel=1e-6, abs=1.0)
    assert before > fill


@pytest.mark.parametrize("delay", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_everything_is_conserved_through_a_wild_day(delay: int) -> None:
    world = replace(scenario(np.zeros(40), traders(delay_steps=delay), clearing="lagged" if delay else "implicit"), price=Gbm(vol=8.0))
    states, mine = conserved(world)
    has = states[-1].seats[mine].memory.accounts
    assert (has.size == 0.0).any()
    assert (has.bad_debt > 0.0).any() or (has.fund != 1e5).any()


def test_the_gain_of_coin_accounts_counts_the_coin_that_is_sold_with_them() -> None:
    """Levels are normal around -ln(1 + 1/L - m), those above the start left out; each level passed sells position and coin."""
    bucket = LeverageBucket("long", 8.0, 4e8, 1e5, 0.1, accounts=5000, collateral="coin")
    agent = traders(buckets=(bucket,), rules=rules(LINEAR, margin=0.05), fund_usd=1e9)
    world = replace(scenario(np.zeros(3), agent), price=Gbm(vol=0.3))
    mean, width, fall = -math.log(1.0 + 1.0 / 8.0 - 0.05), 0.1, -0.02
    alive = norm.cdf(-mean / width)
    density = 4e8 * (1.0 + 1.0 / 8.0) * norm.pdf(mean / width) / (width * alive)
    assert starting_gain(world) == pytest.approx(LAMBDA * density, rel=1e-9)
    law = leveraged_law(agent, Setting(SPOT, 0.0, 1e-6, 0.0, late=False, fades=False))
    assert law is not None
    _, coin = law[0](np.array([fall]), np.zeros(1))
    passed = (alive - norm.cdf((fall - mean) / width)) / alive
    assert coin[0] * SPOT == pytest.approx(-4e8 * (1.0 + 1.0 / 8.0) * passed, rel=5e-3)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="covered by its own coin"):
        LeverageBucket("short", 1.0, 1e8, 1e5, collateral="coin")
    with pytest.raises(InputError, match="'usd' or 'coin'"):
        LeverageBucket("short", 2.0, 1e8, 1e5, collateral="gold")
    for book, said in ((rules(Contract.INVERSE), "coin already"), (rules(LINEAR, rounds=True), "in rounds")):
        with pytest.raises(InputError, match=said):
            COINS[0].level_log(book, SPOT)
    with pytest.raises(InputError, match="funding is charged on a position"):
        traders(premium_share=0.001)
    with pytest.raises(InputError, match="funding is not charged on such accounts"):
        Venue("perp", scenario(np.zeros(2), traders()), instrument="perp", funding=DeadBandFunding(0.00025, 0.005, 8.0))
    with pytest.raises(InputError, match="from 0 to 1"):
        buckets_from_open_interest(1e9, longs={5.0: 1.0}, shorts={}, account_usd=1e5, coin_shares={"long": 1.5})


def test_shares_of_coin_split_every_leverage_and_bits_without_it_stay() -> None:
    mix = buckets_from_open_interest(8e9, longs={10.0: 0.25}, shorts={5.0: 0.5}, account_usd=1e5, coin_shares={"long": 0.4})
    assert [(one.side, one.collateral, round(one.notional_usd / 1e9, 12)) for one in mix] == [
        ("long", "usd", 1.2),
        ("long", "coin", 0.8),
        ("short", "usd", 4.0),
    ]
    plain = replace(COINS[0], collateral="usd")
    assert "('coin',)" not in traders(buckets=(plain,)).content()
    assert traders(buckets=(plain,)).content() != traders(buckets=(COINS[0],)).content()


def test_a_file_states_the_share_of_each_side(tmp_path: Path) -> None:
    agent = """
[[agent]]
kind = "leveraged-traders"
name = "perp"
venue = "binance-btcusdt"
delay_steps = 1
open_interest_usd = 1e9
longs = [{leverage = 10, share = 0.3}]
shorts = [{leverage = 5, share = 0.2}]
coin_collateral = {longs = 0.4}
account_usd = 100000
fund_usd = 1e7
"""
    lagged = BASE.replace('clearing = "implicit"', 'clearing = "lagged"').replace("delay_steps = 0", "delay_steps = 1")
    traders = load_scenario(saved(tmp_path, lagged + agent)).scenario.agents[1]
    assert [(one.side, one.collateral) for one in traders.buckets] == [("long", "usd"), ("long", "coin"), ("short", "usd")]  # type: ignore[attr-defined]
    assert "coin as collateral" in str(traders)
    with pytest.raises(InputError, match="coin already"):
        load_scenario(saved(tmp_path, lagged + agent.replace("binance-btcusdt", "deribit-btc")))
