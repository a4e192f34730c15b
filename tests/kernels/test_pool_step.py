"""The compiled step of a pool of constant weight against NumPy's way for pools of any rule, and against a loop over plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import pytest

from tailwag.kernels.arrays import FloatArray
from tailwag.liquidity.pools import Pool, WeightedPool
from tailwag.sim.pool_state import PoolFee, PoolState, PoolTerms, PoolTrade, coin_at, coin_slope, open_pool, trade_pool

SPOT, PATHS, YEARS = 60_000.0, 700, 1.0 / 525_600.0
FEES = [PoolFee(0.0), PoolFee(5.0), PoolFee(4.0, bps_per_vol=30.0, half_life_minutes=20.0, start_vol=0.6, most_bps=40.0)]


@dataclass(frozen=True)
class OfAnyRule:
    """The same pool, not known as one of constant weight."""

    weighted: WeightedPool

    def value_usd(self, price_usd: FloatArray) -> FloatArray:
        return self.weighted.value_usd(price_usd)

    def coin(self, price_usd: FloatArray) -> FloatArray:
        return self.weighted.coin(price_usd)

    def cash_usd(self, price_usd: FloatArray) -> FloatArray:
        return self.weighted.cash_usd(price_usd)

    def coin_per_usd(self, price_usd: FloatArray) -> FloatArray:
        return self.weighted.coin_per_usd(price_usd)


def walk(pool: Pool, fee: PoolFee, *, paths: int = PATHS) -> list[tuple[PoolState, PoolTrade]]:
    """Moves up and down, some of them nothing and some of half; paths that stop; a step without a block."""
    rng = np.random.default_rng(7)
    terms, here, live, told = PoolTerms(pool, fee), np.zeros(paths), np.ones(paths, dtype=bool), []
    state = open_pool(terms, paths)
    for number in range(8):
        sizes = rng.choice([0.0, 1e-5, 1e-3, 0.5], paths)
        there = np.where(live, here + sizes * rng.normal(size=paths), here)
        trade = trade_pool(terms, state, spot_usd=SPOT, logs=(here, there), step_years=YEARS, block=number != 3, live=live)
        told.append((state, trade))
        state, here, live = trade.after, there, live & (rng.uniform(size=paths) < 0.9)
    return told


@pytest.mark.parametrize("fee", FEES, ids=str)
@pytest.mark.parametrize("weight", [0.5, 0.2, 0.83])
def test_the_compiled_step_is_the_plain_one(weight: float, fee: PoolFee) -> None:
    pool = WeightedPool.worth(3e8, price_usd=SPOT, weight=weight)
    coin, cash = float(pool.coin(np.asarray(SPOT))), float(pool.cash_usd(np.asarray(SPOT)))
    for (_, ours), (_, plain) in zip(walk(pool, fee), walk(OfAnyRule(pool), fee)):
        for part, size in (("coin_before", coin), ("coin_out", coin), ("cash_in_usd", cash), ("fee_usd", cash)):
            assert np.abs(getattr(ours, part) / size - getattr(plain, part) / size).max() < 1e-13, part
        for entry in fields(PoolState):
            assert np.array_equal(getattr(ours.after, entry.name), getattr(plain.after, entry.name)), entry.name


@pytest.mark.parametrize("fee", FEES, ids=str)
@pytest.mark.parametrize("weight", [0.5, 0.83])
def test_it_is_the_loop_over_plain_numbers_and_nothing_to_the_bit_where_the_pool_rests(weight: float, fee: PoolFee) -> None:
    pool, rests = WeightedPool.worth(3e8, price_usd=SPOT, weight=weight), 0
    for state, trade in walk(pool, fee):
        for path in range(0, PATHS, 9):
            was, now, rate = float(state.pool_log[path]), float(trade.after.pool_log[path]), float(state.fee_log[path])
            if was == now:
                rests += 1
                assert trade.coin_out[path] == trade.cash_in_usd[path] == trade.fee_usd[path] == 0.0
            value = [3e8 * math.exp(weight * log) for log in (was, now)]
            coin = [weight * one / (SPOT * math.exp(log)) for one, log in zip(value, (was, now))]
            cash_in = (1.0 - weight) * (value[1] - value[0])
            due = cash_in * (math.exp(rate) if now > was else math.exp(-rate))
            assert trade.coin_before[path] == pytest.approx(coin[0], rel=1e-13)
            assert trade.coin_out[path] == pytest.approx(coin[0] - coin[1], rel=1e-9, abs=1e-12 * coin[0])
            assert trade.cash_in_usd[path] == pytest.approx(cash_in, rel=1e-9, abs=1e-12 * value[0])
            assert trade.fee_usd[path] == pytest.approx(due - cash_in, rel=1e-9, abs=1e-12 * value[0])
    assert rests > 50


def test_a_path_is_stepped_alike_alone_and_among_others() -> None:
    """Tiles and what is left over of them: the same bits for any number of paths that share their moves."""
    terms = PoolTerms(WeightedPool.worth(3e8, price_usd=SPOT, weight=0.4), FEES[1])
    for paths in (1, 7, 255, 256, 257, 600):
        log_price = np.full(2 * paths, 0.0123)[::2]
        live = np.ones(paths, dtype=bool)
        trade = trade_pool(
            terms, open_pool(terms, paths), spot_usd=SPOT, logs=(log_price, log_price), step_years=YEARS, block=True, live=live
        )
        for part in (trade.coin_out, trade.cash_in_usd, trade.fee_usd, trade.coin_before):
            assert np.unique(part).size == 1
            assert part.shape == (paths,)


@pytest.mark.parametrize("weight", [0.5, 0.2])
def test_coin_at_a_price_and_its_slope(weight: float) -> None:
    pool = WeightedPool.worth(3e8, price_usd=SPOT, weight=weight)
    for logs in (np.linspace(-3.0, 3.0, 301), np.linspace(-0.1, 0.1, 30)[::3]):
        ours, plain = coin_at(pool, SPOT, logs), coin_at(OfAnyRule(pool), SPOT, logs)
        assert ours == pytest.approx(plain, rel=1e-14 * 20)
        assert coin_slope(pool, SPOT, logs, ours) == pytest.approx(coin_slope(OfAnyRule(pool), SPOT, logs, plain), rel=2e-13)
    before = coin_at(pool, SPOT, np.zeros(3))
    assert np.array_equal(before, np.full(3, float(pool.coin(np.asarray(SPOT))))), "what compiled demands begin with"
