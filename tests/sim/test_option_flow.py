"""Option flow and whoever trades stale quotes: contracts, arrivals against scipy and loops, orders by hand, accounts to the expiry, and sides."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm, poisson
from tests.contracts.agent import SPOT, AgentContract, market
from tests.sim.option_players import Player

from tailwag.errors import InputError
from tailwag.sim.agents.option_flow import OptionFlow
from tailwag.sim.agents.options_amm import OptionsAmm
from tailwag.sim.agents.protocol import Market, View
from tailwag.sim.agents.stale_taker import StaleTaker
from tailwag.sim.amm_pricing import FeeRule, VolRule
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Replay
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.flow_arrivals import Arrivals, SizeLaw, arrived_coin, poisson_counts
from tailwag.sim.flow_kinds import FLOW_KINDS, FlowLeg
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_market import OptionTerms
from tailwag.sim.option_model import OptionModel
from tailwag.sim.scenario import Costs, Scenario

GRID = TimeGrid.uniform(horizon_days=1.0, step_minutes=30.0)
YEAR_STEPS, PATHS, IV = 365 * 48, 6, 0.6
RETAIL = OptionFlow("flow", "retail-call-buyers", 2.0, 3.0, 500.0, 20.0)
SELLERS = OptionFlow("flow", "vol-sellers", 1.5, 2.0, 1000.0, 20.0, vol_threshold=0.5, size=SizeLaw("exponential"))
TAKER = StaleTaker("searcher", 2.0, 1000.0, 40.0)
DESK = Player("desk", "a desk", half=0.05, size=1e6)


class TestFlow(AgentContract):
    """Nobody quotes: its orders find no one, and everything about them is the same again."""

    agent = RETAIL


class TestVolSellers(AgentContract):
    agent = SELLERS


class TestStaleTaker(AgentContract):
    agent = TAKER


def quiet(*agents: Any, moves: Any = None, **changes: Any) -> Scenario:
    """Stated moves, or none; no impact, no costs."""
    price = Replay(np.zeros(GRID.steps) if moves is None else np.asarray(moves))
    options = OptionTerms(IV, averaged=False)
    given = {"grid": GRID, "price": price, "impact": ImpactModel(), "costs": Costs(), "options": options, "stop_log_move": 2.0}
    return market(*agents, **{**given, **changes})


def black(right: int, spot: float, strike: float, steps: float, vol: float = IV) -> tuple[float, float]:
    """Price and delta: this file's own."""
    w = vol * math.sqrt(steps / YEAR_STEPS)
    d1 = math.log(spot / strike) / w + w / 2
    return right * (spot * norm.cdf(right * d1) - strike * norm.cdf(right * (d1 - w))), right * norm.cdf(right * d1)


def numbers(kind: int, count: int) -> np.ndarray:
    """Uniform numbers that anybody can make again."""
    return np.random.default_rng([kind, count]).random(PATHS)


def view_at(now: int, vol_shift: float = 0.0) -> View:
    log_price = np.linspace(-0.02, 0.03, PATHS)
    seen: list[View] = []
    spy = Player("spy", "a spy", orders=lambda view: seen.append(view) or ())  # type: ignore[func-returns-value]
    plan = plan_run(quiet(spy, DESK), seed=1)
    state = init(plan, 0, PATHS)
    for _ in range(now):
        state = step(plan, state)
    return replace(seen[-1], log_price=log_price, spot_usd=SPOT * np.exp(log_price), vol_shift=np.full(PATHS, vol_shift))


def orders_of(agent: OptionFlow, view: View) -> Any:
    trader: Any = agent.at_work(plan_market())
    return trader.option_orders(view, None, trader.init(PATHS, numbers), numbers)


def plan_market() -> Market:
    return Market(SPOT, GRID, option_model=OptionModel(OptionTerms(IV, averaged=False), GRID, SPOT))


@pytest.mark.parametrize("mean", [1e-3, 0.7, 3.3, 49.0])
def test_counts_are_poisson(mean: float) -> None:
    uniform = (np.arange(4000) + 0.5) / 4000
    assert (poisson_counts(uniform, mean) == poisson.ppf(uniform, mean)).all()


