"""One step of the exogenous price for a block of paths, from counter-based random numbers: what a model's numbers do to its paths.

Every kernel reads its state and writes new arrays. `key` is a stream's key, `first_path` and `step` say which random numbers are meant.
Diffusion and variance take draws 0 and 1; numbers that only some paths need (jumps, a variance near zero) come from `JUMP_DRAW` on.
"""

from __future__ import annotations

import math

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.random import (
    compiled,
    fill_normals,
    fill_uniforms,
    inlined,
    sine_and_cosine,
    strict_exponential,
    strict_log_ratio,
    uniform_at,
)

JUMP_DRAW = 1 << 20
SWITCH = 1.5  # Andersen's psi_c: above it the variance is drawn with an atom at zero
SMALL = 0.01


@compiled
def gaussian_step(key: np.uint64, first_path: int, step: int, drift: float, deviation: float, paths: int) -> FloatArray:
    """drift + deviation * Z for each path."""
    increments = np.empty(paths)
    fill_normals(key, first_path, step, 0, increments)
    for p in range(paths):
        increments[p] = drift + deviation * increments[p]
    return increments


@compiled
def gaussian_steps(key: np.uint64, first_path: int, drifts: FloatArray, deviations: FloatArray, out: FloatArray) -> None:
    """The numbers of :func:`gaussian_step` for steps 1, 2, ... at once: fill out (steps, paths) with drift + deviation * Z."""
    for row in range(out.shape[0]):
        increments, drift, deviation = out[row], drifts[row], deviations[row]
        fill_normals(key, first_path, row + 1, 0, increments)
        for p in range(increments.size):
            increments[p] = drift + deviation * increments[p]


@inlined
def exponential_less_one(y: float) -> float:
    """e^y - 1 for y >= 0, to 1e-13 of its size."""
    series = y * (1.0 + y * (1.0 / 2.0 + y * (1.0 / 6.0 + y * (1.0 / 24.0 + y * (1.0 / 120.0 + y * (1.0 / 720.0))))))
    return series if y < SMALL else strict_exponential(y) - 1.0


@compiled
def student_step(key: np.uint64, first_path: int, step: int, drift: float, deviation: float, degrees: float, paths: int) -> FloatArray:
    """drift + deviation * T, T Student-t with any number of degrees of freedom.

    T = sqrt(nu (U^(-2/nu) - 1)) cos(2 pi V).  Source: Bailey 1994.
    """
    increments, turns = np.empty(paths), np.empty(paths)
    fill_uniforms(key, first_path, step, 0, increments)
    fill_uniforms(key, first_path, step, 1, turns)
    for p in range(paths):
        growth = exponential_less_one(-2.0 * strict_log_ratio(increments[p], 1.0) / degrees)
        _, cosine = sine_and_cosine(turns[p])
        increments[p] = drift + deviation * (math.sqrt(degrees * growth) * cosine)
    return increments


def heston_coefficients(
    kappa: float, theta: float, xi: float, rho: float, *, step_years: float, drift_per_year: float = 0.0
) -> tuple[float, ...]:
    """What one step of Heston's model needs beside the variance: eleven numbers for :func:`heston_step`.

    decay = e^(-kappa dt); mean and variance of v' given v are theta + (v - theta) decay and c1 v + c2 (Cox, Ingersoll, Ross 1985);
    the price's part that goes with the variance is (rho/xi)(v' - v - kappa theta dt + kappa int v), with int v = dt (v + v')/2.
    """
    decay = math.exp(-kappa * step_years)
    forgotten = -math.expm1(-kappa * step_years)
    pull = kappa * step_years
    return (
        decay,
        theta,
        xi * xi * decay * forgotten / kappa,
        0.5 * theta * (xi * forgotten) ** 2 / kappa,
        rho / xi,
        forgotten - pull,
        0.5 * pull,
        0.5 * (1.0 - rho * rho) * step_years,
        0.5 * step_years,
        rho / xi * (1.0 + 0.5 * pull) - 0.25 * step_years,  # K2 of Andersen 2008: weight of v' in ln S
        drift_per_year * step_years,
    )


@inlined
def quadratic_variance(mean: float, psi: float, z: float) -> tuple[float, float, float, float]:
    """(v', v' - mean, a, b^2) of Andersen's a (b + z)^2, whose first two moments are right for psi <= 2."""
    inverse = 2.0 / psi
    square = inverse - 1.0 + math.sqrt(inverse * (inverse - 1.0))
    b, a = math.sqrt(square), mean / (1.0 + square)
    return a * (b + z) * (b + z), a * ((2.0 * b + z) * z - 1.0), a, square


@inlined
def exponential_variance(mean: float, psi: float, uniform: float) -> tuple[float, float, float]:
    """(v', weight of the atom at zero, rate) of Andersen's atom and exponential tail, for psi > 1."""
    atom = (psi - 1.0) / (psi + 1.0)
    rate = (1.0 - atom) / mean
    return (0.0 if uniform <= atom else strict_log_ratio(1.0 - atom, 1.0 - uniform) / rate), atom, rate


