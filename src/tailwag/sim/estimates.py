"""Estimates with their standard errors: means, ratios and curved functions of two means, and shares of paths."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

WILSON_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its standard error over paths, or the reason why it is unknown.

    >>> print(Estimate(1.1234, 0.0042)), print(Estimate.unknown("one path only"))
    1.1234 +- 0.0042
    unknown (one path only)
    (None, None)
    """

    value: float | None
    standard_error: float | None
    reason: str = ""

    @classmethod
    def unknown(cls, reason: str) -> Estimate:
        """Nothing is known, and why."""
        return cls(None, None, reason)

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    def times(self, factor: float) -> Estimate:
        """The same in another unit."""
        if self.value is None:
            return self
        error = None if self.standard_error is None else abs(factor) * self.standard_error
        return Estimate(factor * self.value, error, self.reason)

    def root(self) -> Estimate:
        """The square root: SE(sqrt v) = SE(v)/(2 sqrt v)."""
        if self.value is None or self.value < 0.0:
            return self
        root = math.sqrt(self.value)
        error = self.standard_error / (2.0 * root) if self.standard_error is not None and root > 0.0 else None
        return Estimate(root, 0.0 if self.standard_error == 0.0 else error, self.reason)

    def plus(self, number: float) -> Estimate:
        """The same from another origin."""
        return self if self.value is None else Estimate(self.value + number, self.standard_error, self.reason)

    def to_document(self) -> dict[str, float | str | None]:
        """Value and standard error; where either is unknown, why."""
        document: dict[str, float | str | None] = {"value": self.value, "standard_error": self.standard_error}
        return {**document, "reason": self.reason} if self.reason else document

    def __str__(self) -> str:
        if self.value is None:
            return f"unknown ({self.reason})"
        if not self.standard_error:
            return f"{self.value:.6g}"
        digits = max(0, min(12, 1 - math.floor(math.log10(self.standard_error))))
        return f"{self.value:.{digits}f} +- {self.standard_error:.{digits}f}"


@dataclass(frozen=True, slots=True)
class Share:
    """A share of paths with its binomial standard error and Wilson's 95 % interval, which stays sensible at none and at all.

    Source: Wilson 1927.

    >>> some = Share(count=0, total=1000)
    >>> some.value, round(some.high, 4)
    (0.0, 0.0038)
    """

    count: int
    total: int

    @property
    def value(self) -> float:
        """count/total."""
        return self.count / self.total

    @property
    def standard_error(self) -> float:
        """sqrt(p (1 - p)/n)."""
        return math.sqrt(self.value * (1.0 - self.value) / self.total)

    @property
    def low(self) -> float:
        """Lower end of Wilson's interval."""
        return 0.0 if self.count == 0 else self._wilson(-1.0)

    @property
    def high(self) -> float:
        """Upper end of Wilson's interval."""
        return 1.0 if self.count == self.total else self._wilson(+1.0)

    def _wilson(self, side: float) -> float:
        square = WILSON_Z * WILSON_Z / self.total
        spread = math.sqrt(square * (self.value * (1.0 - self.value) + square / 4.0))
        return (self.value + square / 2.0 + side * spread) / (1.0 + square)

    def to_document(self) -> dict[str, float | int]:
        """Value, standard error, Wilson's interval and the counts behind them."""
        error = {"value": self.value, "standard_error": self.standard_error}
        return {**error, "low": self.low, "high": self.high, "count": self.count, "total": self.total}


@dataclass(frozen=True, slots=True)
class Moments:
    """Two quantities over independent paths: their means, variances and covariance."""

    count: int
    first: float
    second: float
    variance_first: float
    variance_second: float
    covariance: float

    def error(self, slope_first: float, slope_second: float) -> float | None:
        """Standard error of a function of both means, from its slopes (the delta method)."""
        if self.count < 2:
            return None
        own = slope_first**2 * self.variance_first + slope_second**2 * self.variance_second
        return math.sqrt(max(own + 2.0 * slope_first * slope_second * self.covariance, 0.0) / self.count)


Pair = Moments | None


def ratio(pair: Pair, *, reason: str) -> Estimate:
    """mean a/mean b: with both from the same shocks most of the noise cancels (the control variate)."""
    return _judged(pair, reason, lambda m: (m.first / m.second, 1.0 / m.second, -m.first / m.second**2))


def kurtosis(pair: Pair, *, reason: str) -> Estimate:
    """mean a/(mean b)^2, with a the fourth powers and b the squares: 3 for normal returns."""
    return _judged(pair, reason, lambda m: (m.first / m.second**2, 1.0 / m.second**2, -2.0 * m.first / m.second**3))


def spread(pair: Pair, *, reason: str) -> Estimate:
    """Standard deviation over paths from a number's mean a and its square's mean b: sqrt(b - a^2)."""
    if pair is None:
        return Estimate.unknown(reason)
    variance = pair.second - pair.first**2
    if variance <= 1e-24 * pair.second:
        return Estimate(0.0, 0.0 if pair.count > 1 else None)
    deviation = math.sqrt(variance)
    return Estimate(deviation, pair.error(-pair.first / deviation, 0.5 / deviation))


def _judged(pair: Pair, reason: str, law: Callable[[Moments], tuple[float, float, float]]) -> Estimate:
    if pair is None:
        return Estimate.unknown(reason)
    if pair.second == 0.0:
        return Estimate.unknown("nothing moves, so there is nothing to divide by")
    value, slope_first, slope_second = law(pair)
    error = pair.error(slope_first, slope_second)
    return Estimate(value, error, "" if error is not None else "one path has no standard error")
