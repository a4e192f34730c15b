"""Maintenance margin: tiers of notional (Binance) or a share that grows with size (Deribit), and the liquidation price under either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray


class Maintenance(Protocol):
    """A rule of maintenance margin, in USD of a position of ``size_coin`` at a price."""

    def margin_usd(self, size_coin: ArrayLike, *, price_usd: ArrayLike) -> FloatArray:
        """Maintenance margin, USD."""
        ...


@dataclass(frozen=True, slots=True)
class NotionalTiers:
    """Binance's rule: rate of the tier that a position's notional falls in, less a constant that makes the margin continuous.

    margin = notional rate_n - cum_n, cum_n = cum_{n-1} + floor_n (rate_n - rate_{n-1}).  ``up_to_usd`` are the tiers' upper edges, rising.

    >>> tiers = NotionalTiers((50_000.0, 250_000.0, 1_000_000.0), (0.004, 0.005, 0.01))
    >>> tiers.cumulative_usd
    (0.0, 50.0, 1300.0)
    """

    up_to_usd: tuple[float, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in zip(self.up_to_usd, self.up_to_usd[1:]))
        if not self.up_to_usd or len(self.up_to_usd) != len(self.shares) or self.up_to_usd[0] <= 0.0 or not rising:
            raise InputError(f"expected tiers with rising upper edges and one share each, got {self.up_to_usd} and {self.shares}")
        if not all(0.0 <= low <= high < 1.0 for low, high in zip(self.shares, (*self.shares[1:], self.shares[-1]))):
            raise InputError(f"expected shares from 0 to below 1 that do not fall, got {self.shares}")

    @property
    def cumulative_usd(self) -> tuple[float, ...]:
        """The venue's "maintenance amount" of each tier."""
        amounts = [0.0]
        for edge, low, high in zip(self.up_to_usd, self.shares, self.shares[1:]):
            amounts.append(amounts[-1] + edge * (high - low))
        return tuple(amounts)

    def tier(self, notional_usd: ArrayLike) -> FloatArray:
        """Number of the tier, from 0; a notional at an edge belongs to the tier below; beyond the last edge it is the last."""
        place = np.searchsorted(np.asarray(self.up_to_usd), np.abs(notional_usd), side="left")
        return np.asarray(np.minimum(place, len(self.shares) - 1))

    def margin_usd(self, size_coin: ArrayLike, *, price_usd: ArrayLike) -> FloatArray:
        """Maintenance margin, USD."""
        notional = np.abs(np.asarray(size_coin) * np.asarray(price_usd))
        tier = self.tier(notional).astype(np.int64)
        return np.asarray(notional * np.asarray(self.shares)[tier] - np.asarray(self.cumulative_usd)[tier])


@dataclass(frozen=True, slots=True)
class SizeSlope:
    """Deribit's rule: a base share that grows by a fixed amount with every coin of the position.

    margin = size (base_share + share_per_coin size) coin.  Linear and inverse contracts have the same share.

    >>> float(SizeSlope(0.01, 0.00005).margin_usd(25.0, price_usd=100_000.0))
    28125.0
    """

    base_share: float
    share_per_coin: float

    def __post_init__(self) -> None:
        if not (0.0 < self.base_share < 1.0 and 0.0 <= self.share_per_coin < 1.0):
            raise InputError(
                f"expected base_share in (0, 1) and share_per_coin of 0 or more, got {self.base_share} and {self.share_per_coin}"
            )

    def margin_usd(self, size_coin: ArrayLike, *, price_usd: ArrayLike) -> FloatArray:
        """Maintenance margin, USD."""
        size = np.abs(np.asarray(size_coin, dtype=np.float64))
        return np.asarray(size * (self.base_share + self.share_per_coin * size) * np.asarray(price_usd))


def maintenance_share(rule: Maintenance, notional_usd: ArrayLike, *, price_usd: float) -> FloatArray:
    """Maintenance margin of a position of this notional as a share of it.

    >>> float(maintenance_share(SizeSlope(0.01, 0.00005), 2_500_000.0, price_usd=100_000.0))
    0.01125
    """
    notional = np.asarray(notional_usd, dtype=np.float64)
    return np.asarray(rule.margin_usd(notional / price_usd, price_usd=price_usd) / notional)


def tiered_liquidation_price_usd(
    tiers: NotionalTiers, side: float, *, size_coin: float, entry_usd: float, wallet_usd: float, other_margin_usd: float = 0.0
) -> float | None:
    """Liquidation price of a linear position under tiers, by Binance's formula at the tier in which the position stands *there*.

    P = (wallet - other_margin + cum - side size entry) / (size (rate - side)).  ``wallet_usd``: wallet balance and the profit of other
    positions, ``other_margin_usd`` their maintenance margin (cross margin).  None: no price above 0 liquidates it.

    >>> tiers = NotionalTiers((50_000.0, 600_000.0), (0.004, 0.005))
    >>> price = tiered_liquidation_price_usd(tiers, 1.0, size_coin=1.0, entry_usd=60_000.0, wallet_usd=6_000.0)
    >>> round(price, 4)
    54221.1055

    Raises InputError for a size, entry or wallet of 0 or less.
    """
    if not (size_coin > 0.0 and entry_usd > 0.0 and wallet_usd > 0.0):
        raise InputError(f"expected size_coin, entry_usd and wallet_usd above 0, got {size_coin:g}, {entry_usd:g} and {wallet_usd:g}")
    for place, (share, amount) in enumerate(zip(tiers.shares, tiers.cumulative_usd)):
        price = (wallet_usd - other_margin_usd + amount - side * size_coin * entry_usd) / (size_coin * (share - side))
        if price > 0.0 and int(tiers.tier(size_coin * price)) == place:
            return float(price)
    return None
