"""Pools in the loop: what arbitrage takes, who pays it, the gain of owners who hedge, fees that follow vol, and a public hedger's clock."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.sim.anchors import SPOT, agrees

from tailwag.hedging.policies import EveryStep, NoHedge
from tailwag.liquidity.pools import RangePool, WeightedPool, dollar_gamma_usd, expected_lvr_share, split_at_random_blocks
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.agents.power_perp import Crab, PerpFunding, TimeOrThreshold, everlasting_power
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm, Heston, Replay
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.ledger import PART
from tailwag.sim.pool_state import PoolFee, PoolTerms, open_pool, trade_pool
from tailwag.sim.pool_statement import pool_statement
from tailwag.sim.scenario import Costs, Scenario, starting_gain

ANSWERS = json.loads((Path(__file__).parents[1] / "answers" / "pools.json").read_text(encoding="utf-8"))
LAMBDA = 3.1e-11
HALF = WeightedPool.worth(4e9, price_usd=SPOT)
RANGE = RangePool.worth(3e8, price_usd=SPOT, low_usd=54_000.0, high_usd=66_000.0)
FREE = PoolFee(0.0)
DAILY_5 = 0.05
FUNDING = PerpFunding(420.0, 0.8, 1.4)


def market(*agents, steps=96, minutes=15.0, price=None, impact=LAMBDA, **changes):
    delays = [agent.delay_steps for agent in agents]
    given = {
        "spot_usd": SPOT,
        "grid": TimeGrid.uniform(horizon_days=steps * minutes / 1440, step_minutes=minutes),
        "price": price or Gbm(vol=0.6),
        "impact": ImpactModel(permanent_per_usd=impact),
        "clearing": "lagged" if delays and min(delays) > 0 else "implicit",
        "stop_log_move": 3.0,
    }
    return Scenario(agents=agents, **{**given, **changes})


# Loss versus rebalancing


@pytest.mark.parametrize(("weight", "years"), [(0.5, 1 / 12), (0.8, 0.25)])
def test_t14_mean_loss_against_rebalancing(weight, years):
    """A martingale, looked at 30 times: the mean loss is 1 - exp(-vol^2 w (1 - w) T / 2) whatever the steps, as holding coin earns nothing."""
    paths, steps, vol = 60_000, 30, 0.6
    shocks = np.random.default_rng(5).standard_normal((paths, steps)) * vol * math.sqrt(years / steps) - 0.5 * vol**2 * years / steps
    logs = np.concatenate([np.zeros((paths, 1)), np.cumsum(shocks, axis=1)], axis=1)
    grid = TimeGrid.uniform(horizon_days=365 * years, step_minutes=525_600 * years / steps)
    told = pool_statement(PoolTerms(WeightedPool.worth(1.0, price_usd=SPOT, weight=weight), FREE), grid, logs, spot_usd=SPOT)
    theory = expected_lvr_share(vol, years, weight=weight)
    mean, error = told.lost_usd.mean(), told.lost_usd.std() / math.sqrt(paths)
    assert agrees(mean, theory, error)
    assert not agrees(mean, theory * weight / 0.4, error) if weight == 0.5 else True
    assert abs(mean - 2.0 * theory) > 4.0 * error
    assert np.abs(told.residual_usd).max() < 1e-12
    assert told.second_order_usd.mean() == pytest.approx(mean, rel=0.02)


def walk(fee_bps, seconds, *, random, blocks, paths=3000, seed=1):
    """Share of blocks traded and what arbitrageurs keep a day in basis points, with standard errors, over blocks of a pool of its own."""
    terms = PoolTerms(WeightedPool.worth(1.0, price_usd=1.0), PoolFee(fee_bps))
    rng, days, live = np.random.default_rng(seed), seconds / 86_400, np.ones(paths, dtype=bool)
    wide = fee_bps * 1e-4 / (DAILY_5 * math.sqrt(days))
    warm = int(20 + 3.0 * wide * wide)
    state, here = open_pool(terms, paths), fee_bps * 1e-4 * rng.uniform(-1.0, 1.0, paths)
    traded, kept, paid = np.zeros(paths), np.zeros(paths), np.zeros(paths)
    count = max(blocks // paths, 1)
    for number in range(warm + count):
        waits = days * rng.exponential(size=paths) if random else days
        there = here + DAILY_5 * np.sqrt(waits) * rng.standard_normal(paths)
        trade = trade_pool(terms, state, spot_usd=1.0, logs=(here, there), step_years=days / 365, block=True, live=live)
        if number >= warm:
            worth = terms.pool.value_usd(np.exp(there))
            traded += trade.after.pool_log != state.pool_log
            kept += (trade.coin_out * np.exp(there) - trade.cash_in_usd - trade.fee_usd) / worth
            paid += trade.fee_usd / worth
        state, here = trade.after, there
    scale = 1e4 / days / count
    told = (traded / count, kept * scale, paid * scale)
    return [(float(part.mean()), float(part.std(ddof=1) / math.sqrt(paths))) for part in told]


def test_t15_split_of_the_loss_over_a_few_cells():
    for fee_bps, seconds in ((5.0, 12.0), (30.0, 600.0)):
        (share, share_error), (kept, kept_error), (paid, paid_error) = walk(fee_bps, seconds, random=True, blocks=600_000)
        theory = split_at_random_blocks(fee_bps * 1e-4, vol=DAILY_5 * math.sqrt(365), block_years=seconds / 86_400 / 365)
        in_bp = theory.arbitrage_per_year / 365 * 1e4
        assert agrees(share, theory.trade_share, share_error)
        assert agrees(kept, in_bp, kept_error)
        assert abs(kept - in_bp * 1.06) > 4.0 * kept_error, "a fee that is forgotten in the profit would pass"
        assert abs(paid - (3.125 - in_bp)) < 4.0 * paid_error + 1e-3


def test_t15_fixed_blocks_are_not_random_ones():
    row = next(row for row in ANSWERS["grid"] if (row["fee_bps"], row["seconds"]) == (5.0, 12.0))
    (share, share_error), (kept, kept_error), _ = walk(5.0, 12.0, random=False, blocks=600_000)
    assert agrees(share, row["trade_share"], share_error)
    assert agrees(kept, row["arbitrage_bp_per_day"], kept_error)
    assert abs(share - 0.454545) > 4.0 * share_error, "the law of random blocks"


@pytest.mark.slow
@pytest.mark.parametrize("random", [True, False])
@pytest.mark.parametrize("row", ANSWERS["grid"], ids=lambda row: f"{row['fee_bps']:g}bp-{row['seconds']:g}s")
def test_t15_whole_grid(row, random):
    """Six million blocks in each of the 4 x 4 cells (36 where one in sixty trades): formula for random blocks, stationary law for fixed ones."""
    blocks = 36_000_000 if (row["fee_bps"], row["seconds"]) == (100.0, 2.0) else 6_000_000
    (share, share_error), (kept, kept_error), _ = walk(row["fee_bps"], row["seconds"], random=random, blocks=blocks, paths=6000)
    theory = split_at_random_blocks(row["fee_bps"] * 1e-4, vol=DAILY_5 * math.sqrt(365), block_years=row["seconds"] / 86_400 / 365)
    expected = (theory.trade_share, theory.arbitrage_per_year / 365 * 1e4) if random else (row["trade_share"], row["arbitrage_bp_per_day"])
    assert agrees(share, expected[0], share_error)
    assert agrees(kept, expected[1], kept_error)


# Gain


def bump(*agents, move=1e-5, start=0.0):
    """Measured gain of the second of two steps, both sides: 1 - (shock / move of the price); the first takes the price to ``start``."""
    gains = []
    for side in (1.0, -1.0):
        moves = np.array([start, side * move]) if start else np.array([side * move])
        block = run_block(plan_run(market(*agents, steps=moves.size, price=Replay(moves)), seed=0), 0, 1)
        gains.append(1.0 - side * move / (block.log_price[0, -1] - block.log_price[0, -2]))
    return 0.5 * sum(gains)


@pytest.mark.parametrize(("pool", "expected"), [(HALF, 1e9), (WeightedPool.worth(4e9, price_usd=SPOT, weight=0.8), 0.64e9), (RANGE, None)])
def test_gain_of_an_owner_who_hedges_is_lambda_times_dollar_gamma(pool, expected):
    """lambda V / 4 of a constant product; lambda L sqrt P / 2 of a range: positive, as of anybody short gamma."""
    dollars = expected if expected is not None else 0.5 * RANGE.liquidity * math.sqrt(SPOT)
    owner = LpHedger("owner", PoolTerms(pool, PoolFee(30.0)), EveryStep(), 0)
    assert bump(owner) == pytest.approx(LAMBDA * dollars, rel=1e-6)
    assert starting_gain(market(owner)) == pytest.approx(LAMBDA * dollars, rel=1e-12)


def test_gain_of_a_pool_is_the_same_with_the_other_sign_and_a_hedged_pool_has_none():
    """Arbitrageurs sell in the market what leaves the pool as price rises; an owner who hedges buys exactly that."""
    pool, owner = PoolArbitrage("pool", PoolTerms(HALF, FREE)), LpHedger("owner", PoolTerms(HALF, FREE), EveryStep(), 0)
    assert bump(pool) == pytest.approx(-LAMBDA * 1e9, rel=1e-6)
    assert starting_gain(market(pool)) == pytest.approx(-LAMBDA * 1e9, rel=1e-12)
    assert bump(pool, owner) == pytest.approx(0.0, abs=1e-9)
    block = run_block(plan_run(market(pool, owner), seed=2), 0, 8)
    assert np.abs(block.net_flow_usd).max() < 1e-3
    assert block.log_price == pytest.approx(block.fundamental_log, abs=1e-12)


def test_gains_of_dealers_pools_and_owners_add():
    dealer = Dealer("dealer", EveryStep(), 0, gamma_usd=-2e9)
    owner = LpHedger("owner", PoolTerms(RANGE, FREE), EveryStep(), 0, hedge_share=0.7)
    pool = PoolArbitrage("pool", PoolTerms(WeightedPool.worth(8e8, price_usd=SPOT), FREE))
    expected = LAMBDA * (2e9 + 0.7 * 0.5 * RANGE.liquidity * math.sqrt(SPOT) - 2e8)
    assert bump(dealer, owner, pool) == pytest.approx(expected, rel=1e-6)
    assert starting_gain(market(dealer, owner, pool)) == pytest.approx(expected, rel=1e-12)


def test_out_of_range_nobody_trades_and_a_fee_shelters_small_moves():
    owner, pool = LpHedger("owner", PoolTerms(RANGE, FREE), EveryStep(), 0), PoolArbitrage("pool", PoolTerms(HALF, PoolFee(30.0)))
    assert bump(owner, start=0.2) == pytest.approx(0.0, abs=1e-9)
    assert bump(owner, start=0.05) > 0.04
    assert bump(pool) == 0.0
    assert bump(pool, start=0.05) == pytest.approx(-0.5 * LAMBDA * 1e9, rel=0.1), "it answers on one side of its fee only"


# Accounts


def slow_twin(log_price, *, value, spot, fee, years, two_way):
    """A constant product along one path with plain floats and its reserves by name; nothing of the package."""
    coin, cash = value / 2 / spot, value / 2
    invariant = coin * cash
    told = {"lost": 0.0, "fees": 0.0, "held": 0.0, "keeps": 0.0}
    last = spot
    for there in log_price[1:]:
        market_price = spot * math.exp(there)
        told["held"] += coin * (market_price - last)
        told["fees"] += two_way * fee * 365 * years
        wanted = min(max(cash / coin, market_price * math.exp(-fee)), market_price * math.exp(fee))
        if wanted != cash / coin:
            new_coin = math.sqrt(invariant / wanted)
            new_cash = invariant / new_coin
            bought, paid = coin - new_coin, new_cash - cash
            due = paid * math.exp(fee) if paid > 0 else paid * math.exp(-fee)
            told["lost"] += bought * market_price - paid
            told["keeps"] += bought * market_price - due
            told["fees"] += due - paid
            coin, cash = new_coin, new_cash
        last = market_price
    return told | {"worth": coin * last + cash}


def test_statement_agents_and_a_slow_twin_tell_one_story():
    """30 bp, moved market, everybody at work: statement = twin; the arbitrageurs' profit is what the twin's keep; the owner's parts close."""
    terms = PoolTerms(WeightedPool.worth(4e8, price_usd=SPOT), PoolFee(30.0), two_way_usd_per_day=3e7)
    pool, owner = PoolArbitrage("pool", terms), LpHedger("owner", terms, EveryStep(), 0)
    scenario = market(pool, owner, Dealer("dealer", EveryStep(), 0, gamma_usd=-5e9), steps=200, impact=2e-11)
    block = run_block(plan_run(scenario, seed=9), 0, 6, keep_agents=True)
    told = pool_statement(terms, scenario.grid, block.log_price, spot_usd=SPOT)
    years = float(scenario.grid.step_years[0])
    for path in range(6):
        twin = slow_twin(block.log_price[path], value=4e8, spot=SPOT, fee=0.003, years=years, two_way=3e7)
        assert told.lost_usd[path] == pytest.approx(twin["lost"], rel=1e-9)
        assert told.arbitrage_usd[path] == pytest.approx(twin["keeps"], rel=1e-9)
        assert told.arbitrage_fees_usd[path] + told.two_way_fees_usd[path] == pytest.approx(twin["fees"], rel=1e-9)
        assert told.held_usd[path] == pytest.approx(twin["held"], rel=1e-9, abs=1e-3)
        assert told.value_end_usd[path] == pytest.approx(twin["worth"], rel=1e-12)
    assert np.abs(told.residual_usd).max() < 1e-5
    arbitrage, lp = block.agents[0].pnl_usd, block.agents[1].pnl_usd
    assert arbitrage[PART["gamma_theta_usd"]] == pytest.approx(told.arbitrage_usd, rel=1e-9)
    assert arbitrage.sum(axis=0) == pytest.approx(block.agents[0].final_cash_usd, rel=1e-8, abs=1e-3)
    assert lp[PART["gamma_theta_usd"]] == pytest.approx(told.owners_usd - told.held_usd, rel=1e-7)
    assert np.abs(lp[PART["residual_usd"]]).max() < 1e-6
    worth = SPOT * np.exp(block.log_price[:, -1])
    start = np.asarray(block.agents[1].position_coin)[:, 0]
    hedge = block.agents[1].final_cash_usd - told.arbitrage_fees_usd - told.two_way_fees_usd
    marked = hedge + block.agents[1].final_position_coin * worth - start * SPOT
    assert lp.sum(axis=0) == pytest.approx(told.owners_usd + marked, rel=1e-8, abs=1e-2)


