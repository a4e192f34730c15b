"""Implied volatility to machine accuracy, and a reason wherever a price determines none.

Solved for the total vol w on the logarithm of the out-of-the-money price, or of what it lacks to its upper bound when it is nearer to that
(an in-the-money price first loses its intrinsic value). Both logarithms are smooth in w out to where prices underflow, and have three cheap
derivatives, so that a fourth-order step (Householder's) from a good first guess needs four rounds; whoever needs more gets bisection.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.black import as_columns
from tailwag.kernels.black_blocks import compiled, in_domain
from tailwag.kernels.normal import LN_SQRT_2PI, exponential, inlined, log_ratio, mills_pair
from tailwag.kernels.normal_coefficients import SEED

IV_STATUS = ("ok", "below_intrinsic", "above_cap", "unresolvable")
"""What the second result of :func:`implied_vol` counts into."""
OK, BELOW_INTRINSIC, ABOVE_CAP, UNRESOLVABLE = range(4)

WORST_ERROR = 1e-9  # a vol whose own error, from the rounding of the price alone, may exceed this share is called unresolvable
EPSILON = 2.0**-52
LEAST_PRICE, LEAST_GUESSED = 5e-324, 1e-290
NEARER_TO_CAP = 0.6827  # N(1) - N(-1): below this share of its bound a price lies in the part that mills_pair covers, whatever the strike
TINY, HUGE_POWER = 1e-250, 500  # prices too small for log_ratio are scaled by a power of two first
LIFT, LIFT_LN = 2.0**HUGE_POWER, HUGE_POWER * math.log(2.0)
ROUNDS = 4
BISECTIONS = 2000
BLOCK = 256
DISTANCE, TARGET, GUESS, STEP, CAPPED, LOW, HIGH, NOISE, SHARE = (row * BLOCK for row in range(9))


def implied_vol(
    price_usd: ArrayLike, right: ArrayLike, forward_usd: ArrayLike, strike_usd: ArrayLike, years: ArrayLike
) -> tuple[FloatArray, IntArray]:
    """The vol at which Black-76 gives each price, and how that went: (iv, status), both (n,).

    `iv` is NaN unless the status is "ok" (0, an index into :data:`IV_STATUS`): "below_intrinsic" and "above_cap" prices allow arbitrage (cap:
    forward for a call, strike for a put); "unresolvable" ones do not hold the vol to nine digits in double precision (no time value
    left beside the intrinsic value, at the bound, at expiry), or are no option at all. Prices are undiscounted USD.
    Accuracy: relative 1e-12 out of the money; deep in the money what the price still holds.

    >>> iv, status = implied_vol([2559.74182777, 4999.0, 70000.0], [+1, -1, +1], 60000, 65000, 30 / 365)
    >>> iv.round(9), [IV_STATUS[s] for s in status]
    (array([0.65,  nan,  nan]), ['ok', 'below_intrinsic', 'above_cap'])
    """
    price, side, forward, strike, left = as_columns(price_usd, right, forward_usd, strike_usd, years)
    iv, status = np.empty(price.size), np.empty(price.size, dtype=np.int64)
    _solve(price, side, forward, strike, left, iv, status)
    return iv, status


@inlined
def _first_guess(distance: float, otm: float, shortfall_ln: float, capped: bool, least: float, most: float) -> float:
    """w from the normal model's closed form, or near the bound from the larger tail alone; `otm` is per sqrt(forward strike)."""
    shrink = exponential(-0.5 * distance)
    gap = 1.0 / shrink - shrink
    otm = otm if otm > LEAST_GUESSED * (1.0 + gap) else LEAST_GUESSED * (1.0 + gap)
    straddle = 2.0 * otm + gap
    nu = gap / straddle
    eta = 2.0 * nu / log_ratio(otm + gap, otm) if nu > 1e-4 else 1.0 - nu * nu / 3.0
    root = math.sqrt(eta)
    shape = SEED[6]
    for power in range(5, -1, -1):
        shape = shape * root + SEED[power]
    normal = 1.2533141373155003 * straddle * root * shape  # sqrt(pi/2)
    normal = normal * distance / gap if distance > 1e-6 else normal
    lognormal = normal * (1.0 + normal * normal / 24.0)
    tail = 2.0 * (0.27 - LN_SQRT_2PI - shortfall_ln)
    tail = math.sqrt(tail if tail > 0.25 else 0.25)
    guess = tail + math.sqrt(tail * tail + 2.0 * distance) if capped else lognormal
    guess = guess if guess > least else least
    return guess if guess < most else most


@inlined
def _log_price(distance: float, w: float, capped: bool) -> tuple[float, float]:
    """ln(price) (or of what it lacks to its bound) per sqrt(forward strike), plus ln sqrt(2 pi); and what it has of phi: price/density."""
    a, half = distance / w, 0.5 * w
    low = half - a if capped else a - half
    first, second, slope = mills_pair(low, a + half)
    tails = first + second if capped else w * slope
    return log_ratio(tails, 1.0) - 0.5 * (a * a + half * half), tails


