"""The normal distribution of many numbers at once, to the digits of the standard library's error function."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from tailwag.kernels.arrays import FloatArray

__all__ = ["normal_shares"]

ROOT_HALF = math.sqrt(2.0)


@njit(error_model="numpy", fastmath=False, cache=True, nogil=True)
def _fill(x: FloatArray, out: FloatArray) -> None:
    for number in range(x.size):
        out[number] = 0.5 * math.erfc(-x[number] / ROOT_HALF)


def normal_shares(x: FloatArray) -> FloatArray:
    """N(x) of each number of ``x`` (n,); the plain twin is :func:`tailwag.kernels.black_plain.normal_cdf`.

    >>> normal_shares(np.array([0.0, 1.0])).round(9).tolist()
    [0.5, 0.841344746]
    """
    out = np.empty(x.size)
    _fill(np.ascontiguousarray(x), out)
    return out
