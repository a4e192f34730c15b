"""What a venue took from margined accounts: when, which leg, how much, at which price, against whom, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray

PERP, OPTIONS = 0, 1
LEGS = ("perp", "options")
COUNTERPARTIES = ("market", "backstop")
REASONS = ("equity fell below the maintenance margin", "nothing was left: taken over whole")


@dataclass(frozen=True, slots=True)
class Takeovers:
    """Rows in the order in which they happened.

    ``coin``: what the account bought (+) or sold of the perp, or coin of options that were taken over; ``price_usd`` a coin (of options their mean mark,
    what it cost the account to be rid of one, + paid); ``kept``: the part that stayed.  The perp goes to the market, options to the backstop.
    """

    step: IntArray
    path: IntArray
    leg: IntArray
    coin: FloatArray
    price_usd: FloatArray
    kept: FloatArray

    @property
    def rows(self) -> int:
        """How many there were."""
        return int(self.step.size)

    def counterparty(self, row: int) -> str:
        """Who stood on the other side."""
        return COUNTERPARTIES[int(self.leg[row])]

    def reason(self, row: int) -> str:
        """Why it was taken."""
        return REASONS[int(self.kept[row] == 0.0)]

    @classmethod
    def of(cls, step: int, leg: int, columns: tuple[FloatArray, FloatArray, FloatArray]) -> Takeovers:
        """One leg's rows of a step from coin, price and part kept, (paths,) each; paths without any have 0 coin."""
        coin, price, kept = columns
        path = np.flatnonzero(coin != 0.0)
        same = np.full(path.size, leg)
        return cls(np.full(path.size, step), path, same, coin[path], price[path], kept[path])

    @classmethod
    def joined(cls, parts: tuple[Takeovers, ...]) -> Takeovers:
        """Several lists as one."""
        whole, real = np.zeros(0, dtype=np.int64), np.zeros(0)
        if not parts:
            return cls(whole, whole, whole, real, real, real)
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))