def test_coin_and_cash_of_pool_arbitrageurs_owner_and_market_are_conserved_in_every_step():
    """Coin that leaves the pool is with the arbitrageurs or sold; cash that comes in is theirs less fees; two-way traders pay what the owner gets."""
    terms = PoolTerms(
        RangePool.worth(4e8, price_usd=SPOT, low_usd=58_500.0, high_usd=62_000.0), PoolFee(5.0, bps_per_vol=30.0, start_vol=0.6)
    )
    paying = replace(terms, two_way_usd_per_day=1e8)
    agents = (PoolArbitrage("pool", terms, 1), LpHedger("owner", paying, EveryStep(), 1), Dealer("dealer", EveryStep(), 2, gamma_usd=-3e9))
    scenario = market(*agents, costs=Costs(fee_bps=2.0, half_spread_bps=1.0, gas_usd=4.0))
    plan = plan_run(scenario, seed=4)
    state = init(plan, 0, 8)
    start = sum(own.holding.position_coin for own in state.seats)
    paid_by_others = np.zeros(8)
    for _ in range(scenario.grid.steps):
        before = {seat.agent.name: own.memory for seat, own in zip(plan.seats, state.seats)}
        state = step(plan, state)
        memory = {seat.agent.name: own.memory for seat, own in zip(plan.seats, state.seats)}
        holding = {seat.agent.name: own.holding for seat, own in zip(plan.seats, state.seats)}
        price = SPOT * np.exp(memory["pool"].pool.pool_log)
        reserve_coin = terms.pool.coin(price) - terms.pool.coin(np.asarray(SPOT))
        reserve_cash = terms.pool.cash_usd(price) - terms.pool.cash_usd(np.asarray(SPOT))
        rate = 1e-4 * (5.0 + 30.0 * np.sqrt(before["owner"].pool.variance))
        paid_by_others = paid_by_others + rate * 1e8 * 365 * float(scenario.grid.step_years[0])
        coin = sum(own.holding.position_coin for own in state.seats) + state.liquidity_coin - start
        cash = sum(own.holding.cash_usd for own in state.seats) + state.liquidity_usd + state.venue_usd
        assert memory["pool"].received_coin == pytest.approx(-reserve_coin, rel=1e-9, abs=1e-9)
        assert np.abs(coin).max() * SPOT < 1e-4
        assert cash + reserve_cash - paid_by_others == pytest.approx(np.zeros(8), abs=1e-3)
        assert holding["pool"].turnover_usd.shape == (8,)
    assert reserve_cash.std() > 1e5, "the pool traded"


