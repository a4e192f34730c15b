"""Put-call parity: the forward, and the discount, that pairs of calls and puts of one expiry imply."""

from __future__ import annotations

from dataclasses import dataclass

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
    """(forward_usd, discount, pairs) of one expiry from its quotes and marks; NaN with 0 pairs where there are too few.

    Inverse:  c - p = 1 - K / F in coin, so F = K / (1 - c + p).   Linear:  C - P = D (F - K), so F = K + (C - P) / D.
    The mids' forward is as coarse as their spreads: where the marks' forward lies inside them the marks are taken.
    """
    best: tuple[float, float, int] = (float("nan"), 1.0, 0)
    for settlement in ("inverse", "linear"):
        chosen = rows[chain.settlement[rows] == settlement]
        mids, marks = _pairs(chain, chosen, *_mid(chain, chosen)), _pairs(chain, chosen, chain.mark_quoted[chosen], np.zeros(chosen.size))
        count = max(mids.strike.size, marks.strike.size)
        if count >= MIN_PAIRS and count > best[2]:
            best = (*_implied(mids, marks, years, inverse=settlement == "inverse"), count)
    return best


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Strikes with a call and a put, call price less put price, and the half-width of that difference; all (pairs,)."""

    strike: FloatArray
    gap: FloatArray
    width: FloatArray

    def near(self) -> _Pairs:
        """The pairs nearest the money: those whose call and put are worth most nearly the same."""
        chosen = np.argsort(np.abs(self.gap), kind="stable")[:NEAR_PAIRS]
        return _Pairs(self.strike[chosen], self.gap[chosen], self.width[chosen])


def _mid(chain: Chain, rows: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mid and half-spread of two-sided quotes, NaN elsewhere."""
    bid, ask = chain.bid_quoted[rows], chain.ask_quoted[rows]
    doubtful = (chain.codes[rows] & int(RowCode.CROSSED | RowCode.QUOTE_INVALID | RowCode.DUPLICATE_CONFLICT)) != 0
    with np.errstate(invalid="ignore"):
        sound = (bid > 0.0) & (ask >= bid) & np.isfinite(ask) & ~doubtful
        return np.where(sound, 0.5 * (bid + ask), np.nan), np.where(sound, 0.5 * (ask - bid), np.nan)


def _pairs(chain: Chain, rows: IntArray, price: FloatArray, half: FloatArray) -> _Pairs:
    """Wherever a call and a put of one strike both have a price, in rising order of strike."""
    good = np.isfinite(price) & (price >= 0.0)
    calls, puts = good & (chain.right[rows] > 0), good & (chain.right[rows] < 0)
    strikes = chain.strike_usd[rows]
    common, of_call, of_put = np.intersect1d(strikes[calls], strikes[puts], return_indices=True)
    return _Pairs(common, price[calls][of_call] - price[puts][of_put], half[calls][of_call] + half[puts][of_put])


def _implied(mids: _Pairs, marks: _Pairs, years: float, *, inverse: bool) -> tuple[float, float]:
    """(forward, discount) of the better of the two sets of pairs."""
    by_quotes = mids if mids.strike.size >= MIN_PAIRS else marks
    discount = 1.0 if inverse else _discount(by_quotes, years)
    forward, coarse = _level(by_quotes, discount, inverse=inverse)
    if by_quotes is mids and marks.strike.size >= MIN_PAIRS:
        marked, _ = _level(marks, discount, inverse=inverse)
        if abs(marked - forward) <= coarse:
            return marked, discount
    return forward, discount


def _level(pairs: _Pairs, discount: float, *, inverse: bool) -> tuple[float, float]:
    """Median forward of the pairs nearest the money, the tighter weighing more, and how coarse one of them is."""
    near = pairs.near()
    if inverse:
        whole = np.maximum(1.0 - near.gap, 1e-9)
        forward, coarse = near.strike / whole, near.strike / whole**2 * near.width
    else:
        forward, coarse = near.strike + near.gap / discount, near.width / discount
    order = np.argsort(forward, kind="stable")
    weight = 1.0 / (coarse[order] + 1e-6 * forward[order])
    share = (np.cumsum(weight) - 0.5 * weight) / np.sum(weight)
    return float(np.interp(0.5, share, forward[order])), float(np.median(coarse))


def _discount(pairs: _Pairs, years: float) -> float:
    """Minus the median slope of C - P over strikes at least 5 % of the forward apart, within 20 % of it (Theil and Sen's estimate)."""
    if pairs.strike.size < DISCOUNT_PAIRS or not years > DISCOUNT_YEARS:
        return 1.0
    level = _level(pairs, 1.0, inverse=False)[0]
    inside = np.abs(pairs.strike / level - 1.0) <= 0.2
    k, g = pairs.strike[inside], pairs.gap[inside]
    if k.size < DISCOUNT_PAIRS:
        return 1.0
    thin = np.unique(np.linspace(0, k.size - 1, min(k.size, 60)).astype(np.int64))
    apart = k[thin][:, None] - k[thin][None, :]
    wide = apart >= 0.05 * level
    slopes = (g[thin][:, None] - g[thin][None, :])[wide] / apart[wide]
    return float(np.clip(-np.median(slopes), 0.5, 1.02)) if slopes.size else 1.0
