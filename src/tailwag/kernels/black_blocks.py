"""The compiled loops behind `black`: a chain in blocks that stay in the fastest cache, one branch-free pass per block."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.normal import INVERSE_SQRT_2PI, exponential, inlined, log_ratio, mills_pair

compiled = njit(error_model="numpy", fastmath={"contract"}, cache=True, nogil=True)

BLOCK = 256  # options at a time; a block is ONE flat array with constant row offsets, else the loop would not vectorise
INPUTS = 5  # rows of a block: right, forward, strike, years, vol; the results follow
LEAST_TOTAL_VOL = 1e-30  # below it the limits of vol sqrt(years) -> 0 stand
LEAST_USD, MOST_USD, MOST = 1e-60, 1e60, 1e30


@inlined
def parts(right: float, forward: float, strike: float, years: float, vol: float) -> tuple[float, ...]:
    """What all greeks are made of: price, N(right d1), N(right d2), forward phi(d1), d1, d2, 1/w, 1/forward, sqrt(years).

    The density is 0 where w = vol sqrt(years) is, so that every derivative vanishes there.
    """
    root = math.sqrt(years)
    alive = vol * root > LEAST_TOTAL_VOL
    w = vol * root if alive else LEAST_TOTAL_VOL
    inverse_both = 1.0 / (forward * w)
    inverse_w = forward * inverse_both
    moneyness = log_ratio(forward, strike) * inverse_w
    half = 0.5 * w
    d1, d2 = moneyness + half, moneyness - half
    high = abs(moneyness) + half
    low = abs(moneyness) - half
    deep = low < -1.0  # so much vol that the difference of the two tails cannot cancel: take them as they are
    mills_low, mills_high, slope = mills_pair(-low if deep else low, high)
    kernel = exponential(-0.5 * d1 * d1) * INVERSE_SQRT_2PI
    density = forward * kernel
    smaller = forward if forward < strike else strike
    gap = right * (forward - strike)
    otm_price = smaller - density * (mills_low + mills_high) if deep else density * w * slope
    price = (otm_price if alive else 0.0) + (gap if gap > 0.0 else 0.0)
    below = forward <= strike
    tail_1 = kernel * (mills_low if below else mills_high)
    tail_2 = density / strike * (mills_high if below else mills_low)
    # the tail in hand is N(d) or N(-d), whichever is small and therefore exact
    cdf_1 = tail_1 if (right > 0.0) == (below and not deep) else 1.0 - tail_1
    cdf_2 = tail_2 if (right > 0.0) == (below or deep) else 1.0 - tail_2
    return price, cdf_1, cdf_2, (density if alive else 0.0), d1, d2, inverse_w, w * inverse_both, root


@inlined
def in_domain(right: float, forward: float, strike: float, years: float, vol: float) -> bool:
    """Whether a row can be priced at all (NaN fails every comparison)."""
    prices = forward >= LEAST_USD and forward <= MOST_USD and strike >= LEAST_USD and strike <= MOST_USD
    return prices and years >= 0.0 and years <= MOST and vol >= 0.0 and vol <= MOST and right * right == 1.0


@inlined
def take_block(q: FloatArray, rows: FloatArray, start: int, count: int) -> int:
    """Copy a block's inputs in; rows outside the domain are replaced by a harmless option and counted."""
    for row in range(INPUTS):
        for i in range(count):
            q[row * BLOCK + i] = rows[row, start + i]
    outside = 0
    for i in range(count):
        outside += 0 if in_domain(q[i], q[BLOCK + i], q[2 * BLOCK + i], q[3 * BLOCK + i], q[4 * BLOCK + i]) else 1
    if outside:
        for i in range(count):
            if not in_domain(q[i], q[BLOCK + i], q[2 * BLOCK + i], q[3 * BLOCK + i], q[4 * BLOCK + i]):
                for row in range(INPUTS):
                    q[row * BLOCK + i] = 1.0
    return outside


@inlined
def give_block(q: FloatArray, rows: FloatArray, start: int, count: int, outside: int, out: FloatArray) -> None:
    """Copy a block's results out, NaN for the rows outside the domain."""
    for row in range(out.shape[0]):
        for i in range(count):
            out[row, start + i] = q[(row + INPUTS) * BLOCK + i]
    if outside:
        for i in range(start, start + count):
            if not in_domain(rows[0, i], rows[1, i], rows[2, i], rows[3, i], rows[4, i]):
                out[:, i] = np.nan


