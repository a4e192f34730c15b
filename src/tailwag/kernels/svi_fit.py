"""The compiled SVI fit: a bounded Levenberg-Marquardt on quotes with a bid/ask band, one call for all expiries.

The slice is fitted in units of its own at-the-money standard deviation, x = k / sqrt(w0), y = w / w0, and in coordinates whose
bounds are the no-arbitrage bounds themselves:

    y(x) = floor - s l r + (r^2 - l^2)/2 (x - m) + (l^2 + r^2)/2 sqrt((x - m)^2 + s^2)

floor is the smallest variance (>= 0), l^2 and r^2 are the wing slopes (>= 0, and <= 2 after scaling back), s the bend (>= a minimum).
Cost of a quote with error e, half-width h and weight q:  q^2 (e^2 + penalty * max(|e| - h, 0)^2): leaving the band costs more than
leaving the mid, and the gradient has no jump at the band's edge (with one, the descent would stall there).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.svi import MAX_WING_SLOPE

BAND_PENALTY = 4.0
MIN_BEND = 0.05
"""Smallest sigma of a slice in units of its at-the-money standard deviation: a sharper bend is a kink that no quote grid resolves."""
MAX_ITERATIONS = 60
DURRLEMAN_FLOOR = 2e-3
"""The penalised fit aims at g >= this, so that the checked minimum is not negative by rounding."""
_GUARD_POINTS = 81
_FAST = {"error_model": "numpy", "nogil": True, "cache": True, "fastmath": {"contract", "reassoc", "nsz", "arcp"}}


@njit(**_FAST)
def _cost(x, y, half, weight, start, stop, p, penalty, jacobian, residual, want_jacobian):  # type: ignore[no-untyped-def]
    floor, left, right, m, s = p[0], p[1], p[2], p[3], p[4]
    tilt, lean = 0.5 * (right * right - left * left), 0.5 * (left * left + right * right)
    base = floor - s * left * right
    total, steeper = 0.0, math.sqrt(1.0 + penalty)
    for i in range(start, stop):
        d = x[i] - m
        root = math.sqrt(d * d + s * s)
        error = base + tilt * d + lean * root - y[i]
        outside = abs(error) - half[i]
        q = weight[i]
        r = q * error
        total += r * r
        if outside > 0.0:
            total += penalty * q * q * outside * outside
            # one row that has the gradient and the Gauss-Newton curvature of both squares
            r = (r + q * penalty * math.copysign(outside, error)) / steeper
            q *= steeper
        if want_jacobian:
            j = i - start
            residual[j] = r
            jacobian[0, j] = q
            jacobian[1, j] = q * (left * (root - d) - s * right)
            jacobian[2, j] = q * (right * (root + d) - s * left)
            jacobian[3, j] = -q * (tilt + lean * d / root)
            jacobian[4, j] = q * (lean * s / root - left * right)
    return total


@njit(**_FAST)
def _guard(p, variance_scale, nodes, strength, values):  # type: ignore[no-untyped-def]
    """Shortfalls of Durrleman's g below its floor at the nodes (in scaled log-moneyness); returns their sum of squares."""
    floor, left, right, m, s = p[0], p[1], p[2], p[3], p[4]
    tilt, lean = 0.5 * (right * right - left * left), 0.5 * (left * left + right * right)
    base = floor - s * left * right
    total = 0.0
    for j in range(nodes.size):
        x = nodes[j]
        d = x - m
        root = math.sqrt(d * d + s * s)
        y = max(base + tilt * d + lean * root, 1e-9)
        first = tilt + lean * d / root
        half_pull = 1.0 - 0.5 * x * first / y
        g = half_pull * half_pull - 0.25 * first * first * (1.0 / y + 0.25 * variance_scale) + 0.5 * lean * s * s / (root * root * root)
        short = max(DURRLEMAN_FLOOR - g, 0.0) * strength
        values[j] = short
        total += short * short
    return total


