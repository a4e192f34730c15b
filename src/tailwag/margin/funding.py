"""Funding of perps: what longs pay shorts so that the perp stays near the index, by three venues' formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.units import HOURS_PER_YEAR


class Funding(Protocol):
    """A funding rule: the rate at a premium, and over how many hours that rate is paid."""

    @property
    def hours(self) -> float:
        """The rate is per this many hours."""
        ...

    def rate(self, premium_share: ArrayLike) -> FloatArray:
        """Funding rate per ``hours``; above 0 longs pay."""
        ...


@dataclass(frozen=True, slots=True)
class DeadBandFunding:
    """Deribit: the premium less a dead band, capped; accrues continuously.

    rate = max(band, premium) + min(-band, premium), held within +-cap.

    >>> float(DeadBandFunding(0.00025, 0.005, 8.0).rate(0.0010))
    0.00075

    Source: support.deribit.com article 31424939178397.
    """

    dead_band_share: float
    cap_share: float
    hours: float

    def rate(self, premium_share: ArrayLike) -> FloatArray:
        """Funding rate per ``hours``; above 0 longs pay."""
        premium = np.asarray(premium_share, dtype=np.float64)
        raw = np.maximum(self.dead_band_share, premium) + np.minimum(-self.dead_band_share, premium)
        return np.asarray(np.clip(raw, -self.cap_share, self.cap_share))


@dataclass(frozen=True, slots=True)
class ClampFunding:
    """Binance: the average premium, pulled towards the interest rate by no more than the clamp, capped by the maintenance rate.

    rate = P + clamp(I - P, -clamp, clamp).

    >>> [round(float(ClampFunding(0.0001, 0.0005, 0.004, 8.0).rate(premium)), 8) for premium in (0.0, 0.0010, -0.0010)]
    [0.0001, 0.0005, -0.0005]
    """

    interest_share: float
    clamp_share: float
    cap_share: float
    hours: float

    def rate(self, premium_share: ArrayLike) -> FloatArray:
        """Funding rate per ``hours``; above 0 longs pay."""
        premium = np.asarray(premium_share, dtype=np.float64)
        raw = premium + np.clip(self.interest_share - premium, -self.clamp_share, self.clamp_share)
        return np.asarray(np.clip(raw, -self.cap_share, self.cap_share))


@dataclass(frozen=True, slots=True)
class HourlyFunding:
    """Derive: an eighth of the premium an hour and a static interest rate, capped; accrues by the second.

    rate per hour = premium / premium_hours + static, held within +-cap.

    >>> round(float(HourlyFunding(8.0, 0.0000125, 0.0004566).rate(0.0008)), 8)
    0.0001125
    """

    premium_hours: float
    static_share: float
    cap_share: float
    hours: float = 1.0

    def rate(self, premium_share: ArrayLike) -> FloatArray:
        """Funding rate per ``hours``; above 0 longs pay."""
        raw = np.asarray(premium_share, dtype=np.float64) / self.premium_hours + self.static_share
        return np.asarray(np.clip(raw, -self.cap_share, self.cap_share))


def impact_premium_share(*, impact_bid_usd: float, impact_ask_usd: float, index_usd: float) -> float:
    """Premium by the prices at which a set amount could be sold and bought: positive where even the bid is above the index.

    (max(0, bid - index) - max(0, index - ask)) / index.

    >>> impact_premium_share(impact_bid_usd=99.0, impact_ask_usd=101.0, index_usd=100.0)
    0.0

    Raises InputError for a bid above the ask or an index of 0 or less.
    """
    if not (0.0 < impact_bid_usd <= impact_ask_usd and index_usd > 0.0):
        raise InputError(f"expected 0 < bid <= ask and an index above 0, got {impact_bid_usd:g}, {impact_ask_usd:g} and {index_usd:g}")
    return (max(0.0, impact_bid_usd - index_usd) - max(0.0, index_usd - impact_ask_usd)) / index_usd


def funding_per_year(rule: Funding, premium_share: float) -> float:
    """What a long pays a year at a premium that stays, as a share of its value.

    >>> round(funding_per_year(ClampFunding(0.0001, 0.0005, 0.004, 8.0), 0.0), 6)
    0.1095
    """
    return float(rule.rate(premium_share)) * HOURS_PER_YEAR / rule.hours
