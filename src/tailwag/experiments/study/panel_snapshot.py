"""What a snapshot says whoever is short: open interest, masks, spot, implied vol by tenor, and its next expiry."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.exposure.sums import exact_sum, exact_sums_by
from tailwag.exposure.totals import _terms
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.liquidity import hedged_open_interest_usd
from tailwag.units import NS_PER_DAY

if TYPE_CHECKING:
    from tailwag.exposure import Book
    from tailwag.market.snapshot import Snapshot

Row = dict[str, Any]
TENORS_DAYS = (1, 7, 30)
NEAR = 0.03
"""A strike this close to spot, relative to it, is near: what price could reach within a day."""
CONTRASTS = {
    "gross_gamma_calls_below_usd_per_pct": (1, True),
    "gross_gamma_calls_above_usd_per_pct": (1, False),
    "gross_gamma_puts_below_usd_per_pct": (-1, True),
    "gross_gamma_puts_above_usd_per_pct": (-1, False),
}
"""Gross gamma by right, and by strikes below spot or at and above it: the parts whose signs a study may try to tell apart."""


def number(value: float) -> float | None:
    """A finite number without a negative zero, None otherwise.

    >>> number(-0.0), number(float("nan"))
    (0.0, None)
    """
    return float(value) + 0.0 if math.isfinite(value) else None


def next_expiry_ns(book: Book) -> int | None:
    """The earliest expiry after the snapshot that any readable row has; None without one."""
    later = book.chain.expiry_ns[book.chain.usable & (book.chain.expiry_ns > book.at_ns)]
    return int(later.min()) if later.size else None


def hedged_usd(book: Book, hedge_share: float) -> float:
    """USD of underlying that hedges of the whole open interest hold, unsigned."""
    return hedged_open_interest_usd(book.greeks[1], book.open_interest_coin, spot_usd=book.spot_usd, hedge_share=hedge_share)


def snapshot_columns(snapshot: Snapshot, book: Book, hedged_open_interest_usd: float) -> Row:
    """The columns that are the same under every rule, law and dynamics; None where unknown."""
    gross = exact_sum(_gross(book))
    left_days, vols = _atm_vols(book)
    return {
        "options": len(snapshot.chain),
        "open_interest_coin": exact_sum(snapshot.chain.counted_open_interest_coin()),
        "masked_share": book.masked_open_interest_share,
        "masks": json.dumps({share.code: share.open_interest_share for share in book.masked}, sort_keys=True),
        "spot_usd": number(snapshot.spot_usd),
        "spot_spread": _spot_spread(snapshot.chain.index_usd),
        **{f"atm_iv_{days}d": atm_iv(left_days, vols, days) for days in TENORS_DAYS},
        "gross_gamma_usd_per_pct": number(gross),
        **_contrasts(book),
        "hedged_open_interest_usd": hedged_open_interest_usd,
        **_next_expiry(book),
    }


def _spot_spread(index_usd: FloatArray) -> float | None:
    """Largest relative difference between two index prices of one crawl; None where no row states one."""
    known = index_usd[np.isfinite(index_usd) & (index_usd > 0.0)]
    return float(known.max() / known.min() - 1.0) if known.size else None


def _gross(book: Book) -> FloatArray:
    """Each row's gamma per 1 % whoever holds it, (n,); 0 where it is masked."""
    values = np.where(book.counted, book.open_interest_coin * book.gamma * book.spot_usd**2 / 100.0, 0.0)
    return np.asarray(np.nan_to_num(values, nan=0.0))


def _contrasts(book: Book) -> Row:
    gross, below = _gross(book), book.chain.strike_usd < book.spot_usd
    parts: dict[str, BoolArray] = {name: (book.chain.right == right) & (below == under) for name, (right, under) in CONTRASTS.items()}
    return {name: number(exact_sum(gross[rows])) for name, rows in parts.items()}


def _atm_vols(book: Book) -> tuple[FloatArray, FloatArray]:
    """Days left and volatility at the forward of each expiry, (e,), ascending; the volatilities that reports show, NaN where unknown."""
    rows = np.flatnonzero(book.chain.usable | book.counted)
    expiries, group = np.unique(book.chain.expiry_ns[rows], return_inverse=True)
    return (expiries - np.int64(book.at_ns)) / NS_PER_DAY, _terms(book, rows, group, int(expiries.size))[1]


def atm_iv(left_days: FloatArray, vols: FloatArray, days: float) -> float | None:
    """At-the-money vol of a tenor, decimal: total variance interpolated linearly in time between the expiries that bracket it.

    That is, forward variance is held constant between two expiries.  None where no two expiries (or one exactly there) bracket the tenor.

    >>> round(atm_iv(np.array([1.0, 3.0]), np.array([0.4, 0.6]), 2.0), 6), atm_iv(np.array([1.0]), np.array([0.4]), 2.0)
    (0.556776, None)
    """
    known = np.isfinite(vols) & (vols > 0.0) & (left_days > 0.0)
    left, variance_days = left_days[known], vols[known] ** 2 * left_days[known]
    if not left.size or not left[0] <= days <= left[-1]:
        return None
    return float(math.sqrt(float(np.interp(days, left, variance_days)) / days))


def _next_expiry(book: Book) -> Row:
    at_ns = next_expiry_ns(book)
    rows = np.flatnonzero(book.chain.usable & (book.chain.expiry_ns == (-1 if at_ns is None else at_ns)))
    strikes, group = np.unique(book.chain.strike_usd[rows], return_inverse=True)
    held = exact_sums_by(group, np.nan_to_num(book.chain.open_interest_coin[rows])[None, :], int(strikes.size))[0]
    # most open interest first; of equals the strike nearest to spot, then the lower
    order = np.lexsort((strikes, np.abs(strikes - book.spot_usd), -held))
    near = [rank for rank in order.tolist() if abs(strikes[rank] / book.spot_usd - 1.0) <= NEAR and held[rank] > 0.0]
    counted = bool(book.counted[rows].any())
    return {
        "next_expiry_ns": at_ns,
        "next_expiry_open_interest_coin": None if at_ns is None else exact_sum(held),
        "next_expiry_gross_gamma_usd_per_pct": number(exact_sum(_gross(book)[rows])) if counted else None,
        "largest_strike_usd": float(strikes[order[0]]) if held.size and held[order[0]] > 0.0 else None,
        "largest_strike_open_interest_coin": float(held[order[0]]) if held.size and held[order[0]] > 0.0 else None,
        "near_strike_usd": float(strikes[near[0]]) if near else None,
        "near_strike_open_interest_coin": float(held[near[0]]) if near else None,
        "second_strike_open_interest_coin": float(held[order[1]]) if held.size > 1 and held[order[0]] > 0.0 else None,
    }