@inlined
def usd_block(q: FloatArray, count: int) -> None:
    for i in range(count):
        right, years, vol = q[i], q[3 * BLOCK + i], q[4 * BLOCK + i]
        price, cdf, _, density, d1, d2, inverse_w, inverse_forward, root = parts(right, q[BLOCK + i], q[2 * BLOCK + i], years, vol)
        inverse_vol = root * inverse_w
        ageing = -0.5 * vol * (vol * inverse_w) * (vol * inverse_w)  # calendar time acts as a fall of vol: -vol/(2 years)
        vega = density * root
        gamma = density * inverse_w * inverse_forward * inverse_forward
        vanna = -density * inverse_forward * d2 * inverse_vol
        zomma = gamma * (d1 * d2 - 1.0) * inverse_vol
        q[5 * BLOCK + i] = price
        q[6 * BLOCK + i] = right * cdf
        q[7 * BLOCK + i] = gamma
        q[8 * BLOCK + i] = vega
        q[9 * BLOCK + i] = ageing * vega
        q[10 * BLOCK + i] = -years * price
        q[11 * BLOCK + i] = vanna
        q[12 * BLOCK + i] = ageing * vanna
        q[13 * BLOCK + i] = vega * d1 * d2 * inverse_vol
        q[14 * BLOCK + i] = -gamma * inverse_forward * (d1 * inverse_w + 1.0)
        q[15 * BLOCK + i] = zomma
        q[16 * BLOCK + i] = ageing * zomma


@inlined
def coin_block(q: FloatArray, count: int) -> None:
    for i in range(count):
        right, strike, years, vol = q[i], q[2 * BLOCK + i], q[3 * BLOCK + i], q[4 * BLOCK + i]
        price, _, cdf, density, d1, d2, inverse_w, inverse_forward, root = parts(right, q[BLOCK + i], strike, years, vol)
        inverse_vol = root * inverse_w
        ageing = -0.5 * vol * (vol * inverse_w) * (vol * inverse_w)
        price_coin = price * inverse_forward
        net_delta = right * cdf * strike * inverse_forward
        n1 = density * inverse_forward  # phi(d1) = (strike/forward) phi(d2)
        square = inverse_forward * inverse_forward
        vega = n1 * root
        vanna = -n1 * d1 * inverse_vol * inverse_forward
        zomma = n1 * inverse_vol * ((d1 * d2 - 1.0) * inverse_w + 2.0 * d1) * square
        q[5 * BLOCK + i] = price_coin
        q[6 * BLOCK + i] = net_delta
        q[7 * BLOCK + i] = net_delta * inverse_forward
        q[8 * BLOCK + i] = (n1 * inverse_w - 2.0 * net_delta) * square
        q[9 * BLOCK + i] = vega
        q[10 * BLOCK + i] = ageing * vega
        q[11 * BLOCK + i] = -years * price_coin
        q[12 * BLOCK + i] = vanna
        q[13 * BLOCK + i] = ageing * vanna
        q[14 * BLOCK + i] = vega * d1 * d2 * inverse_vol
        q[15 * BLOCK + i] = (6.0 * net_delta - n1 * inverse_w * (5.0 + d2 * inverse_w)) * square * inverse_forward
        q[16 * BLOCK + i] = zomma
        q[17 * BLOCK + i] = ageing * zomma


@compiled
def usd_kernel(rows: FloatArray, out: FloatArray) -> None:
    """Fill `out` (12, n) from `rows` (5, n)."""
    q = np.empty(17 * BLOCK)
    for start in range(0, rows.shape[1], BLOCK):
        count = min(BLOCK, rows.shape[1] - start)
        outside = take_block(q, rows, start, count)
        usd_block(q, count)
        give_block(q, rows, start, count, outside, out)


@compiled
def coin_kernel(rows: FloatArray, out: FloatArray) -> None:
    """Fill `out` (13, n) from `rows` (5, n)."""
    q = np.empty(18 * BLOCK)
    for start in range(0, rows.shape[1], BLOCK):
        count = min(BLOCK, rows.shape[1] - start)
        outside = take_block(q, rows, start, count)
        coin_block(q, count)
        give_block(q, rows, start, count, outside, out)
