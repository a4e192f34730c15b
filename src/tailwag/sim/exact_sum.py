"""Sums without rounding: the same bits whatever the order, the blocks or the number of threads that added them up.

Integer addition commutes, floating-point addition does not: numbers are added as digits of one long integer.
"""

from __future__ import annotations

import numpy as np

from tailwag.errors import TailwagError
from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.exact_digits import DIGIT_BITS, UNIT_BITS, digit_sums


def exact_sums(values: FloatArray) -> IntArray:
    """The sum of every row of ``values`` (rows, numbers), as digits (rows, digits) that may be added to others'.

    Raises TailwagError where a number is not finite or is 2^170 or more in size.

    >>> digits = exact_sums(np.array([[1e16, 1.0, -1e16]]))
    >>> [as_integer(row) / 2**UNIT_BITS for row in digits]
    [1.0]
    """
    if not np.isfinite(values).all() or (values.size and float(np.abs(values).max()) >= 2.0**170):
        raise TailwagError("finite numbers below 2^170 expected in a sum over paths; something else came (please report this)")
    return digit_sums(np.ascontiguousarray(values))


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