@njit(**_FAST)
def _solve(normal, gradient, free, damping, step):  # type: ignore[no-untyped-def]
    """Damped normal equations over the free parameters by Cholesky; False where they are not positive definite."""
    a = np.empty((5, 5))
    for u in range(5):
        for v in range(u + 1):
            a[u, v] = normal[u, v] if free[u] and free[v] else 0.0
        a[u, u] = normal[u, u] * (1.0 + damping) + damping * 1e-12 + 1e-300 if free[u] else 1.0
        step[u] = -gradient[u] if free[u] else 0.0
    for u in range(5):
        for v in range(u + 1):
            t = a[u, v]
            for w in range(v):
                t -= a[u, w] * a[v, w]
            if u == v:
                if not t > 0.0:
                    return False
                a[u, u] = math.sqrt(t)
            else:
                a[u, v] = t / a[v, v]
    for u in range(5):
        t = step[u]
        for w in range(u):
            t -= a[u, w] * step[w]
        step[u] = t / a[u, u]
    for back in range(5):
        u = 4 - back
        t = step[u]
        for w in range(u + 1, 5):
            t -= a[w, u] * step[w]
        step[u] = t / a[u, u]
    return True


@njit(**_FAST)
def _accumulate(jacobian, residual, size, normal, gradient):  # type: ignore[no-untyped-def]
    for u in range(5):
        t = 0.0
        for i in range(size):
            t += jacobian[u, i] * residual[i]
        gradient[u] = t
        for v in range(u + 1):
            t = 0.0
            for i in range(size):
                t += jacobian[u, i] * jacobian[v, i]
            normal[u, v] = t


@njit(**_FAST)
def _add_guard(p, variance_scale, nodes, strength, values, bumped, slopes, normal, gradient):  # type: ignore[no-untyped-def]
    """Adds the guard's residuals to the normal equations, its derivatives by forward differences (g is cheap and rarely short)."""
    total = _guard(p, variance_scale, nodes, strength, values)
    if total == 0.0:
        return total
    trial = p.copy()
    for u in range(5):
        bump = 1e-6 * max(abs(p[u]), 1e-2)
        trial[u] = p[u] + bump
        _guard(trial, variance_scale, nodes, strength, bumped)
        trial[u] = p[u]
        for j in range(nodes.size):
            slopes[u, j] = (bumped[j] - values[j]) / bump
    for u in range(5):
        for j in range(nodes.size):
            gradient[u] += slopes[u, j] * values[j]
        for v in range(u + 1):
            for j in range(nodes.size):
                normal[u, v] += slopes[u, j] * slopes[v, j]
    return total


@njit(**_FAST)
def _descend(x, y, half, weight, start, stop, p, low, high, penalty, variance_scale, strength, max_iterations):  # type: ignore[no-untyped-def]
    """Projected Levenberg-Marquardt from ``p`` (changed in place); returns (cost, iterations)."""
    size = stop - start
    jacobian, residual = np.empty((5, size)), np.empty(size)
    normal, gradient, step, trial = np.empty((5, 5)), np.empty(5), np.empty(5), np.empty(5)
    free = np.empty(5, np.bool_)
    guarded = strength > 0.0
    nodes = np.empty(_GUARD_POINTS if guarded else 0)
    values, bumped, slopes = np.empty(nodes.size), np.empty(nodes.size), np.empty((5, nodes.size))
    damping, cost = 1e-3, 0.0
    iteration = 0
    for iteration in range(max_iterations):
        cost = _cost(x, y, half, weight, start, stop, p, penalty, jacobian, residual, True)
        _accumulate(jacobian, residual, size, normal, gradient)
        if guarded:
            reach = math.asinh((abs(p[3]) + 3.0 / math.sqrt(variance_scale)) / p[4])
            for j in range(nodes.size):
                nodes[j] = p[3] + p[4] * math.sinh(reach * (2.0 * j / (nodes.size - 1) - 1.0))
            cost += _add_guard(p, variance_scale, nodes, strength, values, bumped, slopes, normal, gradient)
        for u in range(5):
            free[u] = not ((p[u] <= low[u] and gradient[u] > 0.0) or (p[u] >= high[u] and gradient[u] < 0.0))
        better = cost
        for _ in range(14):
            if _solve(normal, gradient, free, damping, step):
                for u in range(5):
                    trial[u] = min(max(p[u] + step[u], low[u]), high[u])
                better = _cost(x, y, half, weight, start, stop, trial, penalty, jacobian, residual, False)
                if guarded:
                    better += _guard(trial, variance_scale, nodes, strength, values)
                if better < cost:
                    break
            damping = max(damping, 1e-10) * 5.0
        if not better < cost:
            return cost, iteration
        p[:] = trial
        damping = max(damping * 0.2, 1e-12)
        if cost - better < 1e-9 * cost + 1e-24:
            return better, iteration
        cost = better
    return cost, iteration


