"""Which strikes an option vault sells: the listed one nearest to a stated delta, and its neighbours further out."""

from __future__ import annotations

import math

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.black_plain import normal_cdf
from tailwag.sim.option_model import OptionModel

ON_GRID = 1e-9
"""A strike this near to the grid, in steps of it, is on it."""


def listed_strike(
    model: OptionModel,
    right: int,
    delta: float,
    step_usd: float,
    *,
    step: int,
    expiry_step: int,
    log_price: FloatArray,
    vol_shift: FloatArray,
) -> FloatArray:
    """The strike on a grid of ``step_usd`` whose |delta| is nearest to the stated one, (paths,); of two equally near, the one further out.

    delta = N(right d1) at the model's vol of that strike.  ``right`` +1 call, -1 put; ``step``, ``expiry_step`` on the run's grid.

    >>> from tailwag.sim.grid import TimeGrid
    >>> from tailwag.sim.option_model import OptionTerms
    >>> model = OptionModel(OptionTerms(0.6), TimeGrid.uniform(horizon_days=7, step_minutes=60), 60000.0)
    >>> listed_strike(model, 1, 0.1, 1000.0, step=0, expiry_step=168, log_price=np.zeros(1), vol_shift=np.zeros(1)).tolist()
    [67000.0]

    Raises InputError for a delta outside 0 to 0.5: a vault sells options out of the money.
    """
    if not 0.0 < delta <= 0.5:
        raise InputError(f"expected a delta above 0 and at most 0.5 (out of the money), got {delta:g}; 0.1 is the usual one")
    exact = model.strike_at_delta(right, right * delta, step=step, expiry_step=expiry_step, log_price=log_price, vol_shift=vol_shift)
    place = exact / step_usd
    below, above = np.floor(place + ON_GRID), np.ceil(place - ON_GRID)
    outer, inner = (np.maximum(one, 1.0) * step_usd for one in ((above, below) if right > 0 else (below, above)))
    root = math.sqrt(model.acting_years(expiry_step, step))
    missed = []
    for strike in (outer, inner):
        away = np.log(model.spot_usd / strike) + log_price
        spread = model.vol(away, vol_shift) * root
        missed.append(np.abs(normal_cdf(right * (away / spread + 0.5 * spread)) - delta))
    return np.where(missed[0] <= missed[1], outer, inner)


def rungs(right: int, strike_usd: FloatArray, step_usd: float, count: int) -> tuple[FloatArray, ...]:
    """The strike and the next ones out of the money on the grid, nearest first; a put's go down to one step above zero and no further.

    >>> [float(strike[0]) for strike in rungs(-1, np.array([3000.0]), 1000.0, 4)]
    [3000.0, 2000.0, 1000.0, 1000.0]
    """
    return tuple(np.maximum(strike_usd + right * place * step_usd, step_usd) for place in range(count))
