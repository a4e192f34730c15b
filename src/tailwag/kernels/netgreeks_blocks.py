"""The compiled loops behind `netgreeks`: all options of a block at one spot and one vol shift, summed as they are priced."""

from __future__ import annotations

import math

from numba import njit

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.normal import INVERSE_SQRT_2PI, LANES, LINE, aligned, exponential, inlined, log_ratio, near_mills, near_mills_alone

BLOCK = 512
STRIDE = BLOCK + LINE  # rows of one multiple of 4 kB would all want the same few places of the cache
LEAST_VOL = 1e-4
EXPIRED = 1e30  # stands in for 1/w at years = 0: every distance to the strike is infinitely many standard deviations

# a sum may be taken in eight lanes (reassoc); what is inlined keeps its own, strict rules
summed = njit(error_model="numpy", fastmath={"contract", "reassoc", "nsz"}, cache=True, nogil=True)

# rows of the flat block
X, FORWARD, YEARS, ROOT, POSITION, P_FORWARD, P_STRIKE, P_VEGA, P_CHARM = (row * STRIDE for row in range(9))
INVERSE_W, HALF_W, P_GAMMA, P_VANNA, INVERSE_VOL, AGEING = (row * STRIDE for row in range(9, 15))
ROWS = 15


@inlined
def static_rows(q: FloatArray, rows: FloatArray, start: int, count: int, lanes: int) -> None:
    """What depends on the options alone. `rows`: forward, strike, years, position; nothing is held of the rows that fill the last lanes."""
    for i in range(count):
        q[FORWARD + i] = rows[0, start + i]
        q[P_STRIKE + i] = rows[1, start + i]
        q[YEARS + i] = rows[2, start + i]
        q[POSITION + i] = rows[3, start + i]
    for i in range(count, lanes):
        q[FORWARD + i] = q[P_STRIKE + i] = q[YEARS + i] = 1.0
        q[POSITION + i] = 0.0
    for i in range(lanes):
        root = math.sqrt(q[YEARS + i])
        p_forward = q[POSITION + i] * q[FORWARD + i]
        q[X + i] = log_ratio(q[FORWARD + i], q[P_STRIKE + i])
        q[P_STRIKE + i] = q[POSITION + i] * q[P_STRIKE + i]
        q[ROOT + i] = root
        q[P_FORWARD + i] = p_forward
        q[P_VEGA + i] = p_forward * root
        q[P_CHARM + i] = 0.5 * q[POSITION + i] / q[YEARS + i] if root > 0.0 else 0.0


@inlined
def vol_rows(q: FloatArray, vol: FloatArray, shift: float, lanes: int) -> None:
    """What depends on each option's vol, here shifted and floored."""
    for i in range(vol.size):
        q[INVERSE_VOL + i] = vol[i]
    for i in range(vol.size, lanes):
        q[INVERSE_VOL + i] = 1.0
    for i in range(lanes):
        moved = q[INVERSE_VOL + i] + shift
        sigma = moved if moved > LEAST_VOL else LEAST_VOL
        root = q[ROOT + i]
        alive = root > 0.0
        w = sigma * root
        inverse_w = 1.0 / w if alive else EXPIRED
        inverse_vol = 1.0 / sigma
        q[INVERSE_W + i] = inverse_w
        q[HALF_W + i] = 0.5 * w
        q[P_GAMMA + i] = q[POSITION + i] * inverse_w / q[FORWARD + i] if alive else 0.0
        q[P_VANNA + i] = q[POSITION + i] * inverse_vol if alive else 0.0
        q[INVERSE_VOL + i] = inverse_vol
        q[AGEING + i] = 0.5 * sigma / q[YEARS + i] if alive else 0.0


