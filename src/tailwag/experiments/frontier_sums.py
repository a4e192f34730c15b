"""What a policy comparison keeps of its paths: sums and products of a few numbers a path, exact, so the same in any order and any blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.path_sums import path_sums
from tailwag.sim.estimates import Estimate
from tailwag.sim.exact_sum import as_integer, covariance, exact_sums, mean
from tailwag.sim.path_statistics import MONEY_UNIT, agent_pnl
from tailwag.sim.state import PNL_PARTS, AgentPaths, BlockPaths

PAID_PARTS = ("fees_usd", "spread_usd", "gas_usd", "funding_usd")
"""What is paid to others, whatever it does to the price: the cost of a hedge in a market that nobody moves."""
KEPT = ("pnl", "pnl_squared", "paid", "step_squares", "final_square", "turnover")
"""Numbers of one path in one world, in this order."""
SHARED = ("fundamental.step_squares", "fundamental.final_square")
"""Numbers of a path that are the same for every policy: the same shocks with nobody hedging."""
MADE = ("feedback", "cost")
"""Numbers of one policy that take both worlds of a path."""


def joined(block: BlockPaths, names: tuple[str, ...]) -> BlockPaths:
    """The block with the accounts of ``names`` added up into one agent, and no other.

    Squared mis-hedges are summed: each dealer's own book is hedged by itself.  Peak positions are summed as well: an upper bound.
    """
    mine = [agent for agent in block.agents if agent.name in names]
    if len(mine) == 1:
        return replace(block, agents=(replace(mine[0], name="hedgers"),))
    added = {
        name: np.sum([getattr(agent, name) for agent in mine], axis=0)
        for name in ("turnover_usd", "trades", "pnl_usd", "gap_squared_usd", "final_position_coin", "final_cash_usd", "peak_position_usd")
    }
    return replace(block, agents=(AgentPaths(name="hedgers", **added),))


def kept_numbers(block: BlockPaths) -> FloatArray:
    """The numbers of :data:`KEPT`, then those of :data:`SHARED`, of every path: (8, paths).  The block has one agent."""
    (agent,) = block.agents
    pnl = agent_pnl(agent)
    paid = np.zeros(pnl.shape)
    for part in PAID_PARTS:
        paid = paid - agent.pnl_usd[PNL_PARTS.index(part)]
    one_step, no_lag = np.ones(1, dtype=np.int64), np.zeros(0, dtype=np.int64)
    squares = [path_sums(np.ascontiguousarray(series.T), one_step, no_lag)[0] for series in (block.log_price, block.fundamental_log)]
    ends = [np.square(series[:, -1]) for series in (block.log_price, block.fundamental_log)]
    return np.stack([pnl, pnl * pnl, paid, squares[0], ends[0], agent.turnover_usd, squares[1], ends[1]])


def numbers_of_policies(alone: list[FloatArray], together: list[FloatArray]) -> tuple[tuple[str, ...], FloatArray]:
    """Every number of a block by name: of each policy in both worlds, what feedback cost it, and the shared ones.  (names, paths).

    feedback = (P&L + paid) without feedback less (P&L + paid) with it; cost with feedback = paid with it + feedback.
    """
    names: list[str] = []
    rows: list[FloatArray] = []
    row = {name: place for place, name in enumerate(KEPT)}
    for place, (off, on) in enumerate(zip(alone, together, strict=True)):
        for world, numbers in (("alone", off), ("together", on)):
            names += [f"{place}.{world}.{name}" for name in KEPT]
            rows += list(numbers[: len(KEPT)])
        feedback = (off[row["pnl"]] + off[row["paid"]]) - (on[row["pnl"]] + on[row["paid"]])
        names += [f"{place}.{name}" for name in MADE]
        rows += [feedback, on[row["paid"]] + feedback]
    names += SHARED
    rows += list(alone[0][len(KEPT) :])
    return tuple(names), np.stack(rows)


@dataclass(frozen=True, slots=True)
class Joint:
    """Means and covariances of many numbers over the same paths.

    Shapes: ``sums`` (names, digits), ``products`` (pairs, digits) of the upper triangle, row by row.
    """

    names: tuple[str, ...]
    paths: int
    sums: IntArray
    products: IntArray

    @classmethod
    def of(cls, names: tuple[str, ...], values: FloatArray) -> Joint:
        """The joint sums of one block, ``values`` (names, paths)."""
        count = len(names)
        values = values / np.array([_unit(name) for name in names])[:, None]
        products = [exact_sums(values[row] * values[row:]) for row in range(count)]
        return cls(names, values.shape[1], exact_sums(values), np.concatenate(products))

    def plus(self, other: Joint) -> Joint:
        """Both blocks together."""
        return Joint(self.names, self.paths + other.paths, self.sums + other.sums, self.products + other.products)

    def mean(self, name: str) -> float:
        """Mean over paths."""
        return _unit(name) * mean(as_integer(self.sums[self._row(name)]), self.paths)

    def covariance(self, first: str, second: str) -> float:
        """Sample covariance over paths; 0 for one path."""
        if self.paths < 2:
            return 0.0
        low, high = sorted((self._row(first), self._row(second)))
        place = low * len(self.names) - low * (low - 1) // 2 + (high - low)
        totals = (as_integer(self.sums[low]), as_integer(self.sums[high]))
        return _unit(first) * _unit(second) * covariance(as_integer(self.products[place]), totals, self.paths)

    def estimate(self, value: float, slopes: dict[str, float]) -> Estimate:
        """A function of means with its standard error, from its slopes in each mean (the delta method): SE^2 = s' C s / paths."""
        if self.paths < 2:
            return Estimate(value, None, "one path has no standard error")
        named = list(slopes.items())
        variance = 0.0
        for place, (one, slope) in enumerate(named):
            variance += slope * slope * self.covariance(one, one)
            for other, steep in named[place + 1 :]:
                variance += 2.0 * slope * steep * self.covariance(one, other)
        return Estimate(value, (max(variance, 0.0) / self.paths) ** 0.5)

    def linear(self, weights: dict[str, float]) -> Estimate:
        """sum of weight x mean, with its paired standard error."""
        return self.estimate(sum(weight * self.mean(name) for name, weight in weights.items()), weights)

    def deviation(self, name: str) -> tuple[float, dict[str, float]]:
        """Standard deviation over paths of ``name`` and its slopes in the means of the number and of its square."""
        first, second = self.mean(name), self.mean(f"{name}_squared")
        variance = second - first * first
        if variance <= 1e-24 * second:
            return 0.0, {}
        size = variance**0.5
        return size, {name: -first / size, f"{name}_squared": 0.5 / size}

    def _row(self, name: str) -> int:
        return self.names.index(name)


def _unit(name: str) -> float:
    """The unit that a number is summed in, as in the metrics: about a million USD for money, a power of two."""
    kind = name.rsplit(".", 1)[-1]
    if kind in ("step_squares", "final_square"):
        return 1.0
    return MONEY_UNIT**2 if kind.endswith("_squared") else MONEY_UNIT
