"""The option market of a run: orders of takers, quotes of makers, and who trades what with whom at which price.

In every step, before anybody sizes orders in the underlying, each taker's orders meet the makers' quotes at the price before trading: best
price first, equal prices pro rata, never beyond the limit or a maker's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.option_model import Contract, Mark, OptionModel, OptionTerms

__all__ = ["Contract", "Mark", "OptionFill", "OptionModel", "OptionOrder", "OptionTerms", "Quote", "matched"]


@dataclass(frozen=True, slots=True)
class OptionOrder:
    """What a taker wants of a contract: ``coin`` (+ buys) at ``limit_price_usd`` per coin or better (None: at any price), (paths,) each.

    ``auction``: the quotes that are needed are ranked and all trade at the worst price among them.
    """

    contract: Contract
    coin: FloatArray
    limit_price_usd: FloatArray | None = None
    auction: bool = False


@dataclass(frozen=True, slots=True)
class Quote:
    """A maker's two prices for one contract, USD per coin, and the most coin for each.  Shapes: (paths,); size 0 is no quote."""

    bid_usd: FloatArray
    ask_usd: FloatArray
    bid_coin: FloatArray
    ask_coin: FloatArray

    @classmethod
    def none(cls, paths: int) -> Quote:
        """No quote."""
        nothing = np.zeros(paths)
        return cls(nothing, nothing, nothing, nothing)


@dataclass(frozen=True, slots=True)
class OptionFill:
    """One side of an option trade: signed ``coin`` (+ bought) at ``price_usd`` (mean over what met), (paths,) each.

    ``mark`` is the model's view at that moment.  Of the ``wanted_coin`` (not given: all was traded) ``refused_coin`` was not even offered, for
    want of a slot.  Paths that traded nothing have 0 coin at the model's price.
    """

    contract: Contract
    coin: FloatArray
    price_usd: FloatArray
    mark: Mark
    wanted_coin: FloatArray = field(default_factory=lambda: np.zeros(0))
    refused_coin: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if self.wanted_coin.size == 0:
            object.__setattr__(self, "wanted_coin", self.coin)
        if self.refused_coin.size == 0:
            object.__setattr__(self, "refused_coin", np.zeros(self.coin.shape))

    @property
    def model_price_usd(self) -> FloatArray:
        """What the model says of one coin."""
        return self.mark.price_usd

    @property
    def unfilled_coin(self) -> FloatArray:
        """Coin that was wanted and not traded, without its sign."""
        return np.abs(self.wanted_coin - self.coin)

    @property
    def premium_usd(self) -> FloatArray:
        """Cash paid, + ; received, -."""
        return self.coin * self.price_usd

    @property
    def edge_usd(self) -> FloatArray:
        """What the trade gained against the model."""
        return self.coin * (self.mark.price_usd - self.price_usd)


def matched(order: OptionOrder, quotes: Sequence[Quote]) -> tuple[FloatArray, FloatArray]:
    """What a taker buys of every maker (+; sells -) and at which price, (makers, paths) each.

    Best price first; makers of one price share pro rata to their sizes; no maker beyond its size, nothing beyond the order's limit.

    >>> one, two = (Quote(*(np.array([value]) for value in (90.0, ask, 5.0, 5.0))) for ask in (110.0, 105.0))
    >>> order = OptionOrder(Contract(+1, 1, np.array([100.0])), np.array([7.0]))
    >>> [told.ravel().tolist() for told in matched(order, [one, two])]
    [[2.0, 5.0], [110.0, 105.0]]
    """
    coin = order.coin
    side = np.where(coin >= 0.0, 1.0, -1.0)
    price = np.where(coin >= 0.0, [quote.ask_usd for quote in quotes], [quote.bid_usd for quote in quotes])
    size = np.where(coin >= 0.0, [quote.ask_coin for quote in quotes], [quote.bid_coin for quote in quotes])
    if order.limit_price_usd is not None:
        size = np.where(side * price <= side * order.limit_price_usd, size, 0.0)
    wanted, taken = np.abs(coin), np.zeros(size.shape)
    for _ in quotes:
        best = np.where(size > 0.0, side * price, np.inf).min(axis=0)
        level = np.where((size > 0.0) & (side * price == best), size, 0.0)
        offered = level.sum(axis=0)
        part = np.minimum(wanted / np.where(offered > 0.0, offered, 1.0), 1.0)
        taken, size = taken + part * level, np.where(level > 0.0, 0.0, size)
        wanted = np.where(offered >= wanted, 0.0, wanted - offered)  # a rest of rounding would be an auction's worst price
    if order.auction:
        worst = np.where(taken > 0.0, side * price, -np.inf).max(axis=0)
        price = np.where(taken > 0.0, side * worst, price)
    return side * taken, price
