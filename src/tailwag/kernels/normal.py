"""Branch-free logarithm, exponential and normal tails: what numba turns into wide vector code.

Every function takes and returns scalars and is inlined into the loops of its callers. They keep full *relative* accuracy (about 1e-15)
far out in the tails, which a difference of two distribution functions does not: an option 30 standard deviations away has a price, and
a delta, to as many digits as one at the money.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tailwag.kernels.normal_coefficients import (
    EXPONENTIAL,
    INVERSE_SQRT_2PI,
    LN2_HIGH,
    LN2_LOW,
    LN_SQRT_2PI,
    LOG2_E,
    LOGARITHM,
    NEAR,
    NEAR_END,
    NEAR_MIDDLE,
    NEAR_POLE,
    TAIL,
    TAIL_POLE,
    TAIL_SCALE,
    TAIL_SPAN,
    TAIL_ZERO,
)

__all__ = [
    "INVERSE_SQRT_2PI",
    "LN_SQRT_2PI",
    "exponential",
    "log_ratio",
    "logarithm",
    "mills",
    "mills_pair",
    "near_mills",
    "near_mills_alone",
]

# numba's habits for loops that vectorise: no division checks, fused multiply-add and nothing looser, and inlining by LLVM (each function
# keeps its own float rules, so that a caller's licence to reassociate cannot break the rounding tricks below)
inlined = njit(error_model="numpy", fastmath={"contract"}, forceinline=True)

ROUNDING = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer and leaves that integer in the low bits
ROUNDING_BITS = int(np.float64(ROUNDING).view(np.int64))
SQRT_HALF_BITS = int(np.float64(0.5**0.5).view(np.int64))
ONE_BITS = int(np.float64(1.0).view(np.int64))
LOWEST_EXPONENT = -708.0  # below it e^x is (nearly) no normal number any more: zero


@inlined
def exponential(x: float) -> float:
    """e^x for x <= 708, and 0 below -708.

    x = n ln 2 + r; the polynomial gives e^r and n goes straight into the exponent's bits.
    """
    clipped = x if x > LOWEST_EXPONENT else LOWEST_EXPONENT
    shifted = clipped * LOG2_E + ROUNDING
    n = shifted - ROUNDING
    r = (clipped - n * LN2_HIGH) - n * LN2_LOW
    polynomial = EXPONENTIAL[10]
    for power in range(9, -1, -1):
        polynomial = polynomial * r + EXPONENTIAL[power]
    fraction = 1.0 + (r + r * r * polynomial)
    scaled = np.int64(np.float64(fraction).view(np.int64) + (np.float64(shifted).view(np.int64) << np.int64(52))).view(np.float64)
    return scaled if x >= LOWEST_EXPONENT else 0.0


@inlined
def log_ratio(numerator: float, denominator: float) -> float:
    """ln(numerator/denominator) of two positive numbers, to full relative accuracy also where they nearly agree.

    The denominator is scaled by a power of two until their difference is exact; then ln = k ln 2 + 2 atanh(difference/sum).
    """
    ratio_bits = np.float64(numerator / denominator).view(np.int64)
    k = (ratio_bits - SQRT_HALF_BITS) >> np.int64(52)
    scaled = denominator * np.int64((k + np.int64(1023)) << np.int64(52)).view(np.float64)
    power_of_two = np.int64(k + ROUNDING_BITS).view(np.float64) - ROUNDING
    s = (numerator - scaled) / (numerator + scaled)
    z = s * s
    polynomial = LOGARITHM[7]
    for power in range(6, -1, -1):
        polynomial = polynomial * z + LOGARITHM[power]
    return power_of_two * LN2_HIGH + (power_of_two * LN2_LOW + 2.0 * (s + s * z * polynomial))


@inlined
def logarithm(x: float) -> float:
    """ln(x) of a positive normal number."""
    return log_ratio(x, 1.0)


@inlined
def mills(a: float) -> float:
    """Mills' ratio Q(a)/phi(a) for a >= -1: the upper tail of the normal distribution over its density."""
    inverse = 1.0 / ((a + TAIL_SCALE) * (a + TAIL_POLE))
    t = (a - TAIL_ZERO) * (a + TAIL_POLE) * inverse
    square = t * t
    even, odd = TAIL[26], TAIL[27]  # two short chains run side by side where one long one would wait for itself
    for power in range(24, -2, -2):
        even = even * square + TAIL[power]
        odd = odd * square + TAIL[power + 1]
    return (even + t * odd) * (a + TAIL_SCALE) * inverse


