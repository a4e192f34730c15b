"""Tails in closed form: what a position loses on its worst days, and what hedging everybody's gamma adds to that.

Levels are shares such as 0.99; losses are positive; VaR is the loss that a share ``level`` of outcomes stays below, expected shortfall the
mean loss beyond it.  Sources: McNeil, Frey and Embrechts 2015 (normal, Student-t); the quadratic form of a normal variable for gamma.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from tailwag.errors import InputError
from tailwag.risk.student import student_density, student_quantile

_SQRT_2PI = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class TailLoss:
    """Value at risk and expected shortfall at one level, in the unit of the position that made them (USD, or a share).

    >>> print(TailLoss(0.99, 16_354_357.0, 20_826_349.0))
    in the worst 1 % of outcomes the loss exceeds 16,354,357, and is 20,826,349 on average
    """

    level: float
    value_at_risk: float
    expected_shortfall: float

    def __str__(self) -> str:
        worst = f"in the worst {100.0 * (1.0 - self.level):.3g} % of outcomes the loss exceeds "
        return f"{worst}{_shown(self.value_at_risk)}, and is {_shown(self.expected_shortfall)} on average"


def _shown(amount: float) -> str:
    return f"{amount:,.0f}" if abs(amount) >= 1e3 else f"{amount:.5g}"


def normal_tail(level: float, *, mean: float = 0.0, deviation: float = 1.0) -> TailLoss:
    """Tail of a loss that is normal: VaR = mean + deviation z, ES = mean + deviation phi(z)/(1 - level).

    >>> tail = normal_tail(0.99)
    >>> round(tail.value_at_risk, 8), round(tail.expected_shortfall, 8)
    (2.32634787, 2.66521422)
    """
    _check_level(level)
    _check_positive("deviation", deviation)
    z = _normal_quantile(level)
    return TailLoss(level, mean + deviation * z, mean + deviation * _density(z) / (1.0 - level))


def student_t_tail(level: float, *, degrees_of_freedom: float, mean: float = 0.0, scale: float = 1.0) -> TailLoss:
    """Tail of a loss that is Student-t (``scale`` is not its standard deviation): ES = scale f(q)(nu + q^2)/((1 - level)(nu - 1)).

    InputError at one degree of freedom or less, where the mean beyond VaR is infinite.

    >>> tail = student_t_tail(0.99, degrees_of_freedom=3)
    >>> round(tail.value_at_risk, 8), round(tail.expected_shortfall, 8)
    (4.54070286, 7.00308204)
    """
    _check_level(level)
    _check_positive("scale", scale)
    nu = degrees_of_freedom
    if not (math.isfinite(nu) and nu > 1.0):
        raise InputError(f"more than one degree of freedom expected, {nu!r} came; with one or fewer the expected shortfall is infinite")
    q = student_quantile(level, nu)
    beyond = student_density(q, nu) * (nu + q * q) / ((1.0 - level) * (nu - 1.0))
    return TailLoss(level, mean + scale * q, mean + scale * beyond)


def short_gamma_tail(level: float, *, gamma_usd: float, move_deviation: float) -> TailLoss:
    """Tail of a delta-hedged short-gamma book over one hedging interval: loss = |Gamma$| r^2/2 with r ~ N(0, move_deviation^2).

    VaR = |Gamma$| s^2 z^2/2 with z the (1 + level)/2 quantile, ES = |Gamma$| s^2 (1 + 2 z phi(z)/(1 - level))/2, in USD.
    ``gamma_usd`` < 0 is dollar gamma S^2 Gamma; a value above 0 is refused (a long book loses nothing here).  Delta alone would say 0.

    >>> print(short_gamma_tail(0.99, gamma_usd=-5e9, move_deviation=0.0314))
    in the worst 1 % of outcomes the loss exceeds 16,354,357, and is 20,826,349 on average
    """
    _check_level(level)
    _check_positive("move_deviation", move_deviation)
    if not (math.isfinite(gamma_usd) and gamma_usd < 0.0):
        raise InputError(f"gamma_usd below 0 (short) expected, {gamma_usd!r} came; for a long or mixed book use delta_gamma_tail")
    z = -_normal_quantile(0.5 * (1.0 - level))
    unit = 0.5 * abs(gamma_usd) * move_deviation**2
    return TailLoss(level, unit * z * z, unit * (1.0 + 2.0 * z * _density(z) / (1.0 - level)))


def delta_gamma_tail(level: float, *, delta_usd: float, gamma_usd: float, move_deviation: float) -> TailLoss:
    """Tail of a book with delta and gamma: loss = -delta_usd r - gamma_usd r^2/2, r ~ N(0, move_deviation^2); exact, in USD.

    The loss is a noncentral chi-square with one degree of freedom, so its distribution is a difference of two normal ones; VaR is its
    root, ES the closed integral beyond it.

    >>> round(delta_gamma_tail(0.99, delta_usd=1e8, gamma_usd=-5e9, move_deviation=0.0314).value_at_risk)
    20730364
    """
    _check_level(level)
    _check_positive("move_deviation", move_deviation)
    if not (math.isfinite(delta_usd) and math.isfinite(gamma_usd)) or delta_usd == gamma_usd == 0.0:
        raise InputError(f"a delta or gamma in USD expected, delta_usd={delta_usd!r} and gamma_usd={gamma_usd!r} came")
    slope, bend = delta_usd * move_deviation, gamma_usd * move_deviation**2
    unit = max(abs(slope), abs(bend))
    loss = _Quadratic(slope / unit, bend / unit)
    at_risk = loss.quantile(level)
    return TailLoss(level, unit * at_risk, unit * (at_risk + loss.excess(at_risk) / (1.0 - level)))


def with_feedback(gain: float, *, gamma_usd: float, move_deviation: float, including_hedges: bool) -> tuple[float, float]:
    """Gamma and move of a book whose own kind's hedging amplifies the move: r becomes r/(1 - gain).

    The mark-to-market loss of |Gamma$| r^2/2 grows by 1/(1 - gain)^2.  Counting what the hedges gain by trading at the middle of the move
    that they make (``including_hedges``), the loss grows by 1/(1 - gain) only, which is returned as a smaller gamma.

    >>> gamma_usd, move = with_feedback(0.3, gamma_usd=-5e9, move_deviation=0.03, including_hedges=True)
    >>> round(gamma_usd * move**2 / (-5e9 * 0.03**2), 6)
    1.428571
    """
    if not (math.isfinite(gain) and gain < 1.0):
        raise InputError(f"a loop gain below 1 expected, {gain!r} came; at 1 and above hedging runs away and no tail is finite")
    return gamma_usd * (1.0 - gain if including_hedges else 1.0), move_deviation / (1.0 - gain)


def quantile_standard_error(level: float, *, samples: int, density: float) -> float:
    """Standard error of a sample quantile: sqrt(level (1 - level)/samples)/density at the quantile.

    >>> round(quantile_standard_error(0.99, samples=100_000, density=0.02665214), 4)
    0.0118
    """
    _check_level(level)
    _check_positive("samples", samples)
    _check_positive("density", density)
    return math.sqrt(level * (1.0 - level) / samples) / density


@dataclass(frozen=True, slots=True)
class _Quadratic:
    """The loss -slope z - bend z^2/2 of a standard normal z."""

    slope: float
    bend: float

    def roots(self, loss: float) -> tuple[float, float] | None:
        """Where the loss is reached, lower root first; None where it never is.  Stable also where the bend vanishes."""
        square = self.slope**2 - 2.0 * self.bend * loss
        if square < 0.0:
            return None
        large = -(self.slope + math.copysign(math.sqrt(square), self.slope))
        first = large / self.bend if self.bend else math.copysign(math.inf, large)
        second = 2.0 * loss / large if large else 0.0
        return min(first, second), max(first, second)

    def share_beyond(self, loss: float) -> float:
        """Probability of a larger loss."""
        if self.bend == 0.0:
            return _tail_share(loss / abs(self.slope))
        found = self.roots(loss)
        if found is None:
            return 0.0 if self.bend > 0.0 else 1.0
        low, high = found
        if self.bend < 0.0:
            return _tail_share(-low) + _tail_share(high)
        return _narrow(low, high, _density) if high - low < 1.0 else _between(low, high)

    def quantile(self, level: float) -> float:
        """The loss that a share ``level`` stays below, by bisection to the last bit."""
        reach = 40.0 * abs(self.slope) + 800.0 * abs(self.bend)
        low, high = -reach, reach
        while True:
            middle = 0.5 * (low + high)
            if middle in (low, high):
                return middle
            if self.share_beyond(middle) > 1.0 - level:
                low = middle
            else:
                high = middle

    def excess(self, loss: float) -> float:
        """Integral of (the loss less ``loss``) over outcomes that lose more."""
        share = self.share_beyond(loss)
        if self.bend == 0.0:
            return abs(self.slope) * _density(loss / self.slope) - loss * share
        found = self.roots(loss)
        if found is None:
            return 0.0 if self.bend > 0.0 else -0.5 * self.bend - loss
        low, high = found
        if self.bend > 0.0 and high - low < 1.0:
            return _narrow(low, high, lambda z: 0.5 * self.bend * (z - low) * (high - z) * _density(z))
        inside = 1.0 if self.bend > 0.0 else -1.0
        first, second = inside * (_density(low) - _density(high)), inside * (_edge(low) - _edge(high))
        return -self.slope * first - 0.5 * self.bend * (share + second) - loss * share


def _density(z: float) -> float:
    return math.exp(-0.5 * z * z) / _SQRT_2PI


def _edge(z: float) -> float:
    return 0.0 if math.isinf(z) else z * _density(z)


def _tail_share(z: float) -> float:
    """P(Z > z)."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def _narrow(low: float, high: float, law: Callable[[float], float]) -> float:
    """Integral over a short stretch by Gauss and Legendre's rule, where closed forms would be small differences of large numbers."""
    from numpy.polynomial.legendre import leggauss

    nodes, weights = leggauss(20)
    half, middle = 0.5 * (high - low), 0.5 * (high + low)
    return half * sum(float(weight) * law(middle + half * float(node)) for node, weight in zip(nodes, weights, strict=True))


def _between(low: float, high: float) -> float:
    """P(low < Z < high), from the nearer tail."""
    if low > 0.0:
        return _tail_share(low) - _tail_share(high)
    return _tail_share(-high) - _tail_share(-low)


def _normal_quantile(level: float) -> float:
    """Inverse normal, polished by one Halley step where the level is in the upper half."""
    z = NormalDist().inv_cdf(level)
    excess = (_tail_share(z) - (1.0 - level)) / _density(z) if level > 0.5 else (level - _tail_share(-z)) / _density(z)
    return z + excess / (1.0 - 0.5 * z * excess)


def _check_level(level: float) -> None:
    if not 0.5 <= level < 1.0:
        raise InputError(f"a tail level from 0.5 to below 1 expected, {level!r} came; write 0.99 for the worst 1 %")


def _check_positive(name: str, number: float) -> None:
    if not (math.isfinite(number) and number > 0.0):
        raise InputError(f"{name} above 0 expected, {number!r} came")
