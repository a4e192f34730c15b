"""Branch-free logarithm, exponential and normal tails: what numba turns into wide vector code.

Every function takes and returns scalars and is inlined into the loops of its callers. They keep full *relative* accuracy (about 1e-15)
far out in the tails, which a difference of two distribution functions does not: an option 30 standard deviations away has a price, and
a delta, to as many digits as one at the money.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tailwag.kernels.arrays import FloatArray
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
    "LANES",
    "LINE",
    "LN_SQRT_2PI",
    "aligned",
    "exponential",
    "log_of_parts",
    "log_ratio",
    "logarithm",
    "mills",
    "mills_pair",
    "near_mills",
    "near_mills_alone",
    "pair_inverse",
    "pair_places",
    "pair_polynomials",
    "pair_ratios",
    "ratio_parts",
]

# numba's habits for loops that vectorise: no division checks, fused multiply-add and nothing looser, and inlining by LLVM (each function
# keeps its own float rules, so that a caller's licence to reassociate cannot break the rounding tricks below)
inlined = njit(error_model="numpy", fastmath={"contract"}, forceinline=True)

ROUNDING = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer and leaves that integer in the low bits
ROUNDING_BITS = int(np.float64(ROUNDING).view(np.int64))
HALF_BITS = 1 << 51  # half a step of the exponent
EXP_DEGREE, LOG_DEGREE, TAIL_DEGREE = len(EXPONENTIAL) - 1, len(LOGARITHM) - 1, len(TAIL) - 1
LOWEST_EXPONENT = -708.0  # below it e^x is (nearly) no normal number any more: zero
LINE = 8  # numbers in one line of the cache, and in the widest vector: blocks of them come in multiples of four
LANES = 4 * LINE
FourNumbers = tuple[float, float, float, float]


@inlined
def aligned(size: int) -> FloatArray:
    """Room for `size` numbers, from the start of a cache line on: what straddles two lines is read and written twice."""
    room = np.empty(size + LINE)
    skip = -(room.ctypes.data >> 3) & (LINE - 1)
    return room[skip : skip + size]


@inlined
def exponential(x: float) -> float:
    """e^x for x <= 708, and 0 below -708.

    x = n ln 2 + r; the polynomial gives e^r and n goes straight into the exponent's bits.
    """
    clipped = x if x > LOWEST_EXPONENT else LOWEST_EXPONENT
    shifted = clipped * LOG2_E + ROUNDING
    n = shifted - ROUNDING
    r = (clipped - n * LN2_HIGH) - n * LN2_LOW
    square = r * r
    even, odd = EXPONENTIAL[EXP_DEGREE - 1], EXPONENTIAL[EXP_DEGREE]
    for power in range(EXP_DEGREE - 3, -2, -2):
        even = even * square + EXPONENTIAL[power]
        odd = odd * square + EXPONENTIAL[power + 1]
    polynomial = even + r * odd
    fraction = 1.0 + (r + square * polynomial)
    scaled = np.int64(np.float64(fraction).view(np.int64) + (np.float64(shifted).view(np.int64) << np.int64(52))).view(np.float64)
    return scaled if x >= LOWEST_EXPONENT else 0.0


@inlined
def ratio_parts(numerator: float, denominator: float) -> tuple[float, float, float]:
    """(k, difference, sum) such that ln(numerator/denominator) = k ln 2 + 2 atanh(difference/sum), for two positive normal numbers.

    The denominator is scaled by a power of two until the ratio lies between 2/3 and 3/2, where their difference is exact. The bits of a
    positive number, read as an integer, are its logarithm to base two within 9 %: so k takes no division.
    """
    bits = np.float64(numerator).view(np.int64) - np.float64(denominator).view(np.int64)
    k = (bits + HALF_BITS) >> np.int64(52)
    scaled = denominator * np.int64((k + np.int64(1023)) << np.int64(52)).view(np.float64)
    return np.int64(k + ROUNDING_BITS).view(np.float64) - ROUNDING, numerator - scaled, numerator + scaled


@inlined
def log_of_parts(doublings: float, s: float) -> float:
    """doublings ln 2 + 2 atanh(s), for |s| <= 1/5."""
    z = s * s
    polynomial = LOGARITHM[LOG_DEGREE]
    for power in range(LOG_DEGREE - 1, -1, -1):
        polynomial = polynomial * z + LOGARITHM[power]
    return doublings * LN2_HIGH + (doublings * LN2_LOW + 2.0 * (s + s * z * polynomial))


@inlined
def log_ratio(numerator: float, denominator: float) -> float:
    """ln(numerator/denominator) of two positive numbers, to full relative accuracy also where they nearly agree."""
    doublings, difference, total = ratio_parts(numerator, denominator)
    return log_of_parts(doublings, difference / total)


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
    even, odd = TAIL[TAIL_DEGREE - 1], TAIL[TAIL_DEGREE]  # two short chains run side by side where one long one would wait for itself
    for power in range(TAIL_DEGREE - 3, -2, -2):
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
    square = s * s
    even, odd = NEAR[16], NEAR[17]
    for power in range(14, -2, -2):
        even = even * square + NEAR[power]
        odd = odd * square + NEAR[power + 1]
    return (even + s * odd) * (a + NEAR_MIDDLE) * inverse


@inlined
def pair_inverse(low: float, high: float) -> float:
    """The one division that :func:`mills_pair` takes."""
    return 1.0 / ((low + TAIL_SCALE) * (low + TAIL_POLE) * ((high + TAIL_SCALE) * (high + TAIL_POLE)))


@inlined
def pair_places(low: float, high: float, inverse: float) -> tuple[float, float]:
    """Where the two distances lie on the polynomial's axis."""
    low_product, high_product = (low + TAIL_SCALE) * (low + TAIL_POLE), (high + TAIL_SCALE) * (high + TAIL_POLE)
    t_low = (low - TAIL_ZERO) * ((low + TAIL_POLE) * high_product * inverse)
    return t_low, (high - TAIL_ZERO) * ((high + TAIL_POLE) * low_product * inverse)


