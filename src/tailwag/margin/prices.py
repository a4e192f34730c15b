"""The prices that margin is computed on: an index that no single venue can move far, and a mark price that follows the perp slowly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError


def index_price_usd(prices_usd: Sequence[float], *, cap_share: float, weights: Sequence[float] | None = None) -> float:
    """Weighted mean of venues' prices, each first moved to within ``cap_share`` of their median.

    Deribit's example of three venues, one of which is 19 % off:

    >>> round(index_price_usd([100.0, 101.0, 120.0], cap_share=0.005, weights=[0.25, 0.5, 0.25]), 10)
    101.0

    Raises InputError without a price above 0, or where weights are none or negative.
    Source: support.deribit.com article 25944739377309.
    """
    given = np.asarray(prices_usd, dtype=np.float64)
    if not given.size or not (np.isfinite(given) & (given > 0.0)).all() or not 0.0 <= cap_share < 1.0:
        raise InputError(f"expected prices above 0 and cap_share from 0 to below 1, got {list(prices_usd)[:5]} and {cap_share:g}")
    share = np.full(given.size, 1.0) if weights is None else np.asarray(weights, dtype=np.float64)
    if share.shape != given.shape or (share < 0.0).any() or share.sum() <= 0.0:
        raise InputError(f"expected one weight of 0 or more for each of {given.size} prices, got {share.tolist()[:5]}")
    middle = float(np.median(given))
    capped = np.clip(given, middle * (1.0 - cap_share), middle * (1.0 + cap_share))
    return float((share * capped).sum() / share.sum())


@dataclass(frozen=True, slots=True)
class MarkPrice:
    """The mark price: index plus a moving average of the perp's premium over it, exponential with a time constant in seconds.

    >>> mark = MarkPrice(ema_seconds=30.0)
    >>> mark = mark.after(1.0, perp_usd=60_600.0, index_usd=60_000.0)
    >>> 0.0 < mark.premium_usd < 600.0
    True
    """

    ema_seconds: float
    premium_usd: float = 0.0

    def after(self, seconds: float, *, perp_usd: float, index_usd: float) -> MarkPrice:
        """The mark after ``seconds`` at this perp price: the average's gap to the premium shrinks by exp(-seconds / ema_seconds)."""
        if seconds < 0.0 or self.ema_seconds <= 0.0:
            raise InputError(f"expected seconds of 0 or more and ema_seconds above 0, got {seconds:g} and {self.ema_seconds:g}")
        keeps = math.exp(-seconds / self.ema_seconds)
        return MarkPrice(self.ema_seconds, keeps * self.premium_usd + (1.0 - keeps) * (perp_usd - index_usd))

    def mark_usd(self, index_usd: float) -> float:
        """The mark at an index price."""
        return index_usd + self.premium_usd
