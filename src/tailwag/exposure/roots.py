"""Where a profile changes sign: every crossing on a grid, refined by evaluating the profile itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray

RELATIVE_ZERO = 1e-13
"""Net gamma below this share of the local gross is rounding, hence zero."""
NEGLIGIBLE = 1e-12
"""Where gross gamma is below this share of its peak there is no gamma to have a sign."""
ROUNDS = 80


@dataclass(frozen=True, slots=True)
class SignChange:
    """One change of sign between grid points ``left`` and ``right`` (indices); ``rising`` from negative to positive.

    Exactly on grid points where ``right - left`` > 1: the points between are zero.
    """

    left: int
    right: int
    rising: bool


def profile_signs(net: FloatArray, gross: FloatArray) -> IntArray:
    """Sign of the net at each grid point, 0 where it is zero up to rounding or where there is no gamma at all.

    >>> profile_signs(np.array([1e-30, -2.0, 0.0, 3.0]), np.array([1e-30, 4.0, 4.0, 4.0])).tolist()
    [0, -1, 0, 1]
    """
    peak = float(np.max(gross, initial=0.0))
    if not peak > 0.0:
        return np.zeros(net.size, dtype=np.int64)
    negligible = (np.abs(net) <= RELATIVE_ZERO * gross) | (gross <= NEGLIGIBLE * peak)
    return np.where(negligible, 0, np.sign(net)).astype(np.int64)


def sign_changes(signs: IntArray) -> tuple[SignChange, ...]:
    """Every change of sign in grid order; a zero that is touched without crossing (a tangent) is none.

    >>> [(c.left, c.right, c.rising) for c in sign_changes(np.array([-1, 1, 1, 0, 1, 0, -1]))]
    [(0, 1, True), (4, 6, False)]
    """
    known = np.flatnonzero(signs)
    turns = np.flatnonzero(signs[known][1:] != signs[known][:-1])
    return tuple(SignChange(int(known[i]), int(known[i + 1]), bool(signs[known[i]] < 0)) for i in turns)


def refine_roots(function: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray, *, relative: float = 1e-12) -> FloatArray:
    """Roots in the brackets [low, high] (r,), all at once, to a relative width; ``function`` maps points (r,) to values (r,).

    Chandrupatla's method: inverse quadratic steps inside a bracket that is never left.  Source: Chandrupatla 1997.

    >>> refine_roots(lambda x: x**3 - np.array([2.0, 27.0]), np.array([0.0, 1.0]), np.array([2.0, 10.0])).round(12).tolist()
    [1.259921049895, 3.0]
    """
    older, newer = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
    f_older, f_newer = function(older), function(newer)
    third, f_third = older.copy(), f_older.copy()
    step = np.full(older.size, 0.5)
    for _ in range(ROUNDS):
        best = np.where(np.abs(f_older) < np.abs(f_newer), older, newer)
        width = np.abs(newer - older)
        done = (width <= relative * np.abs(best)) | (f_older == 0.0) | (f_newer == 0.0)
        if bool(done.all()):
            break
        tried = newer + step * (older - newer)
        f_tried = function(tried)
        same = np.sign(f_tried) == np.sign(f_newer)
        third, f_third = np.where(same, newer, older), np.where(same, f_newer, f_older)
        older, f_older = np.where(same, older, newer), np.where(same, f_older, f_newer)
        newer, f_newer = tried, f_tried
        step = _next_step(older, newer, third, f_older, f_newer, f_third, relative)
    return np.where(np.abs(f_older) < np.abs(f_newer), older, newer)


def _next_step(
    older: FloatArray, newer: FloatArray, third: FloatArray, f_older: FloatArray, f_newer: FloatArray, f_third: FloatArray, relative: float
) -> FloatArray:
    """Fraction of the way from ``newer`` to ``older``: inverse quadratic where that is safe, else the middle."""
    with np.errstate(all="ignore"):
        xi = (newer - older) / (third - older)
        phi = (f_newer - f_older) / (f_third - f_older)
        first = f_newer / (f_older - f_newer) * f_third / (f_older - f_third)
        second = (third - newer) / (older - newer) * f_newer / (f_third - f_newer) * f_older / (f_third - f_older)
        quadratic = first + second
        safe = (phi**2 < xi) & ((1.0 - phi) ** 2 < 1.0 - xi) & np.isfinite(quadratic)
        least = 0.5 * relative * np.abs(newer) / np.maximum(np.abs(older - newer), 1e-300)
    least = np.minimum(least, 0.5)
    return np.clip(np.where(safe, quadratic, 0.5), least, 1.0 - least)
