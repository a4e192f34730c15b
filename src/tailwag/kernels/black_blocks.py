"""The compiled loops behind `black`: a chain in blocks that stay in the fastest cache, five short branch-free passes per block.

Short passes, because a long one runs out of registers and waits for its own divisions; and the rows of a block are parts of ONE flat array at constant offsets, because
loops over separate arrays do not vectorise (each pair might overlap).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.normal import (
    INVERSE_SQRT_2PI,
    LANES,
    LINE,
    aligned,
    exponential,
    inlined,
    log_of_parts,
    pair_inverse,
    pair_places,
    pair_polynomials,
    pair_ratios,
    ratio_parts,
)

compiled = njit(error_model="numpy", fastmath={"contract"}, cache=True, nogil=True)

BLOCK = 256
HALF, STRIDE = BLOCK // 2, BLOCK + LINE  # rows one power of two apart would all want the same few places of the cache
LEAST_TOTAL_VOL = 1e-30  # below it the limits of vol sqrt(years) -> 0 stand
LEAST_USD, MOST_USD, MOST = 1e-60, 1e60, 1e30
USD_ROWS, COIN_ROWS = 12, 13  # any other number of rows: the common ones only

ROWS = 13
# rows of a block: what the passes hand on, which the results then take the place of
ROOT, W, INVERSE_W, INVERSE_FORWARD, D1, D2, KERNEL, DENSITY, INVERSE, VALUE, SLOPE, T_LOW, T_HIGH = (row * STRIDE for row in range(ROWS))
PRICE, CDF_1, MILLS_2 = INVERSE, VALUE, SLOPE
R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12 = (row * STRIDE for row in range(ROWS))


@inlined
def in_domain(right: float, forward: float, strike: float, years: float, vol: float) -> bool:
    """Whether a row can be priced at all (NaN fails every comparison)."""
    prices = forward >= LEAST_USD and forward <= MOST_USD and strike >= LEAST_USD and strike <= MOST_USD
    return prices and years >= 0.0 and years <= MOST and vol >= 0.0 and vol <= MOST and right * right == 1.0


@inlined
def distances(
    q: FloatArray, right: FloatArray, forward_usd: FloatArray, strike_usd: FloatArray, years: FloatArray, vol: FloatArray, count: int
) -> int:
    """w = vol sqrt(years), d1 and d2; returns how many of the rows can be priced. One division for all: those are what this pass waits for."""
    inside = 0
    for i in range(count):
        forward, strike = forward_usd[i], strike_usd[i]
        inside += 1 if in_domain(right[i], forward, strike, years[i], vol[i]) else 0
        root = math.sqrt(years[i])
        alive = vol[i] * root > LEAST_TOTAL_VOL
        w = vol[i] * root if alive else LEAST_TOTAL_VOL
        doublings, difference, total = ratio_parts(forward, strike)
        both = forward * w
        inverse = 1.0 / (both * total)
        inverse_both = inverse * total
        inverse_w = forward * inverse_both
        moneyness = log_of_parts(doublings, difference * (inverse * both)) * inverse_w
        d1 = moneyness + 0.5 * w
        q[ROOT + i] = root
        q[W + i] = w
        q[INVERSE_W + i] = inverse_w
        q[INVERSE_FORWARD + i] = w * inverse_both
        q[D1 + i] = d1
        q[D2 + i] = moneyness - 0.5 * w
    return inside


@inlined
def ordered(d1: float, d2: float, below: bool) -> tuple[float, float]:
    """The distances whose Mills ratios the price is made of."""
    low, high = (-d1, -d2) if below else (d2, d1)
    # below -1 there is so much vol that the difference of the two tails cannot cancel: they are taken as they are
    return (-low if low < -1.0 else low), high


@inlined
def densities(q: FloatArray, forward_usd: FloatArray, strike_usd: FloatArray, count: int) -> None:
    """phi(d1), held at 0 where w is so that every derivative vanishes there, and where the two distances lie on the axis of Mills' ratio."""
    for i in range(count):
        d1 = q[D1 + i]
        kernel = exponential(-0.5 * d1 * d1) * INVERSE_SQRT_2PI
        low, high = ordered(d1, q[D2 + i], forward_usd[i] <= strike_usd[i])
        inverse = pair_inverse(low, high)
        t_low, t_high = pair_places(low, high, inverse)
        q[KERNEL + i] = kernel
        q[DENSITY + i] = forward_usd[i] * kernel if q[W + i] > LEAST_TOTAL_VOL else 0.0
        q[INVERSE + i] = inverse
        q[T_LOW + i] = t_low
        q[T_HIGH + i] = t_high


