"""The account of a pool along simulated prices: what it held, what arbitrage took, what fees brought, and a residual that must be nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.liquidity.pools import dollar_gamma_usd
from tailwag.sim.grid import TimeGrid
from tailwag.sim.pool_state import PoolTerms, block_now, open_pool, trade_pool, two_way_fee_usd


@dataclass(frozen=True, slots=True)
class PoolStatement:
    """A pool from start to end, in USD at the market's prices.  Shapes: (paths,).

    value_end = value_start + held_usd - lost_usd, with ``held_usd`` what a holder who copies the pool's coin at market prices would have made
    (rebalancing) and ``lost_usd`` the loss versus that.  Of the loss, arbitrageurs pay ``arbitrage_fees_usd`` back and keep the rest.
    ``second_order_usd``: the same loss by gamma alone, sum of |P^2 V''| dx^2 / 2, which a pool without fees loses as steps get finer.
    ``fee_log``: the fee that was asked, mean over the steps that traded.
    """

    value_start_usd: FloatArray
    value_end_usd: FloatArray
    held_usd: FloatArray
    lost_usd: FloatArray
    arbitrage_fees_usd: FloatArray
    two_way_fees_usd: FloatArray
    second_order_usd: FloatArray
    blocks_traded: FloatArray
    fee_log: FloatArray

    @property
    def arbitrage_usd(self) -> FloatArray:
        """What arbitrageurs keep."""
        return self.lost_usd - self.arbitrage_fees_usd

    @property
    def owners_usd(self) -> FloatArray:
        """What the owners made: change of value and all fees."""
        return self.value_end_usd - self.value_start_usd + self.arbitrage_fees_usd + self.two_way_fees_usd

    @property
    def residual_usd(self) -> FloatArray:
        """What the account does not explain; rounding."""
        return self.value_end_usd - self.value_start_usd - (self.held_usd - self.lost_usd)


def pool_statement(
    terms: PoolTerms, grid: TimeGrid, log_price: FloatArray, *, spot_usd: float, stopped_step: IntArray | None = None
) -> PoolStatement:
    """The account of a pool whose market went along ``log_price`` (paths, steps + 1), ln of the price over ``spot_usd``.

    ``stopped_step`` (paths,): the last step in which a path traded; None where all went to the end.

    >>> from tailwag.liquidity.pools import WeightedPool
    >>> from tailwag.sim.pool_state import PoolFee
    >>> terms = PoolTerms(WeightedPool.worth(4e6, price_usd=100.0), PoolFee(0.0))
    >>> there_and_back = np.log(np.array([[1.0, 1.21, 1.0]]))
    >>> told = pool_statement(terms, TimeGrid.uniform(horizon_days=2.0, step_minutes=1440.0), there_and_back, spot_usd=100.0)
    >>> round(float(told.lost_usd[0])), round(float(told.value_end_usd[0] - told.value_start_usd[0]))
    (38182, 0)
    """
    paths = log_price.shape[0]
    last_step = np.full(paths, log_price.shape[1] - 1) if stopped_step is None else stopped_step
    state, pool = open_pool(terms, paths), terms.pool
    sums = np.zeros((7, paths))
    for step in range(1, log_price.shape[1]):
        before, after, years = log_price[:, step - 1], log_price[:, step], float(grid.step_years[step - 1])
        spot_before, spot = spot_usd * np.exp(before), spot_usd * np.exp(after)
        block, live = block_now(terms, grid, step), last_step >= step
        trade = trade_pool(terms, state, spot_usd=spot_usd, logs=(before, after), step_years=years, block=block, live=live)
        sums[0] += pool.coin(spot_usd * np.exp(state.pool_log)) * (spot - spot_before)
        sums[1] += trade.coin_out * spot - trade.cash_in_usd
        sums[2] += trade.fee_usd
        sums[3] += two_way_fee_usd(terms, state, step_years=years, live=live)
        sums[4] -= 0.5 * dollar_gamma_usd(pool, spot_before) * (after - before) ** 2
        sums[5] += trade.after.pool_log != state.pool_log
        sums[6] += np.where(live, state.fee_log, 0.0)
        state = trade.after
    last = spot_usd * np.exp(state.pool_log)
    end = pool.coin(last) * spot_usd * np.exp(log_price[:, -1]) + pool.cash_usd(last)
    sums[6] /= np.maximum(np.minimum(last_step, log_price.shape[1] - 1), 1)
    return PoolStatement(pool.value_usd(spot_usd * np.exp(log_price[:, 0])), end, *sums)
