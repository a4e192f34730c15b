"""Clearing prices found with the demands in compiled code, against the agents asked one by one: the same market, to rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.sim.test_leveraged import rules

from tailwag.hedging.execution import Maker
from tailwag.hedging.policies import Band, EveryStep
from tailwag.liquidity.pools import RangePool, WeightedPool
from tailwag.sim import demands
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.ladder import Cluster, LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.agents.price_band import PriceBand
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel, ReactiveDepth
from tailwag.sim.leverage_buckets import LeverageBucket
from tailwag.sim.option_book import OptionBook
from tailwag.sim.pool_state import PoolFee, PoolTerms
from tailwag.sim.scenario import Scenario, VolDynamics
from tailwag.sim.state import BlockPaths

SPOT, PATHS = 60_000.0, 300
POOL = PoolTerms(WeightedPool.worth(3e8, price_usd=SPOT, weight=0.4), PoolFee(4.0))

VOL = VolDynamics(spot_vol_beta=-0.8, mean_reversion_per_day=1.0, vega_impact_per_usd=1e-9)


def book() -> OptionBook:
    rng, count = np.random.default_rng(2), 72
    strike, days = SPOT * np.exp(rng.normal(size=count) * 0.05), rng.choice([3.0, 9.0, 40.0], count)
    ones = np.ones(count)
    return OptionBook(
        rng.choice([-1, 1], count), strike, days / 365, rng.normal(-30.0, 20.0, count), 0.6 * ones, ones, 0.1 * ones, ones < 0.0
    )


def traders(fund_usd: float, *, rounds: bool = False, contract: str = "linear") -> LeveragedTraders:
    sides = [(side, leverage) for side in ("long", "short") for leverage in (20.0, 50.0, 100.0)]
    buckets = tuple(LeverageBucket(side, leverage, 2e8, 1e6, 0.02, accounts=20) for side, leverage in sides)
    return LeveragedTraders(f"traders {rounds} {fund_usd:g}", 0, buckets, rules(rounds=rounds, deleverages=True), fund_usd=fund_usd)


def ladder(name: str) -> LiquidationLadder:
    clusters = (Cluster(-0.01, 0.004, 2e8), Cluster(0.012, 0.003, 1e8))
    return LiquidationLadder(name, 0, density_usd=1e9, clusters=clusters)


def everybody() -> dict[str, tuple[Agent, ...]]:
    """One market of each kind, and one with all of them."""
    each: dict[str, tuple[Agent, ...]] = {
        "book": (
            Dealer("book", EveryStep(), 0, options=book()),
            Dealer("band", Band(half_width_coin=20.0), 0, options=book(), hedge_share=0.4),
        ),
        "late vega": (
            Dealer("prompt", EveryStep(), 0, options=book()),
            Dealer("vega", EveryStep(), 1, options=book(), hedge_share=0.5, vega_hedge_share=0.3),
        ),
        "gamma": (Dealer("gamma", Band(half_width_usd=2e5), 0, gamma_usd=-2e9, iv=0.6, speed=0.7),),
        "pool": (PoolArbitrage("pool", POOL), PoolArbitrage("free", replace(POOL, fee=PoolFee(0.0), block_minutes=2.0))),
        "owner": (LpHedger("owner", POOL, EveryStep(), 0, hedge_share=0.8),),
        "ladder": (ladder("ladder"), PriceBand(ladder("behind"), 0.003, 3.0, 5.0)),
        "whole": (traders(1e9),),
        "rounds": (traders(1e9, rounds=True),),
        "poor": (traders(1e4), traders(0.0, rounds=True)),
    }
    return {**each, "all": tuple(agent for agents in each.values() for agent in agents)}


EVERYBODY = everybody()


def world(agents: tuple[Agent, ...], *, vol: float = 1.2, passing: float = 5e-12, step_minutes: float = 1.0) -> Scenario:
    impact = ImpactModel(permanent_per_usd=5e-12, transient_per_usd=passing, transient_half_life_minutes=20.0)
    grid = TimeGrid.uniform(horizon_days=10 * step_minutes / 1440, step_minutes=step_minutes)
    pusher = Dealer("late", EveryStep(), 1, gamma_usd=-1e9, iv=0.6)
    return Scenario(SPOT, grid, Gbm(vol), impact, (*agents, pusher), "implicit", vol=VOL)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What compiled code found, step by step."""
    seen: list[Any] = []

    def watched(*given: Any) -> Any:
        seen.append(searched(*given))
        return seen[-1]

    searched = demands.searched
    monkeypatch.setattr(demands, "searched", watched)
    return seen


