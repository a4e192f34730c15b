"""Jumps within one step for a block of paths: how many, and how far together; exact in distribution for a step of any length."""

from __future__ import annotations

import math

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.paths import JUMP_DRAW
from tailwag.kernels.random import compiled, fill_uniforms, inlined, normal_at, strict_log_ratio, uniform_at

MOST_MEAN = 32.0  # a larger expected number is split into equal parts, whose counts add up
MOST_NEWTON = 64


@inlined
def poisson_count(uniform: float, mean: float, none: float) -> int:
    """Smallest n with P(N <= n) >= uniform, by adding up probabilities; `none` = e^(-mean). Ends where a term no longer counts."""
    count, term, below = 0, none, none
    while uniform > below:
        count += 1
        term *= mean / count
        if below + term == below:
            break
        below += term
    return count


@compiled
def poisson_counts(key: np.uint64, first_path: int, step: int, mean: float, paths: int) -> IntArray:
    """Number of jumps of each path, Poisson with this mean: inversion of one uniform, or of one for every 32 jumps expected."""
    counts = np.zeros(paths, np.int64)
    uniform = np.empty(paths)
    parts = max(1, math.ceil(mean / MOST_MEAN))
    share = mean / parts
    none = math.exp(-share)
    for part in range(parts):
        fill_uniforms(key, first_path, step, part, uniform)
        for p in range(paths):
            if uniform[p] > none:
                counts[p] += poisson_count(uniform[p], share, none)
    return counts


@compiled
def add_normal_jumps(
    increments: FloatArray, counts: IntArray, key: np.uint64, first_path: int, step: int, mean: float, deviation: float
) -> None:
    """Add the sum of n normal jumps, which is normal itself: n mean + sqrt(n) deviation Z.  Source: Merton 1976."""
    for p in range(counts.size):
        if counts[p] > 0:
            z = normal_at(key, first_path + p, step, JUMP_DRAW)
            increments[p] += counts[p] * mean + math.sqrt(counts[p]) * deviation * z


@compiled
def add_kou_jumps(
    increments: FloatArray,
    counts: IntArray,
    key: np.uint64,
    first_path: int,
    step: int,
    up_probability: float,
    up_rate: float,
    down_rate: float,
) -> None:
    """Add n jumps one by one: exponential up with `up_probability`, else exponential down.  Source: Kou 2002."""
    for p in range(counts.size):
        for jump in range(counts[p]):
            draw = JUMP_DRAW + 2 * jump
            size = -strict_log_ratio(uniform_at(key, first_path + p, step, draw + 1), 1.0)
            up = uniform_at(key, first_path + p, step, draw) < up_probability
            increments[p] += size / up_rate if up else -size / down_rate


@inlined
def hawkes_wait(target: float, base: float, excess: float, decay: float) -> float:
    """Time until the integrated intensity base s + excess (1 - e^(-decay s))/decay reaches `target`.

    The integral is concave, so Newton's steps from the left never pass the root: they end where they no longer grow.
    """
    s = target / (base + excess)
    for _ in range(MOST_NEWTON):
        faded = math.expm1(-decay * s)
        gap = target - base * s + excess * faded / decay
        longer = s + gap / (base + excess * (1.0 + faded))
        if not longer > s:
            break
        s = longer
    return s


@compiled
def hawkes_step(
    excess: FloatArray, key: np.uint64, first_path: int, step: int, step_years: float, base: float, kick: float, decay: float
) -> tuple[IntArray, FloatArray]:
    """Number of jumps of each path within the step, and the intensity's excess over its base at the end.

    intensity = base + excess; excess fades at `decay` and each jump adds `kick`. The waiting time follows exactly from a unit
    exponential and the integrated intensity, so nothing depends on how the steps are cut.  Source: Hawkes 1971; Ozaki 1979.
    """
    paths = excess.size
    counts, new, uniform = np.zeros(paths, np.int64), np.empty(paths), np.empty(paths)
    fill_uniforms(key, first_path, step, 0, uniform)
    kept = math.exp(-decay * step_years)
    reach = -math.expm1(-decay * step_years) / decay
    for p in range(paths):
        new[p] = excess[p] * kept
        uniform[p] = -strict_log_ratio(uniform[p], 1.0)
    for p in range(paths):
        if uniform[p] < base * step_years + excess[p] * reach:
            now, left, target = excess[p], step_years, uniform[p]
            while target < base * left - now * math.expm1(-decay * left) / decay:
                wait = hawkes_wait(target, base, now, decay)
                now = now * math.exp(-decay * wait) + kick
                left = max(left - wait, 0.0)
                counts[p] += 1
                target = -strict_log_ratio(uniform_at(key, first_path + p, step, JUMP_DRAW + counts[p]), 1.0)
            new[p] = now * math.exp(-decay * left)
    return counts, new
