"""Exact totals read by name: means, and pairs of means with their covariance."""

from __future__ import annotations

from dataclasses import dataclass

from tailwag.sim.block_sums import BlockSums
from tailwag.sim.estimates import Estimate, Moments, Pair, ratio
from tailwag.sim.exact_sum import as_integer, covariance, mean
from tailwag.sim.metric_plan import MetricPlan
from tailwag.sim.path_statistics import Layout, layout_of, unit_of

NOBODY = "no path reached the horizon"


@dataclass(frozen=True, slots=True)
class Totals:
    """Exact totals by name."""

    layout: Layout
    rows: dict[str, int]
    pair_rows: dict[tuple[str, str], int]
    integers: tuple[int, ...]
    paths: int
    finished: int

    @classmethod
    def of(cls, sums: BlockSums, plan: MetricPlan) -> Totals:
        """The totals of merged sums under the plan that folded them."""
        layout = layout_of(plan, len(sums.agents))
        integers = tuple(as_integer(row) for row in sums.sums)
        pair_rows = {pair: 2 * len(layout.names) + place for place, pair in enumerate(layout.pairs)}
        return cls(layout, layout.rows, pair_rows, integers, sums.paths, sums.finished)

    def count(self, name: str) -> int:
        """How many paths a number is averaged over."""
        return self.finished if self.rows[name] < self.layout.finished else self.paths

    def mean(self, name: str) -> Estimate:
        """Mean over paths; SE = standard deviation/sqrt(paths)."""
        count = self.count(name)
        if count == 0:
            return Estimate.unknown(NOBODY)
        unit = unit_of(name)
        value = unit * mean(self.integers[self.rows[name]], count)
        if count == 1:
            return Estimate(value, None, "one path has no standard error")
        return Estimate(value, unit * (max(self._variance(name), 0.0) / count) ** 0.5)

    def pair(self, first: str, second: str) -> Pair:
        """Means, variances and covariance of two numbers of the same paths; None without paths."""
        count = self.count(first)
        if count == 0:
            return None
        own = (self.integers[self.rows[first]], self.integers[self.rows[second]])
        one, other = unit_of(first), unit_of(second)
        means = one * mean(own[0], count), other * mean(own[1], count)
        if count == 1:
            return Moments(1, *means, 0.0, 0.0, 0.0)
        shared = one * other * covariance(self.integers[self.pair_rows[first, second]], own, count)
        return Moments(count, *means, one**2 * self._variance(first), other**2 * self._variance(second), shared)

    def ratio(self, first: str, second: str) -> Estimate:
        """Ratio of two means with its paired standard error."""
        return ratio(self.pair(first, second), reason=NOBODY)

    def _variance(self, name: str) -> float:
        row = self.rows[name]
        total = self.integers[row]
        return covariance(self.integers[len(self.layout.names) + row], (total, total), self.count(name))
