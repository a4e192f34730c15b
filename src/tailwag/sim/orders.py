"""Orders on their way: submitted late or in slices, they reach the market step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray, is_zero, zero_row, zero_rows


@dataclass(frozen=True, slots=True)
class Flight:
    """Orders that will arrive: ``usd`` and ``coin`` (slots, paths), slot 0 arrives in the next step; + buys."""

    usd: FloatArray
    coin: FloatArray

    @classmethod
    def empty(cls, slots: int, paths: int) -> Flight:
        """Nothing on its way."""
        return cls(zero_rows(slots, paths), zero_rows(slots, paths))

    @property
    def total_usd(self) -> FloatArray:
        """USD on its way, (paths,)."""
        return _total(self.usd)

    @property
    def total_coin(self) -> FloatArray:
        """Coin on its way, (paths,)."""
        return _total(self.coin)

    def arrive(self) -> tuple[FloatArray, FloatArray, Flight]:
        """USD and coin that reach the market now, and what is still on its way."""
        return _first(self.usd), _first(self.coin), Flight(_shifted(self.usd), _shifted(self.coin))

    def hold(self) -> Flight:
        """A step without an auction: what would have arrived waits for the next."""
        return Flight(_held(self.usd), _held(self.coin))

    def submit(self, usd: FloatArray, coin: FloatArray, delay_steps: int, weights: FloatArray) -> Flight:
        """Orders decided now: the first slice arrives ``delay_steps`` steps later, the others one by one after it."""
        slots = slice(delay_steps - 1, delay_steps - 1 + weights.size)
        return Flight(_with_slices(self.usd, usd, slots, weights), _with_slices(self.coin, coin, slots, weights))


def _first(rows: FloatArray) -> FloatArray:
    return zero_row(rows.shape[1]) if is_zero(rows) else rows[0]


def _total(rows: FloatArray) -> FloatArray:
    return _first(rows) if rows.shape[0] == 1 else np.asarray(rows.sum(axis=0))


def _shifted(rows: FloatArray) -> FloatArray:
    if is_zero(rows) or rows.shape[0] == 1:
        return zero_rows(*rows.shape)
    moved = np.empty(rows.shape)
    moved[:-1], moved[-1] = rows[1:], 0.0
    return moved


def _held(rows: FloatArray) -> FloatArray:
    if is_zero(rows):
        return rows
    moved = _shifted(rows).copy()
    moved[0] += rows[0]
    return moved


def _with_slices(rows: FloatArray, amount: FloatArray, slots: slice, weights: FloatArray) -> FloatArray:
    if is_zero(amount):
        return rows
    slices = np.multiply.outer(weights, amount)
    if is_zero(rows) and slices.shape == rows.shape:
        return slices
    later = rows.copy()
    later[slots] += slices
    return later


def plus(one: FloatArray, other: FloatArray) -> FloatArray:
    """The sum; the one itself where the other is known to be zero."""
    if is_zero(other):
        return one
    return other if is_zero(one) else one + other


def sum_in_order(parts: Sequence[FloatArray], shape: tuple[int, ...]) -> FloatArray:
    """Sum one after another, as the seats stand: the same bits whatever the parts are called; zeros of ``shape`` without any."""
    total = np.zeros(shape)
    for part in parts:
        if not is_zero(part):
            total += part
    return total
