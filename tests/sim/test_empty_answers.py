"""Traders that hedge nothing answer zero on every path, whatever the market does, and grow no dictionary by inheriting the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tailwag.sim.agents.block_seller import BlockTrader
from tailwag.sim.agents.empty_answers import HedgesNothing, HedgesNoVega, HoldsNoOptions, WantsNoHedge
from tailwag.sim.agents.manipulator import ManipulatorTrader
from tailwag.sim.agents.momentum import TrendTrader
from tailwag.sim.agents.vault import VaultTrader
from tailwag.sim.gamma_trader import GammaTrader

PRICES, SPOT = np.array([0.02, -0.3, 0.0]), 60_000.0 * np.exp([0.02, -0.3, 0.0])


@dataclass(frozen=True, slots=True)
class Bystander(HedgesNothing, HoldsNoOptions):
    """Nobody in particular."""

    coin: float


def test_zero_on_every_path() -> None:
    trader: Any = Bystander(1.0)
    for told in (
        trader.dollar_gamma_usd(4, PRICES, PRICES, None),
        trader.hedged_vega_usd(4, PRICES, PRICES, None),
        trader.gap_usd(4, PRICES, SPOT, PRICES, None, None),
    ):
        assert told.dtype == np.float64
        assert told.tolist() == [0.0, 0.0, 0.0]


def test_no_options_leave_the_state_as_it_is() -> None:
    state = object()
    trader: Any = Bystander(1.0)
    assert trader.options(None, state) == (None, state)


@pytest.mark.parametrize("kind", [Bystander, BlockTrader, ManipulatorTrader, TrendTrader, VaultTrader, GammaTrader])
def test_a_slotted_trader_stays_slotted(kind: type) -> None:
    assert kind.__dictoffset__ == 0


def test_each_says_no_more_than_its_name() -> None:
    words = ("hedged_vega_usd", "gap_usd", "dollar_gamma_usd", "options")
    told = {kind: [word for word in words if hasattr(kind, word)] for kind in (HedgesNoVega, WantsNoHedge, HedgesNothing, HoldsNoOptions)}
    assert list(told.values()) == [list(words[:1]), list(words[:2]), list(words[:3]), list(words[3:])]
