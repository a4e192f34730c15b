"""The insurance fund: fees of liquidations come in, what bankrupt accounts lack goes out, and the rest is bad debt for somebody to bear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tailwag.kernels.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Covered:
    """What the fund paid and what is left unpaid of a shortfall, and the fund after it; (paths,), in the unit of margin."""

    fund: FloatArray
    paid: FloatArray
    unpaid: FloatArray


def cover(fund: ArrayLike, *, fees: ArrayLike, shortfall: ArrayLike) -> Covered:
    """Take in the fees, then pay the shortfall as far as the fund reaches; it never falls below 0.

    >>> paid = cover(10.0, fees=2.0, shortfall=15.0)
    >>> float(paid.fund), float(paid.paid), float(paid.unpaid)
    (0.0, 12.0, 3.0)
    """
    held = np.asarray(fund, dtype=np.float64) + np.asarray(fees)
    paid = np.minimum(np.maximum(held, 0.0), np.asarray(shortfall))
    return Covered(np.asarray(held - paid), np.asarray(paid), np.asarray(np.asarray(shortfall) - paid))


def socialised(unpaid: ArrayLike, profits: ArrayLike) -> FloatArray:
    """What each winner bears of an unpaid loss, in proportion to its profit and never more than that; (positions, paths).

    >>> socialised([3.0], [[4.0], [2.0], [-5.0]]).tolist()
    [[2.0], [1.0], [0.0]]
    """
    gains = np.maximum(np.asarray(profits, dtype=np.float64), 0.0)
    total = np.cumsum(gains, axis=0)[-1]  # one after another: the same bits for a path alone
    share = np.minimum(np.asarray(unpaid), total) / np.where(total > 0.0, total, 1.0)
    return np.asarray(gains * share)