def test_sizes_have_mean_one_and_the_stated_tail() -> None:
    """By the midpoint rule in a logarithm of the probability, and by the definition of a tail."""
    logs = np.linspace(-60.0, 0.0, 400_001)
    middle = np.exp(0.5 * (logs[1:] + logs[:-1]))
    for law in (SizeLaw(), SizeLaw("exponential"), SizeLaw("pareto", 1.5), SizeLaw("pareto", 3.0)):
        assert (law.sizes(middle) * middle * np.diff(logs)).sum() == pytest.approx(1.0, rel=1e-6)
    tail = SizeLaw("pareto", 2.5)
    least = float(tail.sizes(np.array([1.0]))[0])
    for above in (1.2, 4.0, 30.0):
        assert (least / above) ** 2.5 == pytest.approx(float(brentq(lambda u, s=above: float(tail.sizes(np.array([u]))[0]) - s, 1e-9, 1.0)))


def test_coin_of_a_step_is_the_sum_of_its_orders() -> None:
    arrivals, wanted = Arrivals(4.0, 2.5, SizeLaw("pareto", 1.8)), np.array([True] * 5 + [False])
    found = arrived_coin(arrivals, numbers, step=7, leg=3, hours=0.75, wanted=wanted)
    first = (7 * 8 + 3) * 1024
    counts = poisson.ppf(numbers(2, first), 3.0).astype(int)
    for path in range(PATHS):
        sizes = [2.5 * (1 - 1 / 1.8) * numbers(2, first + n)[path] ** (-1 / 1.8) for n in range(1, counts[path] + 1)]
        assert found[path] == pytest.approx(math.fsum(sizes) if wanted[path] else 0.0, rel=1e-12)
    assert counts.max() > 1


@pytest.mark.parametrize("who", [name for name in FLOW_KINDS if name != "vol-sellers"])
def test_orders_by_hand(who: str) -> None:
    """Sides and rights of each kind; the strike of the leg's delta on the grid; the limit; the first expiry far enough away."""
    agent = OptionFlow("flow", who, 40.0, 1.0, 500.0, 3.0, expiry_every_hours=6.0, least_hours=5.0, most_over_model=0.3)
    view = view_at(9)
    found = orders_of(agent, view)
    sides = {"retail-call-buyers": [(1, 1)], "overwriters": [(1, -1)], "protection-buyers": [(-1, 1)], "zero-dte-buyers": [(1, 1), (-1, 1)]}
    assert [(order.contract.right, int(np.sign(order.coin.sum()))) for order in found] == sides.get(who, [(-1, 1), (1, -1)])
    for order, leg in zip(found, agent.legs):
        assert (view.step, order.contract.expiry_step) == (9, 30), "4.5 hours and 5 more: the expiry at 15 hours"
        for path in range(PATHS):
            spot, strike = float(view.spot_usd[path]), float(order.contract.strike_usd[path])
            price, delta = black(leg.right, spot, strike, 30 - view.step)
            others = [abs(abs(black(leg.right, spot, strike + away, 30 - view.step)[1]) - leg.delta) for away in (-500.0, 500.0)]
            assert strike % 500.0 == 0.0
            assert abs(abs(delta) - leg.delta) <= min(others) + 1e-12
            limit = price * (1.3 if leg.side > 0 else 0.7)
            assert float(order.limit_price_usd[path]) == pytest.approx(limit, rel=1e-9)


def test_straddles_come_together_and_only_above_the_threshold() -> None:
    calm, busy = (orders_of(replace(SELLERS, vol_threshold=0.65), view_at(4, shift)) for shift in (0.0, 0.1))
    assert calm == ()
    call, put = busy
    assert (call.contract.right, put.contract.right) == (1, -1)
    assert (call.coin == put.coin).all()
    assert call.coin.min() < 0.0 >= call.coin.max()


def test_no_orders_after_it_stops() -> None:
    assert orders_of(replace(RETAIL, orders_per_hour=40.0, stops_hours=2.0), view_at(4))
    assert not orders_of(replace(RETAIL, orders_per_hour=40.0, stops_hours=1.4), view_at(4))