def test_an_owner_who_hedges_without_fees_loses_the_closed_form():
    """Two days of 5-minute steps: mean profit -vol^2 / 8 V T on a driftless log price (to the order of a step), half of it if half is asked."""
    terms = PoolTerms(WeightedPool.worth(1e8, price_usd=SPOT), FREE)
    owner = LpHedger("owner", terms, EveryStep(), 0)
    scenario = market(owner, steps=576, minutes=5.0, impact=0.0)
    plan = plan_run(scenario, seed=12)
    earned = np.concatenate([run_block(plan, first, 500).agents[0].pnl_usd.sum(axis=0) for first in range(0, 2000, 500)])
    theory = -0.36 / 8.0 * 1e8 * 2.0 / 365.0
    error = earned.std() / math.sqrt(earned.size)
    assert agrees(float(earned.mean()), theory, error)
    assert abs(earned.mean() - 0.5 * theory) > 4.0 * error


def test_an_unhedged_owner_has_no_gain_and_no_trades():
    owner = LpHedger("owner", PoolTerms(HALF, FREE), NoHedge(), 0)
    assert starting_gain(market(owner)) == 0.0
    block = run_block(plan_run(market(owner), seed=1), 0, 4)
    assert not block.net_flow_usd.any()


def test_a_fee_that_follows_vol_keeps_more_of_the_loss_than_a_fixed_one_of_the_same_mean():
    """Heston vol, same shocks, blocks of two minutes; the fixed fee is the moving one's own mean.  Paired over paths."""
    base, per_vol = 2.0, 25.0
    moving = PoolTerms(WeightedPool.worth(1.0, price_usd=SPOT), PoolFee(base, bps_per_vol=per_vol, half_life_minutes=60.0, start_vol=0.6))
    price = Heston(v0=0.36, theta=0.36, kappa=200.0, xi=14.0, rho=0.0)
    scenario = market(steps=1440, minutes=2.0, price=price)
    logs = np.concatenate([run_block(plan_run(scenario, seed=3), first, 500).log_price for first in range(0, 1500, 500)])
    fees = mean_fee_bps(moving.fee, logs, minutes=2.0)
    fixed = PoolTerms(moving.pool, PoolFee(fees))
    told, plain = (pool_statement(terms, scenario.grid, logs, spot_usd=SPOT) for terms in (moving, fixed))
    saved = plain.arbitrage_usd - told.arbitrage_usd
    error = saved.std() / math.sqrt(saved.size)
    assert error < 0.01 * plain.arbitrage_usd.mean()
    assert saved.mean() / plain.arbitrage_usd.mean() == pytest.approx(0.161, abs=4 * 0.0083)
    assert told.lost_usd.mean() == pytest.approx(plain.lost_usd.mean(), rel=0.05), "the loss is the market's; the fee decides who keeps it"


