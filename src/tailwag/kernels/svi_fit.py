"""The compiled SVI fit: a bounded Levenberg-Marquardt on quotes with a bid/ask band, one call for all expiries.

A slice is fitted in units of its own at-the-money standard deviation, x = k / sqrt(w0), y = w / w0, and in coordinates whose bounds
are the no-arbitrage bounds themselves:

    y(x) = floor - s l r + (r^2 - l^2)/2 (x - m) + (l^2 + r^2)/2 sqrt((x - m)^2 + s^2)

floor is the smallest variance (>= 0), l^2 and r^2 are the wing slopes (>= 0, and <= 2 after scaling back), s the bend (>= a minimum).
Cost of a quote with error e, half-width h and weight q:  q^2 (e^2 + penalty * max(|e| - h, 0)^2): leaving the band costs more than
leaving the mid, and the gradient has no jump at the band's edge (with one, the descent would stall there).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.kernels.svi import MAX_WING_SLOPE

BAND_PENALTY = 4.0
MIN_BEND = 0.2
"""Smallest sigma of a slice in units of its at-the-money standard deviation: a sharper bend is a kink that no quote grid resolves."""
MOST_SPANS = 20.0
"""Largest sigma in units of the quoted span: beyond it a slice is a straight line."""
LEAST_FLOOR = 1e-6
MAX_ITERATIONS = 60
DURRLEMAN_FLOOR = 2e-3
"""The guarded fit aims at g >= this, so that the checked minimum is not negative by rounding."""
GUARD_POINTS = 81
START_CENTRES, START_BENDS = 5, 4

compiled = njit(error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"}, cache=True, nogil=True)
inlined = njit(error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"}, forceinline=True)
"""For the steps of a fit.  A step that stays a function of its own is compiled by itself in the process that compiles, and as a part of its
caller in the file that later processes load: two roundings, so the first fit on a machine would differ from all others in the last digits."""

# rows of a slice's quotes, and of the settings shared by a call
X, Y, HALF, WEIGHT = range(4)
PENALTY, SCALE, GUARD, GUARD_LOW, GUARD_HIGH, ROUNDS = range(6)


@inlined
def _cost(quotes: FloatArray, p: FloatArray, penalty: float) -> float:
    """Sum over the quotes of what the slice ``p`` costs."""
    tilt, lean = 0.5 * (p[2] * p[2] - p[1] * p[1]), 0.5 * (p[1] * p[1] + p[2] * p[2])
    base, m, square = p[0] - p[4] * p[1] * p[2], p[3], p[4] * p[4]
    total = 0.0
    for i in range(quotes.shape[1]):
        d = quotes[X, i] - m
        error = base + tilt * d + lean * math.sqrt(d * d + square) - quotes[Y, i]
        outside = max(abs(error) - quotes[HALF, i], 0.0)
        total += quotes[WEIGHT, i] * quotes[WEIGHT, i] * (error * error + penalty * outside * outside)
    return total


@inlined
def _linearise(quotes: FloatArray, p: FloatArray, penalty: float, normal: FloatArray, gradient: FloatArray) -> None:
    """Gauss-Newton matrix (lower half) and half gradient of the cost at ``p``."""
    left, right, m, s = p[1], p[2], p[3], p[4]
    tilt, lean = 0.5 * (right * right - left * left), 0.5 * (left * left + right * right)
    base = p[0] - s * left * right
    normal[:], gradient[:] = 0.0, 0.0
    j = np.empty(5)
    for i in range(quotes.shape[1]):
        d = quotes[X, i] - m
        root = math.sqrt(d * d + s * s)
        error = base + tilt * d + lean * root - quotes[Y, i]
        outside = max(abs(error) - quotes[HALF, i], 0.0)
        q = quotes[WEIGHT, i] * quotes[WEIGHT, i]
        pull = q * (error + penalty * math.copysign(outside, error))
        if outside > 0.0:
            q *= 1.0 + penalty
        j[0] = 1.0
        j[1] = left * (root - d) - s * right
        j[2] = right * (root + d) - s * left
        j[3] = -(tilt + lean * d / root)
        j[4] = lean * s / root - left * right
        for u in range(5):
            gradient[u] += j[u] * pull
            for v in range(u + 1):
                normal[u, v] += q * j[u] * j[v]


@inlined
def _shortfalls(p: FloatArray, settings: FloatArray, nodes: FloatArray, values: FloatArray) -> float:
    """By how much Durrleman's g falls short of its floor at the nodes, times the guard's strength; returns the sum of squares."""
    tilt, lean = 0.5 * (p[2] * p[2] - p[1] * p[1]), 0.5 * (p[1] * p[1] + p[2] * p[2])
    base, m, s = p[0] - p[4] * p[1] * p[2], p[3], p[4]
    total = 0.0
    for j in range(nodes.size):
        d = nodes[j] - m
        root = math.sqrt(d * d + s * s)
        y = max(base + tilt * d + lean * root, 1e-9)
        first = tilt + lean * d / root
        pulled = 1.0 - 0.5 * nodes[j] * first / y
        g = pulled * pulled - 0.25 * first * first * (1.0 / y + 0.25 * settings[SCALE]) + 0.5 * lean * s * s / (root * root * root)
        values[j] = max(DURRLEMAN_FLOOR - g, 0.0) * settings[GUARD]
        total += values[j] * values[j]
    return total


@inlined
def _place_nodes(p: FloatArray, settings: FloatArray, nodes: FloatArray) -> None:
    """Guard nodes between the guard's bounds, dense around the bend."""
    low = math.asinh((settings[GUARD_LOW] - p[3]) / p[4])
    high = math.asinh((settings[GUARD_HIGH] - p[3]) / p[4])
    for j in range(nodes.size):
        nodes[j] = p[3] + p[4] * math.sinh(low + (high - low) * j / (nodes.size - 1))


