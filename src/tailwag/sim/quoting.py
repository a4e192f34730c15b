"""How a dealer quotes options: around the model's vol, leaned against what it holds, within limits; and how prices move against its fills."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.protocol import Move
from tailwag.sim.option_market import OptionFill, Quote
from tailwag.sim.option_model import GAMMA, VEGA, Contract, OptionModel
from tailwag.sim.option_slots import OptionSlots

PER_VOLPT = 0.01
PER_MILLION_USD = 1e-6
BPS = 1e-4


@dataclass(frozen=True, slots=True)
class QuoteRule:
    """Prices and sizes that a dealer offers.

    bid, ask = model price + vega (lean -+ half_spread_volpt) / 100, lean = -(vega_skew_volpt Vega + gamma_skew_volpt S^2 Gamma) / 1e6 over all that
    it has traded (Vega in USD per 1.00 of vol): vol points for each million USD held.  The half-spread is ``least_half_spread_bps`` of spot at least.
    ``size_coin``: the most for one quote.  ``strike_limit_coin``, ``expiry_limit_coin``: the most it may be net long or short at one strike of
    an expiry (calls and puts together) or at one expiry; None = no limit.  InputError for a negative spread, skew, size or limit.

    >>> QuoteRule(half_spread_volpt=1.5, size_coin=100.0).strike_limit_coin is None
    True
    """

    half_spread_volpt: float
    size_coin: float
    vega_skew_volpt: float = 0.0
    gamma_skew_volpt: float = 0.0
    least_half_spread_bps: float = 0.0
    strike_limit_coin: float | None = None
    expiry_limit_coin: float | None = None

    def __post_init__(self) -> None:
        for name in ("half_spread_volpt", "size_coin", "vega_skew_volpt", "gamma_skew_volpt", "least_half_spread_bps"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"expected {name} of 0 or more, got {value:g}; a dealer lowers its prices as it gets long")
        for name in ("strike_limit_coin", "expiry_limit_coin"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0.0):
                raise InputError(f"expected {name} above 0, got {value:g}; leave it out for no limit")

    def quote(
        self,
        slots: OptionSlots,
        contract: Contract,
        *,
        price_usd: FloatArray,
        vega_usd: FloatArray,
        greeks: FloatArray,
        spot_usd: FloatArray,
    ) -> Quote:
        """The two prices and sizes for a contract; ``greeks`` (8, paths) of what is held."""
        lean = -PER_MILLION_USD * (self.vega_skew_volpt * greeks[VEGA] + self.gamma_skew_volpt * greeks[GAMMA] * spot_usd**2)
        middle = price_usd + PER_VOLPT * lean * vega_usd
        half = np.maximum(PER_VOLPT * self.half_spread_volpt * vega_usd, BPS * self.least_half_spread_bps * spot_usd)
        most_long, most_short = self._sizes(slots, contract)
        return Quote(np.maximum(middle - half, 0.0), np.maximum(middle + half, 0.0), most_long, most_short)

    def _sizes(self, slots: OptionSlots, contract: Contract) -> tuple[FloatArray, FloatArray]:
        """The most coin that it buys and that it sells now."""
        buys = np.full(contract.strike_usd.shape, self.size_coin)
        sells = buys
        held = slots.held
        same_expiry = held.expiry_step == contract.expiry_step
        same_strike = same_expiry & (held.strike_usd == contract.strike_usd)
        for limit, which in ((self.strike_limit_coin, same_strike), (self.expiry_limit_coin, same_expiry)):
            if limit is not None:
                net = np.where(which, held.coin, 0.0).sum(axis=0)
                buys, sells = np.minimum(buys, limit - net), np.minimum(sells, limit + net)
        return np.maximum(buys, 0.0), np.maximum(sells, 0.0)


@dataclass(frozen=True, slots=True)
class Watched:
    """A fill whose price is looked at again in ``due_step`` (its expiry, if that comes first)."""

    fill: OptionFill
    due_step: int


@dataclass(frozen=True, slots=True)
class FillWatch:
    """Adverse selection: how far the model price of what was traded moved against the dealer within ``steps`` of each fill.

    ``against_usd`` is the sum of -coin (model price then - model price at the fill), ``coin`` the coin it is over, (paths,); fills whose time has
    not come at the end count for nothing.
    """

    steps: int
    waiting: tuple[Watched, ...]
    recent_usd: tuple[FloatArray, ...]
    against_usd: FloatArray
    coin: FloatArray

    @classmethod
    def opened(cls, steps: int, paths: int, spot_usd: float) -> FillWatch:
        """Nothing traded."""
        return cls(steps, (), (np.full(paths, spot_usd),), np.zeros(paths), np.zeros(paths))

    def traded(self, fill: OptionFill) -> FillWatch:
        """One more fill to look at later."""
        due = min(fill.mark.step + self.steps, fill.contract.expiry_step)
        return replace(self, waiting=(*self.waiting, Watched(fill, due)))

    def stepped(self, model: OptionModel, move: Move) -> FillWatch:
        """After a cleared step: fills whose time has come are compared."""
        recent = (*self.recent_usd, move.spot_usd)[-model.counted_prices(move.step) :]
        against, coin = self.against_usd, self.coin
        for told in self.waiting:
            if told.due_step == move.step:
                moved = _price(model, told.fill.contract, move, recent) - told.fill.model_price_usd
                against = against - np.where(move.live, told.fill.coin * moved, 0.0)
                coin = coin + np.where(move.live, np.abs(told.fill.coin), 0.0)
        later = tuple(told for told in self.waiting if told.due_step > move.step)
        return replace(self, waiting=later, recent_usd=recent, against_usd=against, coin=coin)


def _price(model: OptionModel, contract: Contract, move: Move, recent_usd: Sequence[FloatArray]) -> FloatArray:
    average = model.average_before(contract.expiry_step, move.step + 1, recent_usd)
    return model.mark(contract, move.step, move.log_price, move.vol_shift, average_usd=average).price_usd


@dataclass(frozen=True, slots=True)
class Crossing:
    """What a dealer bought from one taker and sold to another within a step: ``crossed_coin`` counts both sides of it, (paths,).

    ``net`` is what is left by contract, ``coin`` what was traded in the step that runs.
    """

    net: OptionSlots
    coin: FloatArray
    crossed_coin: FloatArray

    @classmethod
    def opened(cls, model: OptionModel, paths: int) -> Crossing:
        """Nothing crossed."""
        return cls(OptionSlots.empty(model, paths), np.zeros(paths), np.zeros(paths))

    def traded(self, fill: OptionFill) -> Crossing:
        """One more trade of the step; more contracts than slots in one step are taken as not crossed."""
        fits = np.where(self.net.room(fill.contract), fill.coin, 0.0)
        return replace(self, net=self.net.add(replace(fill, coin=fits)), coin=self.coin + np.abs(fits))

    def stepped(self) -> Crossing:
        """The step is over: what is not left by contract has been crossed."""
        if not self.coin.any():
            return self
        crossed = self.coin - np.abs(self.net.coin).sum(axis=0)
        return Crossing(
            OptionSlots.empty(self.net.model, self.coin.size), np.zeros(self.coin.shape), self.crossed_coin + np.maximum(crossed, 0.0)
        )
