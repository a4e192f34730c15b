"""Self-exciting orders: the contract of every agent, rate and variance at several parameters, sides, and what they do to the price."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.contracts.agent import SPOT, AgentContract, market

from tailwag.errors import InputError
from tailwag.sim.agents.hawkes import SelfExcitingOrders
from tailwag.sim.agents.protocol import Market
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Replay
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.scenario import Costs


def orders(rate: float = 4.0, children: float = 0.5, *, forgets: float = 2.0, delay: int = 0, **changes) -> SelfExcitingOrders:  # type: ignore[no-untyped-def]
    """``forgets``: beta per hour."""
    return SelfExcitingOrders("flow", delay, rate, children, 60.0 * math.log(2.0) / forgets, **{"order_usd": 2e6, **changes})


class TestAtOnce(AgentContract):
    agent = orders()
    decays = True


class TestLateAndOfBothSides(AgentContract):
    agent = orders(6.0, 0.4, delay=2, same_side_share=0.7, stream=3)
    decays = True


def counted(agent: SelfExcitingOrders, *, hours: float, steps: int, paths: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of orders and buys less sells over a time, in so many steps, with numpy's own random numbers."""
    grid = TimeGrid.uniform(horizon_days=hours / 24.0, step_minutes=60.0 * hours / steps)
    trader = agent.at_work(Market(SPOT, grid))
    generator = np.random.Generator(np.random.Philox(seed))
    state = trader.init(paths, lambda kind, count: generator.random(paths))
    number, net = state.orders, state.net
    for step in range(1, steps):
        state = trader._orders(state, hours / steps, step + 1)  # type: ignore[attr-defined]
        number, net = number + state.orders, net + state.net
    return number, net


def variance(rate: float, children: float, forgets: float, hours: float) -> float:
    """Written out again: rate of all orders, and the children that count."""
    kappa, omega = 1.0 / (1.0 - children), forgets * (1.0 - children)
    return rate * hours * (kappa**2 + (1.0 - kappa**2) * (1.0 - math.exp(-omega * hours)) / (omega * hours))


def close(sample: np.ndarray, mean: float, spread: float) -> None:
    """Mean and variance within 4 SE, and the SE of the variance within 1 % (1.5 % of the net's)."""
    error = sample.std() / math.sqrt(sample.size)
    assert abs(sample.mean() - mean) < 4.0 * error
    squares = (sample - mean) ** 2
    error = squares.std() / math.sqrt(sample.size)
    assert abs(squares.mean() - spread) < 4.0 * error
    assert error < 0.015 * spread


def test_the_published_figures() -> None:
    """background .5, children .6, beta 2: rate 1.25; variance over 1, 10, 100: 3.2953, 69.9246, 773.0469."""
    agent = orders(0.5, 0.6)
    assert agent.orders_per_hour == pytest.approx(1.25)
    assert [agent.order_variance(hours) for hours in (1.0, 10.0, 100.0)] == pytest.approx([3.2953, 69.9246, 773.0469], abs=5e-5)


@pytest.mark.parametrize(
    ("rate", "children", "forgets", "hours", "steps", "side"),
    [
        (0.5, 0.6, 2.0, 1.0, 1, 1.0),
        pytest.param(0.5, 0.6, 2.0, 10.0, 7, 0.8, marks=pytest.mark.slow),
        pytest.param(0.5, 0.6, 2.0, 100.0, 10, 0.5, marks=pytest.mark.slow),
        (3.0, 0.3, 5.0, 2.0, 4, 0.2),
        pytest.param(2.0, 0.85, 6.0, 4.0, 3, 0.9, marks=pytest.mark.slow),
        (5.0, 0.0, 1.0, 1.5, 2, 1.0),
    ],
)
def test_rate_and_variance_of_orders_and_of_their_net(
    rate: float, children: float, forgets: float, hours: float, steps: int, side: float
) -> None:
    agent = orders(rate, children, forgets=forgets, same_side_share=side)
    number, net = counted(agent, hours=hours, steps=steps, paths=60_000, seed=17)
    whole = rate / (1.0 - children)
    close(number, whole * hours, variance(whole, children, forgets, hours))
    close(net, 0.0, variance(whole, children * (2.0 * side - 1.0), forgets, hours))
    assert agent.flow_variance_usd(hours) == pytest.approx(4e12 * variance(whole, children * (2.0 * side - 1.0), forgets, hours))


