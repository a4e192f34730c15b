"""The compiled loops behind `black`: a chain in blocks that stay in the fastest cache, three short branch-free passes per block.

Short passes, because a long one runs out of registers; and the rows of a block are parts of ONE flat array at constant offsets, because
loops over separate arrays do not vectorise (each pair might overlap).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.normal import INVERSE_SQRT_2PI, exponential, inlined, log_ratio, mills_pair

compiled = njit(error_model="numpy", fastmath={"contract"}, cache=True, nogil=True)

BLOCK = 128
LEAST_TOTAL_VOL = 1e-30  # below it the limits of vol sqrt(years) -> 0 stand
LEAST_USD, MOST_USD, MOST = 1e-60, 1e60, 1e30

# rows of a block: inputs, what the passes hand on, and the results
RIGHT, FORWARD, STRIKE, YEARS, VOL = (row * BLOCK for row in range(5))
ROOT, W, INVERSE_W, INVERSE_FORWARD, D1, D2, KERNEL, DENSITY = (row * BLOCK for row in range(5, 13))
PRICE, CDF_1, MILLS_2 = (row * BLOCK for row in range(13, 16))
RESULTS = 16
R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12 = (row * BLOCK for row in range(RESULTS, RESULTS + 13))


@inlined
def in_domain(right: float, forward: float, strike: float, years: float, vol: float) -> bool:
    """Whether a row can be priced at all (NaN fails every comparison)."""
    prices = forward >= LEAST_USD and forward <= MOST_USD and strike >= LEAST_USD and strike <= MOST_USD
    return prices and years >= 0.0 and years <= MOST and vol >= 0.0 and vol <= MOST and right * right == 1.0


@inlined
def take_block(q: FloatArray, right: FloatArray, forward: FloatArray, strike: FloatArray, years: FloatArray, vol: FloatArray) -> int:
    """Copy a block's inputs in, and count the rows outside the domain."""
    for i in range(right.size):
        q[RIGHT + i] = right[i]
    for i in range(right.size):
        q[FORWARD + i] = forward[i]
    for i in range(right.size):
        q[STRIKE + i] = strike[i]
    for i in range(right.size):
        q[YEARS + i] = years[i]
    for i in range(right.size):
        q[VOL + i] = vol[i]
    inside = 0
    for i in range(right.size):
        inside += 1 if in_domain(q[RIGHT + i], q[FORWARD + i], q[STRIKE + i], q[YEARS + i], q[VOL + i]) else 0
    return right.size - inside


@inlined
def distances(q: FloatArray, count: int) -> None:
    """d1, d2 and the normal density at d1, which is held at 0 where w = vol sqrt(years) is, so that every derivative vanishes there."""
    for i in range(count):
        forward = q[FORWARD + i]
        root = math.sqrt(q[YEARS + i])
        alive = q[VOL + i] * root > LEAST_TOTAL_VOL
        w = q[VOL + i] * root if alive else LEAST_TOTAL_VOL
        inverse_both = 1.0 / (forward * w)
        inverse_w = forward * inverse_both
        moneyness = log_ratio(forward, q[STRIKE + i]) * inverse_w
        d1 = moneyness + 0.5 * w
        kernel = exponential(-0.5 * d1 * d1) * INVERSE_SQRT_2PI
        q[ROOT + i] = root
        q[W + i] = w
        q[INVERSE_W + i] = inverse_w
        q[INVERSE_FORWARD + i] = w * inverse_both
        q[D1 + i] = d1
        q[D2 + i] = moneyness - 0.5 * w
        q[KERNEL + i] = kernel
        q[DENSITY + i] = forward * kernel if alive else 0.0


@inlined
def tails(q: FloatArray, count: int) -> None:
    """Price, N(right d1), and the Mills ratio that N(d2) is made of; none is a difference that could cancel."""
    for i in range(count):
        right, forward, strike, kernel = q[RIGHT + i], q[FORWARD + i], q[STRIKE + i], q[KERNEL + i]
        below = forward <= strike
        low = -q[D1 + i] if below else q[D2 + i]
        high = -q[D2 + i] if below else q[D1 + i]
        deep = low < -1.0  # so much vol that the difference of the two tails cannot cancel: take them as they are
        mills_low, mills_high, slope = mills_pair(-low if deep else low, high)
        smaller = forward if below else strike
        gap = right * (forward - strike)
        otm_price = smaller - forward * kernel * (mills_low + mills_high) if deep else q[DENSITY + i] * q[W + i] * slope
        q[PRICE + i] = otm_price + (gap if gap > 0.0 else 0.0)
        # the tail in hand is N(d) or N(-d), whichever is small and therefore exact
        tail_1 = kernel * (mills_low if below else mills_high)
        q[CDF_1 + i] = tail_1 if (right > 0.0) == (below and not deep) else 1.0 - tail_1
        q[MILLS_2 + i] = mills_high if below else mills_low


