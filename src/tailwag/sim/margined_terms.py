"""What a venue asks of an account that holds options and a perp, and how much of it the venue leaves where the account has less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.margin.maintenance import Maintenance
from tailwag.margin.options import OptionMargin

MARGINS = ("cross", "isolated")
DUST_SHARE = 1e-12
"""Where less than this part would stay, nothing stays."""


@dataclass(frozen=True, slots=True)
class MarginTerms:
    """A venue's rules for options and a perp on ``accounts`` equal accounts; ``margin`` "cross": one purse for both, "isolated": one purse each.

    ``perp`` and ``perp_initial``: maintenance and initial margin of the perp of one account; ``perp_fee_share``: the liquidation fee, of the value closed.
    InputError for a margin of neither kind, or less than one account.
    """

    option: OptionMargin
    perp: Maintenance
    perp_initial: Maintenance
    perp_fee_share: float
    margin: str = "cross"
    accounts: int = 1

    def __post_init__(self) -> None:
        if self.margin not in MARGINS:
            raise InputError(f"expected margin 'cross' or 'isolated', got {self.margin!r}")
        if not 1 <= self.accounts <= 1_000_000 or int(self.accounts) != self.accounts:
            raise InputError(f"expected accounts as a whole number from 1 to 1,000,000, got {self.accounts}")
        if not 0.0 <= self.perp_fee_share < 1.0:
            raise InputError(f"expected perp_fee_share from 0 to below 1, got {self.perp_fee_share:g}")

    @property
    def cross(self) -> bool:
        """Whether one purse stands behind everything."""
        return self.margin == "cross"

    def perp_usd(self, coin: FloatArray, spot_usd: FloatArray) -> FloatArray:
        """Maintenance margin of all accounts' perps together; in proportion to the price at a given size."""
        return np.asarray(self.accounts * self.perp.margin_usd(coin / self.accounts, price_usd=spot_usd))

    def perp_initial_usd(self, coin: FloatArray, spot_usd: FloatArray) -> FloatArray:
        """Initial margin of all accounts' perps together."""
        return np.asarray(self.accounts * self.perp_initial.margin_usd(coin / self.accounts, price_usd=spot_usd))


@dataclass(frozen=True, slots=True)
class Purse:
    """What a purse has and must have, and how both move with the log price: USD, (paths,)."""

    equity_usd: FloatArray
    needed_usd: FloatArray
    equity_slope_usd: FloatArray
    needed_slope_usd: FloatArray

    def __add__(self, other: Purse) -> Purse:
        return Purse(
            self.equity_usd + other.equity_usd,
            self.needed_usd + other.needed_usd,
            self.equity_slope_usd + other.equity_slope_usd,
            self.needed_slope_usd + other.needed_slope_usd,
        )

    def kept(self) -> tuple[FloatArray, FloatArray]:
        """Part of the positions that the venue leaves open, and its slope by log price: all while there is enough, then equity / needed, down to none.

        So much that what stays open needs what is there.

        >>> purse = Purse(np.array([120.0, 60.0, -5.0]), np.full(3, 100.0), np.full(3, 10.0), np.zeros(3))
        >>> [part.round(6).tolist() for part in purse.kept()]
        [[1.0, 0.6, 0.0], [0.0, 0.1, 0.0]]
        """
        below, some = self.equity_usd < self.needed_usd, np.where(self.needed_usd > 0.0, self.needed_usd, 1.0)
        part = np.maximum(self.equity_usd, 0.0) / some
        inside = below & (part > DUST_SHARE)
        slope = (self.equity_slope_usd - part * self.needed_slope_usd) / some
        return np.where(below, np.where(inside, part, 0.0), 1.0), np.where(inside, slope, 0.0)


def both_kept(options: Purse, perp: Purse, *, cross: bool) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """Parts of the options and of the hedge that stay, with slopes: one and the same under cross margin; else each by its own purse, the hedge of no
    more than the options that stay.
    """
    if cross:
        one = (options + perp).kept()
        return one, one
    (held, held_slope), (hedge, hedge_slope) = options.kept(), perp.kept()
    return (held, held_slope), (hedge * held, hedge_slope * held + hedge * held_slope)