@inlined
def _add_guard(p: FloatArray, settings: FloatArray, nodes: FloatArray, normal: FloatArray, gradient: FloatArray) -> float:
    """Adds the guard to the normal equations (forward differences: g is cheap and rarely short); returns its cost."""
    values, slopes, trial = np.empty(nodes.size), np.empty((5, nodes.size)), p.copy()
    total = _shortfalls(p, settings, nodes, values)
    if total == 0.0:
        return total
    for u in range(5):
        bump = 1e-6 * max(abs(p[u]), 1e-2)
        trial[u] = p[u] + bump
        _shortfalls(trial, settings, nodes, slopes[u])
        trial[u] = p[u]
        for j in range(nodes.size):
            slopes[u, j] = (slopes[u, j] - values[j]) / bump
    for u in range(5):
        for j in range(nodes.size):
            gradient[u] += slopes[u, j] * values[j]
        for v in range(u + 1):
            for j in range(nodes.size):
                normal[u, v] += slopes[u, j] * slopes[v, j]
    return total


@inlined
def _solve(normal: FloatArray, gradient: FloatArray, free: BoolArray, damping: float, step: FloatArray) -> bool:
    """Damped normal equations over the free parameters by Cholesky; False where they are not positive definite."""
    a = np.zeros((5, 5))
    for u in range(5):
        for v in range(u):
            a[u, v] = normal[u, v] if free[u] and free[v] else 0.0
        a[u, u] = normal[u, u] * (1.0 + damping) + 1e-300 if free[u] else 1.0
        step[u] = -gradient[u] if free[u] else 0.0
    for u in range(5):
        for v in range(u + 1):
            t = a[u, v]
            for w in range(v):
                t -= a[u, w] * a[v, w]
            if u == v and not t > 0.0:
                return False
            a[u, v] = math.sqrt(t) if u == v else t / a[v, v]
    for u in range(5):
        for w in range(u):
            step[u] -= a[u, w] * step[w]
        step[u] /= a[u, u]
    for u in range(4, -1, -1):
        for w in range(u + 1, 5):
            step[u] -= a[w, u] * step[w]
        step[u] /= a[u, u]
    return True


@inlined
def _descend(quotes: FloatArray, p: FloatArray, box: FloatArray, settings: FloatArray) -> tuple[float, int]:
    """Projected Levenberg-Marquardt from ``p`` (changed in place); returns (cost, iterations)."""
    normal, gradient, step, trial, free = np.empty((5, 5)), np.empty(5), np.empty(5), np.empty(5), np.empty(5, np.bool_)
    guarded = settings[GUARD] > 0.0
    nodes = np.empty(GUARD_POINTS if guarded else 0)
    values = np.empty(nodes.size)
    damping, cost = 1e-3, 0.0
    rounds = int(settings[ROUNDS])
    for iteration in range(rounds):
        cost = _cost(quotes, p, settings[PENALTY])
        _linearise(quotes, p, settings[PENALTY], normal, gradient)
        if guarded:
            _place_nodes(p, settings, nodes)
            cost += _add_guard(p, settings, nodes, normal, gradient)
        for u in range(5):
            free[u] = not ((p[u] <= box[0, u] and gradient[u] > 0.0) or (p[u] >= box[1, u] and gradient[u] < 0.0))
        better = cost
        for _ in range(14):
            if _solve(normal, gradient, free, damping, step):
                for u in range(5):
                    trial[u] = min(max(p[u] + step[u], box[0, u]), box[1, u])
                better = _cost(quotes, trial, settings[PENALTY])
                if guarded:
                    better += _shortfalls(trial, settings, nodes, values)
                if better < cost:
                    break
            damping = max(damping, 1e-10) * 5.0
        if not better < cost:
            return cost, iteration
        p[:] = trial
        damping = max(damping * 0.2, 1e-12)
        if cost - better < 1e-9 * cost + 1e-24:
            return better, iteration
    return cost, rounds