@njit(**_FAST)
def _start(x, y, half, weight, start, stop, low, high, penalty, best):  # type: ignore[no-untyped-def]
    """The best of a few (m, s) with the other three parameters from linear least squares (Zeliade's quasi-explicit form)."""
    first, last = x[start], x[stop - 1]
    span = max(last - first, 1e-6)
    p, dummy2, dummy1 = np.empty(5), np.empty((5, 1)), np.empty(1)
    lowest = np.inf
    for im in range(5):
        for js in range(4):
            m = min(max(first + span * (0.1 + 0.2 * im), low[3]), high[3])
            s = min(max(span * 0.06 * 2.5**js, low[4]), high[4])
            s00 = s01 = s02 = s11 = s12 = s22 = t0 = t1 = t2 = 0.0
            for i in range(start, stop):
                d = x[i] - m
                root = math.sqrt(d * d + s * s)
                q = weight[i] * weight[i]
                s00 += q
                s01 += q * d
                s02 += q * root
                s11 += q * d * d
                s12 += q * d * root
                s22 += q * root * root
                t0 += q * y[i]
                t1 += q * d * y[i]
                t2 += q * root * y[i]
            a, tilt, lean = _three(s00, s01, s02, s11, s12, s22, t0, t1, t2)
            left, right = math.sqrt(max(lean - tilt, 0.0)), math.sqrt(max(lean + tilt, 0.0))
            p[1], p[2], p[3], p[4] = min(max(left, low[1]), high[1]), min(max(right, low[2]), high[2]), m, s
            p[0] = max(a + s * p[1] * p[2], low[0])
            cost = _cost(x, y, half, weight, start, stop, p, penalty, dummy2, dummy1, False)
            if cost < lowest:
                lowest = cost
                best[:] = p


@njit(**_FAST)
def _three(s00, s01, s02, s11, s12, s22, t0, t1, t2):  # type: ignore[no-untyped-def]
    """Solves the symmetric 3 x 3 system, slightly damped; the level alone where it is singular."""
    s11, s22 = s11 * (1.0 + 1e-9), s22 * (1.0 + 1e-9)
    c00, c01, c02 = s11 * s22 - s12 * s12, s02 * s12 - s01 * s22, s01 * s12 - s02 * s11
    det = s00 * c00 + s01 * c01 + s02 * c02
    if not abs(det) > 1e-300:
        return t0 / s00, 0.0, 0.0
    c11, c12, c22 = s00 * s22 - s02 * s02, s01 * s02 - s00 * s12, s00 * s11 - s01 * s01
    return (c00 * t0 + c01 * t1 + c02 * t2) / det, (c01 * t0 + c11 * t1 + c12 * t2) / det, (c02 * t0 + c12 * t1 + c22 * t2) / det


@njit(**_FAST)
def _bounds(x, y, start, stop, variance_scale, low, high):  # type: ignore[no-untyped-def]
    """The box: slopes within Lee, the bend's centre near the quotes, sigma between a kink and a straight line."""
    first, last = x[start], x[stop - 1]
    span = max(last - first, 1.0)
    steepest = math.sqrt(MAX_WING_SLOPE / math.sqrt(variance_scale) * (1.0 - 1e-9))
    low[0], high[0] = 1e-6, 1e6
    low[1], high[1] = 0.0, steepest
    low[2], high[2] = 0.0, steepest
    low[3], high[3] = min(first, 0.0) - span, max(last, 0.0) + span
    low[4], high[4] = MIN_BEND, 20.0 * span


