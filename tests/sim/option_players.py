"""Takers and makers of options that play from tables: what tests of the option market trade with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.sim.agents.protocol import Account, Draws, Market, Move, OptionStep, Orders, View, no_orders
from tailwag.sim.option_market import Contract, OptionFill, OptionModel, OptionOrder, Quote
from tailwag.sim.option_slots import OptionHolding

Orderly = Callable[[View], tuple[OptionOrder, ...]]


@dataclass(frozen=True, slots=True)
class Player:
    """Trades options by ``orders`` (a view to orders) or quotes model price times (1 -+ half) for ``size``; never trades the underlying."""

    name: str
    word: str
    orders: Orderly | None = None
    half: float | None = None
    size: float = 0.0
    slots: int = 16
    delay_steps: int = 1

    def content(self) -> str:
        return self.word

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        return 0.0

    def at_work(self, market: Market) -> Any:
        assert market.option_model is not None
        if self.half is not None and self.orders is not None:
            return BothAtWork(self, market.option_model)
        return TakerAtWork(self, market.option_model) if self.half is None else MakerAtWork(self, market.option_model)


@dataclass(frozen=True)
class AtWork:
    """What both have."""

    player: Player
    model: OptionModel

    def init(self, paths: int, draw: Draws) -> OptionHolding:
        return OptionHolding.opened(self.model, paths, self.player.slots)

    def start_coin(self, state: OptionHolding) -> np.ndarray:
        return np.zeros(state.value_usd.shape)

    def act(self, view: View, account: Account, state: OptionHolding, draw: Draws) -> Orders:
        return no_orders(view.log_price.size)

    def dollar_gamma_usd(self, step: int, log_price: np.ndarray, vol_shift: np.ndarray, state: OptionHolding) -> np.ndarray:
        return np.zeros(log_price.shape)

    def hedged_vega_usd(self, step: int, log_price: np.ndarray, vol_shift: np.ndarray, state: OptionHolding) -> np.ndarray:
        return np.zeros(log_price.shape)

    def options(self, move: Move, state: OptionHolding) -> tuple[OptionStep, OptionHolding]:
        return state.stepped(move)

    def gap_usd(
        self, step: int, log_price: np.ndarray, spot_usd: np.ndarray, vol_shift: np.ndarray, account: Account, state: OptionHolding
    ) -> np.ndarray:
        return np.zeros(log_price.shape)

    def traded(self, fill: OptionFill, state: OptionHolding) -> OptionHolding:
        return state.traded(fill)

    def option_room(self, contract: Contract, state: OptionHolding) -> np.ndarray:
        return state.slots.room(contract)


@dataclass(frozen=True)
class TakerAtWork(AtWork):
    """Sends the orders of its table."""

    def option_orders(self, view: View, account: Account, state: OptionHolding, draw: Draws) -> tuple[OptionOrder, ...]:
        assert self.player.orders is not None
        return self.player.orders(view)


@dataclass(frozen=True)
class MakerAtWork(AtWork):
    """Quotes around the model."""

    def quote(self, view: View, contract: Contract, model_price_usd: np.ndarray, model_vega_usd: np.ndarray, state: OptionHolding) -> Quote:
        assert self.player.half is not None
        size = np.full(model_price_usd.shape, self.player.size)
        return Quote(model_price_usd * (1.0 - self.player.half), model_price_usd * (1.0 + self.player.half), size, size)


@dataclass(frozen=True)
class BothAtWork(TakerAtWork, MakerAtWork):
    """Does both; its own quote is not for it."""