def test_a_moving_fee_forgets_half_of_what_it_saw_in_a_half_life():
    """From 60 %: after one still half-life vol is 60 % / sqrt 2; then a move of 1 % in half an hour enters with its own weight; then the cap."""
    fee = PoolFee(2.0, bps_per_vol=10.0, half_life_minutes=30.0, start_vol=0.6, most_bps=9.0)
    terms, live = PoolTerms(WeightedPool.worth(1.0, price_usd=1.0), fee), np.ones(1, dtype=bool)
    state, years, told = open_pool(terms, 1), 30.0 / 525_600, []
    for logs in ((0.0, 0.0), (0.0, 0.01), (0.01, 0.01)):
        told.append(float(state.fee_log[0]) * 1e4)
        pair = (np.full(1, logs[0]), np.full(1, logs[1]))
        state = trade_pool(terms, state, spot_usd=1.0, logs=pair, step_years=years, block=True, live=live).after
    assert told[:2] == pytest.approx([8.0, 2.0 + 6.0 / math.sqrt(2.0)], rel=1e-12)
    assert told[2] == 9.0
    assert float(state.variance[0]) == pytest.approx(0.5 * (0.5 * 0.18 + 0.5 * 1e-4 / years), rel=1e-12)


def mean_fee_bps(fee, logs, *, minutes):
    """Mean over paths and steps of the moving fee, by its own recursion."""
    variance, total, kept = np.full(logs.shape[0], fee.start_vol**2), 0.0, 0.5 ** (minutes / fee.half_life_minutes)
    for place in range(1, logs.shape[1]):
        total += float((fee.base_bps + fee.bps_per_vol * np.sqrt(variance)).mean())
        variance = kept * variance + (1.0 - kept) * (logs[:, place] - logs[:, place - 1]) ** 2 * 525_600 / minutes
    return total / (logs.shape[1] - 1)


