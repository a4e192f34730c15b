"""An owner of pool liquidity who hedges its delta: short gamma without an option in sight; buys rises, sells falls."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError
from tailwag.hedging.policies import CharmOnly, Leland, NoHedge, Policy, Zakamouline
from tailwag.kernels.arrays import FloatArray, IntArray, zero_row
from tailwag.kernels.booking import row
from tailwag.kernels.demands import OWNER
from tailwag.liquidity.pools import RangePool, WeightedPool, dollar_gamma_usd
from tailwag.sim.agents.empty_answers import HedgesNoVega
from tailwag.sim.agents.protocol import Account, Demand, Draws, Market, Move, OptionStep, Orders, Trader, View, no_orders
from tailwag.sim.hedge_terms import decide
from tailwag.sim.pool_state import (
    PoolState,
    PoolTerms,
    block_now,
    coin_at,
    coin_slope,
    open_pool,
    trade_pool,
    two_way_fee_usd,
    weighted_curve,
)
from tailwag.sim.walked import Walked

SCAN_SHARE = 0.25
UNREAD_VOL = 1.0
"""A pool has no implied vol; no policy that an owner may follow reads one."""


@dataclass(frozen=True, slots=True)
class LpHedger:
    """Owns a pool (its share of one) and holds minus ``hedge_share`` of the pool's delta V'(P) in the market, by ``policy``.

    Dollar gamma P^2 V'': -V / 4 of a constant product, -L sqrt P / 2 inside a range, 0 outside; so it adds lambda V / 4 to the loop gain.
    The position earns fees and loses to arbitrageurs; what they take at the market's price is its loss versus rebalancing.
    Raises InputError for a share outside [0, 1], a speed outside (0, 2], a delay below 0, or a policy that needs options.
    """

    name: str
    terms: PoolTerms
    policy: Policy
    delay_steps: int
    hedge_share: float = 1.0
    speed: float = 1.0
    stream: int = 0

    def __post_init__(self) -> None:
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        if not 0.0 <= self.hedge_share <= 1.0:
            raise InputError(f"agent {self.name!r}: expected hedge_share from 0 to 1, got {self.hedge_share:g}")
        if not 0.0 < self.speed <= 2.0:
            raise InputError(f"agent {self.name!r}: expected speed above 0 and at most 2, got {self.speed:g}")
        if isinstance(self.policy, Leland | Zakamouline | CharmOnly):
            raise InputError(f"agent {self.name!r}: policy {str(self.policy)!r} wants options, a pool has none; use every-step or a band")

    @property
    def after_expiry(self) -> str:
        """A pool does not expire."""
        return "hold"

    @property
    def vega_hedge_share(self) -> float:
        """A pool has no vega to hedge."""
        return 0.0

    @property
    def iv(self) -> float:
        """None of its own."""
        return UNREAD_VOL

    def content(self) -> str:
        """Everything but the name."""
        return repr(["lp hedger", *(getattr(self, entry.name) for entry in fields(self) if entry.name != "name")])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """hedge_share P^2 V'' at the start, short negative; zero for one who never hedges."""
        return 0.0 if isinstance(self.policy, NoHedge) else self.hedge_share * float(dollar_gamma_usd(self.terms.pool, spot_usd))

    def at_work(self, market: Market) -> Trader:
        """Ready to hedge."""
        return LpHedgerTrader(self, market)


@dataclass(frozen=True, slots=True)
class LpState:
    """The pool, and what arbitrageurs have taken from the position and fees have brought it since the start, in USD.  (paths,)."""

    pool: PoolState
    lost_usd: FloatArray
    fees_usd: FloatArray


@dataclass(frozen=True, slots=True)
class LpHedgerTrader(HedgesNoVega):
    """The owner at work; the position stands beside the market account, as options of a dealer do."""

    agent: LpHedger
    market: Market

    def init(self, paths: int, draw: Draws | None = None) -> LpState:
        """The pool at the market's price."""
        return LpState(open_pool(self.agent.terms, paths), np.zeros(paths), np.zeros(paths))

    def start_coin(self, state: LpState) -> FloatArray:
        """Hedged at the start: short the coin in the pool."""
        return self._target(np.zeros(state.lost_usd.shape))[0]

    def act(self, view: View, account: Account, state: LpState, draw: Draws) -> Orders:
        """Close the gap in coin between minus the pool's delta and what is held or on its way."""
        if isinstance(self.agent.policy, NoHedge):
            return no_orders(view.log_price.size)
        owned = account.position_coin + account.flight_coin
        target, slope = self._target(view.log_price)
        gap, gamma, vol = target - owned, -slope * view.spot_usd, np.full(owned.shape, UNREAD_VOL)
        decision = decide(self.agent, view, draw, gap=gap, unit="coin", dollar_gamma_usd=gamma, vol=vol, years_left=float("inf"))
        nothing = zero_row(owned.size)
        if self.agent.delay_steps:
            return Orders(usd=nothing, coin=decision.speed * (gap - decision.offset))

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            there, steepness = self._target(log_price)
            return nothing, decision.speed * (there - owned - decision.offset), nothing, decision.speed * steepness

        def some(paths: IntArray) -> Demand:
            ready, wants = owned[paths], decision.of(paths)

            def chosen(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
                there, steepness = self._target(log_price)
                return nothing[:1], wants.speed * (there - ready - wants.offset), nothing[:1], wants.speed * steepness

            return chosen

        scale = np.where(decision.active, self._scale(), np.inf)
        rows = tuple(row(one, owned.size) for one in (owned, decision.offset, decision.speed))
        return Orders(usd=nothing, coin=nothing, demand=demand, scale_log=scale, some=some, walked=self._walked(rows))

    def _walked(self, rows: tuple[FloatArray, ...]) -> Walked | None:
        """The demand as compiled code reads it: of an owner of a weighted pool."""
        pool = self.agent.terms.pool
        if not isinstance(pool, WeightedPool):
            return None
        curve = weighted_curve(pool, self.market.spot_usd)
        return Walked(OWNER, rows, (self.agent.hedge_share, curve.coin, curve.weight - 1.0))

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: LpState) -> FloatArray:
        """P^2 V'' that is hedged, at the price."""
        if isinstance(self.agent.policy, NoHedge):
            return np.zeros(log_price.shape)
        return np.asarray(self.agent.hedge_share * dollar_gamma_usd(self.agent.terms.pool, self.market.spot_usd * np.exp(log_price)))

    def options(self, move: Move, state: LpState) -> tuple[OptionStep, LpState]:
        """The position at the market's price: coin in it carried, then what arbitrageurs took, then fees, which are paid out in cash."""
        terms = self.agent.terms
        trade = trade_pool(
            terms,
            state.pool,
            spot_usd=self.market.spot_usd,
            logs=(move.log_before, move.log_price),
            step_years=move.step_years,
            block=block_now(terms, self.market.grid, move.step),
            live=move.live,
        )
        carried = np.where(move.live, trade.coin_before * (move.spot_usd - move.spot_before_usd), 0.0)
        lost = trade.coin_out * move.spot_usd - trade.cash_in_usd
        fees = trade.fee_usd + two_way_fee_usd(terms, state.pool, step_years=move.step_years, live=move.live)
        earned, nothing = fees - lost, zero_row(lost.size)
        step = OptionStep(carried, earned, nothing, nothing, carried + earned, fees)
        return step, LpState(trade.after, state.lost_usd + lost, state.fees_usd + fees)

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: LpState
    ) -> FloatArray:
        """USD still to be bought, orders in flight not counted as bought."""
        target = -self.agent.hedge_share * coin_at(self.agent.terms.pool, self.market.spot_usd, log_price)
        return np.asarray((target - account.position_coin) * spot_usd)

    def _target(self, log_price: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Coin to hold, and its slope per unit of log price."""
        pool, share, spot_usd = self.agent.terms.pool, self.agent.hedge_share, self.market.spot_usd
        coin = coin_at(pool, spot_usd, log_price)
        return -share * coin, -share * coin_slope(pool, spot_usd, log_price, coin)

    def _scale(self) -> float:
        """A price that jumps over a range must not be cleared behind it unseen."""
        pool = self.agent.terms.pool
        return SCAN_SHARE * float(np.log(pool.high_usd / pool.low_usd)) if isinstance(pool, RangePool) else float("inf")
