"""The steps of the exogenous price once more in plain NumPy, written from the textbook: what the compiled kernels must agree with.

Andersen's scheme stands here with his own K0 to K4, Poisson counts come from tabulated probabilities and waiting times from bisection, so
that the two versions share no formula that either could get wrong alone.
"""

from __future__ import annotations

import math

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.jumps import MOST_MEAN
from tailwag.kernels.paths import JUMP_DRAW
from tailwag.kernels.random_plain import normal_row, uniform_row

Draws = tuple[int, int, int, int]
"""(seed, stream, first_path, step): which random numbers are meant."""


def _uniform(draws: Draws, paths: int, draw: int) -> FloatArray:
    seed, stream, first_path, step = draws
    return uniform_row(seed, stream, first_path, paths, step, draw)


def _normal(draws: Draws, paths: int, draw: int) -> FloatArray:
    seed, stream, first_path, step = draws
    return normal_row(seed, stream, first_path, paths, step, draw)


def plain_gaussian_step(draws: Draws, drift: float, deviation: float, paths: int) -> FloatArray:
    """Twin of :func:`tailwag.kernels.paths.gaussian_step`."""
    return drift + deviation * _normal(draws, paths, 0)


def plain_student_step(draws: Draws, drift: float, deviation: float, degrees: float, paths: int) -> FloatArray:
    """Twin of :func:`tailwag.kernels.paths.student_step`."""
    radius = np.sqrt(degrees * np.expm1(-2.0 / degrees * np.log(_uniform(draws, paths, 0))))
    return np.asarray(drift + deviation * radius * np.cos(2.0 * np.pi * _uniform(draws, paths, 1)))


def plain_heston_step(
    variance: FloatArray, draws: Draws, *, model: tuple[float, float, float, float], step_years: float, drift: float, martingale: bool
) -> tuple[FloatArray, FloatArray]:
    """Twin of :func:`tailwag.kernels.paths.heston_step`; `model` is (kappa, theta, xi, rho), `drift` that of the whole step."""
    kappa, theta, xi, rho = model
    kept, forgotten = math.exp(-kappa * step_years), -math.expm1(-kappa * step_years)
    mean = theta + (variance - theta) * kept
    spread = variance * xi**2 * kept / kappa * forgotten + theta * xi**2 / (2 * kappa) * forgotten**2
    psi = spread / mean**2
    low = psi > 1.5
    inverse = 2.0 / np.where(low, 1.0, psi)
    square = np.where(low, 1.0, inverse - 1.0 + np.sqrt(inverse) * np.sqrt(inverse - 1.0))
    a = mean / (1.0 + square)
    atom = np.where(low, (psi - 1.0) / (psi + 1.0), 0.0)
    rate = (1.0 - atom) / mean
    uniform = _uniform(draws, variance.size, JUMP_DRAW)
    tail = np.where(uniform <= atom, 0.0, np.log((1.0 - atom) / (1.0 - uniform)) / rate)
    new = np.where(low, tail, a * (np.sqrt(square) + _normal(draws, variance.size, 1)) ** 2)
    half_variance = 0.5 if martingale else 0.0
    k1 = 0.5 * step_years * (kappa * rho / xi - half_variance) - rho / xi
    k2 = 0.5 * step_years * (kappa * rho / xi - half_variance) + rho / xi
    k3 = 0.5 * step_years * (1.0 - rho**2)
    fixed = np.full(variance.size, -rho * kappa * theta / xi * step_years)
    if martingale:
        tilt = k2 + 0.5 * k3
        square_fine, tail_fine = 2.0 * tilt * a < 1.0, tilt < rate
        w = np.where(square_fine, 2.0 * tilt * a, 0.0)
        quadratic = -tilt * square * a / (1.0 - w) + 0.5 * np.log(1.0 - w)
        exponential = -np.log(atom + rate * (1.0 - atom) / np.where(tail_fine, rate - tilt, rate))
        adjusted = np.where(low, exponential, quadratic) - (k1 + 0.5 * k3) * variance
        fixed = np.where(np.where(low, tail_fine, square_fine), adjusted, fixed)
    z = _normal(draws, variance.size, 0)
    return drift + fixed + k1 * variance + k2 * new + np.sqrt(k3 * (variance + new)) * z, new


