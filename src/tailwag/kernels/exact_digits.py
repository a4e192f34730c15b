"""Numbers as digits of one long integer: sums of them are exact, and so the same in any order.

A double is cut into 32-bit digits of a fixed-point integer with the unit 2^-288; what lies below the unit is cut off. The idea is Kulisch's
long accumulator.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tailwag.kernels.arrays import FloatArray, IntArray

__all__ = ["DIGITS", "DIGIT_BITS", "UNIT_BITS", "digit_sums", "digit_sums_plain"]

UNIT_BITS = 288
DIGIT_BITS = 32
DIGITS = 16

_MASK = (1 << DIGIT_BITS) - 1
_FRACTION_BITS = 52
_BIAS = 1023 + _FRACTION_BITS


@njit(error_model="numpy", fastmath=False, nogil=True, cache=True)
def digit_sums(values: FloatArray) -> IntArray:
    """Sums of the digits of every row of ``values`` (rows, numbers), lowest first: (rows, DIGITS).

    Digits of negative numbers are negative.  The caller sees to it that numbers are finite, below 2^170, and fewer than 2^30 in all.
    """
    rows, count = values.shape
    out = np.zeros((rows, DIGITS), dtype=np.int64)
    for row in range(rows):
        for column in range(count):
            bits = np.float64(values[row, column]).view(np.int64)
            exponent = (bits >> _FRACTION_BITS) & 2047
            place = np.int64(exponent - _BIAS + UNIT_BITS)
            if exponent == 0 or place <= -53:
                continue
            mantissa = (bits & ((1 << _FRACTION_BITS) - 1)) | (1 << _FRACTION_BITS)
            if place < 0:
                mantissa >>= -place
                place = np.int64(0)
            digit, shift = place >> 5, place & 31
            # the lower 31 bits alone are shifted first, so that nothing reaches the sign bit
            low = (mantissa & 0x7FFFFFFF) << shift
            rest = (mantissa >> 31) << shift
            first = (low & _MASK) + ((rest & 1) << 31)
            above = (low >> 32) + (rest >> 1) + (first >> 32)
            sign = 1 if bits >= 0 else -1
            out[row, digit] += sign * (first & _MASK)
            out[row, digit + 1] += sign * (above & _MASK)
            out[row, digit + 2] += sign * (above >> 32)
    return out


def digit_sums_plain(values: FloatArray) -> IntArray:
    """The plain twin of :func:`digit_sums`, in Python's own integers."""
    out = np.zeros((len(values), DIGITS), dtype=np.int64)
    for row, numbers in enumerate(values.tolist()):
        for number in numbers:
            numerator, denominator = abs(number).as_integer_ratio()
            units = (numerator << UNIT_BITS) // denominator
            for place in range(DIGITS):
                out[row, place] += (-1 if number < 0 else 1) * ((units >> (DIGIT_BITS * place)) & _MASK)
    return out
