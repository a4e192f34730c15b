"""Every agent on: path-steps per second of one core, agent by agent and all together, for 400 and 1,600 options and for more and more agents.

    python benchmarks/reflexive.py [--paths 8192] [--steps 288] [--rounds 3]

One-minute steps under implicit clearing: dealers who hedge at once and late, leveraged longs and shorts whose cascades clear in their step, a pool with
arbitrage, the owner of a pool who hedges, Crab with its keepers, and a liquidation ladder behind a price band. The last row is the plain twin of the
search for clearing prices: every agent is asked for its demand, where else compiled code reads it. Figures are medians of rounds in which all
contestants take turns; times are CPU seconds of one thread, tables apart; nothing is asserted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.loop import SPOT, books, growth, interleaved, ratio, timed
from tailwag.hedging.policies import Band, EveryStep
from tailwag.liquidity.pools import WeightedPool
from tailwag.margin.rulebook import rulebook
from tailwag.market.clock import parse_time_ns
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.ladder import Cluster, LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.agents.power_perp import Crab, PerpFunding, TimeOrThreshold
from tailwag.sim.agents.price_band import PriceBand
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.leverage_buckets import buckets_from_open_interest
from tailwag.sim.pool_state import PoolFee, PoolTerms
from tailwag.sim.scenario import Scenario, VolDynamics
from tailwag.sources.rules import load_rules

DAY = "2026-02-05T00:00:00Z"
MIX = {5.0: 0.1, 10.0: 0.12, 20.0: 0.1, 25.0: 0.05, 50.0: 0.04, 75.0: 0.02}
IMPACT = ImpactModel(permanent_per_usd=4e-12, transient_per_usd=1e-11, transient_half_life_minutes=30.0)


def leveraged(place: int = 0, *, accounts: int = 25, interest_usd: float = 4e9) -> LeveragedTraders:
    """12 leverages of a venue, 43 % of each side on margin."""
    buckets = buckets_from_open_interest(interest_usd, longs=MIX, shorts=MIX, account_usd=1e5, accounts=accounts)
    rules = rulebook(load_rules("margin_binance_btcusdt"), parse_time_ns(DAY))
    return LeveragedTraders(f"leveraged {place}", 0, buckets, rules, fund_usd=1e7, premium_share=0.0005, stream=place)


def dealer(place: int, options: int, *, delay: int) -> Dealer:
    policy = Band(half_width_coin=5.0) if delay else EveryStep()
    book = books(options)[place]
    return Dealer(f"dealer {place}", policy, delay, options=replace(book, contracts_coin=0.5 * book.contracts_coin))


def everybody(options: int = 1600, *, place: int = 0, share: float = 1.0) -> dict[str, Agent]:
    """One of each kind; ``share`` of their sizes, so that several crowds together weigh as much as one."""
    pool = PoolTerms(WeightedPool.worth(2e8 * share, price_usd=SPOT), PoolFee(5.0))
    cluster = Cluster(distance_log=-0.05, width_log=0.01, notional_usd=2e8 * share)
    ladder = LiquidationLadder(f"ladder {place}", 0, density_usd=1e9 * share, clusters=(cluster,), stream=place)
    now, late = dealer(0, options, delay=0), dealer(1, options, delay=1)
    return {
        "dealer, at once": replace(now, name=f"{now.name} {place}", hedge_share=share, stream=place),
        "dealer, late, bands": replace(late, name=f"{late.name} {place}", hedge_share=share, stream=place),
        "leveraged traders": leveraged(place, interest_usd=4e9 * share),
        "pool and arbitrage": PoolArbitrage(f"pool {place}", pool),
        "pool's owner, hedging": LpHedger(f"owner {place}", pool, EveryStep(), 1, stream=place),
        "crab": Crab(f"crab {place}", 1, 5e7 * share, 0.6, TimeOrThreshold(24.0, 0.01), PerpFunding(420.0, 0.8, 1.4), stream=place),
        "ladder behind a band": PriceBand(ladder, 0.03, 30.0, 60.0),
    }


def scenario(*agents: Agent, steps: int) -> Scenario:
    clearing = "lagged" if agents and min(agent.delay_steps for agent in agents) > 0 else "implicit"
    grid = TimeGrid.uniform(horizon_days=steps / 1440, step_minutes=1.0)
    return Scenario(SPOT, grid, Gbm(0.6), IMPACT, agents, clearing, vol=VolDynamics(spot_vol_beta=-0.8, mean_reversion_per_day=1.0))


def path_step(one: Scenario, paths: int, *, walks: bool = True) -> Callable[[], float]:
    """CPU seconds of one path-step, tables apart; ``walks``: prices are searched in compiled code, else every agent is asked."""
    plan = replace(plan_run(one, seed=1, tabulate=True, full_pnl=False), walks=walks)
    return lambda: timed(partial(run_block, plan, 0, paths)) / paths / one.grid.steps


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--paths", type=int, default=8192)
    options.add_argument("--steps", type=int, default=288)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    few, many = everybody(400), everybody(1600)
    jobs = {"nobody": path_step(scenario(steps=chosen.steps), chosen.paths)}
    jobs |= {name: path_step(scenario(agent, steps=chosen.steps), chosen.paths) for name, agent in many.items()}
    jobs["all, 400 options"] = path_step(scenario(*few.values(), steps=chosen.steps), chosen.paths)
    jobs["all, 1,600 options"] = path_step(scenario(*many.values(), steps=chosen.steps), chosen.paths)
    jobs["all, each one asked"] = path_step(scenario(*many.values(), steps=chosen.steps), chosen.paths, walks=False)
    figures = interleaved(jobs, chosen.rounds)
    print(f"{'one-minute steps, one core':<28}{'M path-steps/s':>16}")
    for name, seconds in figures.items():
        print(f"{name:<28}{1e-6 / statistics.median(seconds):>16.3f}")
    print(
        f"compiled search of prices: {ratio(figures, 'all, each one asked', 'all, 1,600 options'):.2f} times as fast as asking each agent"
    )
    more(chosen.paths, chosen.steps, chosen.rounds)


def several(count: int) -> list[Agent]:
    """So many crowds of one of each kind, together as large as one."""
    return [agent for place in range(count) for agent in everybody(400, place=place, share=1.0 / count).values()]


def more(paths: int, steps: int, rounds: int) -> None:
    """How the time of a path-step grows with the number of agents and of leveraged accounts."""
    numbers = [1, 2, 4, 8]
    crowds = {
        str(count): path_step(scenario(*(leveraged(place, interest_usd=4e9 / count) for place in range(count)), steps=steps), paths)
        for count in numbers
    }
    by_agents = interleaved(crowds, rounds)
    times = [statistics.median(by_agents[str(count)]) for count in numbers]
    slope = np.polyfit(numbers, times, 1)[0]
    print(f"each further venue of leveraged traders: {1e9 * slope:.0f} ns a path-step, exponent {growth(numbers[1:], times[1:]):.2f}")
    each = {str(count): path_step(scenario(*several(count), steps=steps), paths) for count in numbers}
    by_crowd = interleaved(each, rounds)
    times = [statistics.median(by_crowd[str(count)]) for count in numbers]
    print(
        "agents: " + ", ".join(f"{7 * count} at {1e9 * one:.0f} ns" for count, one in zip(numbers, times)) + " a path-step, "
        f"exponent {growth(numbers[1:], times[1:]):.2f}"
    )
    sizes = [25, 100, 400]
    by_accounts = interleaved({str(size): path_step(scenario(leveraged(accounts=size), steps=steps), paths) for size in sizes}, rounds)
    print(
        "accounts told apart: " + ", ".join(f"{12 * size:,} at {1e-6 / statistics.median(by_accounts[str(size)]):.2f} M" for size in sizes)
    )


if __name__ == "__main__":
    main()
