"""The options that agents trade with each other: what a contract is, and the one model by which everybody marks it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.black_plain import normal_cdf
from tailwag.kernels.netdelta import LEAST_YEARS, SKEW_REACH_LOG, VOL_FLOOR
from tailwag.kernels.slots import SAME_YEARS, slot_delta_kernel, slot_greeks_kernel
from tailwag.sim.grid import TimeGrid
from tailwag.sim.option_book import WINDOW_YEARS

VALUE, DELTA, GAMMA, VEGA, THETA, VANNA, CHARM, VOMMA = range(8)
"""Rows of a model's greeks, as in `NET_GREEKS`."""
FAR_LOG, HALVINGS = 6.0, 56
"""A strike by delta is sought this far from the forward, and its bracket halved so often."""


@dataclass(frozen=True, slots=True)
class OptionTerms:
    """How options that trade during a run are marked and settled: one model for buyer and seller, so that their values sum to zero.

    vol = max(iv + skew ln(K/S) + vol_shift, 0.01), ln(K/S) held at +-0.5 beyond; F = S.  ``averaged``: contracts settle on the mean price of the
    last 30 minutes.  UnitError for an iv outside 0.01 to 10 (0.6 is 60 %) or a skew beyond +-20.

    >>> OptionTerms(iv=0.6, skew=-0.2).averaged
    True
    """

    iv: float
    skew: float = 0.0
    averaged: bool = True

    def __post_init__(self) -> None:
        if not VOL_FLOOR <= self.iv <= 10.0:
            raise UnitError(f"expected iv of the option market as a decimal from {VOL_FLOOR:g} to 10, got {self.iv:g}; 0.6 is 60 %")
        if not abs(self.skew) <= 20.0:
            raise UnitError(f"expected skew of the option market within +-20 (vol per unit of ln(K/S)), got {self.skew:g}; -0.2 is usual")


@dataclass(frozen=True, slots=True)
class Contract:
    """An option: ``right`` +1 call or -1 put, the step whose grid time it expires at, and its strike on every path, (paths,).

    Steps beyond the end of the run are as long as its last one.  InputError for another right or a strike that is not above 0.

    >>> Contract(+1, 12, np.array([60000.0])).right
    1
    """

    right: int
    expiry_step: int
    strike_usd: FloatArray

    def __post_init__(self) -> None:
        if self.right not in (1, -1):
            raise InputError(f"expected a contract's right +1 (call) or -1 (put), got {self.right!r}")
        if self.expiry_step < 0 or int(self.expiry_step) != self.expiry_step:
            raise InputError(f"expected a contract's expiry as a step of the run, 0 or more, got {self.expiry_step!r}")
        strikes = np.asarray(self.strike_usd, dtype=np.float64)
        good = np.isfinite(strikes) & (strikes > 0.0)
        if strikes.ndim != 1 or not good.all():
            raise InputError(
                f"expected one strike above 0 for each path, got {strikes.flat[0] if strikes.ndim != 1 else strikes[~good][0]:g} USD "
                f"in shape {strikes.shape}; trade 0 coin on paths that want no option"
            )
        object.__setattr__(self, "strike_usd", strikes)


@dataclass(frozen=True, slots=True)
class Positions:
    """Options by slot and path: signed coin, right, strike, running average and expiry step, (slots, paths) each; read-only."""

    coin: FloatArray
    right: FloatArray
    strike_usd: FloatArray
    average_usd: FloatArray
    expiry_step: IntArray

    def __post_init__(self) -> None:
        for column in fields(self):  # always read-only: a kernel is compiled for one kind of array
            view = np.ascontiguousarray(getattr(self, column.name)).view()
            view.setflags(write=False)
            object.__setattr__(self, column.name, view)

    @property
    def columns(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, IntArray]:
        """As the kernels take them."""
        return self.coin, self.right, self.strike_usd, self.average_usd, self.expiry_step