@njit(**_FAST)
def _fit_all(k, w, half_width, weight, offsets, scales, starts, penalty, strength, max_iterations, raw, costs, iterations):  # type: ignore[no-untyped-def]
    size = k.size
    x, y, half, q = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    low, high, p = np.empty(5), np.empty(5), np.empty(5)
    for slice_index in range(scales.size):
        start, stop = offsets[slice_index], offsets[slice_index + 1]
        if stop <= start:
            continue
        w0 = scales[slice_index]
        deviation = math.sqrt(w0)
        for i in range(start, stop):
            x[i], y[i], half[i], q[i] = k[i] / deviation, w[i] / w0, half_width[i] / w0, weight[i] * w0
        _bounds(x, y, start, stop, w0, low, high)
        begin = starts[slice_index]
        if begin[4] > 0.0:
            a, b, rho, m, sigma = begin[0], begin[1], begin[2], begin[3], begin[4]
            p[0] = (a + b * sigma * math.sqrt(1.0 - rho * rho)) / w0
            p[1], p[2] = math.sqrt(b * (1.0 - rho) / deviation), math.sqrt(b * (1.0 + rho) / deviation)
            p[3], p[4] = m / deviation, sigma / deviation
            for u in range(5):
                p[u] = min(max(p[u], low[u]), high[u])
        else:
            _start(x, y, half, q, start, stop, low, high, penalty, p)
        costs[slice_index], iterations[slice_index] = _descend(
            x, y, half, q, start, stop, p, low, high, penalty, w0, strength, max_iterations
        )
        left, right = p[1] * p[1], p[2] * p[2]
        lean = max(0.5 * (left + right), 1e-12)
        raw[slice_index, 0] = w0 * (p[0] - p[4] * p[1] * p[2])
        raw[slice_index, 1] = lean * deviation
        raw[slice_index, 2] = min(max(0.5 * (right - left) / lean, -1.0 + 1e-9), 1.0 - 1e-9)
        raw[slice_index, 3] = p[3] * deviation
        raw[slice_index, 4] = p[4] * deviation


def fit_slices(
    log_moneyness: FloatArray,
    total_variance: FloatArray,
    half_width: FloatArray,
    weight: FloatArray,
    offsets: IntArray,
    *,
    starts: FloatArray | None = None,
    guard: float = 0.0,
    band_penalty: float = BAND_PENALTY,
    max_iterations: int = MAX_ITERATIONS,
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Raw SVI of every expiry at once, (slices, 5), with its cost and its iterations.

    Shapes: the quote columns (quotes,), sorted by log-moneyness inside each slice; slice j is rows ``offsets[j]:offsets[j + 1]``;
    ``half_width`` and ``weight`` in units of total variance and its inverse.  ``starts`` (slices, 5) raw, all zero = find one.
    ``guard`` > 0 adds guard^2 * sum max(floor - g, 0)^2 over a grid, so that butterflies cost.
    """
    count = offsets.size - 1
    columns = [np.ascontiguousarray(column, dtype=np.float64) for column in (log_moneyness, total_variance, half_width, weight)]
    bounds = np.ascontiguousarray(offsets, dtype=np.int64)
    scales = np.array([_scale(*(column[bounds[j] : bounds[j + 1]] for column in columns[:2])) for j in range(count)])
    begin = np.zeros((count, 5)) if starts is None else np.ascontiguousarray(starts, dtype=np.float64)
    raw, costs, iterations = np.zeros((count, 5)), np.zeros(count), np.zeros(count, dtype=np.int64)
    _fit_all(*columns, bounds, scales, begin, float(band_penalty), float(guard), int(max_iterations), raw, costs, iterations)
    return raw, costs, iterations


def _scale(log_moneyness: FloatArray, total_variance: FloatArray) -> float:
    """Total variance near the money: the unit in which a slice is fitted."""
    if log_moneyness.size == 0:
        return 1.0
    return float(max(np.interp(0.0, log_moneyness, total_variance), 1e-14))