@inlined
def pair_step(sums: FourNumbers, squares: tuple[float, float], power: int) -> FourNumbers:
    """One step of Horner's scheme, for the polynomial's even and odd halves and for their divided differences, by the square of t."""
    even, odd = sums[0] * squares[0] + TAIL[power], sums[1] * squares[0] + TAIL[power + 1]
    return even, odd, sums[2] * squares[1] + even, sums[3] * squares[1] + odd


@inlined
def pair_sums(sums: FourNumbers, low: float, high: float) -> tuple[float, float]:
    """P(low) and (P(high) - P(low))/(high - low) from the sums before the last step: no difference is ever formed."""
    even, odd = sums[0] * (low * low) + TAIL[0], sums[1] * (low * low) + TAIL[1]
    return even + low * odd, odd + (low + high) * (sums[2] + high * sums[3])


@inlined
def pair_polynomials(t_low: float, t_high: float, u_low: float, u_high: float) -> FourNumbers:
    """P(t_low), (P(t_high) - P(t_low))/(t_high - t_low), and the same of a second pair: it fills the time that the first one's long chain
    of sums spends waiting for itself.
    """
    t_squares, u_squares = (t_low * t_low, t_high * t_high), (u_low * u_low, u_high * u_high)
    t_sums = u_sums = (TAIL[TAIL_DEGREE - 1], TAIL[TAIL_DEGREE], TAIL[TAIL_DEGREE - 1], TAIL[TAIL_DEGREE])
    for power in range(
        TAIL_DEGREE - 3, TAIL_DEGREE // 2, -2
    ):  # in two loops, for a longer one would not be unrolled, nor its callers' vectorised
        t_sums, u_sums = pair_step(t_sums, t_squares, power), pair_step(u_sums, u_squares, power)
    for power in range(TAIL_DEGREE // 2, 0, -2):
        t_sums, u_sums = pair_step(t_sums, t_squares, power), pair_step(u_sums, u_squares, power)
    t_value, t_slope = pair_sums(t_sums, t_low, t_high)
    u_value, u_slope = pair_sums(u_sums, u_low, u_high)
    return t_value, t_slope, u_value, u_slope


@inlined
def pair_ratios(low: float, high: float, inverse: float, value: float, slope: float) -> tuple[float, float, float]:
    """What :func:`mills_pair` returns, from its division and its polynomial."""
    low_product, high_product = (low + TAIL_SCALE) * (low + TAIL_POLE), (high + TAIL_SCALE) * (high + TAIL_POLE)
    low_scale, low_pole = (low + TAIL_POLE) * high_product * inverse, (low + TAIL_SCALE) * high_product * inverse
    high_scale, high_pole = (high + TAIL_POLE) * low_product * inverse, (high + TAIL_SCALE) * low_product * inverse
    per_step = slope * TAIL_SPAN * low_scale * high_scale  # (P(t_high) - P(t_low))/(high - low)
    value_high = value + per_step * (high - low)
    return value * low_pole, value_high * high_pole, (value_high * high_pole - per_step) * low_pole


@inlined
def mills_pair(low: float, high: float) -> tuple[float, float, float]:
    """(R(low), R(high), (R(low) - R(high))/(high - low)) for -1 <= low, high, with nothing lost when the two nearly agree."""
    inverse = pair_inverse(low, high)
    t_low, t_high = pair_places(low, high, inverse)
    value, slope, _, _ = pair_polynomials(t_low, t_high, t_low, t_high)  # one pair twice costs no more than once: nothing is computed anew
    return pair_ratios(low, high, inverse, value, slope)