@inlined
def heston_move(v: float, new: float, surprise: float, z: float, numbers: tuple[float, ...]) -> float:
    """ln S moves by int sqrt(v) dW: the part that goes with the variance, and an independent one. `surprise` is v' less its mean."""
    return numbers[4] * (surprise + (numbers[1] - v) * numbers[5] + numbers[6] * (new - v)) + math.sqrt(numbers[7] * (v + new)) * z


@inlined
def heston_martingale_move(v: float, new: float, surprise: float, z: float, numbers: tuple[float, ...], log_mean: float) -> float:
    """The same less half the variance, made to have E[e^move] = 1 to the last digit: log_mean = ln E[e^(A (v' - mean))]."""
    noise = numbers[7]
    return numbers[9] * surprise - 0.5 * noise * (v + new - surprise) - log_mean + math.sqrt(noise * (v + new)) * z


@compiled
def heston_step(
    variance: FloatArray, key: np.uint64, first_path: int, step: int, numbers: tuple[float, ...], martingale: bool
) -> tuple[FloatArray, FloatArray]:
    """Log increments and new variances after one step of Heston's model.

    Andersen's quadratic-exponential scheme (2008), written with v' - E[v'] so that a small xi loses no digits. ln S drifts as stated
    and, with `martingale`, by -int v/2 more, so adjusted (his K0*) that this part leaves E[S] alone in each step; where that expectation
    is infinite (rho > 0 and a long step) the plain -int v/2 stands. `numbers` come from :func:`heston_coefficients`.
    """
    paths = variance.size
    increments, new, z = np.empty(paths), np.empty(paths), np.empty(paths)
    fill_normals(key, first_path, step, 0, z)
    fill_normals(key, first_path, step, 1, new)
    decay, theta, slope, level = numbers[0], numbers[1], numbers[2], numbers[3]
    weight = numbers[9] + 0.5 * numbers[7]
    rare = 0
    for p in range(paths):
        v = variance[p]
        mean = theta + (v - theta) * decay
        psi = (slope * v + level) / (mean * mean)
        rare += psi > SWITCH
        moved, surprise, a, square = quadratic_variance(mean, min(psi, SWITCH), new[p])
        if martingale:
            w = 2.0 * weight * a
            safe = w if w < 1.0 else 0.0
            log_mean = 0.5 * safe * (square * safe / (1.0 - safe) - 1.0) - 0.5 * strict_log_ratio(1.0 - safe, 1.0)
            fair = heston_martingale_move(v, moved, surprise, z[p], numbers, log_mean)
            plain = heston_move(v, moved, surprise, z[p], numbers) - 0.5 * numbers[8] * (v + moved)
            increments[p] = numbers[10] + (fair if w < 1.0 else plain)
        else:
            increments[p] = numbers[10] + heston_move(v, moved, surprise, z[p], numbers)
        new[p] = moved
    if rare:
        _redo_low_variance(variance, z, key, first_path, step, numbers, martingale, new, increments)
    return increments, new


@compiled
def _redo_low_variance(
    variance: FloatArray,
    z: FloatArray,
    key: np.uint64,
    first_path: int,
    step: int,
    numbers: tuple[float, ...],
    martingale: bool,
    new: FloatArray,
    increments: FloatArray,
) -> None:
    """Draw again, with an atom at zero, the paths whose variance is too close to zero for the quadratic."""
    weight = numbers[9] + 0.5 * numbers[7]
    for p in range(variance.size):
        v = variance[p]
        mean = numbers[1] + (v - numbers[1]) * numbers[0]
        psi = (numbers[2] * v + numbers[3]) / (mean * mean)
        if psi > SWITCH:
            moved, atom, rate = exponential_variance(mean, psi, uniform_at(key, first_path + p, step, JUMP_DRAW))
            new[p] = moved
            if martingale and weight < rate:
                log_mean = strict_log_ratio(atom + rate * (1.0 - atom) / (rate - weight), 1.0) - weight * mean
                increments[p] = numbers[10] + heston_martingale_move(v, moved, moved - mean, z[p], numbers, log_mean)
            else:
                half_variance = 0.5 * numbers[8] * (v + moved) if martingale else 0.0
                increments[p] = numbers[10] - half_variance + heston_move(v, moved, moved - mean, z[p], numbers)


@compiled
def bootstrap_step(
    candle: FloatArray, key: np.uint64, first_path: int, step: int, candles: int, restart: float, log_returns: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Sum of the next `candles` returns of each path, and the candle each path stands at (-1: none yet).

    Each candle either follows its predecessor (the last is followed by the first) or, with probability `restart`, is drawn anew.
    Source: Politis and Romano 1994, the stationary bootstrap.
    """
    paths, length = candle.size, log_returns.size
    increments, place, uniform = np.zeros(paths), candle.copy(), np.empty(paths)
    for draw in range(candles):
        fill_uniforms(key, first_path, step, draw, uniform)
        for p in range(paths):
            fresh = uniform[p] if place[p] < 0.0 else uniform[p] / restart
            index = min(int(fresh * length), length - 1) if fresh < 1.0 else (int(place[p]) + 1) % length
            place[p] = index
            increments[p] += log_returns[index]
    return increments, place
