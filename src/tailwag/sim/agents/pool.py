"""An automated market maker in the loop: arbitrageurs carry its quotes into the market, so that its liquidity leans against every move."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, zero_row
from tailwag.kernels.demands import POOL
from tailwag.liquidity.pools import WeightedPool, dollar_gamma_usd
from tailwag.sim.agents.empty_answers import HedgesNoVega
from tailwag.sim.agents.protocol import Account, Demand, Draws, Market, Move, OptionStep, Orders, Trader, View
from tailwag.sim.pool_state import (
    PoolState,
    PoolTerms,
    block_now,
    coin_at,
    coin_slope,
    open_pool,
    reached_log,
    trade_pool,
    weighted_curve,
    within,
)
from tailwag.sim.walked import Walked


@dataclass(frozen=True, slots=True)
class PoolArbitrage:
    """Everybody who arbitrages one pool against the market: when the market is above the pool they buy in the pool and sell in the market.

    So as price rises by dx coin leaves the pool and is SOLD in the market: flow = -|P^2 V''| dx, like long gamma of |P^2 V''| (V / 4 of a
    constant product): the pool is liquidity that leans against moves.  What they earn after fees is what arbitrage costs the pool's owners.
    ``delay_steps``: 0 sells in the step of the pool's trade (both legs at once), more carries the coin so many steps.
    Raises InputError for a delay below 0.
    """

    name: str
    terms: PoolTerms
    delay_steps: int = 0

    def __post_init__(self) -> None:
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")

    def __str__(self) -> str:
        return f"arbitrage of a pool, fee {self.terms.fee}"

    def content(self) -> str:
        """Everything but the name."""
        return repr(["pool arbitrage", *(getattr(self, entry.name) for entry in fields(self) if entry.name != "name")])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """+|P^2 V''| without a fee; zero with one, inside which small moves are not arbitraged."""
        return 0.0 if self.terms.fee.starting_bps > 0.0 else -float(dollar_gamma_usd(self.terms.pool, spot_usd))

    def at_work(self, market: Market) -> Trader:
        """Ready to trade."""
        return PoolArbitrageTrader(self.terms, market, self.delay_steps)


@dataclass(frozen=True, slots=True)
class ArbitrageState:
    """The pool, and coin that the arbitrageurs have had out of it since the start, (paths,)."""

    pool: PoolState
    received_coin: FloatArray


@dataclass(frozen=True, slots=True)
class PoolArbitrageTrader(HedgesNoVega):
    """The arbitrageurs at work; coin from the pool stands beside the market account, as options of a dealer do."""

    terms: PoolTerms
    market: Market
    delay_steps: int

    def init(self, paths: int, draw: Draws | None = None) -> ArbitrageState:
        """The pool at the market's price, nothing traded."""
        return ArbitrageState(open_pool(self.terms, paths), np.zeros(paths))

    def start_coin(self, state: ArbitrageState) -> FloatArray:
        """None."""
        return np.zeros(state.received_coin.shape)

    def act(self, view: View, account: Account, state: ArbitrageState, draw: Draws) -> Orders:
        """Sell in the market what came out of the pool: in its step at the clearing price, or late."""
        nothing = zero_row(view.log_price.size)
        held = state.received_coin + account.position_coin + account.flight_coin
        if self.delay_steps:
            return Orders(usd=nothing, coin=np.where(view.live, -held, 0.0))
        trades = view.live & block_now(self.terms, self.market.grid, view.step)
        before = coin_at(self.terms.pool, self.market.spot_usd, state.pool.pool_log)
        rows = (state.pool.pool_log, state.pool.fee_log, before, held)

        def some(paths: IntArray) -> Demand:
            return self._leg(tuple(row[paths] for row in rows), view.live[paths], trades[paths])

        walked = self._walked(rows, view.live, trades)
        return Orders(usd=nothing, coin=nothing, demand=self._leg(rows, view.live, trades), some=some, walked=walked)

    def _walked(self, rows: tuple[FloatArray, ...], live: BoolArray, trades: BoolArray) -> Walked | None:
        """The leg as compiled code reads it: of a weighted pool."""
        pool = self.terms.pool
        if not isinstance(pool, WeightedPool):
            return None
        curve = weighted_curve(pool, self.market.spot_usd)
        return Walked(POOL, (*rows, live, trades), (curve.coin, curve.weight - 1.0, float(self._free())))

    def _leg(self, rows: tuple[FloatArray, ...], live: BoolArray, trades: BoolArray) -> Demand:
        """What comes out of the pool at a clearing price, sold, with what is held, and its slope.

        ``rows`` (paths,) each: the pool's log price, its fee, coin in it before, coin held.
        """
        pool_log, fee, before, held = rows
        pool, spot_usd, nothing, free = self.terms.pool, self.market.spot_usd, zero_row(held.size), self._free()

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            reached = within(pool_log, log_price, fee)
            coin, edge = coin_at(pool, spot_usd, reached), reached != pool_log
            out = np.where(trades & edge, coin - before, 0.0)
            slope = np.where(trades & (edge | free), coin_slope(pool, spot_usd, reached, coin), 0.0)
            return nothing, np.where(live, out - held, 0.0), nothing, slope

        return demand

    def _free(self) -> bool:
        """Whether the pool takes no fee, so that every price is at its edge."""
        return self.terms.fee.base_bps == 0.0 and self.terms.fee.bps_per_vol == 0.0

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: ArbitrageState) -> FloatArray:
        """+|P^2 V''| where the market stands at the edge of the fee or beyond; zero inside it."""
        return np.where(self._at_edge(log_price, state), -dollar_gamma_usd(self.terms.pool, self._price(log_price)), 0.0)

    def options(self, move: Move, state: ArbitrageState) -> tuple[OptionStep, ArbitrageState]:
        """The pool's leg: coin that came out at the market's new price, less cash and fee paid in; coin held before is carried."""
        trade = trade_pool(
            self.terms,
            state.pool,
            spot_usd=self.market.spot_usd,
            logs=(move.log_before, move.log_price),
            step_years=move.step_years,
            block=block_now(self.terms, self.market.grid, move.step),
            live=move.live,
        )
        carried = np.where(move.live, state.received_coin * (move.spot_usd - move.spot_before_usd), 0.0)
        paid = trade.cash_in_usd + trade.fee_usd
        taken, nothing = trade.coin_out * move.spot_usd - paid, zero_row(carried.size)
        step = OptionStep(carried, taken, nothing, nothing, carried + taken, -paid)
        return step, ArbitrageState(trade.after, state.received_coin + trade.coin_out)

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: ArbitrageState
    ) -> FloatArray:
        """Coin from the pool that is not sold yet, in USD."""
        return np.asarray(-(state.received_coin + account.position_coin) * spot_usd)

    def _price(self, log_price: FloatArray) -> FloatArray:
        return np.asarray(self.market.spot_usd * np.exp(log_price))

    def _at_edge(self, log_price: FloatArray, state: ArbitrageState) -> FloatArray:
        reached = reached_log(state.pool, log_price)
        return np.asarray((reached != state.pool.pool_log) | self._free())
