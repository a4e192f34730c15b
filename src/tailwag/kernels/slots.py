"""Options whose strike, expiry and size differ from path to path: each path's sum over the few that one agent holds.

Arrays of options are (slots, paths).  Every path is summed by itself, in the order of its slots.  F = S and x = ln(S/K); the vol of an option is
max(iv - skew x + shift, floor) with x held at +-0.5 beyond.
"""

from __future__ import annotations

import math

from numba import njit

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.netdelta import LEAST_YEARS, SKEW_REACH_LOG, VOL_FLOOR, held
from tailwag.kernels.normal import INVERSE_SQRT_2PI, exponential, inlined, near_mills, near_mills_alone

__all__ = ["SAME_YEARS", "option_years", "slot_delta_kernel", "slot_greeks_kernel"]

SAME_YEARS = 1e-12
"""Times nearer than this (thirty microseconds) are the same."""

stepwise = njit(error_model="numpy", fastmath={"contract"}, cache=True, nogil=True)


@inlined
def option_years(expiry_step: int, now_years: float, years: FloatArray) -> float:
    """Years left to the grid time of an expiry; beyond the grid the last step goes on."""
    last = years.size - 1
    if expiry_step <= last:
        return float(years[expiry_step] - now_years)
    return float(years[last] + (expiry_step - last) * (years[last] - years[last - 1]) - now_years)


@inlined
def _vol(x: float, shift: float, iv: float, skew: float) -> tuple[float, float]:
    """An option's vol, and its derivative by ln S (0 where it is floored or its skew has ended)."""
    raw = iv - skew * held(x) + shift
    if raw <= VOL_FLOOR:
        return VOL_FLOOR, 0.0
    return raw, -skew if abs(x) < SKEW_REACH_LOG else 0.0


@stepwise
def slot_greeks_kernel(
    options: tuple[FloatArray, FloatArray, FloatArray, FloatArray, IntArray],
    clock: tuple[float, FloatArray],
    terms: tuple[float, float, float],
    spot_usd: FloatArray,
    vol_shift: FloatArray,
    out: FloatArray,
) -> None:
    """Add value and greeks by spot to `out` (8, paths).

    `options`: coin, right, strike, running average, expiry step; `clock`: now in years, the grid's years; `terms`: iv, skew, length of the
    settlement average in years (0: none).
    """
    coin, right, strike, average, expiry_step = options
    now, years = clock
    iv, skew, window = terms
    for path in range(spot_usd.size):
        s, shift = spot_usd[path], vol_shift[path]
        for i in range(coin.shape[0]):
            n = coin[i, path]
            if n == 0.0:
                continue
            k, side = strike[i, path], right[i, path]
            x = math.log(s / k)
            sigma, turn = _vol(x, shift, iv, skew)
            free, per_usd = 1.0 if sigma > VOL_FLOOR else 0.0, turn / s
            tau = option_years(expiry_step[i, path], now, years)
            if window > 0.0 and tau < window - SAME_YEARS:
                left = tau if tau > LEAST_YEARS else LEAST_YEARS
                share = left / window
                sd = s * sigma * math.sqrt(left / 3.0) * share
                away = (1.0 - share) * average[i, path] + share * s - k
                d = away / sd
                phi = exponential(-0.5 * d * d) * INVERSE_SQRT_2PI
                tail = phi * near_mills_alone(abs(d))
                exercised = side * (1.0 - tail if side * d > 0.0 else tail)
                ageing = 1.5 / left
                value = away * exercised + sd * phi
                price = value if value > 0.0 else 0.0
                delta, gamma = share * exercised, share * share * phi / sd
                vega = sd * phi / sigma * free
                theta = -ageing * sd * phi
                vanna, vomma = -share * phi * d / sigma * free, sd * phi * d * d / (sigma * sigma) * free
                charm = share * phi * d * ageing - exercised / window
                fading = -ageing * (vega + vomma * sigma)
            else:
                left = tau - window * (2.0 / 3.0)
                left = left if left > LEAST_YEARS else LEAST_YEARS
                root = math.sqrt(left)
                w = sigma * root
                inverse = 1.0 / w
                d1, d2 = x * inverse + 0.5 * w, x * inverse - 0.5 * w
                phi = exponential(-0.5 * d1 * d1) * INVERSE_SQRT_2PI
                mills_1, mills_2 = near_mills(abs(d1), abs(d2))
                # beyond the strike the tails are those of the put, so that what is out of the money keeps its digits
                cdf = 1.0 - phi * mills_1 if d1 > 0.0 else phi * mills_1
                strike_leg = k - s * phi * mills_2 if d2 > 0.0 else s * phi * mills_2
                own, half = s * phi * root, 0.5 / left
                value = s * cdf - strike_leg - (0.0 if side > 0.0 else s - k)
                price = value if value > 0.0 else 0.0
                delta, gamma = cdf - (0.0 if side > 0.0 else 1.0), phi * inverse / s
                vega, theta = own * free, -own * sigma * half
                vanna, vomma = -phi * d2 / sigma * free, own * d1 * d2 / sigma * free
                charm = phi * d2 * half
                fading = -vega * (1.0 + d1 * d2) * half
            out[0, path] += n * price
            out[1, path] += n * (delta + vega * per_usd)
            out[2, path] += n * (gamma + 2.0 * vanna * per_usd + vomma * per_usd * per_usd - vega * per_usd / s)
            out[3, path] += n * vega
            out[4, path] += n * theta
            out[5, path] += n * (vanna + vomma * per_usd)
            out[6, path] += n * (charm + fading * per_usd)
            out[7, path] += n * vomma


@stepwise
def slot_delta_kernel(
    options: tuple[FloatArray, FloatArray, FloatArray, FloatArray, IntArray],
    clock: tuple[float, FloatArray],
    terms: tuple[float, float, float],
    spot_usd: FloatArray,
    vol_shift: FloatArray,
    out: FloatArray,
) -> None:
    """Add what a delta hedger is short of, and its slope by ln S, to `out` (2, paths): coin N(d1), inside the settlement window its share of it."""
    coin, right, strike, average, expiry_step = options
    now, years = clock
    iv, skew, window = terms
    for path in range(spot_usd.size):
        s, shift = spot_usd[path], vol_shift[path]
        for i in range(coin.shape[0]):
            n = coin[i, path]
            if n == 0.0:
                continue
            k = strike[i, path]
            x = math.log(s / k)
            sigma, turn = _vol(x, shift, iv, skew)
            tau = option_years(expiry_step[i, path], now, years)
            share, steepness = 1.0, 0.0
            if window > 0.0 and tau < window - SAME_YEARS:
                left = tau if tau > LEAST_YEARS else LEAST_YEARS
                share = left / window
                sd = sigma * math.sqrt(left / 3.0) * share * s
                d = ((1.0 - share) * average[i, path] + share * s - k) / sd
                steepness = share * s / sd - d * (1.0 + turn / sigma)
            else:
                left = tau - window * (2.0 / 3.0)
                left = left if left > LEAST_YEARS else LEAST_YEARS
                root = math.sqrt(left)
                w = sigma * root
                d = x / w + 0.5 * w
                steepness = (1.0 - turn * (d - w) * root) / w
            phi = exponential(-0.5 * d * d) * INVERSE_SQRT_2PI
            tail = phi * near_mills_alone(abs(d))
            cdf = 1.0 - tail if d > 0.0 else tail
            out[0, path] += n * share * (cdf - (0.0 if right[i, path] > 0.0 else 1.0))
            out[1, path] += n * share * phi * steepness