@inlined
def usd_greeks(q: FloatArray, count: int) -> None:
    for i in range(count):
        vol, root, inverse_w, inverse_forward = q[VOL + i], q[ROOT + i], q[INVERSE_W + i], q[INVERSE_FORWARD + i]
        d1, d2, density = q[D1 + i], q[D2 + i], q[DENSITY + i]
        inverse_vol = root * inverse_w
        ageing = -0.5 * vol * (vol * inverse_w) * (vol * inverse_w)  # calendar time acts as a fall of vol: -vol/(2 years)
        vega = density * root
        gamma = density * inverse_w * inverse_forward * inverse_forward
        vanna = -density * inverse_forward * d2 * inverse_vol
        zomma = gamma * (d1 * d2 - 1.0) * inverse_vol
        q[R0 + i] = q[PRICE + i]
        q[R1 + i] = q[RIGHT + i] * q[CDF_1 + i]
        q[R2 + i] = gamma
        q[R3 + i] = vega
        q[R4 + i] = ageing * vega
        q[R5 + i] = -q[YEARS + i] * q[PRICE + i]
        q[R6 + i] = vanna
        q[R7 + i] = ageing * vanna
        q[R8 + i] = vega * d1 * d2 * inverse_vol
        q[R9 + i] = -gamma * inverse_forward * (d1 * inverse_w + 1.0)
        q[R10 + i] = zomma
        q[R11 + i] = ageing * zomma


@inlined
def coin_greeks_of_block(q: FloatArray, count: int) -> None:
    for i in range(count):
        vol, root, inverse_w, inverse_forward = q[VOL + i], q[ROOT + i], q[INVERSE_W + i], q[INVERSE_FORWARD + i]
        d1, d2, n1 = q[D1 + i], q[D2 + i], q[DENSITY + i] * q[INVERSE_FORWARD + i]
        inverse_vol = root * inverse_w
        ageing = -0.5 * vol * (vol * inverse_w) * (vol * inverse_w)
        square = inverse_forward * inverse_forward
        price_coin = q[PRICE + i] * inverse_forward
        below = q[FORWARD + i] <= q[STRIKE + i]
        deep = (-d1 if below else d2) < -1.0
        strike_share = q[STRIKE + i] * inverse_forward
        tail_2 = q[KERNEL + i] * q[MILLS_2 + i]  # strike_share N(d2) or N(-d2), whichever is small: strike_share phi(d2) = phi(d1)
        net_delta = q[RIGHT + i] * (tail_2 if (q[RIGHT + i] > 0.0) == (below or deep) else strike_share - tail_2)
        vega = n1 * root
        vanna = -n1 * d1 * inverse_vol * inverse_forward
        zomma = n1 * inverse_vol * ((d1 * d2 - 1.0) * inverse_w + 2.0 * d1) * square
        q[R0 + i] = price_coin
        q[R1 + i] = net_delta
        q[R2 + i] = net_delta * inverse_forward
        q[R3 + i] = (n1 * inverse_w - 2.0 * net_delta) * square
        q[R4 + i] = vega
        q[R5 + i] = ageing * vega
        q[R6 + i] = -q[YEARS + i] * price_coin
        q[R7 + i] = vanna
        q[R8 + i] = ageing * vanna
        q[R9 + i] = vega * d1 * d2 * inverse_vol
        q[R10 + i] = (6.0 * net_delta - n1 * inverse_w * (5.0 + d2 * inverse_w)) * square * inverse_forward
        q[R11 + i] = zomma
        q[R12 + i] = ageing * zomma


@inlined
def give_block(q: FloatArray, out: FloatArray, start: int, count: int, outside: int) -> None:
    """Copy a block's results out, NaN for the rows outside the domain."""
    for row in range(out.shape[0]):
        results = q[(RESULTS + row) * BLOCK : (RESULTS + row) * BLOCK + count]
        values = out[row, start : start + count]
        for i in range(count):
            values[i] = results[i]
    if outside:
        for i in range(count):
            if not in_domain(q[RIGHT + i], q[FORWARD + i], q[STRIKE + i], q[YEARS + i], q[VOL + i]):
                out[:, start + i] = np.nan


@compiled
def usd_kernel(right: FloatArray, forward: FloatArray, strike: FloatArray, years: FloatArray, vol: FloatArray, out: FloatArray) -> None:
    """Fill `out` (12, n) from the options' columns (n,)."""
    q = np.empty((RESULTS + 12) * BLOCK)
    for start in range(0, right.size, BLOCK):
        stop = min(start + BLOCK, right.size)
        outside = take_block(q, right[start:stop], forward[start:stop], strike[start:stop], years[start:stop], vol[start:stop])
        distances(q, stop - start)
        tails(q, stop - start)
        usd_greeks(q, stop - start)
        give_block(q, out, start, stop - start, outside)


@compiled
def coin_kernel(right: FloatArray, forward: FloatArray, strike: FloatArray, years: FloatArray, vol: FloatArray, out: FloatArray) -> None:
    """Fill `out` (13, n) from the options' columns (n,)."""
    q = np.empty((RESULTS + 13) * BLOCK)
    for start in range(0, right.size, BLOCK):
        stop = min(start + BLOCK, right.size)
        outside = take_block(q, right[start:stop], forward[start:stop], strike[start:stop], years[start:stop], vol[start:stop])
        distances(q, stop - start)
        tails(q, stop - start)
        coin_greeks_of_block(q, stop - start)
        give_block(q, out, start, stop - start, outside)
