"""The books of an options pool: what its liquidity is worth, what of it is free, and what each trade brought and lost."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.protocol import Account
from tailwag.sim.option_model import Positions
from tailwag.sim.option_slots import OptionSlots


@dataclass(frozen=True, slots=True)
class PoolBooks:
    """Sums over a pool's trades since the start, USD (paths,): a trade's edge against the model = fees - stale + vol, exactly.

    ``fees_usd`` taken; ``stale_usd`` lost because the quote's spot was old (the pool's own price at the true spot less that at the told one);
    ``vol_usd`` gained because the pool's vol was not the market's.  ``sold_coin``, ``bought_coin`` of options; ``fresh_usd``: premium of the step
    that runs, + received.
    """

    fees_usd: FloatArray
    stale_usd: FloatArray
    vol_usd: FloatArray
    sold_coin: FloatArray
    bought_coin: FloatArray
    fresh_usd: FloatArray

    @classmethod
    def opened(cls, paths: int) -> PoolBooks:
        """Nothing traded."""
        nothing = np.zeros(paths)
        return cls(nothing, nothing, nothing, nothing, nothing, nothing)

    def traded(
        self, coin: FloatArray, price_usd: FloatArray, *, told_usd: FloatArray, true_usd: FloatArray, model_usd: FloatArray
    ) -> PoolBooks:
        """The books after takers bought ``coin`` (+): the price paid, the pool's own without fees at the told and the true spot, the model's."""
        return PoolBooks(
            self.fees_usd + coin * (price_usd - told_usd),
            self.stale_usd + coin * (true_usd - told_usd),
            self.vol_usd + coin * (true_usd - model_usd),
            self.sold_coin + np.maximum(coin, 0.0),
            self.bought_coin + np.maximum(-coin, 0.0),
            self.fresh_usd + coin * price_usd,
        )

    def stepped(self) -> PoolBooks:
        """The step's premium is in the account now."""
        return replace(self, fresh_usd=np.zeros(self.fresh_usd.shape))


@dataclass(frozen=True, slots=True)
class PoolWorth:
    """What a pool has at one moment, USD (paths,): ``nav_usd`` the worth of all of it, ``locked_usd`` of it behind options sold and hedges."""

    nav_usd: FloatArray
    locked_usd: FloatArray

    @property
    def free_usd(self) -> FloatArray:
        """What new trades may use; never below 0."""
        return np.maximum(self.nav_usd - self.locked_usd, 0.0)


def collateral_usd(held: Positions, spot_usd: FloatArray) -> FloatArray:
    """What stands behind the options sold: a call's coin at its price now, a put's strike; nothing for options that are long.  (paths,)."""
    each = np.where(held.right > 0.0, spot_usd, held.strike_usd)
    return np.asarray((np.maximum(-held.coin, 0.0) * each).sum(axis=0))


def pool_worth(
    slots: OptionSlots, account: Account, value_usd: FloatArray, *, spot_usd: FloatArray, deposit_usd: float, margin_share: float
) -> PoolWorth:
    """Deposit + cash + coin + options by the common model; behind options their collateral, behind the hedge ``margin_share`` of it."""
    nav = deposit_usd + account.cash_usd + account.position_coin * spot_usd + value_usd
    return PoolWorth(nav, collateral_usd(slots.held, spot_usd) + margin_share * np.abs(account.position_coin) * spot_usd)
