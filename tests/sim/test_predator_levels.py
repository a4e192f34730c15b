"""Predators that see liquidation levels: the least push by hand, a cascade started at its fold, and what the liquidated lose more on the same seeds."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from tests.contracts.agent import SPOT, STEP_MINUTES, AgentContract, market
from tests.sim.test_leveraged import rules

from tailwag.errors import InputError, UnitError
from tailwag.sim.agents.ladder import Cluster, LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders, trader_of
from tailwag.sim.agents.predator import Predator
from tailwag.sim.agents.price_band import PriceBand
from tailwag.sim.agents.protocol import Market, View
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.leverage_buckets import LeverageBucket
from tailwag.sim.liquidation_push import DISTANCES, LevelSight, resting
from tailwag.sim.scenario import Costs

IMPACT, NOTIONAL, CENTER, WIDTH = 4e-11, 8e8, 0.04, 0.008


def searcher(share: float = 1.0, *, most_usd: float = 2e9, name: str = "searcher", **sight: Any) -> Predator:
    return Predator(name, 0, 0.0, most_usd=most_usd, levels=LevelSight(share, IMPACT, **sight))


def ladder(side: float = -1.0, **more: Any) -> LiquidationLadder:
    return LiquidationLadder("ladder", 0, clusters=(Cluster(side * CENTER, WIDTH, NOTIONAL),), **more)


def played(*agents: Any, **changes: Any) -> Any:
    given = {"impact": ImpactModel(permanent_per_usd=IMPACT), "costs": Costs(), "price": Replay(np.zeros(12))}
    paths = changes.pop("paths", 1)
    return run_block(plan_run(market(*agents, **{**given, **changes}), seed=17), 0, paths, keep_agents=True)


def own(block: Any, name: str) -> Any:
    return next(agent for agent in block.agents if agent.name == name)


class TestLooksAtLevels(AgentContract):
    agent = searcher()


# the slow twin: plain numbers, nothing of ours


def passed(distance: float, notional: float = NOTIONAL) -> float:
    def below(where: float) -> float:
        return 0.5 * math.erfc((CENTER - where) / WIDTH / math.sqrt(2.0))

    return notional * (below(distance) - below(0.0))


def rests_at(push: float, notional: float = NOTIONAL) -> float:
    """Smallest x = impact (push + passed(x)), walked to from below."""
    x = 0.0
    for _ in range(100_000):
        after = IMPACT * (push + passed(x, notional))
        if after - x < 1e-15:
            return after
        x = after
    return x


def fold_usd(notional: float = NOTIONAL) -> float:
    """The push at which x / impact - passed(x) is first at its top."""
    points = [0.1 * i / 20_000 for i in range(20_000)]
    needed, before = -1.0, 0.0
    for x in points:
        now = x / IMPACT - passed(x, notional)
        if now < before:
            return needed
        needed, before = max(needed, now), now
    raise AssertionError("no fold")


def test_least_pushes_are_running_tops_and_a_plateau_carries_on() -> None:
    rng = np.random.default_rng(4)
    sold = np.cumsum(rng.uniform(0.0, 2.0, (9, 5)), axis=0)
    whole = np.arange(1.0, 10.0)[:, None]
    least, reached = resting(sold, whole)
    for path in range(5):
        for place in range(9):
            tops = [max(max(float(whole[i, 0] - sold[i, path]), 0.0) for i in range(j + 1)) for j in range(9)]
            last = max(j for j in range(9) if tops[j] == tops[place])
            assert least[place, path] == tops[place]
            assert reached[place, path] == sold[last, path]


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_it_pushes_to_the_fold_and_earns_what_the_fixed_point_says(side: float) -> None:
    """What passes again makes a longer push dearer than it is worth: the best push is the least that lets the whole cluster go."""
    searches = searcher(passes_share=0.22, reach_log=0.15)
    block = played(searches, ladder(side))
    coin = np.asarray(own(block, "searcher").position_coin)[0]
    push = abs(coin[1]) * SPOT
    fold = fold_usd()
    assert fold < push < 1.011 * fold
    rests = rests_at(push)
    assert rests > CENTER + 2.0 * WIDTH, "the whole cluster goes"
    assert rests_at(0.999 * fold) < CENTER
    assert block.log_price[0, 1] == pytest.approx(side * rests, rel=1e-9)
    assert own(block, "ladder").flow_usd[0, 0] == pytest.approx(side * passed(rests), rel=1e-9)
    opened = 0.5 * SPOT * (1.0 + math.exp(side * rests))
    held = side * push / SPOT
    before = SPOT * math.exp(side * rests)
    closed = 0.5 * before * (1.0 + math.exp(-IMPACT * held * before))
    assert own(block, "searcher").pnl_usd.sum() == pytest.approx(held * (closed - opened), rel=1e-9)
    assert held * (closed - opened) == pytest.approx(0.5 * IMPACT * push * passed(rests), rel=0.05)
    assert (coin[2:] == 0.0).all(), "closed to the coin, and there is nothing left to push"
    final = before * math.exp(-IMPACT * held * before)
    sold = passed(rests)
    lost = side * (sold - passed(0.7)) - side * (sold / opened - passed(0.7) / SPOT) * final
    assert own(played(ladder(side)), "ladder").pnl_usd.sum() == 0.0
    assert own(block, "ladder").pnl_usd.sum() == pytest.approx(-lost, rel=1e-9)
    assert lost > held * (closed - opened), "liquidity providers take their part of it"


def test_less_capital_than_the_fold_starts_nothing_and_costs_forbid_what_does_not_pay() -> None:
    fold = fold_usd()
    sight = {"passes_share": 0.22, "reach_log": 0.15, "cost_bps": 10.0}
    assert not own(played(searcher(most_usd=0.97 * fold, **sight), ladder()), "searcher").turnover_usd.any()
    assert own(played(searcher(most_usd=1.02 * fold, **sight), ladder()), "searcher").turnover_usd.all()
    earns = LevelSight(1.0, IMPACT).profit_usd(fold, passed(rests_at(1.01 * fold))) / fold
    dear = 0.5 * earns / 1e-4
    assert own(played(searcher(most_usd=1.02 * fold, reach_log=0.15, cost_bps=0.98 * dear), ladder()), "searcher").turnover_usd.all()
    assert not own(played(searcher(most_usd=1.02 * fold, reach_log=0.15, cost_bps=1.1 * dear), ladder()), "searcher").turnover_usd.any()


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_half_of_the_levels_seen_is_a_smaller_cascade_that_is_expected(share: float) -> None:
    """Evenly spread levels: a push P liquidates g P / (1 - g); who sees a share plans with that share, and meets the whole."""
    density, reach = 8e9, 0.02
    even = LiquidationLadder("ladder", 0, density_usd=density)
    two = TimeGrid.uniform(horizon_days=2 * STEP_MINUTES / 1440, step_minutes=STEP_MINUTES)
    block = played(searcher(share, reach_log=reach), even, grid=two, price=Replay(np.zeros(2)))
    gain = IMPACT * density
    push = -np.asarray(own(block, "searcher").flow_usd)[0, 0]
    sold = -np.asarray(own(block, "ladder").flow_usd)[0, 0]
    rests = float(-block.log_price[0, 1])
    push_usd = -np.asarray(own(block, "searcher").position_coin)[0, 1] * SPOT
    assert push_usd == pytest.approx(1.01 * reach * (1.0 - share * gain) / IMPACT, rel=1e-9)
    assert rests == pytest.approx(IMPACT * push_usd / (1.0 - gain), rel=1e-9)
    assert sold == pytest.approx(gain * push_usd / (1.0 - gain), rel=1e-9)
    assert push == pytest.approx(push_usd, rel=0.02)
    assert own(block, "searcher").pnl_usd.sum() == pytest.approx(0.5 * IMPACT * push_usd * sold, rel=0.05)


def test_passing_impact_is_in_the_profit_that_it_expects() -> None:
    """A quarter of the impact is gone by the next step: P (lambda ((1/2 - s) L - s P)), to second order in the move."""
    impact = ImpactModel(permanent_per_usd=0.75 * IMPACT, transient_per_usd=0.25 * IMPACT, transient_half_life_minutes=0.5)
    block = played(searcher(passes_share=0.25, reach_log=0.15, most_usd=8e8), ladder(), impact=impact)
    push = abs(np.asarray(own(block, "searcher").position_coin)[0, 1]) * SPOT
    expected = LevelSight(1.0, IMPACT, passes_share=0.25).profit_usd(push, passed(rests_at(push)))
    scale = 0.5 * IMPACT * push * (push + passed(rests_at(push)))
    assert own(block, "searcher").pnl_usd.sum() == pytest.approx(expected, abs=0.06 * scale)


def leaks(shares: tuple[float, ...], **sight: float) -> tuple[Any, dict[float, Any], dict[float, Any]]:
    """What the ladder's owners lose more than alone and what the searcher earns, by share and path, and the market without a searcher."""
    levels, price = ladder(levels_per_log=300.0, level_usd=1.2e7), Gbm(vol=1.2)
    bare = played(levels, price=price, paths=200)
    blocks = {share: played(searcher(share, most_usd=6e8, reach_log=0.1, **sight), levels, price=price, paths=200) for share in shares}
    alone = own(bare, "ladder").pnl_usd.sum(axis=0)
    return bare, blocks, {share: alone - own(block, "ladder").pnl_usd.sum(axis=0) for share, block in blocks.items()}


