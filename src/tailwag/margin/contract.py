"""Leveraged positions in linear and inverse contracts: equity, bankruptcy price and liquidation price, in one formula for both.

A linear contract holds ``size`` coins and is margined in USD; an inverse one holds ``size`` USD and is margined in coin.  With the value
of one unit of size v(P) = P (linear) or -1 / P (inverse), both earn side * size * (v(P) - v(entry)) in the unit of their margin.
"""

from __future__ import annotations

import math
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray

LONG, SHORT = 1.0, -1.0
LEAST_COIN = 1e-30
"""A USD that buys less coin than this has no price."""


class Contract(Enum):
    """What one unit of size is: a coin settled in USD (linear), or a USD settled in coin (inverse)."""

    LINEAR = "linear"
    INVERSE = "inverse"

    def unit_value(self, price_usd: ArrayLike) -> FloatArray:
        """Value of one unit of size up to a constant, in the unit of margin: P, or -1 / P.

        >>> float(Contract.INVERSE.unit_value(50_000.0))
        -2e-05
        """
        price = np.asarray(price_usd, dtype=np.float64)
        return price if self is Contract.LINEAR else -1.0 / price

    def price_usd(self, value: ArrayLike) -> FloatArray:
        """The price at which one unit of size has this value; infinite where no price has."""
        given = np.asarray(value, dtype=np.float64)
        if self is Contract.LINEAR:
            return given
        priced = given < -LEAST_COIN
        return np.asarray(np.where(priced, -1.0 / np.where(priced, given, -1.0), np.inf))

    def pnl(self, side: ArrayLike, size: ArrayLike, *, entry_usd: ArrayLike, price_usd: ArrayLike) -> FloatArray:
        """Profit of a position in the unit of its margin; side +1 long, -1 short.

        >>> float(Contract.LINEAR.pnl(SHORT, 2.0, entry_usd=100.0, price_usd=90.0))
        20.0
        """
        return np.asarray(np.asarray(side) * np.asarray(size) * (self.unit_value(price_usd) - self.unit_value(entry_usd)))


def bankruptcy_price_usd(contract: Contract, side: ArrayLike, *, entry_usd: ArrayLike, leverage: ArrayLike) -> FloatArray:
    """The price at which a position has lost all of its margin.

    v(B) = v(entry) - side |v(entry)| / leverage.  Without more than 1x a linear long cannot go bankrupt, nor an inverse short: 0, and infinite.

    >>> float(bankruptcy_price_usd(Contract.LINEAR, LONG, entry_usd=60_000.0, leverage=10.0))
    54000.0
    """
    value = contract.unit_value(entry_usd)
    return np.maximum(contract.price_usd(value - np.asarray(side) * np.abs(value) / _leverage(leverage)), 0.0)


def liquidation_price_usd(
    contract: Contract, side: ArrayLike, *, entry_usd: ArrayLike, leverage: ArrayLike, maintenance_share: ArrayLike
) -> FloatArray:
    """The price at which a position's equity falls to its maintenance margin (maintenance_share of its value there).

    Linear: long P0 (1 - 1/L) / (1 - m), short P0 (1 + 1/L) / (1 + m); inverse: long P0 (1 + m) / (1 + 1/L), short P0 (1 - m) / (1 - 1/L).

    >>> round(float(liquidation_price_usd(Contract.INVERSE, LONG, entry_usd=60_000.0, leverage=10.0, maintenance_share=0.005)), 4)
    54818.1818

    Raises InputError for leverage of 0 or less or a share outside [0, 1).
    """
    bankruptcy = bankruptcy_price_usd(contract, side, entry_usd=entry_usd, leverage=leverage)
    return trigger_price_usd(contract, side, bankruptcy_usd=bankruptcy, maintenance_share=maintenance_share)


def trigger_price_usd(contract: Contract, side: ArrayLike, *, bankruptcy_usd: ArrayLike, maintenance_share: ArrayLike) -> FloatArray:
    """The liquidation price of a position whose bankruptcy price is known: side (v(P) - v(B)) = m |v(P)|."""
    share = np.asarray(maintenance_share, dtype=np.float64)
    if not ((share >= 0.0) & (share < 1.0)).all():
        raise InputError(f"expected maintenance_share from 0 to below 1, got {float(np.max(share)):g}; 0.005 is 0.5 %")
    tilt = np.asarray(side) * share
    bankruptcy = np.asarray(bankruptcy_usd, dtype=np.float64)
    return np.asarray(bankruptcy / (1.0 - tilt) if contract is Contract.LINEAR else bankruptcy * (1.0 + tilt))


def _leverage(leverage: ArrayLike) -> FloatArray:
    given = np.asarray(leverage, dtype=np.float64)
    if not ((given > 0.0) & np.isfinite(given)).all():
        raise InputError(f"expected leverage above 0, got {float(np.min(given)):g}; 10 is ten times the margin")
    return given


def distance_log(price_usd: float, from_usd: float) -> float:
    """Log distance of a price from another, infinite where it is never reached."""
    return math.log(price_usd / from_usd) if math.isfinite(price_usd) and price_usd > 0.0 else math.copysign(math.inf, price_usd - from_usd)
