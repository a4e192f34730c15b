"""A hedger's band in one pass: who is outside it, and where its nearer edge is.

The plain twin is `tests/hedging/outside_plain.py`: the same numbers to the bit.
"""

from __future__ import annotations

from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray

__all__ = ["outside"]


@njit(error_model="numpy", fastmath=False, cache=True, nogil=True)
def outside(gap: FloatArray, half_width: FloatArray, to_edge: bool, active: BoolArray, offset: FloatArray) -> None:
    """Write who is strictly outside, and what stays open there: the half-width with the gap's sign, or 0; 0 inside, where the width may be infinite."""
    for path in range(gap.size):
        active[path] = abs(gap[path]) > half_width[path]
    for path in range(gap.size):
        edge = -half_width[path] if gap[path] < 0.0 else half_width[path]
        offset[path] = edge if to_edge and active[path] else 0.0