def alike(one: BlockPaths, other: BlockPaths) -> None:
    assert np.array_equal(one.outcome, other.outcome)
    assert np.abs(one.log_price - other.log_price).max() < 1e-13
    for ours, theirs in zip(one.agents, other.agents):
        size = 1e6 + float(np.abs(theirs.turnover_usd).max())
        assert ours.trades.tolist() == theirs.trades.tolist()
        for part in ("turnover_usd", "final_cash_usd", "pnl_usd"):
            assert np.abs(getattr(ours, part) - getattr(theirs, part)).max() < 1e-12 * size, (ours.name, part)
        assert np.abs(ours.final_position_coin - theirs.final_position_coin).max() < 1e-12 * size / SPOT


@pytest.mark.parametrize("name", EVERYBODY)
def test_the_market_is_the_one_that_agents_make_who_are_asked(name: str, looked: list[Any]) -> None:
    plan = plan_run(world(EVERYBODY[name]), seed=4, tabulate=True, full_pnl=False)
    walked = run_block(plan, 0, PATHS)
    assert len(looked) == 10, "compiled code searched in every step"
    asked = run_block(replace(plan, walks=False), 0, PATHS)
    assert len(looked) == 10
    alike(walked, asked)
    assert all(agent.trades.sum() > 0 for agent in walked.agents)


def test_impact_may_count_coin_and_no_bit_depends_on_who_else_is_searched(looked: list[Any]) -> None:
    scenario = world(EVERYBODY["all"])
    per_coin = ImpactModel(permanent_per_coin=3e-7, transient_per_usd=5e-12, transient_half_life_minutes=20.0)
    plan = plan_run(replace(scenario, impact=per_coin), seed=4, tabulate=True, full_pnl=False)
    walked = run_block(plan, 0, 96)
    assert len(looked) == 10, "compiled code searched in every step"
    alike(walked, run_block(replace(plan, walks=False), 0, 96))
    for first, count in ((0, 1), (17, 3), (40, 56)):
        part = run_block(plan, first, count)
        assert np.array_equal(walked.log_price[first : first + count], part.log_price)
        for ours, theirs in zip(walked.agents, part.agents):
            assert np.array_equal(ours.pnl_usd[:, first : first + count], theirs.pnl_usd)


@pytest.mark.parametrize("name", ["book", "pool", "whole", "all"])
def test_depth_that_reacts_thins_what_is_searched(name: str, looked: list[Any]) -> None:
    impact = ImpactModel(permanent_per_usd=5e-12, depth_reacts=ReactiveDepth(30.0, 2e-9, 20.0, 0.25))
    plan = plan_run(replace(world(EVERYBODY[name]), impact=impact), seed=4, tabulate=True, full_pnl=False)
    walked = run_block(plan, 0, 120)
    assert len(looked) == 10
    alike(walked, run_block(replace(plan, walks=False), 0, 120))


def test_of_two_bands_one_in_the_other_the_agents_are_asked() -> None:
    agents = (PriceBand(PriceBand(ladder("twice"), 0.002, 3.0, 5.0), 0.001, 2.0, 4.0),)
    plan = plan_run(world(agents, vol=3.0), seed=4, tabulate=True, full_pnl=False)
    alike(run_block(plan, 0, 100), run_block(replace(plan, walks=False), 0, 100))


