"""What up to eight option books are worth, and what they pay, on every path: each option's normal tails are computed once for all books."""

from __future__ import annotations

import math

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.netdelta import SKEW_REACH_LOG, VOL_FLOOR, summed
from tailwag.kernels.normal import INVERSE_SQRT_2PI, exponential, near_mills

__all__ = ["pay", "value_books"]


@summed
def value_books(
    rows: FloatArray, positions: FloatArray, puts: FloatArray, log_price: FloatArray, vol_shift: FloatArray, out: FloatArray
) -> None:
    """Fill out (lanes, paths) with undiscounted values in USD.

    `rows` (5, m): strike, ln(strike/forward at the start), root of the time left, vol, skew; `positions` (lanes, m) as calls, of which `puts` are puts:
    a put is its call less forward plus strike.
    """
    lanes, count = positions.shape
    strike, log_strike, root, vol, skew = rows[0], rows[1], rows[2], rows[3], rows[4]  # unpacked at once they would be read as if strided
    call, steady, rising = np.empty(count), np.zeros(lanes), np.zeros(lanes)
    for lane in range(lanes):
        for i in range(count):
            steady[lane] += puts[lane, i] * strike[i]
            rising[lane] += puts[lane, i] * strike[i] * math.exp(-log_strike[i])
    for path in range(log_price.size):
        x, shift = log_price[path], vol_shift[path]
        inside = min(max(x, -SKEW_REACH_LOG), SKEW_REACH_LOG)
        for i in range(count):
            raw = vol[i] + skew[i] * inside + shift
            w = (raw if raw > VOL_FLOOR else VOL_FLOOR) * root[i]
            moneyness = (x - log_strike[i]) / w
            d1, d2 = moneyness + 0.5 * w, moneyness - 0.5 * w
            phi = exponential(-0.5 * d1 * d1) * INVERSE_SQRT_2PI
            mills_1, mills_2 = near_mills(abs(d1), abs(d2))
            forward = strike[i] * exponential(x - log_strike[i])
            tail_1, tail_2 = forward * phi * mills_1, forward * phi * mills_2
            call[i] = (forward - tail_1 if d1 > 0.0 else tail_1) - (strike[i] - tail_2 if d2 > 0.0 else tail_2)
        spot_share = math.exp(x)
        for lane in range(lanes):
            total = 0.0
            for i in range(count):
                total += positions[lane, i] * call[i]
            out[lane, path] = total + steady[lane] - rising[lane] * spot_share


@summed
def pay(right: IntArray, strike: FloatArray, contracts: FloatArray, price: FloatArray, out: FloatArray) -> None:
    """Add to out (paths,) what the holder of these options receives at a price (paths,): contracts * max(right (price - strike), 0)."""
    for i in range(strike.size):
        side, k, n = float(right[i]), strike[i], contracts[i]
        for path in range(price.size):
            gain = side * (price[path] - k)
            out[path] += n * gain if gain > 0.0 else 0.0
