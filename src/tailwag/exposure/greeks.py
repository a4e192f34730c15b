"""Greeks of each row at the current spot: plain Black, the settlement average inside its window, intrinsic at the very expiry."""

from __future__ import annotations

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.market.chain import Chain
from tailwag.units import NS_PER_MINUTE, NS_PER_YEAR

PRICE, DELTA, GAMMA, VEGA, THETA, VANNA, CHARM, VOMMA = range(8)
"""Positions in ``kernels.netgreeks.NET_GREEKS``."""
SETTLEMENT_WINDOW_YEARS = 30 * NS_PER_MINUTE / NS_PER_YEAR


def greeks_now(
    chain: Chain, forward_usd: FloatArray, years: FloatArray, iv: FloatArray, *, usable: BoolArray, averages: BoolArray, spot_usd: float
) -> FloatArray:
    """Greeks of one long coin of each option today, (8, n) in NET_GREEKS order; NaN where the row cannot be priced."""
    from tailwag.kernels.black import GREEKS, black_greeks
    from tailwag.kernels.netgreeks import NET_GREEKS
    from tailwag.kernels.settlement import averaged_greeks

    left_years = (chain.expiry_ns - np.int64(chain.as_of_ns)) / NS_PER_YEAR
    at_expiry = usable & (left_years == 0.0)
    settling = usable & averages & (left_years > 0.0) & (left_years < SETTLEMENT_WINDOW_YEARS)
    plain = np.flatnonzero(usable & ~at_expiry & ~settling)
    result = np.full((len(NET_GREEKS), len(chain)), np.nan)
    wanted = [GREEKS.index(name) for name in NET_GREEKS]
    if plain.size:
        result[:, plain] = black_greeks(chain.right[plain], forward_usd[plain], chain.strike_usd[plain], years[plain], iv[plain])[wanted]
    if at_expiry.any():
        settled_usd = np.where(averages & np.isfinite(chain.estimated_delivery_usd), chain.estimated_delivery_usd, spot_usd)
        result[:, at_expiry] = intrinsic_greeks(chain.right[at_expiry], settled_usd[at_expiry], chain.strike_usd[at_expiry])
    rows = np.flatnonzero(settling)
    if rows.size:
        result[:, rows] = averaged_greeks(
            chain.right[rows],
            np.full(rows.size, spot_usd),
            chain.strike_usd[rows],
            left_years[rows],
            iv[rows],
            chain.estimated_delivery_usd[rows],
            SETTLEMENT_WINDOW_YEARS,
        )
    return result


def intrinsic_greeks(right: IntArray, spot_usd: FloatArray, strike_usd: FloatArray) -> FloatArray:
    """At the instant of expiry: payoff, delta 0, 1 or (exactly at the strike) one half, and no gamma or vega; (8, n).

    >>> intrinsic_greeks(np.array([1, -1]), np.array([100.0, 100.0]), np.array([90.0, 100.0]))[:3].tolist()
    [[10.0, 0.0], [1.0, -0.5], [0.0, 0.0]]
    """
    result = np.zeros((8, np.size(right)))
    away = right * (spot_usd - strike_usd)
    result[PRICE] = np.maximum(away, 0.0)
    result[DELTA] = right * np.where(away > 0.0, 1.0, np.where(away == 0.0, 0.5, 0.0))
    return result
