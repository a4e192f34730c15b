"""Mechanism: does price settle nearer to the strike with the most open interest than to its mirror image on the other side of spot?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.experiments.study.expiry import expiry_days
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.returns import Returns
from tailwag.experiments.study.rows import kept_rows
from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.units import NS_PER_HOUR, NS_PER_YEAR

KNOWN_HOURS_BEFORE = 12
NEAR = 0.03


@dataclass(frozen=True, slots=True)
class Pins:
    """One figure for each expiry: (log distance to the mirror image - that to the strike) / (vol * root of time), above 0 nearer to the strike.

    Shapes: (expiries,).  ``left_out``: expiries without a figure by reason.
    """

    nearer: FloatArray
    expiry_ns: IntArray
    left_out: dict[str, int]


def pins(known: Known, returns: Returns, *, most_age_hours: float) -> Pins:
    """Every expiry's figure, from the strike, spot and vol of the last snapshot known twelve hours before.

    With S that spot and K the strike the mirror image is S^2 / K: as far in log price on the other side.  Without pinning the figure's distribution is
    the same with its sign changed, for any vol, as long as log returns are symmetric about 0.
    """
    expiry = expiry_days(returns)
    row = known.row_at(expiry - KNOWN_HOURS_BEFORE * NS_PER_HOUR, most_age_hours=most_age_hours)
    safe = np.maximum(row, 0)
    settled = returns.price_log(expiry)
    spot, strike = np.log(known.spot_usd[safe]), np.log(known.near_strike_usd[safe])
    years = (expiry - known.known_ns[safe]) / NS_PER_YEAR
    size = known.atm_iv_1d[safe] * np.sqrt(np.maximum(years, 0.0))
    kept, left_out = kept_rows(
        {
            "no candle at it": np.isfinite(settled),
            "no snapshot, or too old": row >= 0,
            "its snapshot's next expiry is another": known.next_expiry_ns[safe] == expiry,
            "no strike near spot": np.isfinite(strike) & (np.abs(strike - spot) <= NEAR) & (strike != spot),
            "no implied vol at 1 day": np.isfinite(size) & (size > 0.0),
        }
    )
    mirrored = np.abs(settled - (2.0 * spot - strike)) - np.abs(settled - strike)
    return Pins(mirrored[kept] / size[kept], expiry[kept], left_out)


def sign_flips(values: FloatArray, *, draws: int, seed: int) -> float:
    """Two-sided p-value of a mean of 0 when each value's sign is as likely either way: the share of ``draws`` at least as far, the sample itself counted.

    >>> import numpy as np
    >>> sign_flips(np.full(5, 1.0), draws=9999, seed=1) < 0.08, sign_flips(np.array([1.0, -1.0]), draws=99, seed=1)
    (True, 1.0)
    """
    generator = np.random.default_rng(seed)
    found, beyond = abs(float(values.mean())), 1
    for first in range(0, draws, 1000):
        signs = generator.choice([-1.0, 1.0], (min(1000, draws - first), values.size))
        beyond += int((np.abs(signs @ values / values.size) >= found - 1e-15).sum())
    return beyond / (draws + 1)