@inlined
def polynomials(q: FloatArray, count: int) -> None:
    """The polynomial of Mills' ratio, for the first and the second half of the block side by side."""
    for i in range(min(count, HALF)):
        value, slope, other_value, other_slope = pair_polynomials(q[T_LOW + i], q[T_HIGH + i], q[T_LOW + HALF + i], q[T_HIGH + HALF + i])
        q[VALUE + i] = value
        q[SLOPE + i] = slope
        q[VALUE + HALF + i] = other_value
        q[SLOPE + HALF + i] = other_slope


@inlined
def tails(q: FloatArray, rights: FloatArray, forward_usd: FloatArray, strike_usd: FloatArray, count: int) -> None:
    """Price, N(right d1), and the Mills ratio that N(d2) is made of; none is a difference that could cancel."""
    for i in range(count):
        right, forward, strike, kernel = rights[i], forward_usd[i], strike_usd[i], q[KERNEL + i]
        below = forward <= strike
        deep = (-q[D1 + i] if below else q[D2 + i]) < -1.0
        low, high = ordered(q[D1 + i], q[D2 + i], below)
        mills_low, mills_high, slope = pair_ratios(low, high, q[INVERSE + i], q[VALUE + i], q[SLOPE + i])
        smaller = forward if below else strike
        gap = right * (forward - strike)
        otm_price = smaller - forward * kernel * (mills_low + mills_high) if deep else q[DENSITY + i] * q[W + i] * slope
        q[PRICE + i] = otm_price + (gap if gap > 0.0 else 0.0)
        # the tail in hand is N(d) or N(-d), whichever is small and therefore exact
        tail_1 = kernel * (mills_low if below else mills_high)
        q[CDF_1 + i] = tail_1 if (right > 0.0) == (below and not deep) else 1.0 - tail_1
        q[MILLS_2 + i] = mills_high if below else mills_low


@inlined
def usd_greeks(q: FloatArray, right: FloatArray, years: FloatArray, vols: FloatArray, count: int, every: bool) -> None:
    """All twelve, or the eight without rho, speed, zomma and colour."""
    after_rho = STRIDE if every else 0
    for i in range(count):
        vol, root, inverse_w, inverse_forward = vols[i], q[ROOT + i], q[INVERSE_W + i], q[INVERSE_FORWARD + i]
        d1, d2, density, price, cdf_1 = q[D1 + i], q[D2 + i], q[DENSITY + i], q[PRICE + i], q[CDF_1 + i]
        inverse_vol = root * inverse_w
        ageing = -0.5 * vol * (vol * inverse_w) * (vol * inverse_w)  # calendar time acts as a fall of vol: -vol/(2 years)
        vega = density * root
        gamma = density * inverse_w * inverse_forward * inverse_forward
        vanna = -density * inverse_forward * d2 * inverse_vol
        q[R0 + i] = price
        q[R1 + i] = right[i] * cdf_1
        q[R2 + i] = gamma
        q[R3 + i] = vega
        q[R4 + i] = ageing * vega
        q[R5 + after_rho + i] = vanna
        q[R6 + after_rho + i] = ageing * vanna
        q[R7 + after_rho + i] = vega * d1 * d2 * inverse_vol
        if every:
            zomma = gamma * (d1 * d2 - 1.0) * inverse_vol
            q[R5 + i] = -years[i] * price
            q[R9 + i] = -gamma * inverse_forward * (d1 * inverse_w + 1.0)
            q[R10 + i] = zomma
            q[R11 + i] = ageing * zomma


