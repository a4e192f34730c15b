"""Spot of a chain: the median index over its rows, and what to say where the index is missing or contradicts itself."""

from __future__ import annotations

import math

import numpy as np

from tailwag.errors import FileFormatError
from tailwag.kernels.arrays import IntArray
from tailwag.market.chain import Chain

LARGEST_DISAGREEMENT = 0.05
"""A stated index further than this from the rows' own is not believed: many rows are the second source that confirms or refutes it."""


def spot_of(chain: Chain, *, stated_usd: float = math.nan, name: str) -> tuple[float, tuple[str, ...]]:
    """Spot in USD and a sentence for each doubt about it.

    The index a wrapper states wins where it agrees with the rows; else the median index of the rows; else, with a doubt, the median
    forward of the nearest expiry.

    Raises FileFormatError where no row has any price of the underlying.
    """
    rows = chain.index_usd[np.isfinite(chain.index_usd) & (chain.index_usd > 0.0)]
    median = float(np.median(rows)) if rows.size else math.nan
    stated_given = math.isfinite(stated_usd)
    if stated_given and stated_usd > 0.0 and (not rows.size or abs(stated_usd / median - 1.0) <= LARGEST_DISAGREEMENT):
        return stated_usd, ()
    if rows.size:
        doubt = f"the stated index price {stated_usd:.10g} disagrees with the rows' own, whose median {median:.10g} is used"
        return median, (doubt,) if stated_given else _spread_doubt(chain)
    return _from_forwards(chain, name), ("no index price in the source: spot is the median forward of the nearest expiry",)


def _spread_doubt(chain: Chain) -> tuple[str, ...]:
    rows = chain.index_usd[np.isfinite(chain.index_usd)]
    off = int((np.abs(rows / float(np.median(rows)) - 1.0) > LARGEST_DISAGREEMENT).sum())
    return (f"{off} rows state an index more than 5 % off the median, which is used",) if off else ()


def _from_forwards(chain: Chain, name: str) -> float:
    known = np.isfinite(chain.underlying_usd) & (chain.underlying_usd > 0.0) & (chain.expiry_ns >= chain.as_of_ns)
    if not known.any():
        raise FileFormatError(
            f"{name}: no row states an index price or a forward, so nothing can be valued in USD; save the reply unchanged"
        )
    nearest = known & (chain.expiry_ns == chain.expiry_ns[known].min())
    return float(np.median(chain.underlying_usd[nearest]))


def median_time_ns(times: IntArray) -> int:
    """The middle time, exactly (a mean of two would leave the integers)."""
    return int(np.sort(times)[times.size // 2])
