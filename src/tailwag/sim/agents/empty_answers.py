"""Answers of traders that hedge nothing, or hold no options: zero for every path, told once for all of them."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.protocol import Account, Move

Memory = TypeVar("Memory")


class HedgesNoVega:
    """A trader that buys no listed options against the vega of what it holds."""

    __slots__ = ()

    def hedged_vega_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: object) -> FloatArray:
        """None: zero on every path, (paths,)."""
        return np.zeros(log_price.shape)


class WantsNoHedge(HedgesNoVega):
    """A trader whose position is no hedge, so that none is ever missing, though it may answer moves of the price."""

    __slots__ = ()

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: object
    ) -> FloatArray:
        """Nothing is being hedged: zero on every path, (paths,)."""
        return np.zeros(log_price.shape)


class HedgesNothing(WantsNoHedge):
    """A trader that follows no move of the price: no dollar gamma, no vega and no gap."""

    __slots__ = ()

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: object) -> FloatArray:
        """None is hedged: zero on every path, (paths,)."""
        return np.zeros(log_price.shape)


class HoldsNoOptions:
    """A trader without options, and with nothing to remember of a step that has cleared."""

    __slots__ = ()

    def options(self, move: Move, state: Memory) -> tuple[None, Memory]:
        """Nothing earned, and the state as it was."""
        return None, state
