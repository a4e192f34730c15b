"""Trend followers: the contract of every agent, the linear market's closed forms, the cap, and what late trading does to returns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from tests.contracts.agent import SPOT, AgentContract, market

from tailwag.errors import InputError
from tailwag.sim.agents.momentum import TrendFollower
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.scenario import Costs, starting_gain

MINUTES = 30.0
KEPT = 0.5 ** (MINUTES / 90.0)


def follower(delay: int = 0, **changes) -> TrendFollower:  # type: ignore[no-untyped-def]
    return TrendFollower("trend", delay, **{"usd_per_log": 5e9, "half_life_minutes": 90.0, **changes})


class TestAtOnce(AgentContract):
    agent = follower()


class TestLateAndCapped(AgentContract):
    agent = follower(2, most_usd=3e7)

    def test_plays(self) -> None:
        """Up 1 % of log: 50 million wanted, 30 may be; two steps later 30 are bought; the trend then fades below the cap by itself."""
        trends = 0.01 * KEPT ** np.arange(5)
        wanted = np.minimum(5e9 * trends, 3e7)
        path = SPOT * np.exp(np.r_[0.0, 0.01, 0.01, 0.01, 0.01, 0.01])
        self.plays(prices=path.tolist(), expected_usd=[0.0, 0.0, wanted[0], wanted[1] - wanted[0], wanted[2] - wanted[1]])


class TestCappedContrarian(AgentContract):
    agent = follower(usd_per_log=-5e9, most_usd=2e7)


def run(agent, price, *, per_usd: float, steps: int = 12, paths: int = 6):  # type: ignore[no-untyped-def]
    grid = TimeGrid.uniform(horizon_days=steps * MINUTES / 1440, step_minutes=MINUTES)
    scenario = market(agent, price=price, grid=grid, impact=ImpactModel(permanent_per_usd=per_usd), costs=Costs(), stop_log_move=5.0)
    return run_block(plan_run(scenario, seed=21), 0, paths, keep_agents=True)


@pytest.mark.parametrize(("delay", "gain"), [(0, 0.4), (0, -0.7), (1, 0.4), (1, -0.5), (3, 0.2)])
def test_every_path_is_the_linear_recursion(delay: int, gain: float) -> None:
    """r = shock + g (s_{t-d} - s_{t-d-1}), s = rho s + r: in the same step solved by hand, late as it stands; to 1e-10."""
    block = run(follower(delay, usd_per_log=gain / 4e-11), Gbm(vol=0.7), per_usd=4e-11)
    shocks = np.diff(block.fundamental_log, axis=1)
    for path in range(6):
        trends, price = [0.0], 0.0
        for place, shock in enumerate(shocks[path]):
            if delay == 0:
                trend = (KEPT - gain) / (1.0 - gain) * trends[-1] + shock / (1.0 - gain)
                back = trend - KEPT * trends[-1]
            else:
                late = [trends[place - delay + 1 - one] if place - delay + 1 - one >= 0 else 0.0 for one in (0, 1)]
                back = shock + gain * (late[0] - late[1])
                trend = KEPT * trends[-1] + back
            trends.append(trend)
            price += back
            assert block.log_price[path, place + 1] == pytest.approx(price, abs=1e-10)


@pytest.mark.parametrize(("delay", "gain"), [(0, 0.35), (1, 0.45), (1, -0.3)])
def test_variance_and_memory_of_returns_have_closed_forms(delay: int, gain: float) -> None:
    """AR(1) at once, AR(2) one step late: variance and first autocovariance of returns over the shock's variance; |z| < 4, SE at most 1 %."""
    paths, steps, skip = 500, 160, 60
    block = run(follower(delay, usd_per_log=gain / 4e-11), Gbm(vol=0.7), per_usd=4e-11, steps=steps, paths=paths)
    returns = np.diff(block.log_price, axis=1)[:, skip:]
    shock = 0.7**2 * MINUTES / 525_600
    if delay == 0:
        decay = (KEPT - gain) / (1.0 - gain)
        wide = 1.0 / ((1.0 - gain) ** 2 * (1.0 - decay**2))
        one, two = decay * wide, decay**2 * wide
    else:
        first, second = KEPT + gain, -gain
        wide = (1.0 - second) / ((1.0 + second) * ((1.0 - second) ** 2 - first**2))
        one = first / (1.0 - second) * wide
        two = first * one + second * wide
    variance = (1.0 + KEPT**2) * wide - 2.0 * KEPT * one
    memory = (1.0 + KEPT**2) * one - KEPT * (two + wide)
    assert math.copysign(1.0, memory) == (-1.0 if delay == 0 else math.copysign(1.0, gain)), "at once it overshoots, late it trends"
    for estimates, theory in (
        ((returns**2).mean(axis=1) / shock, variance),
        ((returns[:, 1:] * returns[:, :-1]).mean(axis=1) / shock, memory),
    ):
        error = estimates.std(ddof=1) / math.sqrt(paths)
        assert abs(estimates.mean() - theory) < 4.0 * error
        assert error <= 0.01 * variance


