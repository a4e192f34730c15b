"""Which paths have passed a level: one pass that writes down their numbers.

The plain twins are the comparisons of `tests/sim/test_thresholds.py`.
"""

from __future__ import annotations

from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray

__all__ = ["due_or_far", "passed"]

_counting = njit(error_model="numpy", fastmath=False, cache=True, nogil=True)


@_counting
def passed(values: FloatArray, low: FloatArray, high: FloatArray, wanted: BoolArray, found: IntArray) -> int:
    """Write the numbers of the wanted paths at or below `low`, or at or above `high`; how many they are."""
    number = 0
    for path in range(values.size):
        found[number] = path  # written over by the next one unless it counts: a branch here would be guessed wrong
        number += wanted[path] & ((values[path] <= low[path]) | (values[path] >= high[path]))
    return number


@_counting
def due_or_far(age: FloatArray, moved: FloatArray, oldest: float, levels: tuple[float, float], due: BoolArray, far: IntArray) -> int:
    """Write who is of the oldest age or older, and the numbers of paths that moved to the levels or beyond; how many they are."""
    number = 0
    for path in range(age.size):
        due[path] = age[path] >= oldest
    for path in range(age.size):
        far[number] = path
        number += (moved[path] <= levels[0]) | (moved[path] >= levels[1])
    return number