# The public hedger


@pytest.mark.parametrize("row", ANSWERS["powers"])
def test_t15_power_perp_is_the_sum_of_its_settlements(row):
    told = everlasting_power(row["power"], vol=row["vol"], funding_years=row["days"] / 365, rate=row["rate"])
    assert told == pytest.approx(row["mark"], rel=1e-13)


def crab(notional=1e8, *, iv=0.6, hours=24.0, move=0.01, delay=1, name="crab"):
    return Crab(name, delay, notional, iv, TimeOrThreshold(hours, move), FUNDING)


def test_crab_trades_when_its_public_rule_says_and_never_else():
    """From the price path alone anybody can tell every hedge one step ahead: time, direction and size."""
    rate, steps, minutes = 0.36, 400, 15.0
    scenario = market(crab(), steps=steps, minutes=minutes, impact=0.0)
    block = run_block(plan_run(scenario, seed=8), 0, 3, keep_agents=True)
    for path in range(3):
        last_time, last_log, calls = 0.0, 0.0, {}
        for place in range(1, steps):
            now, here = place * minutes / 60.0, block.log_price[path, place]
            if now - last_time >= 24.0 - 1e-9 or abs(math.exp(here - last_log) - 1.0) >= 0.01:
                calls[place], last_time, last_log = here, now, here
        held, coin = np.asarray(block.agents[0].position_coin)[path], 2e8 / SPOT
        for place in range(1, steps + 1):
            if place - 1 in calls:
                coin = 2e8 * math.exp(-rate * (place - 1) * minutes / 525_600 + calls[place - 1]) / SPOT
            assert held[place] == pytest.approx(coin, rel=1e-12), place
        assert 10 < len(calls) < steps / 4