@inlined
def _line(quotes: FloatArray, m: float, s: float) -> tuple[float, float, float]:
    """Level, tilt and lean of the best slice with this centre and bend: weighted linear least squares, slightly damped."""
    s00, s01, s02, s11, s12, s22 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    t0, t1, t2 = 0.0, 0.0, 0.0
    for i in range(quotes.shape[1]):
        d, q, y = quotes[X, i] - m, quotes[WEIGHT, i] * quotes[WEIGHT, i], quotes[Y, i]
        root = math.sqrt(d * d + s * s)
        s00, s01, s02 = s00 + q, s01 + q * d, s02 + q * root
        s11, s12, s22 = s11 + q * d * d, s12 + q * d * root, s22 + q * root * root
        t0, t1, t2 = t0 + q * y, t1 + q * d * y, t2 + q * root * y
    s11, s22 = s11 * (1.0 + 1e-9), s22 * (1.0 + 1e-9)
    c00, c01, c02 = s11 * s22 - s12 * s12, s02 * s12 - s01 * s22, s01 * s12 - s02 * s11
    det = s00 * c00 + s01 * c01 + s02 * c02
    if not abs(det) > 1e-300:
        return t0 / s00, 0.0, 0.0
    c11, c12, c22 = s00 * s22 - s02 * s02, s01 * s02 - s00 * s12, s00 * s11 - s01 * s01
    return (c00 * t0 + c01 * t1 + c02 * t2) / det, (c01 * t0 + c11 * t1 + c12 * t2) / det, (c02 * t0 + c12 * t1 + c22 * t2) / det


@inlined
def _start(quotes: FloatArray, box: FloatArray, penalty: float, best: FloatArray) -> None:
    """The best of a grid of centres and bends, the rest by linear least squares (the quasi-explicit form of De Marco and Martini)."""
    first = quotes[X, 0]
    span = max(quotes[X, quotes.shape[1] - 1] - first, 1e-6)
    p, lowest = np.empty(5), np.inf
    for centre in range(START_CENTRES):
        for bend in range(START_BENDS):
            p[3] = min(max(first + span * (centre + 0.5) / START_CENTRES, box[0, 3]), box[1, 3])
            p[4] = min(max(span * 0.06 * 2.5**bend, box[0, 4]), box[1, 4])
            level, tilt, lean = _line(quotes, p[3], p[4])
            p[1] = min(math.sqrt(max(lean - tilt, 0.0)), box[1, 1])
            p[2] = min(math.sqrt(max(lean + tilt, 0.0)), box[1, 2])
            p[0] = max(level + p[4] * p[1] * p[2], box[0, 0])
            cost = _cost(quotes, p, penalty)
            if cost < lowest:
                lowest = cost
                best[:] = p


@inlined
def _bounds(quotes: FloatArray, scale: float, box: FloatArray) -> None:
    """The box: slopes within Lee, the bend's centre near the quotes, sigma between a kink and a straight line."""
    first, last = quotes[X, 0], quotes[X, quotes.shape[1] - 1]
    span = max(last - first, 1.0)
    box[0, 0], box[1, 0] = LEAST_FLOOR, 1e6
    box[0, 1:3], box[1, 1:3] = 0.0, math.sqrt(MAX_WING_SLOPE / math.sqrt(scale) * (1.0 - 1e-9))
    box[0, 3], box[1, 3] = min(first, 0.0) - span, max(last, 0.0) + span
    box[0, 4], box[1, 4] = MIN_BEND, MOST_SPANS * span


