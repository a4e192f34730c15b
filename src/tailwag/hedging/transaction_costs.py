"""Replication with transaction costs: the vol that pays for the trading, and what discrete hedging leaves open.

Costs are one-way shares of the traded value; a round trip costs twice as much.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tailwag.hedging.bands import shifted_vol
from tailwag.kernels.arrays import FloatArray


def leland_number(vol: ArrayLike, *, cost_share: float, interval_years: float) -> FloatArray:
    """Share of the option's variance that trading costs add (short gamma) or take (long gamma).

    Le = sqrt(2/pi) k/(vol sqrt(dt)) with the round-trip cost k = 2 ``cost_share`` and a rebalancing interval dt.  Source: Leland 1985.

    >>> float(leland_number(0.2, cost_share=0.005, interval_years=1 / 52).round(5))
    0.28768
    """
    return np.asarray(math.sqrt(2.0 / math.pi) * 2.0 * cost_share / (np.asarray(vol, dtype=np.float64) * math.sqrt(interval_years)))


def leland_vol(vol: ArrayLike, gamma_sign: ArrayLike, *, cost_share: float, interval_years: float) -> FloatArray:
    """The vol at which a hedger with costs should price and hedge: vol sqrt(1 + Le) short gamma, vol sqrt(1 - Le) long.

    Zero where a long book's costs eat the whole variance (Le >= 1: hedged that often it cannot pay for itself).
    Sources: Leland 1985; Hoggard, Whalley and Wilmott 1994 (the same for a whole book, by the sign of its gamma).

    >>> leland_vol(0.2, [-1, 0, 1], cost_share=0.005, interval_years=1 / 52).round(6).tolist()
    [0.226952, 0.2, 0.168798]
    """
    number = leland_number(vol, cost_share=cost_share, interval_years=interval_years)
    return shifted_vol(vol, -np.asarray(gamma_sign, dtype=np.float64) * number)
