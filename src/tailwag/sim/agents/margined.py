"""Hedgers under a controller: a margin on what they trade, set from the measured loop gain, makes them close only part of their gap in a step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.protocol import Account, Agent, Draws, Market, Move, OptionStep, Orders, Trader, View
from tailwag.sim.margin_rules import IntegralControl


@dataclass(frozen=True, slots=True)
class MarginedHedger:
    """Any hedger with a line of capital of fixed size on a venue whose controller sets the margin u on what it trades: it closes 1 / u of its gap.

    u is 1 at the start and the same for everybody under the same ``rule``, which reads the measured gain of the whole market.
    """

    inner: Agent
    rule: IntegralControl

    @property
    def name(self) -> str:
        """The inner agent's."""
        return self.inner.name

    @property
    def delay_steps(self) -> int:
        """The inner agent's."""
        return self.inner.delay_steps

    @property
    def reads_gain(self) -> bool:
        """The controller reads it."""
        return True

    def __getattr__(self, word: str) -> Any:
        """What else the market asks of an agent (its book, instrument, execution) is the inner agent's."""
        if word.startswith("__") or word in ("inner", "rule"):
            raise AttributeError(word)
        return getattr(self.inner, word)

    def __str__(self) -> str:
        return f"{self.inner}, margin set every {self.rule.every_steps} steps to bring the gain to {self.rule.target:g}"

    def content(self) -> str:
        """The inner agent's and the rule."""
        return f"{self.inner.content()} margin {self.rule!r}"

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """The inner agent's: the margin is 1 at the start."""
        return self.inner.starting_dollar_gamma_usd(spot_usd)

    def at_work(self, market: Market) -> Trader:
        """The inner agent at work under the controller."""
        return MarginedTrader(self.rule, self.inner.at_work(market))


@dataclass(frozen=True, slots=True)
class MarginedState:
    """The inner agent's memory, the margin in force (paths,), and what was decided and waits (notice, paths)."""

    inner: Any
    margin: FloatArray
    waiting: FloatArray


@dataclass(frozen=True, slots=True)
class MarginedTrader:
    """The hedger and the controller at work."""

    rule: IntegralControl
    trader: Trader

    def init(self, paths: int, draw: Draws) -> MarginedState:
        """No margin beyond 1."""
        return MarginedState(self.trader.init(paths, draw), np.ones(paths), np.ones((self.rule.notice, paths)))

    def start_coin(self, state: MarginedState) -> FloatArray:
        """The inner agent's."""
        return self.trader.start_coin(state.inner)

    def act(self, view: View, account: Account, state: MarginedState, draw: Draws) -> Orders:
        """1 / u of what the inner agent would buy."""
        orders, part = self.trader.act(view, account, state.inner, draw), 1.0 / state.margin
        inner = orders.demand
        if inner is None:
            return replace(orders, usd=orders.usd * part, coin=orders.coin * part)

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            usd, coin, slope_usd, slope_coin = inner(log_price, vol_shift)
            return usd * part, coin * part, slope_usd * part, slope_coin * part

        return Orders(usd=orders.usd * part, coin=orders.coin * part, demand=demand, scale_log=orders.scale_log)

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: MarginedState) -> FloatArray:
        """1 / u of the inner agent's: what it answers a move with in the step of the move."""
        return np.asarray(self.trader.dollar_gamma_usd(step, log_price, vol_shift, state.inner) / state.margin)

    def hedged_vega_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: MarginedState) -> FloatArray:
        """The inner agent's."""
        return self.trader.hedged_vega_usd(step, log_price, vol_shift, state.inner)

    def options(self, move: Move, state: MarginedState) -> tuple[OptionStep | None, MarginedState]:
        """What the options earned; and every so many steps the controller's decision."""
        earned, inner = self.trader.options(move, state.inner)
        if move.market_gain is None or move.step % self.rule.every_steps:
            return earned, replace(state, inner=inner)
        last = state.waiting[-1] if self.rule.notice else state.margin
        decided = np.where(move.live, self.rule.next_margin(last, move.market_gain), last)
        queue = np.vstack((state.waiting, decided))
        return earned, MarginedState(inner, queue[0], queue[1:])

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: MarginedState
    ) -> FloatArray:
        """The inner agent's: what the margin keeps it from hedging is missing all the same."""
        return self.trader.gap_usd(step, log_price, spot_usd, vol_shift, account, state.inner)