def mean_and_error(values: Any) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(values.size)


@pytest.mark.slow
def test_what_the_liquidated_lose_more_on_the_same_seeds() -> None:
    """Leakage: the ladder's profit without the searcher less with it, paired.

    A push liquidates what is there, not what was seen, and whoever can push for nothing pushes with all it has: so a share of 0.3 leaks as much as the
    whole.  What more sight does is in the next test.
    """
    bare, blocks, leaked = leaks((0.0, 0.3, 1.0))
    for share in (0.3, 1.0):
        pushes = np.abs(np.asarray(own(blocks[share], "searcher").position_coin)[:, 1] * SPOT)
        cell = 1.01 * 0.1 / DISTANCES / IMPACT
        assert np.median(pushes) == pytest.approx(6e8, abs=1.5 * cell), "its whole capital, to a cell of the grid"
        earned = mean_and_error(own(blocks[share], "searcher").pnl_usd.sum(axis=0))
        for mean, error in (mean_and_error(leaked[share]), earned):
            assert mean > 4.0 * error
    difference, error = mean_and_error(leaked[1.0] - leaked[0.3])
    assert abs(difference) < 2.0 * error
    assert (bare.log_price == blocks[0.0].log_price).all(), "who sees nothing changes no bit"
    assert not leaked[0.0].any()