@inlined
def _from_raw(raw: FloatArray, scale: float, box: FloatArray, p: FloatArray) -> None:
    deviation = math.sqrt(scale)
    p[0] = (raw[0] + raw[1] * raw[4] * math.sqrt(1.0 - raw[2] * raw[2])) / scale
    p[1], p[2] = math.sqrt(raw[1] * (1.0 - raw[2]) / deviation), math.sqrt(raw[1] * (1.0 + raw[2]) / deviation)
    p[3], p[4] = raw[3] / deviation, raw[4] / deviation
    for u in range(5):
        p[u] = min(max(p[u], box[0, u]), box[1, u])


@inlined
def _to_raw(p: FloatArray, scale: float, raw: FloatArray) -> None:
    left, right = p[1] * p[1], p[2] * p[2]
    lean = max(0.5 * (left + right), 1e-12)
    deviation = math.sqrt(scale)
    rho = min(max(0.5 * (right - left) / lean, -1.0 + 1e-9), 1.0 - 1e-9)
    raw[1], raw[2], raw[3], raw[4] = lean * deviation, rho, p[3] * deviation, p[4] * deviation
    raw[0] = scale * p[0] - raw[1] * raw[4] * math.sqrt(1.0 - rho * rho)


@compiled
def _fit_all(
    columns: FloatArray, offsets: IntArray, scales: FloatArray, starts: FloatArray, settings: FloatArray, raw: FloatArray, done: FloatArray
) -> None:
    box, p, own = np.empty((2, 5)), np.empty(5), settings.copy()
    for index in range(scales.size):
        first, last, scale = offsets[index], offsets[index + 1], scales[index]
        if last <= first:
            continue
        quotes = np.empty((4, last - first))
        for i in range(last - first):
            quotes[X, i], quotes[Y, i] = columns[X, first + i] / math.sqrt(scale), columns[Y, first + i] / scale
            quotes[HALF, i], quotes[WEIGHT, i] = columns[HALF, first + i] / scale, columns[WEIGHT, first + i] * scale
        own[SCALE] = scale
        own[GUARD_LOW], own[GUARD_HIGH] = settings[GUARD_LOW] / math.sqrt(scale), settings[GUARD_HIGH] / math.sqrt(scale)
        _bounds(quotes, scale, box)
        if starts[index, 4] > 0.0:
            _from_raw(starts[index], scale, box, p)
        else:
            _start(quotes, box, own[PENALTY], p)
        done[index, 0], done[index, 1] = _descend(quotes, p, box, own)
        _to_raw(p, scale, raw[index])


def fit_slices(
    quotes: FloatArray,
    offsets: IntArray,
    *,
    starts: FloatArray | None = None,
    guard: float = 0.0,
    guard_range: tuple[float, float] = (-3.0, 3.0),
    band_penalty: float = BAND_PENALTY,
    max_iterations: int = MAX_ITERATIONS,
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Raw SVI (a, b, rho, m, sigma) of every expiry at once: (slices, 5), with the cost and the iterations of each.

    Shapes: ``quotes`` (4, q): log-moneyness, total variance, half-width and weight (in total variance and its inverse), in rising order
    of log-moneyness inside each slice; slice j is columns ``offsets[j]:offsets[j + 1]``.  ``starts`` (slices, 5) raw, all zero = find
    one.  ``guard`` > 0 adds guard^2 * sum max(floor - g, 0)^2 over log-moneynesses in ``guard_range``, so that butterflies cost.
    """
    count = offsets.size - 1
    columns = np.ascontiguousarray(quotes, dtype=np.float64)
    edges = np.ascontiguousarray(offsets, dtype=np.int64)
    scales = np.array([_scale(columns[X, edges[j] : edges[j + 1]], columns[Y, edges[j] : edges[j + 1]]) for j in range(count)])
    begin = np.zeros((count, 5)) if starts is None else np.ascontiguousarray(starts, dtype=np.float64)
    settings = np.array([band_penalty, 1.0, guard, *guard_range, max_iterations], dtype=np.float64)
    raw, done = np.zeros((count, 5)), np.zeros((count, 2))
    _fit_all(columns, edges, scales, begin, settings, raw, done)
    return raw, done[:, 0], done[:, 1].astype(np.int64)


def _scale(log_moneyness: FloatArray, total_variance: FloatArray) -> float:
    """Total variance near the money: the unit in which a slice is fitted."""
    if log_moneyness.size == 0:
        return 1.0
    return float(max(np.interp(0.0, log_moneyness, total_variance), 1e-14))
