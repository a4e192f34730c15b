"""A whole book's net delta, option by option: the plain answer that the table of `netdelta_table` reproduces.

Rows are what a book looks like at one time: ln(strike/forward at the start), the root of the time left, vol and skew. Puts are held as calls
(a put's delta is a call's less 1), and rows alike in all four are one. A path's state is its log price move x and vol shift s.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.normal import INVERSE_SQRT_2PI, exponential, inlined, near_mills, near_mills_alone

__all__ = [
    "LEAST_YEARS",
    "SETTLED_YEARS",
    "SKEW_REACH_LOG",
    "VOL_FLOOR",
    "add_averaged",
    "add_rows",
    "averaged_delta_kernel",
    "delta_kernel",
    "delta_plain",
    "greeks_kernel",
    "row_values",
]

VOL_FLOOR = 0.01
"""No shift takes a row's vol below one vol point: at 0 a delta would be a step, and nothing quotes there."""
SKEW_REACH_LOG = 0.5
"""A row's vol follows spot for this log move and then stays, or a straight skew would end in absurd vols."""
LEAST_YEARS = 1.0 / (365 * 86400)
"""Time left is at least one second: at the fixing itself a delta is a step, and this keeps it a function."""
CERTAIN_SD = 8.5
"""A settlement average this many standard deviations from a strike is on its side of it to every digit."""
SETTLED_YEARS = 1e-3 / (365 * 86400)
"""An option within a millisecond of its expiry has settled: grid times and expiries are rounded numbers."""

# a sum may be taken in eight lanes (reassoc); what is inlined keeps its own, strict rules
summed = njit(error_model="numpy", fastmath={"contract", "reassoc", "nsz"}, cache=True, nogil=True)


@inlined
def held(x: float) -> float:
    """x within the reach of the skew."""
    capped = x if x < SKEW_REACH_LOG else SKEW_REACH_LOG
    return capped if capped > -SKEW_REACH_LOG else -SKEW_REACH_LOG


@summed
def row_values(
    strike: FloatArray, root: FloatArray, vol: FloatArray, skew: FloatArray, path: tuple[float, float], cdf: FloatArray, density: FloatArray
) -> None:
    """N(d1) of each row and its derivative by ln S, at one path (log move, vol shift); `strike` is logarithmic, `root` of the time left."""
    x, shift = path
    inside = held(x)
    follows = 1.0 if abs(x) < SKEW_REACH_LOG else 0.0
    for i in range(strike.size):
        raw = vol[i] + skew[i] * inside + shift
        free = raw > VOL_FLOOR
        sigma = raw if free else VOL_FLOOR
        w = sigma * root[i]
        inverse = 1.0 / w
        d1 = (x - strike[i]) * inverse + 0.5 * w
        phi = exponential(-0.5 * d1 * d1) * INVERSE_SQRT_2PI
        tail = phi * near_mills_alone(abs(d1))
        cdf[i] = 1.0 - tail if d1 > 0.0 else tail
        turn = skew[i] * follows if free else 0.0
        density[i] = phi * (inverse - turn * (d1 - w) * root[i] * inverse)


@summed
def add_rows(
    rows: FloatArray, positions: FloatArray, x: float, shift: float, scratch: FloatArray, delta: FloatArray, slope: FloatArray
) -> None:
    """One path: add to delta and its slope by ln S (lanes,).

    `rows` (4, m): log strike, root of the time left, vol, skew; `positions` (lanes, m + 1), the last added as it is; `scratch` (2 m,).
    """
    count = rows.shape[1]
    cdf, density = scratch[:count], scratch[count : 2 * count]
    row_values(rows[0], rows[1], rows[2], rows[3], (x, shift), cdf, density)
    for lane in range(positions.shape[0]):
        total = gradient = 0.0
        position = positions[lane, :count]
        for i in range(count):
            total += position[i] * cdf[i]
            gradient += position[i] * density[i]
        delta[lane] += total + positions[lane, count]
        slope[lane] += gradient


@summed
def delta_kernel(
    rows: FloatArray, positions: FloatArray, log_price: FloatArray, vol_shift: FloatArray, delta: FloatArray, slope: FloatArray
) -> None:
    """Fill delta and slope (lanes, paths) of all paths."""
    lanes = positions.shape[0]
    scratch, both = np.empty(2 * rows.shape[1]), np.empty((2, lanes))
    for path in range(log_price.size):
        both[:] = 0.0
        add_rows(rows, positions, log_price[path], vol_shift[path], scratch, both[0], both[1])
        for lane in range(lanes):
            delta[lane, path] = both[0, lane]
            slope[lane, path] = both[1, lane]


@summed
def add_averaged(
    strike: FloatArray,
    vol: FloatArray,
    skew: FloatArray,
    positions: FloatArray,
    offsets: FloatArray,
    window: tuple[float, float],
    path: tuple[float, float, float, float],
    delta: FloatArray,
    slope: FloatArray,
) -> None:
    """One path: add rows inside their settlement window to delta and slope (lanes,).

    `positions` (lanes, m), `offsets` (lanes,) of all puts; `window`: years left and the share of the window that is left; `path`: spot, log move,
    vol shift, running average A. With d = ((1 - share) A + share S - K)/(S vol sqrt(left/3) share): delta = share N(d).
    """
    left, share = window
    price, x, shift, average = path
    spread = math.sqrt(left / 3.0) * share * price
    inside, follows = held(x), 1.0 if abs(x) < SKEW_REACH_LOG else 0.0
    mean = (1.0 - share) * average + share * price
    for lane in range(offsets.size):
        delta[lane] += share * offsets[lane]
    for i in range(strike.size):
        raw = vol[i] + skew[i] * inside + shift
        free = raw > VOL_FLOOR
        sigma = raw if free else VOL_FLOOR
        sd = sigma * spread
        d = (mean - strike[i]) / sd
        if abs(d) > CERTAIN_SD:
            for lane in range(offsets.size if d > 0.0 else 0):
                delta[lane] += share * positions[lane, i]
            continue
        phi = exponential(-0.5 * d * d) * INVERSE_SQRT_2PI
        tail = phi * near_mills_alone(abs(d))
        turn = skew[i] * follows / sigma if free else 0.0
        exercised = share * (1.0 - tail if d > 0.0 else tail)
        gradient = share * phi * (share * price / sd - d * (1.0 + turn))
        for lane in range(offsets.size):
            delta[lane] += positions[lane, i] * exercised
            slope[lane] += positions[lane, i] * gradient


