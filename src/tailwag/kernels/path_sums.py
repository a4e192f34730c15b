"""Sums along each simulated path: squared and fourth-power returns by horizon, products of neighbours, drawdown, flow by hour.

Every path is added up by itself from its first step to its last, so that its numbers never depend on the block it came in. Blocks come
time first, as they are simulated: where a sum runs along a path, eight paths at a time are laid out one after another.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tailwag.kernels.arrays import FloatArray, IntArray

__all__ = ["binned_sums", "binned_sums_plain", "daily_vols", "daily_vols_plain", "path_sums", "path_sums_plain"]

TILE = 8
"""Paths that share a cache line at every step."""

# strict: no licence to fuse or reorder, said outright, or a kernel takes over that of whichever caller compiles it first
summing = njit(error_model="numpy", fastmath=False, nogil=True, cache=True)
inlined = njit(error_model="numpy", fastmath=False, inline="always")


@inlined
def _product_sum(first: FloatArray, second: FloatArray, count: int) -> float:
    """Sum of products in four lanes of fixed order: four sums run side by side where one would wait for itself."""
    one = two = three = four = 0.0
    whole = count - count % 4
    for place in range(0, whole, 4):
        one += first[place] * second[place]
        two += first[place + 1] * second[place + 1]
        three += first[place + 2] * second[place + 2]
        four += first[place + 3] * second[place + 3]
    for place in range(whole, count):
        one += first[place] * second[place]
    return (one + two) + (three + four)


@summing
def path_sums(log_price: FloatArray, horizons: IntArray, lags: IntArray) -> FloatArray:
    """Sums (2 H + L + 1, paths) over non-overlapping returns of each horizon and over products of one-step returns.

    `log_price` (levels, paths).  Rows: sum r_h^2 for H horizons, sum r_h^4 for H horizons, sum r_t r_(t-lag) for L lags, largest fall of the
    log price from a maximum.
    """
    levels, paths = log_price.shape
    out = np.zeros((2 * horizons.shape[0] + lags.shape[0] + 1, paths))
    moves, squares, tile = np.empty(levels - 1), np.empty(levels - 1), np.empty((TILE, levels))
    for first in range(0, paths, TILE):
        width = min(TILE, paths - first)
        for level in range(levels):
            for place in range(width):
                tile[place, level] = log_price[level, first + place]
        for place in range(width):
            _sums_along(tile[place], horizons, lags, moves, squares, out[:, first + place])
    return out


@summing
def _sums_along(row: FloatArray, horizons: IntArray, lags: IntArray, moves: FloatArray, squares: FloatArray, out: FloatArray) -> None:
    """The sums of one path."""
    levels, kinds, delays = row.size, horizons.shape[0], lags.shape[0]
    for place in range(kinds):
        horizon = horizons[place]
        count = (levels - 1) // horizon
        for step in range(count):
            moves[step] = row[(step + 1) * horizon] - row[step * horizon]
            squares[step] = moves[step] * moves[step]
        out[place] = _product_sum(moves, moves, count)
        out[kinds + place] = _product_sum(squares, squares, count)
    for step in range(levels - 1):
        moves[step] = row[step + 1] - row[step]
    for place in range(delays):
        out[2 * kinds + place] = _product_sum(moves[lags[place] :], moves, levels - 1 - lags[place])
    highest, fall = row[0], 0.0
    for step in range(1, levels):
        highest = max(highest, row[step])
        fall = max(fall, highest - row[step])
    out[2 * kinds + delays] = fall


def path_sums_plain(log_price: FloatArray, horizons: IntArray, lags: IntArray) -> FloatArray:
    """The plain twin of :func:`path_sums`."""
    returns = [np.diff(log_price[::horizon], axis=0) for horizon in horizons]
    moves = np.diff(log_price, axis=0)
    steps = moves.shape[0]
    products = [np.sum(moves[lag:] * moves[: steps - lag], axis=0) for lag in lags]
    fall = np.max(np.maximum.accumulate(log_price, axis=0) - log_price, axis=0)
    return np.array([*(np.sum(r**2, axis=0) for r in returns), *(np.sum(r**4, axis=0) for r in returns), *products, fall])


@summing
def binned_sums(values: FloatArray, place: IntArray, count: int) -> FloatArray:
    """Sums of ``values`` (steps, paths) and of their sizes over the steps of each of ``count`` bins: (2 count, paths)."""
    steps, paths = values.shape
    out = np.zeros((2 * count, paths))
    for step in range(steps):
        row, signed, sizes = values[step], out[place[step]], out[count + place[step]]
        for path in range(paths):
            signed[path] += row[path]
        for path in range(paths):
            sizes[path] += abs(row[path])
    return out


def binned_sums_plain(values: FloatArray, place: IntArray, count: int) -> FloatArray:
    """The plain twin of :func:`binned_sums`."""
    signed = [values[place == bin_].sum(axis=0) for bin_ in range(count)]
    return np.array([*signed, *(np.abs(values[place == bin_]).sum(axis=0) for bin_ in range(count))])


@summing
def daily_vols(log_price: FloatArray, day_steps: int) -> FloatArray:
    """Mean over whole days of a path (levels, paths) of sqrt(sum r^2 in the day), and of its square: (2, paths)."""
    levels, paths = log_price.shape
    days = (levels - 1) // day_steps
    out, square = np.zeros((2, paths)), np.empty(paths)
    vols, squares = out
    for day in range(days):
        square[:] = 0.0
        for step in range(day * day_steps, (day + 1) * day_steps):
            before, after = log_price[step], log_price[step + 1]
            for path in range(paths):
                move = after[path] - before[path]
                square[path] += move * move
        for path in range(paths):
            vols[path] += np.sqrt(square[path])
            squares[path] += square[path]
    for path in range(paths):
        vols[path] /= days
        squares[path] /= days
    return out


def daily_vols_plain(log_price: FloatArray, day_steps: int) -> FloatArray:
    """The plain twin of :func:`daily_vols`."""
    days = (log_price.shape[0] - 1) // day_steps
    squares = np.diff(log_price, axis=0)[: days * day_steps] ** 2
    per_day = squares.reshape(days, day_steps, log_price.shape[1]).sum(axis=1)
    return np.array([np.sqrt(per_day).mean(axis=0), per_day.mean(axis=0)])