@dataclass(frozen=True, slots=True)
class Mark:
    """One contract at one moment of the market: the price and vol shift there, and the model's value and greeks of one coin of it.

    Shapes: (paths,); ``greeks`` (8, paths); ``average_usd`` is the running settlement average (the last price before its window).
    """

    step: int
    spot_usd: FloatArray
    vol_shift: FloatArray
    average_usd: FloatArray
    greeks: FloatArray

    @property
    def price_usd(self) -> FloatArray:
        """What one coin of the contract is worth by the model."""
        return np.asarray(self.greeks[VALUE])


@dataclass(frozen=True, slots=True)
class OptionModel:
    """The option terms on a run's time grid: values and greeks of contracts and of slots at (step, log_price, vol_shift).

    Greeks are by spot with the vol following it by the skew, in the order of `NET_GREEKS`; undiscounted USD.
    """

    terms: OptionTerms
    grid: TimeGrid
    spot_usd: float

    def greeks(self, held: Positions, step: int, log_price: FloatArray, vol_shift: FloatArray) -> FloatArray:
        """Value and greeks of all that is held, (8, paths)."""
        out = np.zeros((8, log_price.size))
        spot, clock = self._spot(log_price), (float(self.grid.years[step]), self.grid.years)
        slot_greeks_kernel(held.columns, clock, self._numbers, spot, np.array(vol_shift, dtype=np.float64), out)
        return out

    def hedge_delta(self, held: Positions, step: int, log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Black delta in coin (vol held still, as hedgers read it) and its slope per unit of log price, (paths,) each."""
        out = np.zeros((2, log_price.size))
        spot, clock = self._spot(log_price), (float(self.grid.years[step]), self.grid.years)
        slot_delta_kernel(held.columns, clock, self._numbers, spot, np.array(vol_shift, dtype=np.float64), out)
        return out[0], out[1]

    def mark(
        self, contract: Contract, step: int, log_price: FloatArray, vol_shift: FloatArray, *, average_usd: FloatArray | None = None
    ) -> Mark:
        """One coin of a contract there; inside its settlement window at the running average (without one: at the price).

        >>> model = OptionModel(OptionTerms(0.65, averaged=False), TimeGrid.uniform(horizon_days=30, step_minutes=1440), 60000.0)
        >>> model.mark(Contract(+1, 30, np.array([65000.0])), 0, np.zeros(1), np.zeros(1)).price_usd.round(8).tolist()
        [2559.74182777]
        """
        spot = self._spot(log_price)
        average = spot if average_usd is None else np.asarray(average_usd, dtype=np.float64)
        shape = (1, spot.size)
        one = Positions(
            np.ones(shape),
            np.full(shape, float(contract.right)),
            contract.strike_usd.reshape(shape),
            np.ascontiguousarray(average).reshape(shape),
            np.full(shape, contract.expiry_step, dtype=np.int64),
        )
        return Mark(step, spot, np.asarray(vol_shift, dtype=np.float64), average, self.greeks(one, step, log_price, vol_shift))

    def years_left(self, expiry_step: IntArray | int, step: int) -> FloatArray:
        """Years from a step to the grid time of an expiry; beyond the grid its last step goes on."""
        years, expiry = self.grid.years, np.asarray(expiry_step)
        beyond = np.maximum(expiry - self.grid.steps, 0)
        return np.asarray(years[np.minimum(expiry, self.grid.steps)] + beyond * (years[-1] - years[-2]) - years[step])

    def acting_years(self, expiry_step: int, step: int) -> float:
        """Years that a contract's vol still has to act before its settlement window: those left, less 20 minutes where it is averaged."""
        left = float(self.years_left(expiry_step, step))
        return max(left - (WINDOW_YEARS * (2 / 3) if self.terms.averaged else 0.0), LEAST_YEARS)

    def window_reach(self, step: int) -> int:
        """The last expiry (step) within 30 minutes of a step, itself included: contracts up to it count the step's price; -1 without averages."""
        if not self.terms.averaged:
            return -1
        years, last = self.grid.years, self.grid.steps
        opens = years[step] + WINDOW_YEARS - SAME_YEARS
        beyond = max(int(np.ceil((opens - years[-1]) / (years[-1] - years[-2]))) - 1, 0)
        return min(int(np.searchsorted(years, opens, side="left")) - 1, last) + beyond

    def first_in_window(self, expiry_step: IntArray | int) -> IntArray:
        """First step of the run whose price counts for the settlement average of an expiry; the start's own price never does."""
        opens = self.years_left(expiry_step, 0) - WINDOW_YEARS + SAME_YEARS
        return np.asarray(np.maximum(np.searchsorted(self.grid.years, opens, side="right"), 1))

    def counted_prices(self, step: int) -> int:
        """How many grid prices up to a step a settlement average may still need: those of the last 30 minutes, the last one at least."""
        return step - int(np.searchsorted(self.grid.years, self.grid.years[step] - WINDOW_YEARS, side="left")) + 1

    def average_before(self, expiry_step: int, step: int, spot_usd: Sequence[FloatArray]) -> FloatArray:
        """Running settlement average of an expiry just before a step: the mean of the prices counted so far, else the last price.

        ``spot_usd``: the last cleared prices, the newest last; those of 30 minutes are enough.
        """
        counted = max(step - int(self.first_in_window(expiry_step)), 0) if self.terms.averaged else 0
        average = spot_usd[-max(counted, 1)]
        for count, price in enumerate(spot_usd[len(spot_usd) - counted + 1 :] if counted else (), start=1):
            average = (average * count + price) / (count + 1)
        return average

    def strike_at_delta(
        self, right: int, delta: float, *, step: int, expiry_step: int, log_price: FloatArray, vol_shift: FloatArray
    ) -> FloatArray:
        """The strike whose Black delta is ``delta`` (a put's is negative), at its own vol, (paths,).

        >>> model = OptionModel(OptionTerms(0.5, averaged=False), TimeGrid.uniform(horizon_days=7, step_minutes=1440), 60000.0)
        >>> strike = model.strike_at_delta(+1, 0.25, step=0, expiry_step=7, log_price=np.zeros(1), vol_shift=np.zeros(1))
        >>> strike.round(2).tolist()
        [63019.56]
        """
        if not 0.0 < right * delta < 1.0:
            raise InputError(f"expected a delta between 0 and 1 for a call, -1 and 0 for a put, got {delta:g} for right {right:+d}")
        wanted, root = (delta if right > 0 else 1.0 + delta), math.sqrt(self.acting_years(expiry_step, step))
        low, high = np.full(log_price.shape, -FAR_LOG), np.full(log_price.shape, FAR_LOG)
        for _ in range(HALVINGS):
            x = 0.5 * (low + high)
            w = self.vol(x, vol_shift) * root
            above = normal_cdf(x / w + 0.5 * w) > wanted
            low, high = np.where(above, low, x), np.where(above, x, high)
        return np.asarray(self._spot(log_price) * np.exp(-0.5 * (low + high)))

    def vol(self, log_moneyness: FloatArray, vol_shift: FloatArray) -> FloatArray:
        """The model's vol of a contract by ln(S/K)."""
        held = np.clip(log_moneyness, -SKEW_REACH_LOG, SKEW_REACH_LOG)
        return np.maximum(self.terms.iv - self.terms.skew * held + vol_shift, VOL_FLOOR)

    @property
    def _numbers(self) -> tuple[float, float, float]:
        return self.terms.iv, self.terms.skew, WINDOW_YEARS if self.terms.averaged else 0.0

    def _spot(self, log_price: FloatArray) -> FloatArray:
        return np.asarray(self.spot_usd * np.exp(np.ascontiguousarray(log_price, dtype=np.float64)))
