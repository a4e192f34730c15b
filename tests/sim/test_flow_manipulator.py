"""Settlement-window manipulators: the contract, the closed form of moving a mean, when a push pays, and the average's part in the loop."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.contracts.agent import SPOT, AgentContract, market

from tailwag.errors import InputError, RuleError
from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.manipulator import SettlementManipulator
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import init, market_gain, plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel, ReactiveDepth
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Costs, Scenario
from tailwag.sim.settlement_push import SettlementPush, even_push

MINUTE = 1 / 525_600
THREE_HOURS = 180 * MINUTE
PASSING = ImpactModel(permanent_per_usd=1e-11, transient_per_usd=3e-11, transient_half_life_minutes=12.0)


def calls(contracts: float = 400.0, strike: float = 0.9 * SPOT, *, years: float = THREE_HOURS, right: str = "call") -> OptionBook:
    return OptionBook.single(right, strike_usd=strike, expiry_years=years, contracts_coin=contracts, iv=0.5, averaged=True)


def pusher(push: float = 2e7, *, delay: int = 0, book: OptionBook | None = None, **changes) -> SettlementManipulator:  # type: ignore[no-untyped-def]
    return SettlementManipulator("pusher", calls() if book is None else book, delay, push, changes.pop("unwind", 60.0), **changes)


class TestAtOnce(AgentContract):
    agent = pusher()
    decays = True

    def test_plays(self) -> None:
        """In half-hour steps the window is one step, the sixth; two steps after it take it back."""
        coin = 2e7 / SPOT
        self.plays(prices=[SPOT] * 10, expected_coin=[0.0] * 5 + [coin, -coin / 2, -coin / 2, 0.0])


class TestLateSellerWithinReach(AgentContract):
    agent = pusher(-1e7, delay=3, book=calls(-100.0, SPOT), unwind=90.0, reach_log=0.01)
    decays = True


def push_run(agent, *, impact: ImpactModel, price=None, steps: int = 300, minutes: float = 1.0, paths: int = 1, cost_bps: float = 0.0):  # type: ignore[no-untyped-def]
    grid = TimeGrid.uniform(horizon_days=steps * minutes / 1440, step_minutes=minutes)
    still = Replay(np.zeros(steps)) if price is None else price
    costs = Costs(fee_bps=cost_bps)
    clearing = "lagged" if agent.delay_steps else "implicit"
    scenario = market(agent, price=still, grid=grid, impact=impact, costs=costs, clearing=clearing)
    return run_block(plan_run(scenario, seed=9), 0, paths, keep_agents=True)


def paid(block) -> np.ndarray:  # type: ignore[no-untyped-def]
    return np.asarray(block.agents[0].pnl_usd.sum(axis=0))


@pytest.mark.parametrize(
    ("impact", "delay", "minutes"),
    [(ImpactModel(permanent_per_usd=2e-11), 0, 1.0), (PASSING, 0, 1.0), (PASSING, 2, 1.0), (PASSING, 0, 5.0), (PASSING, 0, 30.0)],
)
def test_the_mean_moves_and_the_trades_cost_what_the_closed_form_says(impact: ImpactModel, delay: int, minutes: float) -> None:
    """A still market: mean log price of the window, impact cost of the round trip, and the profit with fees, to first order in a move of 0.04 %."""
    push, contracts, fee = 2e7, 400.0, 1.5e-4
    steps = round(300 / minutes)
    known = even_push(impact, SPOT, step_minutes=minutes, window_steps=round(30 / minutes), unwind_steps=round(60 / minutes))
    block, still = (push_run(pusher(size, delay=delay), impact=impact, steps=steps, minutes=minutes, cost_bps=1.5) for size in (push, 0.0))
    inside = slice(round(150 / minutes) + 1, round(180 / minutes) + 1)
    assert block.log_price[0, inside].mean() == pytest.approx(known.move_per_usd * push, rel=2e-3)
    gained = paid(block)[0] - paid(still)[0]
    assert gained == pytest.approx(
        known.profit_usd(push, delta_usd=contracts * SPOT, cost_share=fee),
        rel=3e-3,
        abs=2e-3 * contracts * SPOT * known.move_per_usd * push,
    )
    free = push_run(pusher(push, delay=delay, book=calls(1e-9)), impact=impact, steps=steps, minutes=minutes)
    assert -paid(free)[0] == pytest.approx(known.cost_per_usd2 * push**2, rel=5e-3, abs=2e-3 * known.move_per_usd * push * push)
    assert free.agents[0].final_position_coin[0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("decay", [0.3, 2.0, 9.0])
def test_short_steps_lead_to_the_formula_of_the_continuous_window(decay: float) -> None:
    """lambda_P / 2 + lambda_T h, h = 1/z - (1 - e^-z)/z^2; the cost of the purchase is the push times the move of the mean, whatever the decay."""
    window, each = 30.0, 600
    half_life = window * math.log(2.0) / decay
    impact = ImpactModel(permanent_per_usd=1e-11, transient_per_usd=3e-11, transient_half_life_minutes=half_life)
    shape = 1.0 / decay - (1.0 - math.exp(-decay)) / decay**2
    fine = even_push(impact, SPOT, step_minutes=window / each, window_steps=each, unwind_steps=each)
    assert fine.move_per_usd == pytest.approx(0.5e-11 + 3e-11 * shape, rel=4e-3)
    passing = ImpactModel(transient_per_usd=3e-11, transient_half_life_minutes=half_life)
    alone = even_push(passing, SPOT, step_minutes=window / each, window_steps=each, unwind_steps=each)
    later = (1.0 - math.exp(-decay)) ** 2 / decay**2  # what is left of the purchase while it is sold
    assert alone.cost_per_usd2 == pytest.approx(3e-11 * (2.0 * shape - later), rel=4e-3)
    stays = even_push(ImpactModel(permanent_per_usd=1e-11), SPOT, step_minutes=1.0, window_steps=30, unwind_steps=7)
    assert stays.cost_per_usd2 == pytest.approx(0.0, abs=1e-26), "a round trip against lasting impact is free"
    assert stays.move_per_usd == pytest.approx(1e-11 * 31 / 60)


def test_a_push_pays_from_a_stated_position_on_and_most_at_a_stated_size() -> None:
    """At the break-even delta the profit is 0; below it no push pays; the best push beats its neighbours; in the market too."""
    known = even_push(PASSING, SPOT, step_minutes=1.0, window_steps=30, unwind_steps=60)
    fee = 2e-4
    least = known.breaks_even_usd(cost_share=fee)
    assert known.best_usd(0.99 * least, cost_share=fee) == 0.0
    assert (
        known.profit_usd(1e3, delta_usd=1.01 * least, cost_share=fee) > 0.0 > known.profit_usd(1e3, delta_usd=0.99 * least, cost_share=fee)
    )
    delta = 3.0 * least
    best = known.best_usd(delta, cost_share=fee)
    assert known.best_usd(-delta, cost_share=fee) == -best
    assert all(
        known.profit_usd(best, delta_usd=delta, cost_share=fee) > known.profit_usd(k * best, delta_usd=delta, cost_share=fee)
        for k in (0.9, 1.1)
    )
    book = calls(delta / SPOT)
    gained = {k: paid(push_run(pusher(k * best, book=book), impact=PASSING, cost_bps=2.0))[0] for k in (0.0, 0.7, 1.0, 1.3)}
    assert gained[1.0] > max(gained[0.7], gained[1.3]) > gained[0.0]
    assert SettlementPush(1e-11, 0.0).best_usd(1e12, cost_share=0.0) == math.inf
    assert SettlementPush(0.0, 0.0).breaks_even_usd(cost_share=fee) == math.inf


def test_it_pushes_within_reach_of_a_strike_only() -> None:
    agent = pusher(2e7, book=calls(100.0, SPOT), reach_log=0.01)
    block = push_run(agent, impact=ImpactModel(), price=Gbm(vol=1.2), steps=48, minutes=5.0, paths=60)
    near = np.abs(block.log_price[:, 30]) <= 0.01
    traded = np.abs(np.asarray(block.agents[0].flow_usd)).sum(axis=1) > 0.0
    assert 5 < near.sum() < 55
    assert (traded == near).all()


def test_options_are_paid_on_the_mean_of_the_window_that_was_pushed() -> None:
    block = push_run(pusher(3e7), impact=PASSING, price=Gbm(vol=0.6), paths=5)
    prices = SPOT * np.exp(block.log_price[:, 151:181])
    assert -block.holders_cash_usd == pytest.approx(400.0 * np.maximum(prices.mean(axis=1) - 0.9 * SPOT, 0.0), rel=1e-11)


def test_a_run_that_ends_before_the_window_opens_holds_no_push() -> None:
    block = push_run(pusher(), impact=PASSING, steps=120)
    assert not np.asarray(block.agents[0].flow_usd).any()


def test_no_price_moves_it() -> None:
    agent = pusher()
    assert agent.starting_dollar_gamma_usd(SPOT) == agent.starting_flow_response_usd(SPOT) == 0.0
    bought = [
        np.asarray(push_run(agent, impact=PASSING, price=Replay(np.r_[bump, np.zeros(299)])).agents[0].flow_usd)[0, :100]
        for bump in (1e-3, -1e-3)
    ]
    assert not bought[0].any()
    assert not bought[1].any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pusher(book=replace(calls(), averaged=np.array([False]))), "settles on an average"),
        (lambda: pusher(unwind=0.0), "unwind_minutes"),
        (lambda: pusher(float("nan")), "push_usd"),
        (lambda: pusher(delay=-1), "delay_steps"),
        (lambda: pusher(reach_log=0.0), "reach_log"),
        (lambda: push_run(pusher(), impact=PASSING, steps=200), "lengthen horizon_days"),
    ],
)
def test_what_is_no_manipulator_is_refused(make, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        make()


def test_the_closed_form_is_of_linear_impact() -> None:
    bent = ImpactModel(permanent_per_usd=1e-11, depth_reacts=ReactiveDepth(2.0, 0.0, 10.0, 0.2))
    with pytest.raises(RuleError, match="linear impact"):
        even_push(bent, SPOT, step_minutes=1.0, window_steps=30, unwind_steps=30)


# the average's part in the loop, at parameters that no page prints


def averaged_gain(*, minutes_left: float, vol: float, share: float, log_price: float = 0.0) -> float:
    """Gain of dealers long so many options at the money that all of them move price by ``share``, so long before a settlement on the average."""
    years = 90 * MINUTE
    grid = TimeGrid(np.array([0.0, years - minutes_left * MINUTE, years]))
    book = OptionBook.single("call", strike_usd=SPOT, expiry_years=years, contracts_coin=500.0, iv=vol, averaged=True)
    scenario = Scenario(
        spot_usd=SPOT,
        grid=grid,
        price=Gbm(vol=vol),
        impact=ImpactModel(permanent_per_coin=share / 500.0),
        agents=(Dealer("dealer", EveryStep(), 0, options=book),),
        clearing="implicit",
    )
    plan = plan_run(scenario, seed=0)
    state = replace(init(plan, 0, 1), step=1)
    return -float(market_gain(plan, state, 1, np.full(1, log_price), np.zeros(1))[0])


@pytest.mark.parametrize(("share", "vol", "cap"), [(0.05, 0.6, 7.6218), (0.013, 0.9, None), (0.002, 0.35, None)])
def test_the_average_caps_the_gain_at_any_vol(share: float, vol: float, cap: float | None) -> None:
    """As the window opens g = A sqrt 3 / (sigma sqrt(2 pi W)); inside it falls as sqrt(tau); before it the time left is tau - 2 W / 3."""
    window = 30 * MINUTE
    top = share * math.sqrt(3.0) / (vol * math.sqrt(2.0 * math.pi * window))
    assert cap is None or top == pytest.approx(cap, abs=5e-5)
    assert averaged_gain(minutes_left=30.0, vol=vol, share=share) == pytest.approx(top, rel=2e-3)
    assert averaged_gain(minutes_left=7.5, vol=vol, share=share) == pytest.approx(0.5 * top, rel=2e-3)
    before = share / (vol * math.sqrt(2.0 * math.pi * (60.0 - 20.0) * MINUTE))
    assert averaged_gain(minutes_left=60.0, vol=vol, share=share) == pytest.approx(before, rel=2e-3)
    assert before < top, "the gain is greatest as the window opens"
