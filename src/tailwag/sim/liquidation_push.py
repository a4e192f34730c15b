"""The push that pays: how far others' liquidations would carry the price, and what a trader earns who starts them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.kernels.arrays import FloatArray

DISTANCES = 64
"""Resting prices that are tried on each side."""
OVER_LEAST = 0.01
"""Pushes by so much more than the least that a grid of resting prices shows: a fold lies between two of them."""
BPS = 1e-4


@dataclass(frozen=True, slots=True)
class LevelSight:
    """What a trader sees of others' liquidation levels, and what it believes of the market that it would push them with.

    ``share`` of the notional within ``reach_log`` of the price is seen; one USD moves the price by ``impact_per_usd`` at once, of which
    ``passes_share`` has gone again when it closes a step later; it pays ``cost_bps`` each way.

    >>> round(LevelSight(share=0.5, impact_per_usd=3.1e-11).profit_usd(1e9, 1e9))
    15500000

    Raises InputError or UnitError for a number that means nothing.
    """

    share: float
    impact_per_usd: float
    reach_log: float = 0.1
    passes_share: float = 0.0
    cost_bps: float = 0.0

    def __post_init__(self) -> None:
        for name in ("share", "passes_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UnitError(f"expected {name} from 0 to 1, got {getattr(self, name):g}; 0.5 is one half")
        if not 0.0 < self.impact_per_usd < math.inf:
            raise InputError(f"expected impact_per_usd above 0, got {self.impact_per_usd:g}; 0.01 / depth, the USD that move price 1 %")
        if not 0.0 < self.reach_log <= 5.0:
            raise InputError(f"expected reach_log above 0 and at most 5, got {self.reach_log:g}; 0.1 looks 10 % either way")
        if not 0.0 <= self.cost_bps < 1e4:
            raise UnitError(f"expected cost_bps from 0 to below 10,000, got {self.cost_bps:g}; 5 is 0.05 %")

    def profit_usd(self, push_usd: float | FloatArray, liquidated_usd: float | FloatArray) -> float | FloatArray:
        """What a push of P earns that starts liquidations of L in its step and is closed in the next one: P (lambda ((1/2 - s) L - s P) - 2 c).

        Both fill at the mean of the price before and after: the push is filled lambda (P + L) / 2 from where it began, the closing trade
        lambda (L + P / 2), less what passed, s lambda (P + L).  Sizes are of either side, so profit does not ask which.
        """
        moved = (0.5 - self.passes_share) * liquidated_usd - self.passes_share * push_usd
        return push_usd * (self.impact_per_usd * moved - 2.0 * self.cost_bps * BPS)

    def best_usd(self, seen: Callable[[FloatArray], FloatArray], log_price: FloatArray, most_usd: float) -> FloatArray:
        """The push of at most ``most_usd`` that pays best, + buys; 0 where none pays.  (paths,)

        ``seen``: USD that liquidations would buy (+) or sell (-) if price went to a log price, (paths,).
        """
        down, up = (self._best_of_side(seen, log_price, side, most_usd) for side in (-1.0, 1.0))
        return np.where(up[1] > down[1], up[0], -down[0])

    def _best_of_side(
        self, seen: Callable[[FloatArray], FloatArray], log_price: FloatArray, side: float, most_usd: float
    ) -> tuple[FloatArray, FloatArray]:
        """Push and profit: the least push that carries price past each distance, with what the cascade adds until it rests."""
        away = self.reach_log * np.arange(1, DISTANCES + 1) / DISTANCES
        passed = np.stack([np.maximum(side * seen(log_price + side * distance), 0.0) for distance in away])
        least, liquidated = resting(passed, away[:, None] / self.impact_per_usd)
        push = (1.0 + OVER_LEAST) * least
        profit = np.where(push <= most_usd, self.profit_usd(push, liquidated), -math.inf)
        best, columns = profit.argmax(axis=0), np.arange(log_price.size)
        pays = profit[best, columns] > 0.0
        return np.where(pays, push[best, columns], 0.0), np.where(pays, profit[best, columns], 0.0)


def resting(passed_usd: FloatArray, whole_usd: FloatArray) -> tuple[FloatArray, FloatArray]:
    """For each distance the least push that carries price past it, and what is liquidated by the time price rests.  (distances, paths)

    Price rests at the smallest x = lambda (P + L(x)).  To rest at x takes P = x / lambda - L(x); to pass x takes the largest such P on the way there.
    Where that falls again (a fold) the same push carries price on.  ``whole_usd``: x / lambda; ``passed_usd``: L(x), both in order of distance.

    >>> passed = np.array([[0.0], [6.0], [6.0], [6.0]])
    >>> [part.ravel().tolist() for part in resting(passed, np.array([[2.0], [4.0], [6.0], [8.0]]))]
    [[2.0, 2.0, 2.0, 2.0], [6.0, 6.0, 6.0, 6.0]]
    """
    least = np.maximum.accumulate(np.maximum(whole_usd - passed_usd, 0.0), axis=0)
    reached = passed_usd.copy()
    for place in range(len(reached) - 2, -1, -1):
        reached[place] = np.where(least[place + 1] > least[place], reached[place], reached[place + 1])
    return least, reached