@inlined
def _prepare(q: FloatArray, i: int, price: float, right: float, forward: float, strike: float) -> None:
    """Turn a price into the target of the search, with its bounds and first guess."""
    gap = right * (forward - strike)
    cap = forward if right > 0.0 else strike
    smaller = forward if forward < strike else strike
    otm = price - (gap if gap > 0.0 else 0.0)
    lacking = cap - price
    share = otm / smaller
    capped = share > NEARER_TO_CAP
    wanted = lacking if capped else otm
    wanted = wanted if wanted > 0.0 else smaller  # settled by the status later on: any harmless number will do here
    tiny = wanted < TINY * smaller
    distance = abs(log_ratio(forward, strike))
    ln_wanted = log_ratio(wanted * LIFT if tiny else wanted, smaller) - (LIFT_LN if tiny else 0.0)
    turn = math.sqrt(1.0 + 2.0 * distance)
    least, most = (math.sqrt(2.0 * distance) if capped else 0.0), (1e3 + 2.0 * distance if capped else 1.0 + turn)
    shrunk = exponential(-0.5 * distance)
    q[DISTANCE + i] = distance
    q[TARGET + i] = ln_wanted - 0.5 * distance + LN_SQRT_2PI
    q[GUESS + i] = _first_guess(distance, share * shrunk, ln_wanted, capped, least, most)
    q[CAPPED + i] = 1.0 if capped else 0.0
    q[LOW + i], q[HIGH + i] = least, most
    noise = EPSILON * price
    q[NOISE + i] = (noise if noise > LEAST_PRICE else LEAST_PRICE) / wanted


@inlined
def _round(q: FloatArray, count: int) -> None:
    """One fourth-order step for every option of a block."""
    for i in range(count):
        w, distance, capped = q[GUESS + i], q[DISTANCE + i], q[CAPPED + i] > 0.0
        value, tails = _log_price(distance, w, capped)
        inverse_w = 1.0 / w
        a = distance * inverse_w
        slope = (-1.0 if capped else 1.0) / tails
        newton = (q[TARGET + i] - value) / slope
        curve = a * a * inverse_w - 0.25 * w  # second derivative of the price over its first
        second = curve - slope
        third = second * second - slope * second - 3.0 * a * a * inverse_w * inverse_w - 0.25
        step = newton * (1.0 + 0.5 * second * newton) / (1.0 + newton * (second + third * newton / 6.0))
        moved = w + step
        moved = moved if moved > 0.3 * w else 0.3 * w
        moved = moved if moved < 3.0 * w else 3.0 * w
        moved = moved if moved > q[LOW + i] else q[LOW + i]
        moved = moved if moved < q[HIGH + i] else q[HIGH + i]
        q[STEP + i] = abs(moved - w) * inverse_w
        q[SHARE + i] = tails * inverse_w
        q[GUESS + i] = moved


@inlined
def _bisected(q: FloatArray, i: int) -> float:
    """The slow and certain way."""
    low, high, capped = float(q[LOW + i]), float(q[HIGH + i]), q[CAPPED + i] > 0.0
    for _ in range(BISECTIONS):
        middle = math.sqrt(low * high) if low > 0.0 else 1e-3 * high
        value, _ = _log_price(q[DISTANCE + i], middle, capped)
        if (value < q[TARGET + i]) != capped:
            low = middle
        else:
            high = middle
        if low > 0.0 and high - low <= EPSILON * high:
            break
    return high


@inlined
def _status(price: float, right: float, forward: float, strike: float, years: float, error: float) -> int:
    """`error`: the relative error that the price's own rounding leaves in the vol."""
    if not in_domain(right, forward, strike, years, 1.0):
        return UNRESOLVABLE
    gap = right * (forward - strike)
    cap = forward if right > 0.0 else strike
    rounding = 4.0 * EPSILON * (forward if forward > strike else strike)
    if price < 0.0 or price < gap - rounding:
        return BELOW_INTRINSIC
    if price > cap + rounding:
        return ABOVE_CAP
    open_ended = price > 0.0 and price > gap and price < cap and years > 0.0
    return OK if open_ended and error <= WORST_ERROR else UNRESOLVABLE


@compiled
def _solve(
    price: FloatArray, right: FloatArray, forward: FloatArray, strike: FloatArray, years: FloatArray, iv: FloatArray, status: IntArray
) -> None:
    q = np.empty(9 * BLOCK)
    for start in range(0, price.size, BLOCK):
        count = min(BLOCK, price.size - start)
        for i in range(count):
            _prepare(q, i, price[start + i], right[start + i], forward[start + i], strike[start + i])
        for _ in range(ROUNDS):
            _round(q, count)
        for i in range(count):
            j = start + i
            if not q[STEP + i] <= 1e-5:
                q[GUESS + i] = _bisected(q, i)
            status[j] = _status(price[j], right[j], forward[j], strike[j], years[j], q[NOISE + i] * q[SHARE + i])
            iv[j] = q[GUESS + i] / math.sqrt(years[j]) if status[j] == OK else np.nan
