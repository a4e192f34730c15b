"""Clearing many paths at once, the parts between two questions about the excess: how far to look next, and what an answer says.

The plain twin is `tests/sim/clearing_plain.py`: the same numbers to the bit.
"""

from __future__ import annotations

import math

from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray

__all__ = [
    "FAR",
    "FAR_SLOPE",
    "FAR_VALUE",
    "GUESS",
    "MOST_REFINEMENTS",
    "MOST_SCANS",
    "NEAR",
    "NEAR_SLOPE",
    "NEAR_VALUE",
    "ROWS",
    "WIDTH",
    "excess_rows",
    "look_within",
    "narrow",
    "narrow_path",
    "note",
    "reach_out",
    "take_in",
]

NEAR, NEAR_VALUE, NEAR_SLOPE, FAR, FAR_VALUE, FAR_SLOPE, GUESS, WIDTH, ROWS = range(9)
"""Rows of a search, (paths,) each: the bracket's ends with the excess and its slope there, the next price to ask about, the bracket's last width."""

MOST_SCANS, MOST_REFINEMENTS = 20_000, 200
"""Questions that a search asks at most to bracket a root, and to find it in its bracket."""

TOLERANCE_LOG = 2e-16
LEAST_HIDING_LOG = 1e-7
"""Strides this short are not looked into, whatever the demand may hide in them."""

_clearing = njit(error_model="numpy", fastmath=False, cache=True, nogil=True)
_inside = njit(error_model="numpy", fastmath=False, forceinline=True)


@_clearing
def reach_out(rows: FloatArray, direction: FloatArray, scale_log: FloatArray, walking: BoolArray) -> None:
    """Put the far end of every walking path one stride further: Newton's where it leads outward (a hair longer, to cross the root), else twice the excess."""
    for path in range(walking.size):
        if not walking[path]:
            continue
        value, slope = abs(rows[NEAR_VALUE, path]), rows[NEAR_SLOPE, path]
        newton = value / -slope if slope < 0.0 else math.inf
        step = (newton * (1.0 + 1e-9) if newton < 1e3 else 2.0 * value) + 1e-16
        step = scale_log[path] if scale_log[path] < step else step
        rows[FAR, path] = rows[NEAR, path] + direction[path] * step


@_clearing
def note(rows: FloatArray, value: FloatArray, slope: FloatArray, asked: BoolArray) -> None:
    """Write down what was answered at the far ends."""
    for path in range(asked.size):
        if asked[path]:
            rows[FAR_VALUE, path], rows[FAR_SLOPE, path] = value[path], slope[path]


@_clearing
def look_within(rows: FloatArray, direction: FloatArray, walking: BoolArray, hides: BoolArray) -> bool:
    """Whether a stride may hide a crossing that jumped back: where it may, down the steeper slope of its far end, it is taken again, shorter."""
    some = False
    for path in range(walking.size):
        hides[path] = False
        if not walking[path] or not rows[FAR_SLOPE, path] < rows[NEAR_SLOPE, path]:
            continue
        value, slope, stride = rows[NEAR_VALUE, path], rows[FAR_SLOPE, path], abs(rows[FAR, path] - rows[NEAR, path])
        if value * direction[path] + slope * stride < 0.0 and stride > LEAST_HIDING_LOG:
            rows[FAR, path] = rows[NEAR, path] - direction[path] * abs(value) / slope
            hides[path] = some = True
    return some


@_clearing
def take_in(rows: FloatArray, direction: FloatArray, bound_log: float, walking: BoolArray, found: BoolArray) -> bool:
    """Whether somebody still walks after the answers at the far ends: who has crossed stays there, who is beyond the bound is lost."""
    still = False
    for path in range(walking.size):
        if not walking[path]:
            continue
        if rows[FAR_VALUE, path] * direction[path] <= 0.0:
            found[path], walking[path] = True, False
        elif rows[FAR, path] * direction[path] > bound_log:  # a jump beyond the bound may be brought back inside
            walking[path] = False
        else:
            rows[NEAR, path] = rows[FAR, path]
            rows[NEAR_VALUE, path], rows[NEAR_SLOPE, path] = rows[FAR_VALUE, path], rows[FAR_SLOPE, path]
            still = True
    return still


@_clearing
def narrow(rows: FloatArray, direction: FloatArray, value: FloatArray, slope: FloatArray, open_paths: BoolArray) -> bool:
    """Whether a bracket is still open after these answers at the guesses: Newton's step that never leaves it, bisection where it would."""
    still = False
    for path in range(open_paths.size):
        if open_paths[path]:
            open_paths[path] = narrow_path(rows, direction, path, value[path], slope[path])
            still |= open_paths[path]
    return still


@_inside
def narrow_path(rows: FloatArray, direction: FloatArray, path: int, found: float, steep: float) -> bool:
    """Whether one path's bracket is still open after an excess and its slope at the guess."""
    guess = rows[GUESS, path]
    rows[NEAR if found * direction[path] > 0.0 else FAR, path] = guess
    near, far = rows[NEAR, path], rows[FAR, path]
    newton = guess - found / (-1.0 if steep == 0.0 else steep)
    wide = abs(far - near)
    slow = wide > 0.5 * rows[WIDTH, path]
    rows[WIDTH, path] = wide
    if abs(found) <= TOLERANCE_LOG * max(1.0, 0.1 + abs(guess)) or wide <= 4e-16 * max(abs(near), 1e-3):
        return False
    within = min(near, far) < newton < max(near, far)
    halves = not within or (slow and abs(newton - guess) > 0.5 * wide)
    rows[GUESS, path] = 0.5 * (near + far) if halves else newton
    return True


@_clearing
def excess_rows(
    answers: FloatArray,
    chosen: IntArray,
    fixed: FloatArray,
    market: FloatArray,
    per_usd: float,
    per_coin: float,
    log_price: FloatArray,
    out: FloatArray,
) -> None:
    """Write excess and slope (2, paths) of the chosen paths under linear impact.

    `answers` (demands, 4, chosen): USD, coin and their slopes; `fixed` (2, paths): orders in USD and in coin; `market` (3, paths): the price before
    trading, its log, and one over the depth share.
    """
    for number in range(chosen.size):
        path = chosen[number]
        usd, coin, slope_usd, slope_coin = 0.0, 0.0, 0.0, 0.0
        for demand in range(answers.shape[0]):
            usd += answers[demand, 0, number]
            coin += answers[demand, 1, number]
            slope_usd += answers[demand, 2, number]
            slope_coin += answers[demand, 3, number]
        spot, log_pre, thin = market[0, path], market[1, path], market[2, path]
        usd, coin = fixed[0, path] + usd, fixed[1, path] + coin
        moved = (per_usd * (usd + coin * spot) + per_coin * (coin + usd / spot)) * thin
        slope = per_usd * thin * (slope_usd + slope_coin * spot) + per_coin * thin * (slope_coin + slope_usd / spot)
        out[0, path], out[1, path] = log_pre + moved - log_price[path], slope - 1.0