@inlined
def coin_greeks_of_block(
    q: FloatArray, rights: FloatArray, forward_usd: FloatArray, strike_usd: FloatArray, years: FloatArray, vols: FloatArray, count: int
) -> None:
    for i in range(count):
        right, forward, strike = rights[i], forward_usd[i], strike_usd[i]
        vol, root, inverse_w, inverse_forward = vols[i], q[ROOT + i], q[INVERSE_W + i], q[INVERSE_FORWARD + i]
        d1, d2, n1 = q[D1 + i], q[D2 + i], q[DENSITY + i] * q[INVERSE_FORWARD + i]
        inverse_vol = root * inverse_w
        ageing = -0.5 * vol * (vol * inverse_w) * (vol * inverse_w)
        square = inverse_forward * inverse_forward
        price_coin = q[PRICE + i] * inverse_forward
        below = forward <= strike
        deep = (-d1 if below else d2) < -1.0
        strike_share = strike * inverse_forward
        tail_2 = q[KERNEL + i] * q[MILLS_2 + i]  # strike_share N(d2) or N(-d2), whichever is small: strike_share phi(d2) = phi(d1)
        net_delta = right * (tail_2 if (right > 0.0) == (below or deep) else strike_share - tail_2)
        vega = n1 * root
        vanna = -n1 * d1 * inverse_vol * inverse_forward
        zomma = n1 * inverse_vol * ((d1 * d2 - 1.0) * inverse_w + 2.0 * d1) * square
        q[R0 + i] = price_coin
        q[R1 + i] = net_delta
        q[R2 + i] = net_delta * inverse_forward
        q[R3 + i] = (n1 * inverse_w - 2.0 * net_delta) * square
        q[R4 + i] = vega
        q[R5 + i] = ageing * vega
        q[R6 + i] = -years[i] * price_coin
        q[R7 + i] = vanna
        q[R8 + i] = ageing * vanna
        q[R9 + i] = vega * d1 * d2 * inverse_vol
        q[R10 + i] = (6.0 * net_delta - n1 * inverse_w * (5.0 + d2 * inverse_w)) * square * inverse_forward
        q[R11 + i] = zomma
        q[R12 + i] = ageing * zomma


@compiled
def block_kernel(
    q: FloatArray,
    right: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    vol: FloatArray,
    out: FloatArray,
    start: int,
    count: int,
) -> None:
    """Fill columns start to start + count of `out`; the inputs may go on to a full set of lanes."""
    lanes = right.size
    inside = distances(q, right, forward, strike, years, vol, lanes)
    densities(q, forward, strike, lanes)
    polynomials(q, lanes)
    tails(q, right, forward, strike, lanes)
    if out.shape[0] == COIN_ROWS:
        coin_greeks_of_block(q, right, forward, strike, years, vol, lanes)
    elif out.shape[0] == USD_ROWS:
        usd_greeks(q, right, years, vol, lanes, True)
    else:
        usd_greeks(q, right, years, vol, lanes, False)
    for row in range(out.shape[0]):
        results, values = q[row * STRIDE : row * STRIDE + count], out[row, start : start + count]
        for i in range(count):
            values[i] = results[i]
    if inside < lanes:
        for i in range(count):
            if not in_domain(right[i], forward[i], strike[i], years[i], vol[i]):
                out[:, start + i] = np.nan


@inlined
def lengthen(spare: FloatArray, column: int, values: FloatArray) -> None:
    """Copy a column's last values into the spare block."""
    for i in range(values.size):
        spare[column * BLOCK + i] = values[i]


@compiled
def greeks_kernel(right: FloatArray, forward: FloatArray, strike: FloatArray, years: FloatArray, vol: FloatArray, out: FloatArray) -> None:
    """Fill `out` from the options' columns (n,): 8 or 12 rows of USD greeks, or 13 of coin greeks.

    The last, shorter block is lengthened by ones to a full set of vector lanes, because what is left over of a set is priced one by one.
    """
    q = aligned(ROWS * STRIDE)
    whole = right.size // BLOCK * BLOCK
    for start in range(0, whole, BLOCK):
        stop = start + BLOCK
        block_kernel(q, right[start:stop], forward[start:stop], strike[start:stop], years[start:stop], vol[start:stop], out, start, BLOCK)
    count = right.size - whole
    if count:
        spare, lanes = np.ones(5 * BLOCK), (count + LANES - 1) // LANES * LANES
        lengthen(spare, 0, right[whole:])
        lengthen(spare, 1, forward[whole:])
        lengthen(spare, 2, strike[whole:])
        lengthen(spare, 3, years[whole:])
        lengthen(spare, 4, vol[whole:])
        block_kernel(
            q,
            spare[:lanes],
            spare[BLOCK : BLOCK + lanes],
            spare[2 * BLOCK : 2 * BLOCK + lanes],
            spare[3 * BLOCK : 3 * BLOCK + lanes],
            spare[4 * BLOCK : 4 * BLOCK + lanes],
            out,
            whole,
            count,
        )