@pytest.mark.slow
def test_one_long_step_is_many_short_ones() -> None:
    """The law knows no steps: the whole distribution of the number of orders, by two samples."""
    from scipy.stats import ks_2samp

    one, many = (counted(orders(2.0, 0.7), hours=5.0, steps=steps, paths=40_000, seed=3 + steps)[0] for steps in (1, 50))
    assert ks_2samp(one, many).pvalue > 1e-3


def test_the_price_moves_by_impact_times_the_net_and_by_nothing_else() -> None:
    """Variance of the log price after six hours: (impact x order)^2 Var(net), two thousand paths of the engine's own random numbers."""
    agent = orders(5.0, 0.5, forgets=3.0, same_side_share=0.9)
    still = market(agent, price=Replay(np.zeros(12)), impact=ImpactModel(permanent_per_usd=2e-11), costs=Costs())
    block = run_block(plan_run(still, seed=4), 0, 2000)
    end = block.log_price[:, -1]
    theory = (2e-11) ** 2 * agent.flow_variance_usd(6.0)
    error = (end**2).std() / math.sqrt(2000)
    assert abs((end**2).mean() - theory) < 4.0 * error
    assert np.unique(np.round(block.net_flow_usd / 2e6)).size > 5
    assert np.abs(block.net_flow_usd / 2e6 - np.round(block.net_flow_usd / 2e6)).max() < 1e-9, "orders are whole"


def test_late_orders_are_the_same_orders_later() -> None:
    flows = []
    for delay in (0, 1, 3):
        scenario = market(orders(delay=delay), price=Replay(np.zeros(12)), impact=ImpactModel())
        plan = plan_run(scenario, seed=5)
        seat = plan.seats[0]
        flows.append((seat.stream, np.asarray(run_block(plan, 0, 6, keep_agents=True).agents[0].flow_usd)))
    assert all((flow != 0.0).any() for _, flow in flows)
    assert not flows[2][1][:, :3].any()


def test_no_price_moves_it() -> None:
    agent = orders()
    assert agent.starting_dollar_gamma_usd(SPOT) == agent.starting_flow_response_usd(SPOT) == 0.0
    found = [
        np.asarray(
            run_block(plan_run(market(agent, price=Replay(np.r_[bump, np.zeros(11)])), seed=1), 0, 5, keep_agents=True).agents[0].flow_usd
        )
        for bump in (0.02, -0.02)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: orders(0.0), "background_per_hour"),
        (lambda: orders(children=1.0), "explodes"),
        (lambda: orders(children=-0.1), "children"),
        (lambda: orders(same_side_share=1.2), "same_side_share"),
        (lambda: orders(order_usd=-1.0), "order_usd"),
        (lambda: orders(delay=-1), "delay_steps"),
        (lambda: orders(1e6).at_work(Market(SPOT, TimeGrid.uniform(horizon_days=1.0, step_minutes=30.0))), "one by one"),
    ],
)
def test_what_is_no_stream_is_refused(make, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize("steps", [4095, 4096, 9000, 200_000])
def test_no_step_of_a_long_run_is_without_draws_or_shares_them(steps: int) -> None:
    trader = orders().at_work(Market(SPOT, TimeGrid.uniform(horizon_days=steps / 1440.0, step_minutes=1.0)))
    used: list[tuple[int, int]] = []

    def draw(kind: int, count: int) -> np.ndarray:
        assert 0 <= count < 1 << 32  # the random numbers' own bound
        used.append((kind, count))
        return generator.random(1)

    generator, step_of = np.random.Generator(np.random.Philox(5)), {}
    state = trader.init(1, draw)
    for step in (2, 4094, 4095, 4096, 4097, 8191, 8192, steps):
        if step <= steps:
            used.clear()
            state = trader._orders(state, 5.0, step)  # type: ignore[attr-defined]
            for one in used:
                assert step_of.setdefault(one, step) == step
            if step < 4096:  # as they always were: the bits of shorter runs stay
                assert used[:3] == [(kind, step << 20) for kind in (0, 1, 2)]