def test_what_it_moved_comes_back() -> None:
    """One shock, then nothing: price overshoots by 1 / (1 - g) and returns to the shock as the trend fades."""
    block = run(follower(usd_per_log=1e10), Replay(np.r_[0.02, np.zeros(99)]), per_usd=5e-11, steps=100, paths=1)
    assert block.log_price[0, 1] == pytest.approx(0.02 / (1.0 - 0.5), abs=1e-12)
    assert block.log_price[0, -1] == pytest.approx(0.02, abs=1e-9)


def excess_of_one_step(after: float, before: float, carried: float, bought: float) -> float:
    """Price that a capped follower's purchase leads to, less the price at which it was sized; impact 5e-11, slope 8e9, cap 1.2e8."""
    return after - before - 5e-11 * (min(max(8e9 * (carried + after), -1.2e8), 1.2e8) - bought)


def test_a_capped_follower_against_a_loop_of_plain_numbers() -> None:
    moves = 0.01 * np.random.default_rng(8).standard_normal(12)
    block = run(follower(usd_per_log=8e9, most_usd=1.2e8), Replay(moves), per_usd=5e-11, paths=1)
    price, trend, bought, capped = 0.0, 0.0, 0.0, 0
    for step, move in enumerate(moves):
        before, carried = price + move, KEPT * trend - price
        price = brentq(excess_of_one_step, before - 0.5, before + 0.5, args=(before, carried, bought), xtol=1e-15)
        trend = carried + price
        bought = min(max(8e9 * trend, -1.2e8), 1.2e8)
        capped += abs(bought) == 1.2e8
        assert block.log_price[0, step + 1] == pytest.approx(price, abs=1e-11)
    assert 2 < capped < 12, "the cap binds on some steps and not on others"


@pytest.mark.parametrize("agent", [follower(), follower(usd_per_log=-3e9), follower(most_usd=1e7)])
def test_the_stated_response_is_what_the_market_measures_by_a_bump(agent: TrendFollower) -> None:
    found = []
    for bump in (1e-4, -1e-4):
        block = run(agent, Replay(np.r_[bump, np.zeros(11)]), per_usd=8e-11, paths=1)
        found.append((block.log_price[0, 1], np.asarray(block.agents[0].flow_usd)[0, 0]))
    (up, bought), (down, sold) = found
    assert (bought - sold) / (up - down) == pytest.approx(agent.starting_flow_response_usd(SPOT), rel=1e-9)
    assert starting_gain(market(agent, impact=ImpactModel(permanent_per_usd=8e-11))) == pytest.approx(8e-11 * agent.usd_per_log)
    assert (up - down) / 2e-4 == pytest.approx(1.0 / (1.0 - 8e-11 * agent.usd_per_log), rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"usd_per_log": 0.0}, "usd_per_log"),
        ({"half_life_minutes": 0.0}, "half_life"),
        ({"most_usd": 0.0}, "most_usd"),
        ({"delay": -1}, "delay"),
    ],
)
def test_what_is_no_trend_follower_is_refused(changes: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        follower(**changes)  # type: ignore[arg-type]


def test_it_says_what_it_is() -> None:
    assert str(follower(most_usd=1e8)) == "follows the trend of 90 minutes with 5e+09 USD per unit of log price, at most 1e+08 USD"
    assert str(follower(usd_per_log=-1e9)).startswith("leans against")
