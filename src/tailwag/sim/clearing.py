"""Clearing: the price at which everybody's orders of one step meet.

The clearing price solves x = x_pre + impact(flow(x)).  Of several solutions it is the first met when moving from x_pre in the direction
of the net flow there: the smallest fixed point, the price that a market reaches without jumping over a level at which it would have
rested.  None inside the runaway bound is an outcome, not an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.kernels.clearing import (
    FAR,
    FAR_SLOPE,
    FAR_VALUE,
    GUESS,
    MOST_REFINEMENTS,
    MOST_SCANS,
    NEAR,
    NEAR_SLOPE,
    NEAR_VALUE,
    ROWS,
    WIDTH,
    look_within,
    narrow,
    note,
    reach_out,
    take_in,
)

Excess = Callable[[FloatArray, BoolArray], tuple[FloatArray, FloatArray]]
"""``excess(log_price, wanted)`` -> x_pre + impact(flow(x)) - x and its slope, (paths,); only the wanted paths need be right.

It may answer with the same arrays each time."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """Clearing log price (paths,) and which paths found one."""

    log_price: FloatArray
    found: BoolArray


def clear(
    excess: Excess,
    start_log: FloatArray,
    *,
    bound_log: float,
    scale_log: FloatArray,
    jumps: bool = False,
    wanted: BoolArray | None = None,
) -> Cleared:
    """First clearing price from ``start_log`` in the direction of the net flow there.

    Scans outward by Newton steps no longer than ``scale_log`` until the excess changes sign, then closes in by Newton steps that never
    leave the bracket (bisection where they would).  ``bound_log``: no root is sought beyond it in
    that direction.  ``jumps``: the flow may jump by whole liquidations; where it has become steeper within a stride, the stride is
    taken again, so short that the excess cannot have been through zero on the way: a price may rest there, and a level behind it is not reached.
    ``wanted`` (paths,): which paths are sought (None: all); the others stay where they start.

    >>> def long_gamma(x, wanted):
    ...     return 0.01 - 0.5 * x - x, np.full(x.shape, -1.5)
    >>> float(clear(long_gamma, np.zeros(1), bound_log=0.7, scale_log=np.array([np.inf])).log_price[0])
    0.006666666666666667
    """
    value, slope = excess(start_log, np.ones(start_log.shape, dtype=bool) if wanted is None else wanted)
    direction = np.sign(value) if wanted is None else np.where(wanted, np.sign(value), 0.0)
    rows = np.empty((ROWS, start_log.size))
    rows[NEAR] = rows[FAR] = start_log
    rows[NEAR_VALUE] = rows[FAR_VALUE] = value
    rows[NEAR_SLOPE] = rows[FAR_SLOPE] = slope
    walking = direction != 0.0
    found, hides = ~walking, np.zeros(walking.shape, dtype=bool)
    scale = np.ascontiguousarray(np.broadcast_to(scale_log, start_log.shape))
    still = bool(walking.any())
    for _ in range(MOST_SCANS):
        if not still:
            break
        reach_out(rows, direction, scale, walking)
        note(rows, *excess(rows[FAR], walking), walking)
        if jumps and look_within(rows, direction, walking, hides):
            note(rows, *excess(rows[FAR], hides), hides)
        still = take_in(rows, direction, bound_log, walking, found)
    price = _refine(excess, rows, direction, found & (direction != 0.0))
    return Cleared(np.where(found, price, np.sign(direction) * bound_log), found)


def _refine(excess: Excess, rows: FloatArray, direction: FloatArray, open_paths: BoolArray) -> FloatArray:
    """Close the bracket [near, far] around the sign change; ``near`` keeps the sign of ``direction``."""
    rows[GUESS] = np.where(open_paths, rows[FAR], rows[NEAR])
    rows[WIDTH] = np.abs(rows[FAR] - rows[NEAR])
    still, value, slope = bool(open_paths.any()), rows[FAR_VALUE], rows[FAR_SLOPE]
    for count in range(MOST_REFINEMENTS):
        if not still:
            break
        if count:
            value, slope = excess(rows[GUESS], open_paths)
        still = narrow(rows, direction, value, slope, open_paths)
    return np.asarray(rows[GUESS])