@summed
def add_block(q: FloatArray, count: int, log_move: float, out: FloatArray) -> None:
    """Add a block's calls, held as its positions say, at forwards moved by `log_move` to `out` (8,)."""
    price = delta = gamma = vega = theta = vanna = charm = vomma = 0.0
    ratio = math.exp(log_move)
    for i in range(count):
        moneyness = (q[X + i] + log_move) * q[INVERSE_W + i]
        d1, d2 = moneyness + q[HALF_W + i], moneyness - q[HALF_W + i]
        density = exponential(-0.5 * d1 * d1) * INVERSE_SQRT_2PI
        mills_1, mills_2 = near_mills(abs(d1), abs(d2))
        tail_1, tail_2 = density * mills_1, density * mills_2
        cdf = 1.0 - tail_1 if d1 > 0.0 else tail_1
        p_forward = q[P_FORWARD + i] * ratio
        strike_leg = q[P_STRIKE + i] - p_forward * tail_2 if d2 > 0.0 else p_forward * tail_2
        p_vega = q[P_VEGA + i] * density
        slope = density * d2
        price += p_forward * cdf - strike_leg
        delta += q[POSITION + i] * cdf
        gamma += q[P_GAMMA + i] * density
        vega += p_vega
        theta += p_vega * q[AGEING + i]
        vanna += q[P_VANNA + i] * slope
        charm += q[P_CHARM + i] * slope
        vomma += p_vega * q[INVERSE_VOL + i] * d1 * d2
    out[0] += price
    out[1] += delta
    out[2] += gamma / ratio
    out[3] += vega * ratio
    out[4] -= theta * ratio
    out[5] -= vanna
    out[6] += charm
    out[7] += vomma * ratio


@summed
def add_block_unpriced(q: FloatArray, count: int, log_move: float, out: FloatArray) -> None:
    """The same without the price, which alone needs a second normal distribution: seven greeks in two thirds of the time."""
    delta = gamma = vega = theta = vanna = charm = vomma = 0.0
    ratio = math.exp(log_move)
    for i in range(count):
        moneyness = (q[X + i] + log_move) * q[INVERSE_W + i]
        d1, d2 = moneyness + q[HALF_W + i], moneyness - q[HALF_W + i]
        density = exponential(-0.5 * d1 * d1) * INVERSE_SQRT_2PI
        tail = density * near_mills_alone(abs(d1))
        p_vega = q[P_VEGA + i] * density
        slope = density * d2
        delta += q[POSITION + i] * (1.0 - tail if d1 > 0.0 else tail)
        gamma += q[P_GAMMA + i] * density
        vega += p_vega
        theta += p_vega * q[AGEING + i]
        vanna += q[P_VANNA + i] * slope
        charm += q[P_CHARM + i] * slope
        vomma += p_vega * q[INVERSE_VOL + i] * d1 * d2
    out[1] += delta
    out[2] += gamma / ratio
    out[3] += vega * ratio
    out[4] -= theta * ratio
    out[5] -= vanna
    out[6] += charm
    out[7] += vomma * ratio


@summed
def net_kernel(
    rows: FloatArray, vol: FloatArray, log_moves: FloatArray, shifts: FloatArray, first: int, last: int, priced: bool, out: FloatArray
) -> None:
    """Add to `out` (v, g, 8) for the spots first <= g < last. `rows` (4, n): forward, strike, years, position; vol (1, n) or (g, n)."""
    q = aligned(ROWS * STRIDE)
    for start in range(0, rows.shape[1], BLOCK):
        count = min(BLOCK, rows.shape[1] - start)
        lanes = (count + LANES - 1) // LANES * LANES
        static_rows(q, rows, start, count, lanes)
        for v in range(shifts.size):
            for g in range(first, last):
                if vol.shape[0] > 1 or g == first:
                    vol_rows(q, vol[g if vol.shape[0] > 1 else 0, start : start + count], shifts[v], lanes)
                if priced:
                    add_block(q, lanes, log_moves[g], out[v, g])
                else:
                    add_block_unpriced(q, lanes, log_moves[g], out[v, g])


@summed
def gamma_kernel(rows: FloatArray, vol: FloatArray, log_moves: FloatArray, out: FloatArray) -> None:
    """Fill `out` (g, n) with each row's own gamma at the moved forwards."""
    q = aligned(ROWS * STRIDE)
    for start in range(0, rows.shape[1], BLOCK):
        count = min(BLOCK, rows.shape[1] - start)
        lanes = (count + LANES - 1) // LANES * LANES
        static_rows(q, rows, start, count, lanes)
        for g in range(log_moves.size):
            if vol.shape[0] > 1 or g == 0:
                vol_rows(q, vol[g if vol.shape[0] > 1 else 0, start : start + count], 0.0, lanes)
            scale = INVERSE_SQRT_2PI * math.exp(-log_moves[g])
            for i in range(count):
                d1 = (q[X + i] + log_moves[g]) * q[INVERSE_W + i] + q[HALF_W + i]
                q[AGEING + i] = exponential(-0.5 * d1 * d1) * q[P_GAMMA + i] * scale
            for i in range(count):
                out[g, start + i] = q[AGEING + i]
