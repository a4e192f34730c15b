"""Pools in closed form: against invariant curves differentiated at 40 digits, the stationary law of mispricing, and published figures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tailwag.errors import InputError, RuleError, UnitError
from tailwag.liquidity.pools import (
    RangePool,
    WeightedPool,
    break_even_volume_usd_per_day,
    dollar_gamma_usd,
    expected_lvr_share,
    log_move_per_usd,
    lvr_usd_per_year,
    split_at_fixed_blocks,
    split_at_random_blocks,
)

ANSWERS = json.loads((Path(__file__).parents[1] / "answers" / "pools.json").read_text(encoding="utf-8"))
DAY = 1.0 / 365.0
DAILY_5 = 0.05 * math.sqrt(365.0)


def pool_of(row: dict[str, float]) -> WeightedPool | RangePool:
    if "liquidity" in row:
        return RangePool(row["liquidity"], row["low"], row["high"])
    weight = row["weight"]
    return WeightedPool(row["constant"] / (weight**weight * (1.0 - weight) ** (1.0 - weight)), weight)


@pytest.mark.parametrize("row", ANSWERS["curves"])
def test_a_pool_is_worth_the_least_that_its_curve_allows(row):
    pool, price = pool_of(row), np.asarray(row["price"])
    assert float(pool.value_usd(price)) == pytest.approx(row["value"], rel=1e-12)
    assert float(pool.coin(price)) == pytest.approx(row["coin"], rel=1e-8, abs=1e-18)
    assert float(pool.coin_per_usd(price)) == pytest.approx(row["coin_per_usd"], rel=1e-8, abs=1e-18)
    assert float(pool.cash_usd(price)) == pytest.approx(row["value"] - row["price"] * row["coin"], rel=1e-7, abs=1e-9 * row["value"])


@pytest.mark.parametrize("row", ANSWERS["depths"])
def test_a_purchase_moves_a_pool_along_its_curve(row):
    pool = WeightedPool.worth(row["value"], price_usd=60_000.0)
    assert pool.log_move(60_000.0, row["bought"]) == pytest.approx(row["log_move"], rel=1e-12)


@pytest.mark.parametrize("pool", [WeightedPool(7e5, 0.8), WeightedPool(2e8, 0.3), RangePool(1e6, 54_000.0, 66_000.0)])
@pytest.mark.parametrize("bought", [1e5, -3e5])
def test_a_purchase_ends_where_the_reserves_say(pool, bought):
    """Cash in is the difference of the pool's cash at the two prices: the exact move and the value function are one rule."""
    after = 60_000.0 * math.exp(pool.log_move(60_000.0, bought))
    assert float(pool.cash_usd(np.asarray(after)) - pool.cash_usd(np.asarray(60_000.0))) == pytest.approx(bought, rel=1e-7)
    assert pool.log_move(60_000.0, 1.0) == pytest.approx(log_move_per_usd(pool, 60_000.0), rel=1e-6)


def test_published_figures():
    """Constant product, ranges and weights at vol 0.6, and depth."""
    half = WeightedPool.worth(1.0, price_usd=60_000.0)
    assert float(lvr_usd_per_year(half, 6e4, vol=0.6)) == pytest.approx(0.045, rel=1e-12)
    assert float(lvr_usd_per_year(half, 6e4, vol=0.6)) / 365 * 1e4 == pytest.approx(1.23288, abs=5e-6)
    assert float(lvr_usd_per_year(half, 6e4, vol=DAILY_5)) / 365 * 1e4 == pytest.approx(3.125, rel=1e-12)
    for low, high, share, multiple in ((54e3, 66e3, 0.919737, 20.4386), (48e3, 75e3, 0.426246, 9.47214)):
        pool = RangePool(1.0, low, high)
        value = float(pool.value_usd(np.asarray(6e4)))
        assert float(lvr_usd_per_year(pool, 6e4, vol=0.6)) / value == pytest.approx(share, abs=5e-7)
        assert float(lvr_usd_per_year(pool, 6e4, vol=0.6)) / value / 0.045 == pytest.approx(multiple, abs=5e-5)
    assert float(RangePool(1.0, 54e3, 66e3).value_usd(np.asarray(6e4))) == pytest.approx(23.969265, abs=5e-7)
    worth = RangePool.worth(1.0, price_usd=6e4, low_usd=54e3, high_usd=66e3)
    assert float(dollar_gamma_usd(worth, 6e4)) == pytest.approx(-5.10965, abs=5e-6)
    assert float(lvr_usd_per_year(WeightedPool.worth(1.0, price_usd=6e4, weight=0.8), 6e4, vol=0.6)) == pytest.approx(0.0288, rel=1e-12)
    big = WeightedPool.worth(200e6, price_usd=6e4)
    assert log_move_per_usd(big, 6e4) == pytest.approx(4.0 / 200e6, rel=1e-12)
    assert big.log_move(6e4, 1e6) == pytest.approx(0.01990066, abs=5e-9)
    assert expected_lvr_share(0.6, 1 / 12) == pytest.approx(0.003743, abs=5e-7)
    assert expected_lvr_share(0.6, 2.0, weight=0.2) == pytest.approx(1 - math.exp(-0.36 * 0.16), rel=1e-12)


