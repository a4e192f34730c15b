"""What a short of a squared price earns in a step, in one pass over the paths.

The plain twin is in `tests/sim/test_pools_agents.py`: the same numbers to the bit.
"""

from __future__ import annotations

from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray

__all__ = ["earned_usd"]


@njit(error_model="numpy", fastmath=False, cache=True, nogil=True)
def earned_usd(
    owed_usd: tuple[FloatArray, FloatArray],
    spot_usd: tuple[FloatArray, FloatArray],
    funding: float,
    live: BoolArray,
    parts: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    """Write delta, gamma against funding, and the whole change, (paths,); 0 on paths that have stopped.

    `owed_usd` and `spot_usd`: before and after.  `funding`: share of what is owed that the step pays.
    """
    (before, after), (spot_before, spot), (delta, gamma, total) = owed_usd, spot_usd, parts
    for path in range(live.size):
        share = spot[path] / spot_before[path] - 1.0
        delta[path] = -2.0 * before[path] * share if live[path] else 0.0
        gamma[path] = before[path] * (funding - share * share) if live[path] else 0.0
    for path in range(live.size):
        total[path] = before[path] - after[path] if live[path] else 0.0