@summed
def averaged_delta_kernel(
    rows: FloatArray, positions: FloatArray, window: tuple[float, float], paths: FloatArray, delta: FloatArray, slope: FloatArray
) -> None:
    """Add rows inside their settlement window to delta and slope (lanes, paths).

    `rows` (3, m): strike, vol, skew; `positions` (lanes, m + 1), the last of all puts; `paths` (4, paths) as in :func:`add_averaged`.
    """
    both, count = np.empty((2, positions.shape[0])), rows.shape[1]
    offsets = positions[:, count].copy()
    for path in range(paths.shape[1]):
        both[:] = 0.0
        state = (paths[0, path], paths[1, path], paths[2, path], paths[3, path])
        add_averaged(rows[0], rows[1], rows[2], positions[:, :count], offsets, window, state, both[0], both[1])
        for lane in range(positions.shape[0]):
            delta[lane, path] += both[0, lane]
            slope[lane, path] += both[1, lane]


@summed
def greeks_kernel(columns: FloatArray, spot_usd: float, log_price: FloatArray, vol_shift: FloatArray, out: FloatArray) -> None:
    """Add a book's value and greeks by spot to `out` (8, paths). `columns` (7, n): right, strike, forward at the start, years, vol, skew, contracts."""
    count = columns.shape[1]
    # row by row: an array unpacked at once is read as if its rows were strided, and then nothing is done eight at a time
    right, strike, forward, years, vol, skew, contracts = columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], columns[6]
    log_strike, root = np.empty(count), np.empty(count)
    for i in range(count):
        log_strike[i] = math.log(strike[i] / forward[i])
        root[i] = math.sqrt(years[i])
    for path in range(log_price.size):
        x, shift = log_price[path], vol_shift[path]
        moved, inside = math.exp(x), held(x)
        follows = 1.0 / (spot_usd * moved) if abs(x) < SKEW_REACH_LOG else 0.0
        price = delta = gamma = vega = theta = vanna = charm = vomma = 0.0
        for i in range(count):
            raw = vol[i] + skew[i] * inside + shift
            free = 1.0 if raw > VOL_FLOOR else 0.0
            sigma = raw if raw > VOL_FLOOR else VOL_FLOOR
            w = sigma * root[i]
            inverse = 1.0 / w
            moneyness = (x - log_strike[i]) * inverse
            d1, d2 = moneyness + 0.5 * w, moneyness - 0.5 * w
            phi = exponential(-0.5 * d1 * d1) * INVERSE_SQRT_2PI
            mills_1, mills_2 = near_mills(abs(d1), abs(d2))
            tail_1, tail_2 = phi * mills_1, phi * mills_2
            f, n, ageing = forward[i] * moved, contracts[i], 0.5 / years[i]
            # beyond the strike the tails are those of the put, so that what is out of the money keeps its digits
            cdf = 1.0 - tail_1 if d1 > 0.0 else tail_1
            strike_leg = strike[i] - f * tail_2 if d2 > 0.0 else f * tail_2
            call = right[i] > 0.0
            own = f * phi * root[i]
            row_vega = own * free
            ratio = forward[i] / spot_usd
            turn = skew[i] * follows * free
            row_vanna = -phi * d2 / sigma * ratio * free
            row_vomma = own * d1 * d2 / sigma * free
            price += n * (f * cdf - strike_leg - (0.0 if call else f - strike[i]))
            delta += n * (ratio * (cdf if call else cdf - 1.0) + row_vega * turn)
            bend = row_vanna * 2.0 * turn + row_vomma * turn * turn - row_vega * turn * follows
            gamma += n * (ratio * ratio * phi * inverse / f + bend)
            vega += n * row_vega
            theta -= n * own * sigma * ageing
            vanna += n * (row_vanna + row_vomma * turn)
            charm += n * (ratio * phi * d2 * ageing - row_vega * (1.0 + d1 * d2) * ageing * turn)
            vomma += n * row_vomma
        out[0, path] += price
        out[1, path] += delta
        out[2, path] += gamma
        out[3, path] += vega
        out[4, path] += theta
        out[5, path] += vanna
        out[6, path] += charm
        out[7, path] += vomma


def delta_plain(rows: FloatArray, positions: FloatArray, log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The sums of :func:`delta_kernel` in NumPy: (lanes, paths) each, for parity tests."""
    from tailwag.kernels.black_plain import normal_cdf, normal_density

    strike, root, vol, skew = rows[:, :, None]
    raw = vol + skew * np.clip(log_price, -SKEW_REACH_LOG, SKEW_REACH_LOG) + vol_shift
    w = np.maximum(raw, VOL_FLOOR) * root
    d1 = (log_price - strike) / w + 0.5 * w
    turn = skew * ((raw > VOL_FLOOR) & (np.abs(log_price) < SKEW_REACH_LOG))
    gradient = normal_density(d1) * (1.0 - turn * (d1 - w) * root) / w
    return positions[:, :-1] @ normal_cdf(d1) + positions[:, -1:], positions[:, :-1] @ gradient
