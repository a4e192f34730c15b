"""Liquidation levels spread over log price, passed for the first time: what is sold and bought in, path by path.

The plain twin is the NumPy of `tailwag.sim.agents.ladder`, which steps ladders with random levels.
"""

from __future__ import annotations

import math

from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray

__all__ = ["fired_at", "fired_usd"]

ROOT_HALF = math.sqrt(2.0)
ROOT_TWO_PI = math.sqrt(2.0 * math.pi)

_inside = njit(error_model="numpy", fastmath=False, forceinline=True)


@_inside
def _share(x: float) -> float:
    return 0.5 * math.erfc(-x / ROOT_HALF)


@_inside
def fired_at(clusters: FloatArray, density_usd: float, x: float, low: float, high: float) -> tuple[float, float]:
    """What is bought on the way to `x`, beyond `low` or `high`, and its slope."""
    side, been = (-1.0, -low) if x < low else (1.0, high)
    reach = side * x
    passed, slope = density_usd * reach - density_usd * been, density_usd
    for cluster in range(clusters.shape[0]):
        distance, width, notional = clusters[cluster]
        center = abs(distance)
        if distance * side > 0.0:
            passed += notional * (_share((max(reach, 0.0) - center) / width) - _share((max(been, 0.0) - center) / width))
        if distance * x >= 0.0:
            z = (abs(x) - center) / width
            slope += notional / (width * ROOT_TWO_PI) * math.exp(-0.5 * z * z)
    return side * passed, slope


@njit(error_model="numpy", fastmath=False, cache=True, nogil=True)
def fired_usd(
    clusters: FloatArray,
    density_usd: float,
    live: BoolArray,
    been: tuple[FloatArray, FloatArray],
    log_price: FloatArray,
    usd: FloatArray,
    slope: FloatArray,
) -> None:
    """Add to `usd` and `slope` (paths,) what is bought on the way to a log price beyond the lowest or the highest that has `been`.

    `clusters` (k, 3): distance, width, notional.
    """
    for path in range(log_price.size):
        x, low, high = log_price[path], been[0][path], been[1][path]
        if not live[path] or low <= x <= high:
            continue
        fired, steep = fired_at(clusters, density_usd, x, low, high)
        usd[path] += fired
        slope[path] += steep
