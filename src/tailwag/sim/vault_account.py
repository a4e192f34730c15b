"""The books of an option vault: assets in its own unit, what is locked behind options, premium, payoff, and fees on epochs with a gain."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.option_market import OptionFill


@dataclass(frozen=True, slots=True)
class VaultFees:
    """What a vault's manager takes from an epoch with a gain: a share of the gain, and a share of the assets for the epoch's part of a year.

    >>> VaultFees(performance_share=0.1, management_per_year=0.02).performance_share
    0.1

    Raises UnitError for a fee that is no decimal from 0 to below 1.
    """

    performance_share: float = 0.0
    management_per_year: float = 0.0

    def __post_init__(self) -> None:
        for name in ("performance_share", "management_per_year"):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                raise UnitError(f"expected {name} as a decimal from 0 to below 1, got {value:g}; 0.02 is 2 %")

    def of(self, gain: FloatArray, assets: FloatArray, years: float) -> FloatArray:
        """The fee of an epoch, in the vault's unit, (paths,): performance_share * gain + management_per_year * years * assets where gain > 0.

        >>> VaultFees(0.1, 0.02).of(np.array([10.0, -10.0]), np.array([1000.0, 1000.0]), 0.5).tolist()
        [11.0, 0.0]
        """
        return np.where(gain > 0.0, self.performance_share * gain + self.management_per_year * years * np.maximum(assets, 0.0), 0.0)


@dataclass(frozen=True, slots=True)
class VaultBooks:
    """A vault's own books on every path.  Shapes: (paths,); amounts in the vault's unit (coin of calls, USD of puts) unless named.

    ``assets``: start + premium - payoff - fees, each turned into the unit at the price of its moment.  ``locked``: collateral behind options that
    are sold; a call locks one coin, a put its strike.  ``fresh``, ``fresh_locked``: of this step's trades, before the step is booked.
    ``epoch_premium`` since the epoch's first auction.  Sums since the start: ``offered``, ``sold`` (collateral of what was offered and sold),
    ``offered_coin``, ``sold_coin``, ``premium_usd``, ``model_usd`` (the sold options at the model's price), ``payoff_usd``, ``fee_usd``.
    """

    assets: FloatArray
    locked: FloatArray
    fresh: FloatArray
    fresh_locked: FloatArray
    epoch_premium: FloatArray
    offered: FloatArray
    sold: FloatArray
    offered_coin: FloatArray
    sold_coin: FloatArray
    premium_usd: FloatArray
    model_usd: FloatArray
    payoff_usd: FloatArray
    fee_usd: FloatArray

    @classmethod
    def opened(cls, assets: float, paths: int) -> VaultBooks:
        """The assets, nothing sold.  InputError where there are none."""
        if not (math.isfinite(assets) and assets > 0.0):
            raise InputError(f"expected a vault's assets above 0, got {assets:g}; coin for calls, USD for puts")
        nothing = np.zeros(paths)
        return cls(np.full(paths, float(assets)), *(nothing for _ in range(12)))

    @property
    def free(self) -> FloatArray:
        """Assets that stand behind no option."""
        return np.maximum(self.assets - self.locked, 0.0)

    def traded(self, fill: OptionFill, collateral: FloatArray, unit_usd: FloatArray | float) -> VaultBooks:
        """The books after a sale: ``collateral`` is what one coin of the contract locks, ``unit_usd`` what a unit of the assets is worth."""
        offered, sold = np.maximum(-fill.wanted_coin, 0.0), -fill.coin
        premium = sold * fill.price_usd
        return replace(
            self,
            fresh=self.fresh + premium / unit_usd,
            fresh_locked=self.fresh_locked + sold * collateral,
            offered=self.offered + offered * collateral,
            sold=self.sold + sold * collateral,
            offered_coin=self.offered_coin + offered,
            sold_coin=self.sold_coin + sold,
            premium_usd=self.premium_usd + premium,
            model_usd=self.model_usd + sold * fill.model_price_usd,
        )

    def stepped(self, paid_usd: FloatArray, unit_usd: FloatArray | float) -> VaultBooks:
        """The books after a step in which options received ``paid_usd`` (negative: the vault pays), trades of the step taken in."""
        return replace(
            self,
            assets=self.assets + self.fresh + paid_usd / unit_usd,
            locked=self.locked + self.fresh_locked,
            epoch_premium=self.epoch_premium + self.fresh,
            fresh=np.zeros(self.fresh.shape),
            fresh_locked=np.zeros(self.fresh.shape),
            payoff_usd=self.payoff_usd - paid_usd,
        )

    def closed(self, fees: VaultFees, *, paid: FloatArray, years: float, unit_usd: FloatArray | float, live: BoolArray) -> VaultBooks:
        """The books after an epoch's end, its options paid (``paid`` in the unit) and fees taken where it gained; all is free again."""
        fee = np.where(live, fees.of(self.epoch_premium + paid, self.assets, years), 0.0)
        return replace(
            self,
            assets=self.assets - fee,
            locked=np.where(live, 0.0, self.locked),
            epoch_premium=np.where(live, 0.0, self.epoch_premium),
            fee_usd=self.fee_usd + fee * unit_usd,
        )
