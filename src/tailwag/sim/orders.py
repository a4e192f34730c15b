"""Orders on their way: submitted late or in slices, they reach the market step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.booking import zero_row


@dataclass(frozen=True, slots=True)
class Flight:
    """Orders that will arrive: ``usd`` and ``coin`` (slots, paths), slot 0 arrives in the next step; + buys."""

    usd: FloatArray
    coin: FloatArray

    @classmethod
    def empty(cls, slots: int, paths: int) -> Flight:
        """Nothing on its way."""
        return cls(np.zeros((slots, paths)), np.zeros((slots, paths)))

    @property
    def total_usd(self) -> FloatArray:
        """USD on its way, (paths,)."""
        return self.usd[0] if self.usd.shape[0] == 1 else np.asarray(self.usd.sum(axis=0))

    @property
    def total_coin(self) -> FloatArray:
        """Coin on its way, (paths,)."""
        return self.coin[0] if self.coin.shape[0] == 1 else np.asarray(self.coin.sum(axis=0))

    def arrive(self) -> tuple[FloatArray, FloatArray, Flight]:
        """USD and coin that reach the market now, and what is still on its way."""
        return self.usd[0], self.coin[0], Flight(_shifted(self.usd), _shifted(self.coin))

    def hold(self) -> Flight:
        """A step without an auction: what would have arrived waits for the next."""
        usd, coin = _shifted(self.usd), _shifted(self.coin)
        usd[0] += self.usd[0]
        coin[0] += self.coin[0]
        return Flight(usd, coin)

    def submit(self, usd: FloatArray, coin: FloatArray, delay_steps: int, weights: FloatArray) -> Flight:
        """Orders decided now: the first slice arrives ``delay_steps`` steps later, the others one by one after it."""
        slots = slice(delay_steps - 1, delay_steps - 1 + weights.size)
        later_usd, later_coin = self.usd.copy(), self.coin.copy()
        later_usd[slots] += np.multiply.outer(weights, usd)
        later_coin[slots] += np.multiply.outer(weights, coin)
        return Flight(later_usd, later_coin)


def _shifted(rows: FloatArray) -> FloatArray:
    moved = np.empty(rows.shape)
    moved[:-1], moved[-1] = rows[1:], 0.0
    return moved


def sum_in_order(parts: Sequence[FloatArray], shape: tuple[int, ...]) -> FloatArray:
    """Sum one after another, as the seats stand: the same bits whatever the parts are called; zeros of ``shape`` without any."""
    total = np.zeros(shape)
    for part in parts:
        if part is not zero_row(part.size):
            total += part
    return total
