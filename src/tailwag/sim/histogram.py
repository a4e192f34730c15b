"""Histograms of fixed size for numbers of any size: bins of constant relative width, so that quantiles cost no memory per path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins for both signs: 2^``bits`` of them to each doubling from 2^``lowest`` to 2^``highest``; what is smaller counts as zero.

    >>> round(MONEY_BINS.resolution_pct, 2), MONEY_BINS.count
    (0.78, 14593)
    """

    bits: int
    lowest: int
    highest: int

    @property
    def side(self) -> int:
        """Bins of one sign."""
        return (self.highest - self.lowest) << self.bits

    @property
    def count(self) -> int:
        """All bins: negative, zero, positive."""
        return 2 * self.side + 1

    @property
    def resolution_pct(self) -> float:
        """The widest bin, in per cent of the number that falls into it; quantiles are interpolated inside a bin."""
        return 100.0 / (1 << self.bits)

    def places(self, values: FloatArray) -> IntArray:
        """The bin of every value; a size beyond the last bin counts in the last."""
        size = np.abs(values)
        octave = size.view(np.int64) >> (52 - self.bits)  # the leading bits of a double are its logarithm, piecewise linear
        place = np.minimum(octave - ((1023 + self.lowest) << self.bits), self.side - 1) + 1
        place[size < 2.0**self.lowest] = 0
        found: IntArray = self.side + np.where(values < 0, -place, place)
        return found

    def edges(self) -> FloatArray:
        """Borders of all bins (count + 1,), rising."""
        octaves = (np.arange(self.side + 1, dtype=np.int64) + ((1023 + self.lowest) << self.bits)) << (52 - self.bits)
        sizes = octaves.view(np.float64)
        return np.concatenate([-sizes[::-1], sizes])


LOG_BINS = Bins(bits=6, lowest=-14, highest=2)
"""Log prices of a fan: 1.6 % of the log move, zero below 0.6 bps."""
FINAL_BINS = Bins(bits=8, lowest=-20, highest=3)
"""The last log price: 0.4 % of the log move."""
SHARE_BINS = Bins(bits=8, lowest=-16, highest=1)
"""Drawdowns: 0.4 % of the drawdown."""
MONEY_BINS = Bins(bits=7, lowest=-7, highest=50)
"""USD: 0.8 % of the amount, zero below a cent."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of several quantities at once, with the exact lowest and highest of each.

    Shapes: ``counts`` (quantities, bins); ``lowest``, ``highest`` (quantities,).
    """

    bins: Bins
    counts: IntArray
    lowest: FloatArray
    highest: FloatArray

    @classmethod
    def of(cls, bins: Bins, values: FloatArray) -> Histogram:
        """Counts of ``values`` (quantities, numbers)."""
        rows = values.shape[0]
        if values.size == 0:
            return cls(bins, np.zeros((rows, bins.count), np.int64), np.full(rows, np.inf), np.full(rows, -np.inf))
        keys = bins.places(values) + np.arange(rows)[:, None] * bins.count
        counts = np.bincount(keys.ravel(), minlength=rows * bins.count).reshape(rows, bins.count)
        return cls(bins, counts.astype(np.int64), values.min(axis=1), values.max(axis=1))

    def plus(self, other: Histogram) -> Histogram:
        """Both together; integer counts, so the order never matters."""
        counts = self.counts + other.counts
        return Histogram(self.bins, counts, np.minimum(self.lowest, other.lowest), np.maximum(self.highest, other.highest))

    def distribution(self, row: int) -> Distribution:
        """One quantity."""
        used = np.flatnonzero(self.counts[row])
        edges = self.bins.edges()
        low = np.maximum(edges[used], self.lowest[row])
        high = np.minimum(edges[used + 1], self.highest[row])
        middle = used == self.bins.side  # what counts as zero is zero
        low, high = np.where(middle, 0.0, low), np.where(middle, 0.0, high)
        return Distribution(low, high, self.counts[row][used])


@dataclass(frozen=True, slots=True)
class Distribution:
    """One quantity's occupied bins, rising: from ``low`` to ``high`` lie ``count`` numbers, evenly spread.

    >>> spread = Histogram.of(MONEY_BINS, np.linspace(-1.0, 3.0, 4001)[None]).distribution(0)
    >>> round(spread.quantile(0.75), 2), round(spread.mean_below(0.25), 2)
    (2.0, -0.5)
    """

    low: FloatArray
    high: FloatArray
    count: IntArray

    @property
    def total(self) -> int:
        """How many numbers were counted."""
        return int(self.count.sum())

    def quantile(self, level: float) -> float:
        """The number that a share ``level`` of all lies below, interpolated inside its bin."""
        wanted = min(max(level, 0.0), 1.0) * self.total
        reached = np.cumsum(self.count)
        place = min(int(np.searchsorted(reached, wanted, side="left")), self.count.size - 1)
        share = (wanted - (reached[place] - self.count[place])) / self.count[place]
        return float(self.low[place] + share * (self.high[place] - self.low[place]))

    def share_below(self, numbers: FloatArray) -> FloatArray:
        """Share of all that lies below each of ``numbers``, interpolated inside bins."""
        inside = (numbers[:, None] - self.low) / np.maximum(
            self.high - self.low, 1e-300
        )  # a bin of one number: a quotient that clips, not one that overflows
        below: FloatArray = (self.count * np.clip(inside, 0.0, 1.0)).sum(axis=1) / self.total
        return below

    def quantile_error(self, level: float) -> float:
        """Standard error of a quantile without a model of the density: half the distance between the quantiles one SE of rank away."""
        step = float(np.sqrt(level * (1.0 - level) / self.total))
        return 0.5 * (self.quantile(level + step) - self.quantile(level - step))

    def mean_below(self, level: float) -> float:
        """Mean of the lowest share ``level``."""
        return self.moments_below(level)[0]

    def moments_below(self, level: float) -> tuple[float, float]:
        """Mean and variance of the lowest share ``level``."""
        wanted = level * self.total
        before = np.cumsum(self.count) - self.count
        taken = np.clip(wanted - before, 0.0, self.count)
        high = self.low + np.divide(taken, self.count) * (self.high - self.low)
        middle, width = 0.5 * (self.low + high), high - self.low
        centre = float((taken * middle).sum() / wanted)
        variance = float((taken * ((middle - centre) ** 2 + width * width / 12.0)).sum() / wanted)
        return centre, variance

    def mapped(self, law: np.ufunc, *, scale: float = 1.0) -> Distribution:
        """The distribution of scale * law(number) for a rising ``law``; a negative scale turns it round."""
        low, high = scale * law(self.low), scale * law(self.high)
        if scale < 0:
            return Distribution(high[::-1], low[::-1], self.count[::-1])
        return Distribution(low, high, self.count)