@pytest.mark.parametrize("paths", [256, pytest.param(4096, marks=pytest.mark.slow)])
def test_crab_mean_squared_gap_is_a_sixth_of_the_squared_threshold(paths):
    """Between hedges ln price walks from 0 to +-d: E of the time integral of x^2 over E of the time is d^2 / 6; plus overshoot and one step's delay."""
    threshold, minutes = 0.03, 1.0
    agent = crab(hours=math.inf, move=threshold, iv=0.0)
    scenario = market(agent, steps=2880, minutes=minutes, impact=0.0)
    plan = plan_run(scenario, seed=21)
    squared, held = [], []
    for first in range(0, paths, 256):
        block = run_block(plan, first, 256, keep_agents=True)
        squared.append(block.agents[0].gap_squared_usd)
        held.append(np.exp(4.0 * block.log_price).mean(axis=1))
    step_variance = 0.36 * minutes / 525_600
    edge = threshold + 0.5826 * math.sqrt(step_variance)
    cycles = edge**2 / 0.36 * 365  # mean days between hedges
    assert 0.8 < cycles < 1.1
    found = np.concatenate(squared) / np.concatenate(held) / (2e8) ** 2
    late = warm_share(2880 * minutes / 1440, cycles)
    theory = late * edge**2 / 6.0 + step_variance
    error = found.std() / math.sqrt(found.size)
    assert abs(found.mean() - theory) < 4.0 * error
    assert error < (0.01 if paths > 1000 else 0.025) * theory
    assert abs(found.mean() - 2.0 * theory) > 4.0 * error
    assert abs(found.mean() - 0.5 * theory) > 4.0 * error