def test_what_is_bought_is_held_to_its_expiry_and_nothing_is_lost() -> None:
    """The flow's profit, from the orders of a spy: payoff less the ask of each; the desk has the other side."""
    moves = np.zeros(GRID.steps)
    moves[5:12] = 0.012
    flow = replace(RETAIL, orders_per_hour=6.0, first_expiry_hours=10.0, stops_hours=9.0)
    scenario = quiet(flow, DESK, moves=moves)
    plan = plan_run(scenario, seed=11)
    flows = next(at for at, seat in enumerate(plan.seats) if seat.agent.name == "flow")
    state, expected = init(plan, 0, PATHS), np.zeros(PATHS)
    spot_at = SPOT * np.exp(np.concatenate([[0.0], np.cumsum(moves)]))
    for now in range(1, GRID.steps + 1):
        before = state.seats[flows].holding.cash_usd
        state = step(plan, state)
        paid = before - state.seats[flows].holding.cash_usd
        if now <= 18 and paid.any():
            strike = brentq(lambda k, at=now: black(1, spot_at[at], k, 20 - at)[1] - 0.25, SPOT / 2, SPOT * 2)
            below, above = 500 * math.floor(strike / 500), 500 * math.ceil(strike / 500)
            near = min((above, below), key=lambda k, at=now: abs(black(1, spot_at[at], k, 20 - at)[1] - 0.25))
            coin = paid / (1.05 * black(1, spot_at[now], near, 20 - now)[0])
            assert coin / 3.0 == pytest.approx(np.round(coin / 3.0), abs=1e-6), "orders of three coin, all at the ask"
            expected += coin * (max(spot_at[20] - near, 0.0) - 1.05 * black(1, spot_at[now], near, 20 - now)[0])
    own, desk = (state.seats[at].holding.pnl_usd.sum(axis=0) for at in (flows, 1 - flows))
    assert own == pytest.approx(expected, rel=1e-9)
    assert own + desk == pytest.approx(np.zeros(PATHS), abs=1e-6)
    assert (own > 0.0).any()


def test_so_many_orders_an_hour() -> None:
    """Coin a path by the law of large numbers: orders x hours x coin, with the spread of a Poisson stream."""
    flow = replace(RETAIL, orders_per_hour=1.5, first_expiry_hours=48.0)
    scenario = quiet(flow, DESK)
    plan = plan_run(scenario, seed=5)
    place = next(at for at, seat in enumerate(plan.seats) if seat.agent.name == "flow")
    state = init(plan, 0, 400)
    for _ in range(GRID.steps):
        state = step(plan, state)
    coin = state.seats[place].memory.slots.coin.sum(axis=0)
    error = 3.0 * math.sqrt(36.0 / 400)
    assert abs(coin.mean() - 108.0) / error < 4.0
    assert 0.8 < coin.var(ddof=1) / (9.0 * 36.0) < 1.25


@pytest.mark.parametrize(("iv", "edge_bps", "side"), [(0.7, 0.0, -1), (0.5, 0.0, +1), (0.7, 200.0, 0), (0.5, 200.0, 0)])
def test_a_taker_buys_what_is_cheap_and_sells_what_is_dear(iv: float, edge_bps: float, side: int) -> None:
    """Against a pool with a vol and a fee of its own, at the strike next to the price; a trade and its undoing would show as two fees."""
    pool = OptionsAmm("pool", 5e6, VolRule(start_iv=iv), 1, FeeRule(option_share=0.01))
    scenario = quiet(replace(TAKER, edge_bps=edge_bps), pool)
    plan = plan_run(scenario, seed=1)
    place = next(at for at, seat in enumerate(plan.seats) if seat.agent.name == "searcher")
    state = step(plan, init(plan, 0, PATHS))
    own = state.seats[place]
    worth, quoted = (black(1, SPOT, SPOT, 79, vol)[0] for vol in (IV, iv))
    assert own.memory.slots.coin.sum(axis=0) == pytest.approx(np.full(PATHS, 2.0 * side))
    assert own.holding.pnl_usd.sum(axis=0) == pytest.approx(np.full(PATHS, 2.0 * side * (worth - quoted * (1.0 + 0.01 * side))), abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"who": "retale"}, "expected who as one of"),
        ({"orders_per_hour": 0.0}, "orders_per_hour above 0"),
        ({"vol_threshold": 0.5}, "vol_threshold for vol-sellers"),
        ({"legs": (FlowLeg(1, 1, 0.3, 0.5),)}, "sum to 1"),
        ({"slots": 0}, "slots"),
        ({"least_hours": -1.0}, "least_hours of 0"),
        ({"most_over_model": -0.1}, "most_over_model"),
    ],
)
def test_flow_out_of_range_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        replace(RETAIL, **changes)


def test_steps_with_too_many_orders_are_refused() -> None:
    with pytest.raises(InputError, match="at most 50 orders in a step"):
        run_block(plan_run(quiet(replace(RETAIL, orders_per_hour=101.0), DESK), seed=1), 0, 2)
