"""Student's t distribution without SciPy: density, tail and quantile to full double precision."""

from __future__ import annotations

import math

_TINY = 1e-300
_MOST_TERMS = 10_000


def student_density(t: float, degrees_of_freedom: float) -> float:
    """Density of Student's t.

    >>> round(student_density(0.0, 3.0), 12)
    0.367552596948
    """
    nu = degrees_of_freedom
    scale = math.lgamma(0.5 * (nu + 1.0)) - math.lgamma(0.5 * nu) - 0.5 * math.log(nu * math.pi)
    return math.exp(scale - 0.5 * (nu + 1.0) * math.log1p(t * t / nu))


def student_tail(t: float, degrees_of_freedom: float) -> float:
    """P(T > t) for t >= 0: half the regularised incomplete beta function at nu/(nu + t^2).

    >>> student_tail(0.0, 5.0)
    0.5
    """
    nu = degrees_of_freedom
    return 0.5 * _incomplete_beta(nu / (nu + t * t), 0.5 * nu, 0.5, t * t / (nu + t * t))


def student_quantile(level: float, degrees_of_freedom: float) -> float:
    """The t that a share ``level`` >= 1/2 lies below: bisection on the tail, to the last bit.

    >>> round(student_quantile(0.99, 5.0), 5)
    3.36493
    """
    beyond = 1.0 - level
    low, high = 0.0, 1.0
    while student_tail(high, degrees_of_freedom) > beyond:
        low, high = high, 2.0 * high
    while True:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            return middle
        if student_tail(middle, degrees_of_freedom) > beyond:
            low = middle
        else:
            high = middle


def _incomplete_beta(x: float, a: float, b: float, rest: float) -> float:
    """I_x(a, b) with ``rest`` = 1 - x given exactly; the continued fraction converges fast on the side it is used."""
    if x <= 0.0 or rest <= 0.0:
        return 0.0 if x <= 0.0 else 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """The incomplete beta's continued fraction by Lentz's method."""
    ratio, below = 1.0, 1.0 / _kept(1.0 - (a + b) * x / (a + 1.0))
    value = below
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        for term in (even, odd):
            below = 1.0 / _kept(1.0 + term * below)
            ratio = _kept(1.0 + term / ratio)
            step = below * ratio
            value *= step
        if abs(step - 1.0) < 1e-16:
            break
    return value


def _kept(number: float) -> float:
    return number if abs(number) > _TINY else _TINY