def warm_share(days, cycle_days):
    """Time average of E x^2 from a hedged start over its stationary value, for a walk on (-1, 1) that restarts at 0 on leaving it.

    By a plain finite-difference march of the density with renewal at 0.
    """
    nodes = 201
    x = np.linspace(-1.0, 1.0, nodes)
    density, width = np.zeros(nodes), x[1] - x[0]
    density[nodes // 2] = 1.0 / width
    dt = 0.4 * width * width
    total, time = 0.0, 0.0
    while time < days / cycle_days:
        new = density.copy()
        new[1:-1] += 0.5 * dt / width**2 * (density[2:] - 2 * density[1:-1] + density[:-2])
        new[0] = new[-1] = 0.0
        new[nodes // 2] += (1.0 - new.sum() * width) / width
        density, time = new, time + dt
        total += float((density * x * x).sum() * width) * dt
    return total / time * 6.0


def test_crab_against_an_every_step_hedger_on_common_seeds():
    """The same mean before costs, more variance, fewer trades, lower costs, and flow that comes in bursts."""
    costs = Costs(fee_bps=2.0, half_spread_bps=2.0, gas_usd=50.0)
    told = {}
    for name, move in (("rule", 0.01), ("every step", 0.0)):
        plan = plan_run(market(crab(move=move), steps=672, minutes=15.0, impact=0.0, costs=costs), seed=31)
        told[name] = [run_block(plan, first, 256, keep_agents=True).agents[0] for first in range(0, 1024, 256)]
    rule, every = (np.concatenate([part.pnl_usd for part in told[name]], axis=1) for name in ("rule", "every step"))
    paid = {"spread_usd", "fees_usd", "gas_usd"}
    spent = [-sum(parts[PART[name]] for name in paid) for parts in (rule, every)]
    before_costs = [parts.sum(axis=0) + cost for parts, cost in zip((rule, every), spent)]
    difference = before_costs[0] - before_costs[1]
    assert abs(difference.mean()) < 4.0 * difference.std() / math.sqrt(difference.size)
    assert before_costs[0].var() > 1.5 * before_costs[1].var()
    saving = spent[1] - spent[0]
    assert saving.mean() > 100.0 * saving.std() / math.sqrt(saving.size) > 0.0
    trades = [float(np.concatenate([part.trades for part in told[name]]).mean()) for name in ("rule", "every step")]
    bursts = [burst(np.concatenate([np.asarray(part.flow_usd) for part in told[name]])) for name in ("rule", "every step")]
    assert bursts == pytest.approx([0.744, 0.145], abs=0.005)
    assert trades == pytest.approx([47.7, 671.0], abs=0.2)
    assert [float(cost.mean()) / 1e3 for cost in spent] == pytest.approx([47.9, 171.4], abs=0.1)


def burst(flow_usd):
    """Share of all turnover that falls in the busiest twentieth of a path's steps."""
    size = np.sort(np.abs(flow_usd), axis=1)[:, ::-1]
    return float((size[:, : size.shape[1] // 20].sum(axis=1) / size.sum(axis=1)).mean())


def test_crab_starts_with_twice_its_notional_as_gain():
    assert starting_gain(market(crab(), impact=LAMBDA)) == pytest.approx(LAMBDA * 2e8, rel=1e-12)
    block = run_block(plan_run(market(crab(), steps=3, price=Replay(np.array([0.02, 0.0, 0.0]))), seed=0), 0, 1)
    assert block.net_flow_usd[0, 0] == 0.0
    assert block.net_flow_usd[0, 1] == pytest.approx(2e8 * (math.exp(0.04 - 0.36 * 15 / 525_600) - math.exp(0.02)), rel=1e-9)
    assert dollar_gamma_usd(HALF, SPOT) < 0.0


def test_an_owner_who_hedges_in_a_thin_market_pays_for_the_vol_that_the_hedge_makes():
    """Gain 0.3: realised variance is vol^2 / (1 - g)^2, the variance that the owner pays for vol^2 / (1 - g)."""
    value = 0.3 * 4.0 / LAMBDA
    owner = LpHedger("owner", PoolTerms(WeightedPool.worth(value, price_usd=SPOT), FREE), EveryStep(), 0)
    plan = plan_run(market(owner, steps=288, minutes=5.0), seed=13)
    found = [run_block(plan, first, 500) for first in range(0, 1500, 500)]
    earned = np.concatenate([block.agents[0].pnl_usd.sum(axis=0) for block in found])
    moves = np.concatenate([np.square(np.diff(block.log_price, axis=1)).sum(axis=1) for block in found]) * 365.0
    years = 1.0 / 365.0
    for estimates, theory in ((earned, -0.36 / 0.7 / 8.0 * value * years), (moves, 0.36 / 0.49)):
        assert agrees(float(estimates.mean()), theory, float(estimates.std() / math.sqrt(estimates.size)))
    assert abs(earned.mean() + 0.36 / 0.49 / 8.0 * value * years) > 4.0 * earned.std() / math.sqrt(earned.size)


def test_crab_pays_the_squared_move_and_earns_funding_to_the_dollar():
    """A jump of 10 % with the hedge of before: -N (1.1^2 - 1) of the short and +2 N 0.1 of the coin, together -0.01 N; a still day: N (1 - e^-iv^2/365)."""
    jump = (
        run_block(plan_run(market(crab(iv=0.0), steps=1, price=Replay(np.array([math.log(1.1)])), impact=0.0), seed=0), 0, 1)
        .agents[0]
        .pnl_usd
    )
    assert float(jump.sum()) == pytest.approx(-0.01 * 1e8, rel=1e-9)
    assert float(jump[PART["gamma_theta_usd"], 0]) == pytest.approx(-0.01 * 1e8, rel=1e-9)
    assert abs(float(jump[PART["residual_usd"], 0])) < 1e-3
    still = run_block(plan_run(market(crab(iv=0.8), price=Replay(np.zeros(96)), impact=0.0), seed=0), 0, 1).agents[0].pnl_usd
    assert float(still.sum()) == pytest.approx(-1e8 * math.expm1(-0.64 / 365.0), rel=1e-6)
    assert float(still[PART["gamma_theta_usd"], 0]) == pytest.approx(0.64 / 365.0 * 1e8, rel=1e-2)


def test_crab_earns_the_difference_of_the_variances():
    """Sold at 90 %, 60 % comes: over a day N (0.81 - 0.36) / 365 on average."""
    plan = plan_run(market(crab(iv=0.9, move=0.0), steps=96, impact=0.0), seed=17)
    earned = np.concatenate([run_block(plan, first, 512).agents[0].pnl_usd.sum(axis=0) for first in range(0, 4096, 512)])
    theory, error = 0.45 / 365.0 * 1e8, earned.std() / math.sqrt(earned.size)
    assert agrees(float(earned.mean()), theory, float(error))


def test_a_pool_trades_in_steps_that_hold_a_block():
    """Steps of 15 minutes, a block every 40: at 45, 90 and 120 minutes; a block of a step or less is every step."""
    terms = PoolTerms(WeightedPool.worth(4e6, price_usd=SPOT), FREE, block_minutes=40.0)
    scenario = market(PoolArbitrage("pool", terms), steps=8, impact=0.0)
    flow = run_block(plan_run(scenario, seed=1), 0, 4).net_flow_usd
    assert np.flatnonzero((flow != 0.0).all(axis=0)).tolist() == [2, 5, 7]
    assert np.flatnonzero((flow != 0.0).any(axis=0)).tolist() == [2, 5, 7]
    often = replace(terms, block_minutes=2.0)
    assert (run_block(plan_run(market(PoolArbitrage("pool", often), steps=8, impact=0.0), seed=1), 0, 4).net_flow_usd != 0.0).all()
