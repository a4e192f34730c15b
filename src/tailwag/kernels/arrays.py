"""Names for the array types that every floor above shares."""

from __future__ import annotations

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