def test_paths_that_compiled_code_cannot_answer_are_left_to_the_agents(looked: list[Any]) -> None:
    """A fund that is not enough; and no bit depends on who else is in the block."""
    plan = plan_run(world(EVERYBODY["poor"], vol=3.0), seed=4, tabulate=True, full_pnl=False)
    walked = run_block(plan, 0, 64)
    hard = np.array([np.zeros(64, dtype=bool) if found.hard is None else found.hard for found in looked])
    assert 0.02 < hard.mean() < 0.7
    alike(walked, run_block(replace(plan, walks=False), 0, 64))
    halves = run_block(plan, 0, 24), run_block(plan, 24, 40)
    assert np.array_equal(walked.log_price, np.concatenate([half.log_price for half in halves]))
    assert np.array_equal(walked.agents[0].pnl_usd, np.concatenate([half.agents[0].pnl_usd for half in halves], axis=1))


def test_coin_that_waited_for_an_auction_is_sold_in_it(looked: list[Any]) -> None:
    plan = plan_run(replace(world(EVERYBODY["pool"]), batch_steps=4), seed=4, tabulate=True, full_pnl=False)
    walked = run_block(plan, 0, 64)
    assert len(looked) == 3
    alike(walked, run_block(replace(plan, walks=False), 0, 64))
    assert all(np.abs(agent.final_position_coin).max() > 10.0 for agent in walked.agents[:2])


def test_a_book_outside_its_table_is_summed(looked: list[Any]) -> None:
    plan = plan_run(world(EVERYBODY["book"], vol=9.0, step_minutes=120.0), seed=4, tabulate=True, full_pnl=False)
    walked = run_block(plan, 0, 64)
    assert any(found.hard is not None for found in looked)
    alike(walked, run_block(replace(plan, walks=False), 0, 64))


@pytest.mark.parametrize(("vol", "stop"), [(1.2, 0.5), (3.0, 0.004), (1.2, 0.0015)])
def test_a_book_is_not_read_again_where_the_search_has_read_it(vol: float, stop: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only paths on which nobody asked at the cleared price are: those that stopped, and those that have nothing to trade."""
    agents = (EVERYBODY["book"][0], PriceBand(EVERYBODY["book"][1], 0.001, 3.0, 5.0))
    plan = plan_run(replace(world(agents, vol=vol), stop_log_move=stop), seed=4, tabulate=True, full_pnl=False)
    seat = next(seat for seat in plan.seats if seat.agent is agents[0])
    place, source, sizes = plan.seats.index(seat), seat.trader.net_delta, []
    read, state = type(source).at, init(plan, 0, PATHS)
    monkeypatch.setattr(
        type(source), "at", lambda self, now, *at, **more: sizes.append((self is source, at[0].size)) or read(self, now, *at, **more)
    )
    for _ in range(9):
        state = step(plan, state)
        memory = state.seats[place].memory
        assert np.array_equal(memory.read.log_price, state.log_price)
        fresh = read(source, state.step, state.log_price, state.vol_shift, running_average_usd=memory.average_usd)
        for ours, theirs in zip(memory.read.found, fresh):
            assert np.abs(ours - theirs).max() < 1e-7
        assert memory.read.answers(state.step, state.log_price.copy(), state.vol_shift.copy())
        assert not memory.read.answers(state.step + 1, state.log_price, state.vol_shift)
    mine = [size for own, size in sizes if own]
    stopped = int((~state.live).sum())
    assert (stopped > 0) == (stop < 0.1)
    assert sum(size for size in mine if size == PATHS) == 10 * PATHS, "at the start, and once a step before the search"
    assert max([size for size in mine if size < PATHS], default=0) <= stopped


@pytest.mark.parametrize(
    "other",
    [
        PoolArbitrage("range", PoolTerms(RangePool.worth(1e8, price_usd=SPOT, low_usd=5e4, high_usd=7e4), PoolFee(5.0))),
        LiquidationLadder("random", 0, levels_per_log=50.0, level_usd=1e6),
        Dealer("maker", EveryStep(), 0, gamma_usd=-1e9, iv=0.6, execution=Maker(0.5)),
        Dealer("vega", EveryStep(), 0, options=book(), vega_hedge_share=0.1),
    ],
    ids=lambda agent: agent.name,
)
def test_with_one_who_is_not_known_to_compiled_code_everybody_is_asked(other: Agent, looked: list[Any]) -> None:
    run_block(plan_run(world((*EVERYBODY["gamma"], other)), seed=4, tabulate=True), 0, 4)
    assert not looked
