"""A pool beside the simulated market: arbitrageurs bring it to the market's price within its fee, block by block, and pay for what they take.

A pure transition that several agents may follow, each for itself: it reads nothing but the cleared prices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.kernels.booking import row
from tailwag.kernels.pool_step import CASH_IN, FEE, STEP_ROWS, WeightedCurve, coin_along, step_weighted
from tailwag.liquidity.pools import MOST_FEE_LOG, Pool, WeightedPool
from tailwag.sim.grid import TimeGrid
from tailwag.units import HOURS_PER_YEAR

BPS = 1e-4
MINUTES_PER_YEAR = 60.0 * HOURS_PER_YEAR
SAME_TIME = 1e-9


@dataclass(frozen=True, slots=True)
class PoolFee:
    """A pool's fee: ``base_bps`` of log price, and where ``bps_per_vol`` is set so much more for each 1.00 of recent annual vol.

    fee = min(base + per vol x recent vol, most).  Recent vol: the root of an exponential average of squared log moves a year, half of which
    is forgotten in ``half_life_minutes``; it begins at ``start_vol``.  The fee of a step is known before its price.

    >>> round(PoolFee(5.0, bps_per_vol=30.0, start_vol=0.6).starting_bps, 9)
    23.0

    Raises UnitError for a fee outside 0 to 5,000 basis points, InputError for a half-life that is not positive.
    """

    base_bps: float = 0.0
    bps_per_vol: float = 0.0
    half_life_minutes: float = 60.0
    start_vol: float = 0.0
    most_bps: float = 500.0

    def __post_init__(self) -> None:
        for name in ("base_bps", "bps_per_vol", "most_bps"):
            if not 0.0 <= getattr(self, name) <= MOST_FEE_LOG / BPS:
                raise UnitError(f"expected {name} from 0 to {MOST_FEE_LOG / BPS:g}, got {getattr(self, name):g}; 30 is 0.30 %")
        if self.base_bps > self.most_bps:
            raise InputError(f"expected base_bps of at most most_bps = {self.most_bps:g}, got {self.base_bps:g}")
        if not (math.isfinite(self.half_life_minutes) and self.half_life_minutes > 0.0):
            raise InputError(f"expected half_life_minutes above 0, got {self.half_life_minutes:g}")
        if not 0.0 <= self.start_vol <= 10.0:
            raise UnitError(f"expected start_vol as a decimal from 0 to 10, got {self.start_vol:g}; 0.6 is 60 %")

    @property
    def starting_bps(self) -> float:
        """The fee of the first step."""
        return min(self.base_bps + self.bps_per_vol * self.start_vol, self.most_bps)

    def __str__(self) -> str:
        moving = f" + {self.bps_per_vol:g} bp per 100 % of recent vol, at most {self.most_bps:g} bp" if self.bps_per_vol else ""
        return f"{self.base_bps:g} bp{moving}"


@dataclass(frozen=True, slots=True)
class PoolTerms:
    """A pool, its fee, how often its chain makes a block (0: every step), and the uninformed trading that passes through it.

    ``two_way_usd_per_day``: purchases and sales of others that cancel within a step: they pay the fee and leave the price.
    """

    pool: Pool
    fee: PoolFee
    block_minutes: float = 0.0
    two_way_usd_per_day: float = 0.0

    def __post_init__(self) -> None:
        for name in ("block_minutes", "two_way_usd_per_day"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0.0):
                raise InputError(f"expected {name} of 0 or more, got {getattr(self, name):g}")


@dataclass(frozen=True, slots=True)
class PoolState:
    """Where a pool stands: ln of its price over the market's first, the recent variance a year that its fee follows, and the fee of the coming
    step in log price.  (paths,).

    The variance and the fee of a pool whose fee follows none stay the arrays that they were.
    """

    pool_log: FloatArray
    variance: FloatArray
    fee_log: FloatArray


@dataclass(frozen=True, slots=True)
class PoolTrade:
    """What arbitrageurs did in one block: coin out of the pool, cash into it, the fee on top in cash; + is the pool's sale; coin before.  (paths,)."""

    coin_out: FloatArray
    cash_in_usd: FloatArray
    fee_usd: FloatArray
    after: PoolState
    coin_before: FloatArray


def open_pool(terms: PoolTerms, paths: int) -> PoolState:
    """The pool at the market's price, its fee at the start."""
    variance = np.full(paths, terms.fee.start_vol**2)
    return PoolState(np.zeros(paths), variance, _fee_log(terms, variance))


def _fee_log(terms: PoolTerms, variance: FloatArray) -> FloatArray:
    """The fee of a step in log price where recent variance is known before it, (paths,)."""
    fee = terms.fee
    return np.asarray(BPS * np.minimum(fee.base_bps + fee.bps_per_vol * np.sqrt(variance), fee.most_bps))


def coin_at(pool: Pool, spot_usd: float, log_price: FloatArray) -> FloatArray:
    """Coin in a pool where ln of the price over ``spot_usd`` is ``log_price``, (paths,)."""
    if not isinstance(pool, WeightedPool):
        return pool.coin(spot_usd * np.exp(log_price))
    coin = np.empty(log_price.size)
    coin_along(weighted_curve(pool, spot_usd), row(log_price, log_price.size), coin)
    return coin


def coin_slope(pool: Pool, spot_usd: float, log_price: FloatArray, coin: FloatArray) -> FloatArray:
    """Slope of the coin in a pool per unit of log price, where it holds ``coin``, (paths,)."""
    if isinstance(pool, WeightedPool):
        return (pool.weight - 1.0) * coin
    price = np.asarray(spot_usd * np.exp(log_price))
    return pool.coin_per_usd(price) * price


