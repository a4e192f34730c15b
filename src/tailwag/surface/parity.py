"""Put-call parity: the forward, and the discount, that pairs of calls and puts of one expiry imply."""

from __future__ import annotations

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.market.chain import Chain
from tailwag.market.codes import RowCode

MIN_PAIRS = 3
"""Strikes with both a call and a put that a parity forward needs."""
NEAR_PAIRS = 9
"""The forward is the median over this many strikes nearest the money, where both options are liquid."""
DISCOUNT_PAIRS = 10
DISCOUNT_YEARS = 0.05


def parity_forward(chain: Chain, rows: IntArray, years: float) -> tuple[float, float, int]:
    """(forward_usd, discount, pairs) of one expiry from its quotes, or from its marks where too few are two-sided; NaN without pairs.

    Inverse:  c - p = 1 - K / F in coin, so F = K / (1 - c + p).   Linear:  C - P = D (F - K), so F = K + (C - P) / D.
    """
    best: tuple[float, float, int] = (float("nan"), 1.0, 0)
    for settlement in ("inverse", "linear"):
        chosen = rows[chain.settlement[rows] == settlement]
        for price in (_mid(chain, chosen), chain.mark_quoted[chosen]):
            strike, gap = _pairs(chain, chosen, price)
            if strike.size >= MIN_PAIRS:
                break
        if strike.size >= MIN_PAIRS and strike.size > best[2]:
            best = _inverse(strike, gap) if settlement == "inverse" else _linear(strike, gap, years)
    return best


def _mid(chain: Chain, rows: IntArray) -> FloatArray:
    """Mid of two-sided quotes, NaN elsewhere."""
    bid, ask = chain.bid_quoted[rows], chain.ask_quoted[rows]
    doubtful = (chain.codes[rows] & int(RowCode.CROSSED | RowCode.QUOTE_INVALID | RowCode.DUPLICATE_CONFLICT)) != 0
    with np.errstate(invalid="ignore"):
        sound = (bid > 0.0) & (ask >= bid) & ~doubtful
    return np.where(sound, 0.5 * (bid + ask), np.nan)


def _pairs(chain: Chain, rows: IntArray, price: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(strike, call - put) wherever both have a price, in rising order of strike."""
    good = np.isfinite(price) & (price >= 0.0)
    calls, puts = good & (chain.right[rows] > 0), good & (chain.right[rows] < 0)
    strikes = chain.strike_usd[rows]
    common, of_call, of_put = np.intersect1d(strikes[calls], strikes[puts], return_indices=True)
    return common, price[calls][of_call] - price[puts][of_put]


def _inverse(strike: FloatArray, gap: FloatArray) -> tuple[float, float, int]:
    near = np.argsort(np.abs(gap), kind="stable")[:NEAR_PAIRS]
    near = near[gap[near] < 1.0]
    return (float(np.median(strike[near] / (1.0 - gap[near]))) if near.size else float("nan")), 1.0, int(near.size)


def _linear(strike: FloatArray, gap: FloatArray, years: float) -> tuple[float, float, int]:
    near = np.argsort(np.abs(gap), kind="stable")[:NEAR_PAIRS]
    level = float(np.median(strike[near] + gap[near]))
    discount = _discount(strike, gap, level) if strike.size >= DISCOUNT_PAIRS and years > DISCOUNT_YEARS else 1.0
    return float(np.median(strike[near] + gap[near] / discount)), discount, int(strike.size)


def _discount(strike: FloatArray, gap: FloatArray, level: float) -> float:
    """Minus the median slope of C - P over strikes at least 5 % of the forward apart, within 20 % of it (Theil and Sen's estimate)."""
    inside = np.abs(strike / level - 1.0) <= 0.2
    k, g = strike[inside], gap[inside]
    if k.size < DISCOUNT_PAIRS:
        return 1.0
    thin = np.unique(np.linspace(0, k.size - 1, min(k.size, 60)).astype(np.int64))
    apart = k[thin][:, None] - k[thin][None, :]
    wide = apart >= 0.05 * level
    slopes = (g[thin][:, None] - g[thin][None, :])[wide] / apart[wide]
    return float(np.clip(-np.median(slopes), 0.5, 1.02)) if slopes.size else 1.0
