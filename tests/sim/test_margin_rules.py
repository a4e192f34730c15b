"""Margin from the measured gain: notice, liquidations that the rule itself makes, and a controller whose poles are where they were predicted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.contracts.agent import AgentContract
from tests.sim.anchors import SPOT
from tests.sim.test_ladder import LAMBDA
from tests.sim.test_leveraged import MIX, rules, scenario
from tests.sim.test_leveraged_rows import plan_of, states_of, wild

from tailwag.errors import InputError
from tailwag.hedging.policies import EveryStep
from tailwag.margin.contract import Contract
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.margined import MarginedHedger
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.leverage_buckets import LeverageBucket
from tailwag.sim.margin_rules import DynamicMargin, IntegralControl

RULE = DynamicMargin(threshold=0.1, per_gain=3.0, most=4.0, notice_steps=2)


class TestMargined(AgentContract):
    agent = MarginedHedger(
        Dealer("dealer", EveryStep(), 0, gamma_usd=-8e9, iv=0.6), IntegralControl(target=0.1, integral=5.0, every_steps=2)
    )

    def renamed(self, agent, name):  # type: ignore[no-untyped-def]
        return replace(agent, inner=replace(agent.inner, name=name)) if isinstance(agent, MarginedHedger) else replace(agent, name=name)


class TestDynamicMargin(AgentContract):
    agent = LeveragedTraders("traders", 0, MIX, rules(Contract.LINEAR), fund_usd=1e5, margin=RULE)
    decays = True  # the gain at the start announces a margin that calls accounts though no price moves


def margins(gain: float, rule: IntegralControl, periods: int) -> np.ndarray:
    """The controller's margin after each decision in a flat market whose one dealer has this gain."""
    dealer = Dealer("dealer", EveryStep(), 0, gamma_usd=-gain / LAMBDA)
    plan = plan_run(scenario(np.zeros(periods * rule.every_steps), MarginedHedger(dealer, rule)), seed=0)
    state, seen = init(plan, 0, 1), []
    for number in range(1, periods * rule.every_steps + 1):
        state = step(plan, state)
        if number % rule.every_steps == 0:
            seen.append(float(state.seats[0].memory.margin[0]))
    return np.array(seen)


@pytest.mark.parametrize(("integral", "every"), [(2.0, 1), (6.0, 3), (9.0, 1)])
def test_deviations_fade_as_the_pole_says(integral: float, every: int) -> None:
    """g = g0 / u: near rest each deviation is the last one times 1 - integral target^2 / g0."""
    rule = IntegralControl(target=0.35, integral=integral, every_steps=every)
    seen = margins(0.7, rule, 40)
    rest = 0.7 / 0.35
    pole = 1.0 - integral * 0.35**2 / 0.7
    away, then = seen[:-1] - rest, seen[1:] - rest
    near = (np.abs(away) < 1e-2) & (np.abs(away) > 1e-9)
    assert near.any()
    assert then[near] / away[near] == pytest.approx(pole, abs=0.01)
    assert abs(pole) == pytest.approx(rule.pole(0.7))
    assert seen[-1] == pytest.approx(rest, abs=1e-2)


@pytest.mark.parametrize("notice", [0, 1, 3])
def test_the_stable_side_settles_and_the_unstable_one_does_not(notice: int) -> None:
    """10 % below and 5 % above the largest integral, notice included: deviations die out, and never do."""
    one = IntegralControl(target=0.4, integral=1.0, every_steps=1, notice=notice)
    edge = one.largest_integral(0.6)
    assert edge == pytest.approx(2.0 * math.sin(math.pi / (4 * notice + 2)) * 0.6 / 0.4**2)
    for share, settles in ((0.9, True), (1.05, False)):
        rule = replace(one, integral=share * edge)
        assert rule.settles(0.6) is settles
        tail = np.abs(margins(0.6, rule, 600)[-60:] - 1.5).max()
        assert bool(tail < 1e-3) is settles, tail


def test_others_count_and_a_controller_at_rest_never_acts() -> None:
    rule = IntegralControl(target=0.4, integral=3.0, every_steps=1)
    assert rule.sensitivity(0.6, 0.1) == pytest.approx(-0.09 / 0.6)
    assert rule.largest_integral(0.3) == math.inf
    assert margins(0.3, rule, 5).tolist() == [1.0] * 5
    for wrong in ({"target": 1.0}, {"integral": 0.0}, {"every_steps": 0}, {"notice": -1}, {"most": 0.5}):
        with pytest.raises(InputError, match="expected"):
            replace(rule, **wrong)


def test_a_margin_that_rises_liquidates_by_itself_after_its_notice() -> None:
    """A flat market with a gain of 0.5: nobody's price moves, and accounts within the new margin are sold all the same, two steps later."""
    bucket = LeverageBucket("long", 20.0, 2e8, 1e5, 0.005, accounts=20)
    dealer = Dealer("dealer", EveryStep(), 1, gamma_usd=-0.5 / LAMBDA)
    rule = DynamicMargin(threshold=0.2, per_gain=30.0, most=10.0, notice_steps=2)  # 0.5 % becomes 5 %: all of the margin
    sold = {}
    for margin in (None, rule):
        agent = LeveragedTraders("traders", 0, (bucket,), rules(Contract.LINEAR), fund_usd=1e9, margin=margin)
        plan = plan_of(scenario(np.zeros(6), agent, dealer), compiled=True)
        mine = next(place for place, seat in enumerate(plan.seats) if seat.agent is agent)
        sold[margin] = [float((state.seats[mine].memory.accounts.size == 0.0).mean()) for state in states_of(plan, 1)]
    assert sold[None] == [0.0] * 7
    assert sold[rule][:3] == [0.0, 0.0, 0.0]
    assert sold[rule][-1] > 0.3


def test_rows_and_columns_hold_the_same_moving_margin() -> None:
    agent = LeveragedTraders("traders", 0, MIX, rules(Contract.INVERSE, rounds=True, margin=0.008), fund_usd=3e5, margin=RULE)
    world = wild(agent, 25)
    world = replace(world, agents=(agent, replace(world.agents[1], gamma_usd=-4e9)))
    plain, fast = (states_of(plan_of(world, compiled=compiled), 8) for compiled in (False, True))
    mine = next(place for place, seat in enumerate(plan_of(world, compiled=True).seats) if seat.agent is agent)
    seen = set()
    for one, other in zip(plain, fast):
        columns, rows = one.seats[mine].memory.accounts, other.seats[mine].memory.accounts
        seen |= set(np.unique(columns.share).round(9).tolist())
        assert np.broadcast_to(rows.share, rows.size.shape) == pytest.approx(np.broadcast_to(columns.share, rows.size.shape), rel=1e-9)
        assert rows.size == pytest.approx(columns.size, rel=1e-8, abs=1e-10 * columns.size.max())
        assert rows.fund == pytest.approx(columns.fund, abs=1e-9 * SPOT)
    assert len(seen) > 3


def test_nonsense_is_refused() -> None:
    for wrong in ({"threshold": -0.1}, {"per_gain": float("nan")}, {"most": 0.5}, {"notice_steps": 1.5}):
        with pytest.raises(InputError, match="expected"):
            replace(RULE, **wrong)
    agent = LeveragedTraders("traders", 0, MIX, rules(margin=0.009), margin=replace(RULE, most=200.0))
    with pytest.raises(InputError, match="below 100 %"):
        plan_run(scenario(np.zeros(1), agent), seed=0)