def plain_poisson_counts(draws: Draws, mean: float, paths: int) -> IntArray:
    """Twin of :func:`tailwag.kernels.jumps.poisson_counts`: the place of each uniform in a table of cumulated probabilities."""
    parts = max(1, math.ceil(mean / MOST_MEAN))
    share = mean / parts
    chances = [math.exp(-share)]
    for n in range(1, 200):
        chances.append(chances[-1] * share / n)
    table = np.cumsum(chances)
    return np.asarray(sum(np.searchsorted(table, _uniform(draws, paths, part), side="left") for part in range(parts)), dtype=np.int64)


def plain_normal_jumps(counts: IntArray, draws: Draws, mean: float, deviation: float) -> FloatArray:
    """Twin of :func:`tailwag.kernels.jumps.add_normal_jumps`."""
    return np.asarray(counts * mean + np.sqrt(counts) * deviation * _normal(draws, counts.size, JUMP_DRAW))


def plain_kou_jumps(counts: IntArray, draws: Draws, up_probability: float, up_rate: float, down_rate: float) -> FloatArray:
    """Twin of :func:`tailwag.kernels.jumps.add_kou_jumps`."""
    total = np.zeros(counts.size)
    for jump in range(int(counts.max(initial=0))):
        up = _uniform(draws, counts.size, JUMP_DRAW + 2 * jump) < up_probability
        size = -np.log(_uniform(draws, counts.size, JUMP_DRAW + 2 * jump + 1))
        total += np.where(counts > jump, np.where(up, size / up_rate, -size / down_rate), 0.0)
    return total


def plain_hawkes_step(
    excess: FloatArray, draws: Draws, *, step_years: float, base: float, kick: float, decay: float
) -> tuple[IntArray, FloatArray]:
    """Twin of :func:`tailwag.kernels.jumps.hawkes_step`, one path at a time and by bisection."""
    seed, stream, first_path, step = draws
    counts, new = np.zeros(excess.size, np.int64), np.empty(excess.size)
    for p in range(excess.size):
        now, left, draw = float(excess[p]), step_years, 0
        while True:
            target = -math.log(uniform_row(seed, stream, first_path + p, 1, step, draw)[0])
            if _intensity_integral(left, base, now, decay) <= target:
                break
            wait = _first_reach(target, left, base, now, decay)
            now = now * math.exp(-decay * wait) + kick
            left -= wait
            counts[p] += 1
            draw = JUMP_DRAW + int(counts[p])
        new[p] = now * math.exp(-decay * left)
    return counts, new


def _intensity_integral(years: float, base: float, excess: float, decay: float) -> float:
    return base * years + excess * (1.0 - math.exp(-decay * years)) / decay


def _first_reach(target: float, left: float, base: float, excess: float, decay: float) -> float:
    low, high = 0.0, left
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _intensity_integral(middle, base, excess, decay) < target else (low, middle)
    return high


def plain_bootstrap_step(
    candle: FloatArray, draws: Draws, *, candles: int, restart: float, log_returns: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Twin of :func:`tailwag.kernels.paths.bootstrap_step`."""
    total, place = np.zeros(candle.size), candle.copy()
    for draw in range(candles):
        uniform = _uniform(draws, candle.size, draw)
        leap = (place < 0.0) | (uniform < restart)
        fresh = np.floor(np.where(place < 0.0, uniform, uniform / restart) * log_returns.size)
        place = np.where(leap, np.minimum(fresh, log_returns.size - 1), (place + 1) % log_returns.size)
        total += log_returns[place.astype(np.int64)]
    return total, place
