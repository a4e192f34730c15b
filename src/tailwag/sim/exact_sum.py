"""Sums without rounding: the same bits whatever the order, the blocks or the number of threads that added them up.

Every number is cut into 32-bit digits of one long fixed-point integer (unit 2^-288, room up to 2^224), and digits are added as integers;
integer addition commutes, floating-point addition does not. What lies below the unit is cut off number by number, before any adding, so
that it too is lost in the same way in any order. The idea is Kulisch's long accumulator.
"""

from __future__ import annotations

import numpy as np

from tailwag.errors import TailwagError
from tailwag.kernels.arrays import FloatArray, IntArray

UNIT_BITS = 288
DIGIT_BITS = 32
DIGITS = 16
MOST_VALUES = 1 << 19  # per call: the doubles that count digits stay exact integers

_MANTISSA_BITS = 53
_LOW_BITS = 27
_LOW_MASK = (1 << _LOW_BITS) - 1
_DIGIT_MASK = (1 << DIGIT_BITS) - 1
_REST_BITS = DIGIT_BITS - _LOW_BITS
_REST_MASK = (1 << _REST_BITS) - 1


def exact_sums(values: FloatArray) -> IntArray:
    """The sum of every row of ``values`` (rows, numbers), as digits (rows, DIGITS) that may be added to others'.

    Raises TailwagError where a number is not finite or is 2^170 or more in size.

    >>> digits = exact_sums(np.array([[1e16, 1.0, -1e16]]))
    >>> [as_integer(row) / 2**UNIT_BITS for row in digits]
    [1.0]
    """
    if values.shape[1] > MOST_VALUES:
        raise TailwagError(f"at most {MOST_VALUES} numbers a row expected, {values.shape[1]} came; add them up in blocks")
    if not np.isfinite(values).all() or (values.size and float(np.abs(values).max()) >= 2.0**170):
        raise TailwagError("finite numbers below 2^170 expected in a sum over paths; something else came (please report this)")
    mantissa, place = _mantissa_and_place(values)
    digit, shift = place >> 5, place & (DIGIT_BITS - 1)
    low, high = (mantissa & _LOW_MASK) << shift, (mantissa >> _LOW_BITS) << shift
    above = (low >> DIGIT_BITS) + (high >> _REST_BITS)
    first = (low & _DIGIT_MASK) + ((high & _REST_MASK) << _LOW_BITS)
    keys = (digit + np.arange(values.shape[0])[:, None] * DIGITS).ravel()
    parts = (first, above & _DIGIT_MASK, above >> DIGIT_BITS)
    size = values.shape[0] * DIGITS
    counted = [np.bincount(keys + offset, weights=part.ravel(), minlength=size)[:size] for offset, part in enumerate(parts)]
    total: IntArray = sum(part.astype(np.int64) for part in counted)  # type: ignore[assignment]
    return total.reshape(values.shape[0], DIGITS)


def _mantissa_and_place(values: FloatArray) -> tuple[IntArray, IntArray]:
    """Each number as an integer times 2^(place - UNIT_BITS); bits below the unit are cut off."""
    fraction, exponent = np.frexp(values)
    mantissa = np.ldexp(fraction, _MANTISSA_BITS).astype(np.int64)
    place = exponent.astype(np.int64) + (UNIT_BITS - _MANTISSA_BITS)
    mantissa >>= np.clip(-place, 0, 63)
    return mantissa, np.maximum(place, 0)


def as_integer(digits: IntArray) -> int:
    """The sum that one row of digits stands for, in units of 2^-UNIT_BITS.

    >>> as_integer(exact_sums(np.array([[0.5, -2.5]]))[0]) == -2 * 2**UNIT_BITS
    True
    """
    return sum(int(digit) << (DIGIT_BITS * place) for place, digit in enumerate(digits))


def mean(total: int, count: int) -> float:
    """An exact total over ``count``, rounded once."""
    return total / (count << UNIT_BITS)


def covariance(total_product: int, totals: tuple[int, int], count: int) -> float:
    """Sample covariance from exact totals: (sum ab - sum a sum b/n)/(n - 1), with no cancellation before the one rounding."""
    scaled = count * (total_product << UNIT_BITS) - totals[0] * totals[1]
    return scaled / ((count * (count - 1)) << (2 * UNIT_BITS))