@pytest.mark.parametrize(
    ("fee_bps", "seconds", "random", "fixed"),
    [
        (30, 12, (0.121951, 0.381098), (0.124627, 0.320883)),
        (5, 12, (0.454545, 1.420455), (0.494091, 1.272157)),
        (5, 2, (0.253847, 0.793271), (0.265724, 0.684170)),
        (30, 600, (0.495483, 1.548389), (0.542844, 1.397682)),
    ],
)
def test_published_split_between_arbitrageurs_and_fees(fee_bps, seconds, random, fixed):
    for split, (share, kept) in ((split_at_random_blocks, random), (split_at_fixed_blocks, fixed)):
        told = split(fee_bps * 1e-4, vol=DAILY_5, block_years=seconds / 86_400 * DAY)
        assert told.trade_share == pytest.approx(share, abs=6e-7)
        assert told.arbitrage_per_year * DAY * 1e4 == pytest.approx(kept, abs=2e-6)
        assert told.arbitrage_per_year + told.fees_per_year == pytest.approx(DAILY_5**2 / 8, rel=1e-12)


@pytest.mark.parametrize("row", ANSWERS["grid"])
def test_the_fixed_block_formula_against_the_stationary_law(row):
    """Both to 1e-5 from a fee of four deviations of a block on, to 0.2 % from 0.8; below that the profit to 1 %, the share up to 16 % too high."""
    days = row["seconds"] / 86_400
    wide = row["fee_bps"] * 1e-4 / (0.05 * math.sqrt(days))
    told = split_at_fixed_blocks(row["fee_bps"] * 1e-4, vol=DAILY_5, block_years=days * DAY)
    kept, share = (1e-5, 1e-5) if wide > 4.0 else (2e-3, 2e-3) if wide > 0.8 else (0.01, 0.16)
    assert told.arbitrage_per_year * DAY * 1e4 == pytest.approx(row["arbitrage_bp_per_day"], rel=kept)
    assert told.trade_share == pytest.approx(row["trade_share"], rel=share)


def test_no_fee_leaves_all_to_arbitrage_and_a_wide_one_nearly_nothing():
    for split in (split_at_random_blocks, split_at_fixed_blocks):
        assert split(0.0, vol=0.6, block_years=1e-9).arbitrage_per_year == pytest.approx(0.045, rel=1e-9)
        assert split(0.0, vol=0.6, block_years=1e-9).fees_per_year == pytest.approx(0.0, abs=1e-9)
        assert split(0.05, vol=0.6, block_years=4e-7).arbitrage_per_year < 0.045 / 100


def test_break_even_volume_pays_exactly():
    pool = RangePool.worth(3e7, price_usd=6e4, low_usd=5e4, high_usd=8e4)
    volume = break_even_volume_usd_per_day(pool, 6e4, vol=0.7, fee_log=0.0005)
    assert volume * 0.0005 * 365 == pytest.approx(float(lvr_usd_per_year(pool, 6e4, vol=0.7)), rel=1e-12)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="weight"):
        WeightedPool(1.0, 1.0)
    with pytest.raises(InputError, match="high_usd above"):
        RangePool(1.0, 2.0, 2.0)
    with pytest.raises(RuleError, match="outside its range"):
        log_move_per_usd(RangePool(1.0, 1.0, 2.0), 3.0)
    with pytest.raises(RuleError, match="leave the range"):
        RangePool(1.0, 54e3, 66e3).log_move(6e4, 1e3)
    with pytest.raises(InputError, match="take out less"):
        WeightedPool.worth(100.0, price_usd=1.0).log_move(1.0, -50.0)
    with pytest.raises(UnitError, match=r"0\.003 is 30"):
        split_at_random_blocks(30.0, vol=0.6, block_years=1e-6)
    with pytest.raises(UnitError, match=r"0\.6 is 60 %"):
        lvr_usd_per_year(WeightedPool(1.0), 1.0, vol=60.0)
    with pytest.raises(RuleError, match="shorten block_years"):
        split_at_random_blocks(0.003, vol=3.0, block_years=1.0)
    with pytest.raises(InputError, match="stands still"):
        split_at_fixed_blocks(0.003, vol=0.0, block_years=1.0)