@pytest.mark.slow
def test_where_a_push_costs_more_sight_finds_more_that_pay() -> None:
    """Same push, more seen to fall: profit grows with the share, so whoever pushes at first with a share pushes with a larger one."""
    _, blocks, leaked = leaks((0.1, 0.3, 1.0), cost_bps=10.0)
    pushed = [np.asarray(own(block, "searcher").position_coin)[:, 1] != 0.0 for block in blocks.values()]
    for fewer, more in pairwise(pushed):
        assert (more | ~fewer).all()
        assert more.sum() > fewer.sum()
    for less, more in pairwise(leaked.values()):
        mean, error = mean_and_error(more - less)
        assert mean > 3.0 * error


def test_what_is_seen_of_leveraged_accounts_is_what_the_venue_would_sell() -> None:
    """Rows, their plain twin and late venues say the same of a price; sides have their signs; a band hides what it would not trade."""
    buckets = (LeverageBucket("long", 20.0, 3e8, 1e5), LeverageBucket("short", 25.0, 1e8, 1e5))
    agent = LeveragedTraders("traders", 0, buckets, rules(fee=0.0), fund_usd=1e9)
    view = a_view()
    told = []
    for one in (agent, replace(agent, delay_steps=1)):
        twins: list[Any] = [one.at_work(Market(SPOT, market(agent).grid)), trader_of(one, SPOT, compiled=False)]
        for twin in twins:
            state = twin.init(3, lambda kind, count: np.full(3, 0.4))
            told.append([twin.liquidation_usd(np.full(3, move), view, state) for move in (-0.2, -0.03, 0.0, 0.2)])
    for one in told[1:]:
        assert np.asarray(one[:3]) == pytest.approx(np.asarray(told[0][:3]), rel=1e-9, abs=1e-6)
    low, _, none, high = told[0]
    assert (low < -1e8).all()
    assert (none == 0.0).all()
    assert (high > 1e7).all()
    band: Any = PriceBand(ladder(), 0.03, 30.0, 60.0).at_work(Market(SPOT, market(agent).grid))
    behind = band.init(3, None)
    free = band.trader.liquidation_usd(np.full(3, -0.03), view, behind.inner)
    assert (band.liquidation_usd(np.full(3, -0.2), view, behind) == free).all()
    assert (band.liquidation_usd(np.full(3, -0.2), view, replace(behind, until_years=np.ones(3))) == 0.0).all()


def a_view() -> View:
    nothing = np.zeros(3)
    return View(1, 1e-4, 1e-4, nothing, nothing + SPOT, nothing, nothing, nothing, np.ones(3, dtype=bool))


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"share": 1.5}, UnitError, "share from 0 to 1"),
        ({"passes_share": -0.1}, UnitError, "passes_share"),
        ({"impact_per_usd": 0.0}, InputError, "impact_per_usd"),
        ({"reach_log": 7.0}, InputError, "reach_log"),
        ({"cost_bps": 2e4}, UnitError, "cost_bps"),
    ],
)
def test_what_means_nothing_is_refused(changes: dict[str, float], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        LevelSight(**{"share": 0.5, "impact_per_usd": IMPACT, **changes})
    assert DISTANCES == 64
