"""Sums along each simulated path: squared and fourth-power returns by horizon, products of neighbours, drawdown, flow by hour.

Every path is added up by itself from its first step to its last, so that its numbers never depend on the block it came in.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tailwag.kernels.arrays import FloatArray, IntArray

__all__ = ["binned_sums", "binned_sums_plain", "daily_vols", "daily_vols_plain", "path_sums", "path_sums_plain"]


@njit(error_model="numpy", nogil=True, inline="always")
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


@njit(error_model="numpy", nogil=True, cache=True)
def path_sums(log_price: FloatArray, horizons: IntArray, lags: IntArray) -> FloatArray:
    """Sums (2 H + L + 1, paths) over non-overlapping returns of each horizon and over products of one-step returns.

    Rows: sum r_h^2 for H horizons, sum r_h^4 for H horizons, sum r_t r_(t-lag) for L lags, largest fall of the log price from a maximum.
    """
    paths, levels = log_price.shape
    kinds, delays = horizons.shape[0], lags.shape[0]
    out = np.zeros((2 * kinds + delays + 1, paths))
    moves, squares = np.empty(levels - 1), np.empty(levels - 1)
    for path in range(paths):
        row = log_price[path]
        for place in range(kinds):
            horizon = horizons[place]
            count = (levels - 1) // horizon
            for step in range(count):
                moves[step] = row[(step + 1) * horizon] - row[step * horizon]
                squares[step] = moves[step] * moves[step]
            out[place, path] = _product_sum(moves, moves, count)
            out[kinds + place, path] = _product_sum(squares, squares, count)
        for step in range(levels - 1):
            moves[step] = row[step + 1] - row[step]
        for place in range(delays):
            out[2 * kinds + place, path] = _product_sum(moves[lags[place] :], moves, levels - 1 - lags[place])
        highest, fall = row[0], 0.0
        for step in range(1, levels):
            highest = max(highest, row[step])
            fall = max(fall, highest - row[step])
        out[2 * kinds + delays, path] = fall
    return out


def path_sums_plain(log_price: FloatArray, horizons: IntArray, lags: IntArray) -> FloatArray:
    """The plain twin of :func:`path_sums`."""
    returns = [np.diff(log_price[:, ::horizon], axis=1) for horizon in horizons]
    moves = np.diff(log_price, axis=1)
    steps = moves.shape[1]
    products = [np.sum(moves[:, lag:] * moves[:, : steps - lag], axis=1) for lag in lags]
    fall = np.max(np.maximum.accumulate(log_price, axis=1) - log_price, axis=1)
    return np.array([*(np.sum(r**2, axis=1) for r in returns), *(np.sum(r**4, axis=1) for r in returns), *products, fall])


@njit(error_model="numpy", nogil=True, cache=True)
def binned_sums(values: FloatArray, place: IntArray, count: int) -> FloatArray:
    """Sums of ``values`` (paths, steps) and of their sizes over the steps of each of ``count`` bins: (2 count, paths)."""
    paths, steps = values.shape
    out = np.zeros((2 * count, paths))
    sums = np.empty(2 * count)
    for path in range(paths):
        sums[:] = 0.0
        for step in range(steps):
            value = values[path, step]
            sums[place[step]] += value
            sums[count + place[step]] += abs(value)
        out[:, path] = sums
    return out


def binned_sums_plain(values: FloatArray, place: IntArray, count: int) -> FloatArray:
    """The plain twin of :func:`binned_sums`."""
    signed = [values[:, place == bin_].sum(axis=1) for bin_ in range(count)]
    return np.array([*signed, *(np.abs(values[:, place == bin_]).sum(axis=1) for bin_ in range(count))])


@njit(error_model="numpy", nogil=True, cache=True)
def daily_vols(log_price: FloatArray, day_steps: int) -> FloatArray:
    """Mean over whole days of a path of sqrt(sum r^2 in the day), and of its square: (2, paths)."""
    paths, levels = log_price.shape
    days = (levels - 1) // day_steps
    out = np.zeros((2, paths))
    for path in range(paths):
        row = log_price[path]
        vols = squares = 0.0
        for day in range(days):
            square = 0.0
            for step in range(day * day_steps, (day + 1) * day_steps):
                move = row[step + 1] - row[step]
                square += move * move
            vols += np.sqrt(square)
            squares += square
        out[0, path] = vols / days
        out[1, path] = squares / days
    return out


def daily_vols_plain(log_price: FloatArray, day_steps: int) -> FloatArray:
    """The plain twin of :func:`daily_vols`."""
    days = (log_price.shape[1] - 1) // day_steps
    squares = np.diff(log_price, axis=1)[:, : days * day_steps] ** 2
    per_day = squares.reshape(len(log_price), days, day_steps).sum(axis=2)
    return np.array([np.sqrt(per_day).mean(axis=1), per_day.mean(axis=1)])
