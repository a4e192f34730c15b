"""Orders that arrive by chance: how many in a step, and how large each is, from an agent's own uniform numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.sim.agents.protocol import TO_TRADE_OPTIONS, Draws
from tailwag.units import HOURS_PER_YEAR

MOST_EXPECTED = 50.0
"""Orders of a step are drawn one by one; no more than this on average."""
LEGS, MOST_ORDERS = 8, 1024
"""Draws are numbered by step, leg and order."""
LEAST_CHANCE = 1e-17
"""Below this the sum of chances no longer grows."""
LAWS = ("fixed", "exponential", "pareto")


@dataclass(frozen=True, slots=True)
class SizeLaw:
    """How large one order is, mean 1: "fixed", "exponential", or "pareto" with P(size > s) = (least / s)^tail_exponent.

    Volumes of single trades have tails of about 1.5 (Gopikrishnan, Plerou, Gabaix and Stanley, 2000).  InputError for another law, or a tail whose
    mean is infinite.

    >>> float(SizeLaw("pareto", 2.0).sizes(np.array([0.25]))[0])
    1.0
    """

    law: str = "fixed"
    tail_exponent: float = 1.5

    def __post_init__(self) -> None:
        if self.law not in LAWS:
            raise InputError(f"expected a law of sizes out of {', '.join(LAWS)}, got {self.law!r}")
        if not 1.0 < self.tail_exponent <= 100.0:
            raise InputError(f"expected tail_exponent above 1 and at most 100, got {self.tail_exponent:g}; at 1 the mean is infinite")

    def sizes(self, uniform: FloatArray) -> FloatArray:
        """Sizes of mean 1 by their upper probability."""
        if self.law == "fixed":
            return np.ones(uniform.shape)
        if self.law == "exponential":
            return np.asarray(-np.log(uniform))
        return np.asarray((1.0 - 1.0 / self.tail_exponent) * uniform ** (-1.0 / self.tail_exponent))


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A Poisson stream of orders, so many an hour, of so much coin each on average."""

    per_hour: float
    coin: float
    size: SizeLaw

    def refuse_long_steps(self, step_years: float) -> None:
        """InputError where a step of this length would hold more orders than are drawn one by one."""
        expected = self.per_hour * step_years * HOURS_PER_YEAR
        if expected > MOST_EXPECTED:
            raise InputError(
                f"expected at most {MOST_EXPECTED:g} orders in a step, got about {expected:g}; take fewer and larger orders, or shorter steps"
            )


def arrived_coin(arrivals: Arrivals, draw: Draws, *, step: int, leg: int, hours: float, wanted: BoolArray) -> FloatArray:
    """Coin of all orders that arrive on each path in a step of so many hours, (paths,); 0 where none is wanted.

    count: the first n with P(N <= n) >= u, N Poisson; each order has a draw of its own.
    """
    place = (step * LEGS + leg) * MOST_ORDERS
    counts = poisson_counts(draw(TO_TRADE_OPTIONS, place), arrivals.per_hour * hours)
    counts = np.where(wanted, np.minimum(counts, MOST_ORDERS - 1), 0)
    coin = np.zeros(counts.shape)
    for number in range(1, int(counts.max(initial=0)) + 1):
        sizes = arrivals.size.sizes(draw(TO_TRADE_OPTIONS, place + number))
        coin = coin + np.where(counts >= number, arrivals.coin * sizes, 0.0)
    return coin


def poisson_counts(uniform: FloatArray, mean: float) -> IntArray:
    """Poisson numbers by inversion.

    >>> poisson_counts(np.array([0.1, 0.9, 0.999]), 1.0).tolist()
    [0, 2, 5]
    """
    chance = math.exp(-mean)
    reached, counts, number = chance, np.zeros(uniform.shape, dtype=np.int64), 0
    while (above := uniform > reached).any() and (number <= mean or chance > LEAST_CHANCE):
        number += 1
        counts = np.where(above, number, counts)
        chance *= mean / number
        reached += chance
    return np.asarray(counts)
