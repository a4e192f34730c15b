"""A hedger's decision in one pass: who is outside a band, where its nearer edge is, and who trades at which speed.

The plain twins are in `tests/hedging/outside_plain.py`: the same numbers to the bit.
"""

from __future__ import annotations

from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray

__all__ = ["at_speed", "outside"]

_deciding = njit(error_model="numpy", fastmath=False, cache=True, nogil=True)


@_deciding
def outside(gap: FloatArray, half_width: FloatArray, to_edge: bool, active: BoolArray, offset: FloatArray) -> None:
    """Write who is strictly outside, and what stays open there: the half-width with the gap's sign, or 0; 0 inside, where the width may be infinite."""
    for path in range(gap.size):
        active[path] = abs(gap[path]) > half_width[path]
    for path in range(gap.size):
        edge = -half_width[path] if gap[path] < 0.0 else half_width[path]
        offset[path] = edge if to_edge and active[path] else 0.0


@_deciding
def at_speed(active: BoolArray, live: BoolArray, speed: FloatArray, factor: float, trades: BoolArray, traded: FloatArray) -> None:
    """Write who trades on a path that is live, and at which speed, 0 elsewhere."""
    for path in range(live.size):
        trades[path] = active[path] & live[path]
    for path in range(live.size):
        fast = speed[path] * factor
        traded[path] = fast if trades[path] else 0.0
