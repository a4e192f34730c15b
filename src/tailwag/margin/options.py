"""Margin of short options by a venue's standard rules: so much of the underlying's price, and the option's own value on top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.sources.rules import RuleTable


@dataclass(frozen=True, slots=True)
class OptionMargin:
    """Standard margin of one coin of a short option, position by position, without offsets; a long option needs none.

    Maintenance: share x S + mark; a put's share is of its own value where that is worth more than the coin.  Initial: max(initial_share x S - how far
    out of the money, least_share x S) + mark, a put's at least its maintenance margin.  ``fee_share`` of the underlying is charged when the venue closes
    an option.  ``long_lends``: whether what long options are worth counts as margin of the rest.

    >>> rule = OptionMargin(0.075, 0.15, 0.1, 0.002)
    >>> float(rule.maintenance_usd(+1, mark_usd=1500.0, spot_usd=60000.0)), float(rule.initial_usd(+1, 63000.0, mark_usd=1500.0, spot_usd=60000.0))
    (6000.0, 7500.0)

    InputError for shares outside [0, 1) or a least initial share above the initial one.
    """

    maintenance_share: float
    initial_share: float
    initial_least_share: float
    fee_share: float
    long_lends: bool = False

    def __post_init__(self) -> None:
        shares = (self.maintenance_share, self.initial_share, self.initial_least_share, self.fee_share)
        if (
            not all(0.0 <= share < 1.0 for share in shares)
            or not 0.0 < self.maintenance_share <= self.initial_least_share <= self.initial_share
        ):
            raise InputError(f"expected shares in [0, 1) with 0 < maintenance <= least initial <= initial, got {shares}")

    def maintenance_usd(self, right: int, *, mark_usd: ArrayLike, spot_usd: ArrayLike) -> FloatArray:
        """Maintenance margin of one short coin, its own value included, USD; ``right`` +1 call, -1 put."""
        return np.asarray(self.maintenance_beyond_usd(right, mark_usd=mark_usd, spot_usd=spot_usd) + np.asarray(mark_usd))

    def initial_usd(self, right: int, strike_usd: ArrayLike, *, mark_usd: ArrayLike, spot_usd: ArrayLike) -> FloatArray:
        """Initial margin of one short coin, its own value included, USD."""
        return np.asarray(self.initial_beyond_usd(right, strike_usd, mark_usd=mark_usd, spot_usd=spot_usd) + np.asarray(mark_usd))

    def maintenance_beyond_usd(self, right: int, *, mark_usd: ArrayLike, spot_usd: ArrayLike) -> FloatArray:
        """Maintenance margin beyond the option's own value: a share of the coin, or of a put that is worth more."""
        spot = np.asarray(spot_usd, dtype=np.float64)
        return np.asarray(self.maintenance_share * (spot if right > 0 else np.maximum(spot, mark_usd)))

    def initial_beyond_usd(self, right: int, strike_usd: ArrayLike, *, mark_usd: ArrayLike, spot_usd: ArrayLike) -> FloatArray:
        """Initial margin beyond the option's own value: less for what is out of the money, down to the least share."""
        spot = np.asarray(spot_usd, dtype=np.float64)
        out = np.maximum(right * (np.asarray(strike_usd) - spot), 0.0)
        asked = np.maximum(self.initial_share * spot - out, self.initial_least_share * spot)
        return asked if right > 0 else np.maximum(asked, self.maintenance_beyond_usd(right, mark_usd=mark_usd, spot_usd=spot))


def option_margin(table: RuleTable, at_ns: int) -> OptionMargin:
    """The rule of a venue's table that was in force at a time.

    >>> from tailwag.market.clock import parse_time_ns
    >>> from tailwag.sources.rules import load_rules
    >>> option_margin(load_rules("margin_deribit_btc"), parse_time_ns("2026-02-05T00:00:00Z")).maintenance_share
    0.075

    Raises InputError for a table without options (no figure is guessed), or a time before its first one.
    """
    names = ("maintenance_share", "initial_share", "initial_least_share", "liquidation_fee_share", "long_lends")
    maintenance, initial, least, fee, lends = (table.in_force(f"option_{name}", at_ns).value for name in names)
    return OptionMargin(maintenance, initial, least, fee, long_lends=bool(lends))