@lru_cache(maxsize=64)
def weighted_curve(pool: WeightedPool, spot_usd: float) -> WeightedCurve:
    """A pool of constant weight as compiled code reads it."""
    return WeightedCurve(float(pool.coin(np.asarray(spot_usd))), float(pool.cash_usd(np.asarray(spot_usd))), pool.weight)


def reached_log(state: PoolState, log_price: FloatArray) -> FloatArray:
    """Where arbitrage leaves the pool when the market stands at ``log_price``: as near as the fee lets it pay, else where it was."""
    return within(state.pool_log, log_price, state.fee_log)


def within(pool_log: FloatArray, log_price: FloatArray, fee: FloatArray) -> FloatArray:
    """A pool's price brought to the edge of the fee around the market's, (paths,)."""
    return np.minimum(np.maximum(pool_log, log_price - fee), log_price + fee)


def block_now(terms: PoolTerms, grid: TimeGrid, step: int) -> bool:
    """Whether a block of the pool's chain falls in the step that ends at grid time ``step``."""
    if terms.block_minutes == 0.0:
        return True
    before, now = (math.floor(float(grid.years[at]) * MINUTES_PER_YEAR / terms.block_minutes + SAME_TIME) for at in (step - 1, step))
    return now > before


def trade_pool(
    terms: PoolTerms,
    state: PoolState,
    *,
    spot_usd: float,
    logs: tuple[FloatArray, FloatArray],
    step_years: float,
    block: bool,
    live: BoolArray,
) -> PoolTrade:
    """One step of the pool while the market goes from ``logs[0]`` to ``logs[1]``; without a block, or where trading has stopped, none trades.

    Out of the pool: coin(p0) - coin(p1), for cash(p1) - cash(p0).  Who buys pays exp(fee) times that cash, who sells gets exp(-fee) of it.
    """
    trades = live & block
    if isinstance(terms.pool, WeightedPool):
        pool_log, coin_before, coin_out, cash_in, paid = _weighted_step(terms, terms.pool, state, spot_usd, logs[1], trades)
    else:
        pool_log, coin_before, coin_out, cash_in, paid = _step(terms.pool, state, spot_usd, logs[1], trades)
    if terms.fee.bps_per_vol == 0.0:
        return PoolTrade(coin_out, cash_in, paid, PoolState(pool_log, state.variance, state.fee_log), coin_before)
    variance = _variance(terms, state, logs, step_years, live)
    return PoolTrade(coin_out, cash_in, paid, PoolState(pool_log, variance, _fee_log(terms, variance)), coin_before)


def _step(pool: Pool, state: PoolState, spot_usd: float, log_price: FloatArray, trades: BoolArray) -> tuple[FloatArray, ...]:
    """Log price reached, coin before, coin out, cash in and fee of a pool of any rule: the plain twin of the compiled step."""
    pool_log = np.where(trades, reached_log(state, log_price), state.pool_log)
    before, after = spot_usd * np.exp(state.pool_log), spot_usd * np.exp(pool_log)
    coin_before = pool.coin(before)
    coin_out = coin_before - pool.coin(after)  # zero, to the bit, where the pool rests
    cash_in = pool.cash_usd(after) - pool.cash_usd(before)
    return pool_log, coin_before, coin_out, cash_in, _paid(state.fee_log, cash_in)


def _paid(fee_log: FloatArray, cash_in: FloatArray) -> FloatArray:
    return np.expm1(np.where(cash_in > 0.0, fee_log, -fee_log)) * cash_in


def _weighted_step(
    terms: PoolTerms, pool: WeightedPool, state: PoolState, spot_usd: float, log_price: FloatArray, trades: BoolArray
) -> tuple[FloatArray, ...]:
    """The same of a pool of constant weight, compiled."""
    paths, fee, moves = trades.size, float(state.fee_log[0]), terms.fee.bps_per_vol != 0.0
    rows = tuple([np.empty(paths) for _ in range(STEP_ROWS)])  # not one array of them: so large a one is new to memory in every step
    shares = (0.0, 0.0) if moves else (math.expm1(fee), math.expm1(-fee))  # the same everywhere, unless it moves
    step_weighted(weighted_curve(pool, spot_usd), state.pool_log, row(log_price, paths), state.fee_log, trades, shares, rows)
    return (*rows[:FEE], _paid(state.fee_log, rows[CASH_IN])) if moves else rows


def _variance(terms: PoolTerms, state: PoolState, logs: tuple[FloatArray, FloatArray], step_years: float, live: BoolArray) -> FloatArray:
    """Recent variance after a step, of a pool whose fee follows it."""
    kept = 0.5 ** (step_years * MINUTES_PER_YEAR / terms.fee.half_life_minutes)
    variance = kept * state.variance + (1.0 - kept) * (logs[1] - logs[0]) ** 2 / step_years
    return np.where(live, variance, state.variance)


def two_way_fee_usd(terms: PoolTerms, state: PoolState, *, step_years: float, live: BoolArray) -> FloatArray:
    """What uninformed traders paid in a step: the fee on their volume, (paths,)."""
    if terms.two_way_usd_per_day == 0.0:
        return np.zeros(live.shape)
    return np.where(live, state.fee_log * terms.two_way_usd_per_day * 365.0 * step_years, 0.0)
