"""Names for the array types that every floor above shares."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
TextArray = NDArray[np.object_]


def frozen(values: Any, dtype: Any = np.float64) -> NDArray[Any]:
    """A read-only, contiguous array of its own: what a noun may hold.

    >>> frozen([1, 2]).flags.writeable
    False
    """
    array = np.array(values, dtype=dtype, copy=True, ndmin=1)
    array.setflags(write=False)
    return array


@lru_cache(maxsize=64)
def zero_rows(rows: int, paths: int) -> FloatArray:
    """Zeros (rows, paths), read-only and always the same array: what is this very array is known to be zero without a look at it."""
    return frozen(np.zeros((rows, paths)))


@lru_cache(maxsize=64)
def zero_row(paths: int) -> FloatArray:
    """Zero on every path, read-only and always the same array.

    >>> zero_row(3) is zero_row(3), is_zero(zero_row(3)), is_zero(np.zeros(3))
    (True, True, False)
    """
    return frozen(np.zeros(paths))


def is_zero(part: Any) -> bool:
    """Whether an array is known to be zero everywhere: `zero_row` or `zero_rows`, not others that happen to be."""
    if not isinstance(part, np.ndarray):
        return False
    return part is zero_row(part.size) if part.ndim == 1 else part.ndim == 2 and part is zero_rows(*part.shape)
