"""The search for clearing prices in plain NumPy: what the compiled one must find to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray

Excess = Callable[[FloatArray, BoolArray], tuple[FloatArray, FloatArray]]
"""``excess(log_price, wanted)`` -> x_pre + impact(flow(x)) - x and its slope, (paths,); only the wanted paths need be right.

It may answer with the same arrays each time."""

TOLERANCE_LOG = 2e-16
MOST_SCANS = 20_000
MOST_REFINEMENTS = 200
LEAST_HIDING_LOG = 1e-7
"""Strides this short are not looked into, whatever the demand may hide in them."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """Clearing log price (paths,) and which paths found one."""

    log_price: FloatArray
    found: BoolArray


def clear(excess: Excess, start_log: FloatArray, *, bound_log: float, scale_log: FloatArray, jumps: bool = False) -> Cleared:
    """First clearing price from ``start_log`` in the direction of the net flow there.

    Scans outward by Newton steps no longer than ``scale_log`` until the excess changes sign, then closes in by Newton steps that never
    leave the bracket (bisection where they would).  ``bound_log``: no root is sought beyond it in
    that direction.  ``jumps``: the flow may jump by whole liquidations; where it has become steeper within a stride, the stride is
    taken again, so short that the excess cannot have been through zero on the way: a price may rest there, and a level behind it is not reached.

    >>> def long_gamma(x, wanted):
    ...     return 0.01 - 0.5 * x - x, np.full(x.shape, -1.5)
    >>> float(clear(long_gamma, np.zeros(1), bound_log=0.7, scale_log=np.array([np.inf])).log_price[0])
    0.006666666666666667
    """
    everybody = np.ones(start_log.shape, dtype=bool)
    value, slope = excess(start_log, everybody)
    direction = np.sign(value)
    near, far = start_log.copy(), start_log.copy()
    near_value, near_slope = value.copy(), slope.copy()
    far_value, far_slope = value.copy(), slope.copy()
    walking = direction != 0.0
    found = ~walking
    for _ in range(MOST_SCANS):
        if not walking.any():
            break
        far = np.where(walking, near + direction * _stride(near_value, near_slope, scale_log), far)
        value, slope = excess(far, walking)
        if jumps and (hides := walking & _hides(near_value * direction, near_slope, slope, np.abs(far - near))).any():
            far = np.where(hides, near - direction * np.abs(near_value) / np.where(hides, slope, -1.0), far)
            value, slope = excess(far, walking)
        crossed = walking & (value * direction <= 0.0)
        found |= crossed
        lost = walking & ~crossed & (far * direction > bound_log)  # a jump beyond the bound may be brought back inside
        far_value, far_slope = np.where(crossed, value, far_value), np.where(crossed, slope, far_slope)
        walking = walking & ~crossed & ~lost
        near = np.where(walking, far, near)
        near_value = np.where(walking, value, near_value)
        near_slope = np.where(walking, slope, near_slope)
    open_paths = found & (direction != 0.0)
    price = _refine(excess, (near, far), (far_value, far_slope), direction, open_paths)
    return Cleared(np.where(found, price, np.sign(direction) * bound_log), found)


def _stride(value: FloatArray, slope: FloatArray, scale_log: FloatArray) -> FloatArray:
    """Length of the next scan step: Newton's where it leads outward (a hair longer, to cross the root), else twice the excess."""
    newton = np.where(slope < 0.0, np.abs(value) / np.where(slope < 0.0, -slope, 1.0), np.inf)
    step = np.where(np.isfinite(newton) & (newton < 1e3), newton * (1.0 + 1e-9), 2.0 * np.abs(value))
    return np.minimum(step + 1e-16, scale_log)


def _hides(value: FloatArray, near_slope: FloatArray, far_slope: FloatArray, stride: FloatArray) -> BoolArray:
    """Strides within which the excess may have crossed zero and jumped back: down the steeper slope of the far end it would have, (paths,)."""
    return np.asarray((far_slope < near_slope) & (value + far_slope * stride < 0.0) & (stride > LEAST_HIDING_LOG))


def _refine(
    excess: Excess,
    bracket: tuple[FloatArray, FloatArray],
    at_far: tuple[FloatArray, FloatArray],
    direction: FloatArray,
    open_paths: BoolArray,
) -> FloatArray:
    """Close the bracket [near, far] around the sign change; ``near`` keeps the sign of ``direction``.  ``at_far``: excess and slope there."""
    near, far = bracket[0].copy(), bracket[1].copy()
    guess = np.where(open_paths, far, near)
    width = np.abs(far - near)
    for count in range(MOST_REFINEMENTS):
        if not open_paths.any():
            break
        value, slope = excess(guess, open_paths) if count else at_far
        on_near = value * direction > 0.0
        near = np.where(open_paths & on_near, guess, near)
        far = np.where(open_paths & ~on_near, guess, far)
        newton = guess - value / np.where(slope == 0.0, -1.0, slope)
        low, high = np.minimum(near, far), np.maximum(near, far)
        wanted = np.where((newton > low) & (newton < high), newton, 0.5 * (near + far))
        slow = np.abs(far - near) > 0.5 * width
        width = np.abs(far - near)
        small = np.abs(value) <= TOLERANCE_LOG * np.maximum(1.0, 0.1 + np.abs(guess))
        done = small | (width <= 4e-16 * np.maximum(np.abs(near), 1e-3))
        open_paths = open_paths & ~done
        bisect = slow & (np.abs(newton - guess) > 0.5 * width)
        guess = np.where(open_paths, np.where(bisect, 0.5 * (near + far), wanted), guess)
    return guess
