"""What a smile can be made of: an SVI slice, a curve through knots, or one level; all give total variance and its derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tailwag.kernels import svi
from tailwag.kernels.arrays import FloatArray, frozen


class Curve(Protocol):
    """Total variance as a function of log-moneyness."""

    @property
    def parameters(self) -> dict[str, float]:
        """The curve's numbers by name."""
        ...

    def derivatives(self, log_moneyness: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(w, dw/dk, d2w/dk2), each of the shape of ``log_moneyness``."""
        ...

    def butterfly_minimum(self, low: float, high: float) -> tuple[float, float]:
        """The smallest Durrleman g between two log-moneynesses, and where it is."""
        ...


@dataclass(frozen=True, slots=True)
class SviCurve:
    """A raw SVI slice (a, b, rho, m, sigma)."""

    raw: FloatArray

    @property
    def parameters(self) -> dict[str, float]:
        """a, b, rho, m, sigma."""
        return dict(zip(svi.RAW_NAMES, self.raw.tolist()))

    def derivatives(self, log_moneyness: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(w, dw/dk, d2w/dk2)."""
        return svi.variance_derivatives(log_moneyness, self.raw)

    def butterfly_minimum(self, low: float, high: float) -> tuple[float, float]:
        """The smallest Durrleman g between two log-moneynesses, and where it is."""
        return svi.butterfly_minimum(self.raw, low=low, high=high)


@dataclass(frozen=True, slots=True)
class FlatCurve:
    """One volatility for every strike."""

    variance: float

    @property
    def parameters(self) -> dict[str, float]:
        """The level of total variance."""
        return {"total_variance": self.variance}

    def derivatives(self, log_moneyness: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(level, 0, 0)."""
        nothing = np.zeros_like(log_moneyness)
        return np.full_like(log_moneyness, self.variance), nothing, nothing

    def butterfly_minimum(self, low: float, high: float) -> tuple[float, float]:
        """A flat smile is Black-Scholes: g = 1 everywhere."""
        return 1.0, min(max(0.0, low), high)


@dataclass(frozen=True, slots=True)
class KnotCurve:
    """A monotone cubic through knots of total variance; beyond the last knots a straight line with a slope inside Lee's bound.

    Shapes: all (knots,).  The cubic overshoots no knot (Fritsch and Carlson 1980).
    """

    log_moneyness: FloatArray
    variance: FloatArray
    slope: FloatArray

    @classmethod
    def through(cls, log_moneyness: FloatArray, variance: FloatArray) -> KnotCurve:
        """The curve through knots in rising order of log-moneyness (two or more)."""
        slope = monotone_slopes(log_moneyness, variance)
        limit = svi.MAX_WING_SLOPE
        # a wing may not fall outwards: a put wing has slope <= 0, a call wing slope >= 0
        slope[0], slope[-1] = np.clip(slope[0], -limit, 0.0), np.clip(slope[-1], 0.0, limit)
        return cls(frozen(log_moneyness), frozen(variance), frozen(slope))

    @property
    def parameters(self) -> dict[str, float]:
        """How many knots, and the slopes of the two wings."""
        return {"knots": float(self.log_moneyness.size), "left_slope": float(self.slope[0]), "right_slope": float(self.slope[-1])}

    def derivatives(self, log_moneyness: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(w, dw/dk, d2w/dk2)."""
        x, y, d = self.log_moneyness, self.variance, self.slope
        k = np.asarray(log_moneyness, dtype=np.float64)
        left = np.clip(np.searchsorted(x, k, side="right") - 1, 0, x.size - 2)
        h = x[left + 1] - x[left]
        t = np.clip((k - x[left]) / h, 0.0, 1.0)
        rise = (y[left + 1] - y[left]) / h
        d0, d1 = d[left], d[left + 1]
        c2, c3 = 3.0 * rise - 2.0 * d0 - d1, d0 + d1 - 2.0 * rise
        beyond = np.where(k < x[0], k - x[0], np.where(k > x[-1], k - x[-1], 0.0))
        first = np.where(k < x[0], d[0], np.where(k > x[-1], d[-1], d0 + t * (2.0 * c2 + 3.0 * c3 * t)))
        value = y[left] + h * t * (d0 + t * (c2 + t * c3)) + beyond * first
        return value, first, np.where(beyond == 0.0, (2.0 * c2 + 6.0 * c3 * t) / h, 0.0)

    def butterfly_minimum(self, low: float, high: float) -> tuple[float, float]:
        """The smallest Durrleman g between two log-moneynesses, and where it is, at eight points between each two knots."""
        x = np.unique(np.clip(np.concatenate([[low], self.log_moneyness, [high]]), low, high))
        k = (x[:-1, None] + np.diff(x)[:, None] * np.linspace(0.0, 1.0, 9)[None, 1:-1]).ravel() if x.size > 1 else x
        variance, slope, curvature = self.derivatives(k)
        g = svi.durrleman(k, np.maximum(variance, 1e-16), slope, curvature)
        lowest = int(np.argmin(g))
        return float(g[lowest]), float(k[lowest])


def monotone_slopes(x: FloatArray, y: FloatArray) -> FloatArray:
    """Slopes at the knots of the cubic that keeps the data's ups and downs (Fritsch and Carlson 1980), shape (knots,).

    >>> monotone_slopes(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0])).tolist()
    [1.5, 0.0, 0.0]
    """
    h, rise = np.diff(x), np.diff(y) / np.diff(x)
    if rise.size == 1:
        return np.array([rise[0], rise[0]])
    slope = np.zeros_like(x)
    same = rise[:-1] * rise[1:] > 0.0
    heavy, light = 2.0 * h[1:] + h[:-1], h[1:] + 2.0 * h[:-1]
    before, after = np.where(same, rise[:-1], 1.0), np.where(same, rise[1:], 1.0)
    slope[1:-1] = np.where(same, (heavy + light) / (heavy / before + light / after), 0.0)
    slope[0] = _end_slope(h[0], h[1], rise[0], rise[1])
    slope[-1] = _end_slope(h[-1], h[-2], rise[-1], rise[-2])
    return slope


def _end_slope(near: float, next_one: float, rise: float, next_rise: float) -> float:
    """Three-point slope at an end, held inside what keeps the first piece monotone."""
    slope = ((2.0 * near + next_one) * rise - near * next_rise) / (near + next_one)
    if slope * rise <= 0.0:
        return 0.0
    return 3.0 * rise if rise * next_rise < 0.0 and abs(slope) > 3.0 * abs(rise) else float(slope)