@inlined
def near_mills(a: float, b: float) -> tuple[float, float]:
    """Mills' ratios of two numbers from 0 to 8.5, held constant beyond, where what they multiply is below 1e-16: enough for sums."""
    a = a if a < NEAR_END else NEAR_END
    b = b if b < NEAR_END else NEAR_END
    a_product, b_product = (a + NEAR_MIDDLE) * (a + NEAR_POLE), (b + NEAR_MIDDLE) * (b + NEAR_POLE)
    inverse = 1.0 / (a_product * b_product)
    a_inverse, b_inverse = b_product * inverse, a_product * inverse
    s, t = (a - NEAR_MIDDLE) * (a + NEAR_POLE) * a_inverse, (b - NEAR_MIDDLE) * (b + NEAR_POLE) * b_inverse
    first = second = NEAR[17]
    for power in range(16, -1, -1):
        first = first * s + NEAR[power]
        second = second * t + NEAR[power]
    return first * (a + NEAR_MIDDLE) * a_inverse, second * (b + NEAR_MIDDLE) * b_inverse


@inlined
def near_mills_alone(a: float) -> float:
    """The first of :func:`near_mills`, where only one distance counts."""
    a = a if a < NEAR_END else NEAR_END
    inverse = 1.0 / ((a + NEAR_MIDDLE) * (a + NEAR_POLE))
    s = (a - NEAR_MIDDLE) * (a + NEAR_POLE) * inverse
    total = NEAR[17]
    for power in range(16, -1, -1):
        total = total * s + NEAR[power]
    return total * (a + NEAR_MIDDLE) * inverse


@inlined
def mills_pair(low: float, high: float) -> tuple[float, float, float]:
    """(R(low), R(high), (R(low) - R(high))/(high - low)) for -1 <= low, high, with nothing lost when the two nearly agree.

    Horner's scheme runs for the polynomial's even and odd halves and for their divided differences, so that no difference is ever formed.
    """
    low_product, high_product = (low + TAIL_SCALE) * (low + TAIL_POLE), (high + TAIL_SCALE) * (high + TAIL_POLE)
    inverse = 1.0 / (low_product * high_product)
    low_scale, low_pole = (low + TAIL_POLE) * high_product * inverse, (low + TAIL_SCALE) * high_product * inverse
    high_scale, high_pole = (high + TAIL_POLE) * low_product * inverse, (high + TAIL_SCALE) * low_product * inverse
    t_low, t_high = (low - TAIL_ZERO) * low_scale, (high - TAIL_ZERO) * high_scale
    low_square, high_square = t_low * t_low, t_high * t_high
    even, odd = TAIL[26], TAIL[27]
    even_slope, odd_slope = even, odd  # by the square of t
    for power in range(24, 0, -2):
        even = even * low_square + TAIL[power]
        odd = odd * low_square + TAIL[power + 1]
        even_slope = even_slope * high_square + even
        odd_slope = odd_slope * high_square + odd
    even = even * low_square + TAIL[0]
    odd = odd * low_square + TAIL[1]
    slope = odd + (t_low + t_high) * (even_slope + t_high * odd_slope)  # by t
    per_step = slope * TAIL_SPAN * low_scale * high_scale  # (P(t_high) - P(t_low))/(high - low)
    value = even + t_low * odd
    value_high = value + per_step * (high - low)
    difference = (value_high * high_pole - per_step) * low_pole
    return value * low_pole, value_high * high_pole, difference
