"""How an options pool prices an order: a vol that trades move, fees on top, and the bounds outside which it does not trade."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.kernels.black_plain import normal_cdf, normal_density
from tailwag.units import HOURS_PER_YEAR

WEEKS_PER_YEAR = HOURS_PER_YEAR / 168.0
STANDARD_DAYS, LEAST_DAYS = 30.0, 7.0
"""Vegas are made comparable between expiries: those of 30 days count as they are, shorter than 7 days as 7 days."""


@dataclass(frozen=True, slots=True)
class VolRule:
    """The vol at which a pool prices: base vol of the expiry times skew of the strike, both moved by what is traded.

    A purchase of q coin moves the base by q / standard_size_coin / 100 and the skew by ``skew_share`` of that number; a sale moves them back.
    ``start_iv`` None: the option market's.  Skews start at the market's smile over its vol.  ``standard_size_coin`` inf: nothing moves.
    An order that would leave the bounds on its side (above for purchases, below for sales) is not traded.  Source: Lyra v1, OptionMarketPricer.

    >>> VolRule(standard_size_coin=5.0).moved(12.0)
    0.024

    InputError for a size that is not positive or bounds out of order.
    """

    start_iv: float | None = None
    standard_size_coin: float = math.inf
    skew_share: float = 0.0
    least_base_iv: float = 0.0
    most_base_iv: float = math.inf
    least_skew: float = 0.0
    most_skew: float = math.inf
    least_vol: float = 0.0
    most_vol: float = math.inf
    memory_hours: float = 24.0

    def __post_init__(self) -> None:
        if self.start_iv is not None and not 0.01 <= self.start_iv <= 10.0:
            raise UnitError(f"expected a pool's iv as a decimal from 0.01 to 10, got {self.start_iv:g}; 0.6 is 60 %")
        if not self.standard_size_coin > 0.0 or not self.memory_hours > 0.0:
            raise InputError(
                f"expected standard_size_coin and memory_hours above 0, got {self.standard_size_coin:g}, {self.memory_hours:g}"
            )
        if not 0.0 <= self.skew_share <= 10.0:
            raise InputError(f"expected skew_share from 0 to 10, got {self.skew_share:g}; 0.75 moves a strike's skew by three quarters")
        for word in ("base_iv", "skew", "vol"):
            low, high = getattr(self, f"least_{word}"), getattr(self, f"most_{word}")
            if not 0.0 <= low < high:
                raise InputError(f"expected least_{word} of 0 or more and below most_{word}, got {low:g} and {high:g}")

    @property
    def moves(self) -> bool:
        """Whether trades move the vol."""
        return math.isfinite(self.standard_size_coin)

    def moved(self, coin: FloatArray | float) -> FloatArray | float:
        """By how much takers' purchases (+) raise the base vol."""
        return coin / self.standard_size_coin / 100.0

    def within(self, side: FloatArray, base_iv: FloatArray, skew: FloatArray) -> BoolArray:
        """Whether the vol after a trade may be: only the bounds that the trade goes towards count, ``side`` + for purchases."""
        vol = base_iv * skew
        below_top = (vol <= self.most_vol) & (base_iv <= self.most_base_iv) & (skew <= self.most_skew)
        above_floor = (vol >= self.least_vol) & (base_iv >= self.least_base_iv) & (skew >= self.least_skew)
        return np.asarray(np.where(side > 0.0, below_top, above_floor) & (vol > 0.0))


@dataclass(frozen=True, slots=True)
class Priced:
    """One order as a pool prices it, (paths,): price and vega of one coin by its own vol, that vol's parts, and what fees look at.

    ``standard_vega_before``, ``standard_vega_after``: the whole pool's, USD per vol point of 30 days; ``iv_variance``: how far the base vol is from
    its mean of the last day; ``weeks`` to the expiry.
    """

    spot_usd: FloatArray
    price_usd: FloatArray
    vega_usd: FloatArray
    base_iv: FloatArray
    skew: FloatArray
    iv_variance: FloatArray
    standard_vega_before: FloatArray
    standard_vega_after: FloatArray
    nav_usd: FloatArray
    weeks: float


@dataclass(frozen=True, slots=True)
class FeeParts:
    """Fees of one coin by their cause, USD (paths,)."""

    option_usd: FloatArray
    spot_usd: FloatArray
    vega_usd: FloatArray
    variance_usd: FloatArray

    @property
    def total_usd(self) -> FloatArray:
        """All of them."""
        return self.option_usd + self.spot_usd + self.vega_usd + self.variance_usd


@dataclass(frozen=True, slots=True)
class FeeRule:
    """Fees of a pool, of each coin traded.

    option_share x price + spot_share x spot, both growing by 1x from ``..._slow_weeks`` to ``..._double_weeks`` before expiry (and on);
    + vega_factor x vol x |pool's standard vega after| / NAV where the trade raises that vega's size;
    + variance_share (variance_floor + variance_vega x vega) (1 + variance_skew |skew - 1|) (1 + variance_iv x iv_variance).
    Sources: Lyra v1 (Newport), OptionMarketPricer.sol: getTimeWeightedFee, getVegaUtilFee, getVarianceFee.  InputError for a negative share.

    >>> FeeRule(option_share=0.01, option_slow_weeks=6.0, option_double_weeks=16.0).growth("option", 11.0)
    1.5
    """

    option_share: float = 0.0
    option_slow_weeks: float = 6.0
    option_double_weeks: float = 16.0
    spot_share: float = 0.0
    spot_slow_weeks: float = 6.0
    spot_double_weeks: float = 12.0
    vega_factor: float = 0.0
    variance_share: float = 0.0
    variance_floor: float = 0.0
    variance_vega: float = 0.0
    variance_skew: float = 0.0
    variance_iv: float = 0.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"expected {entry.name} of a pool's fees as a number of 0 or more, got {value:g}")
        if self.option_share >= 1.0 or self.spot_share >= 1.0:
            raise UnitError(f"expected fee shares below 1, got {self.option_share:g} and {self.spot_share:g}; 0.01 is 1 %")
        for word in ("option", "spot"):
            if not getattr(self, f"{word}_slow_weeks") < getattr(self, f"{word}_double_weeks"):
                raise InputError(f"expected {word}_double_weeks above {word}_slow_weeks")

    def growth(self, word: str, weeks: float) -> float:
        """The factor on the option or spot fee of an expiry so many weeks away."""
        slow, double = getattr(self, f"{word}_slow_weeks"), getattr(self, f"{word}_double_weeks")
        return float(max(1.0, 1.0 + (weeks - slow) / (double - slow)))

    def of(self, told: Priced) -> FeeParts:
        """The fees of one coin of an order."""
        raises = np.abs(told.standard_vega_after) > np.abs(told.standard_vega_before)
        solvent = told.nav_usd > 0.0
        used = told.base_iv * told.skew * np.abs(told.standard_vega_after) / np.where(solvent, told.nav_usd, 1.0)
        lean = (1.0 + self.variance_skew * np.abs(told.skew - 1.0)) * (1.0 + self.variance_iv * told.iv_variance)
        return FeeParts(
            self.option_share * self.growth("option", told.weeks) * told.price_usd,
            self.spot_share * self.growth("spot", told.weeks) * told.spot_usd,
            np.where(raises & solvent, self.vega_factor * used, 0.0),
            self.variance_share * (self.variance_floor + self.variance_vega * told.vega_usd) * lean,
        )


def black(
    right: int, spot_usd: FloatArray, strike_usd: FloatArray, years: float, vol: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Price, call delta and vega (per 1.00 of vol) of one coin at rate 0.

    >>> [round(float(part[0]), 6) for part in black(+1, np.array([100.0]), np.array([100.0]), 0.25, np.array([0.6]))]
    [11.923538, 0.559618, 19.723967]
    """
    w = vol * math.sqrt(years)
    d1 = np.log(spot_usd / strike_usd) / w + 0.5 * w
    price = right * (spot_usd * normal_cdf(right * d1) - strike_usd * normal_cdf(right * (d1 - w)))
    return np.maximum(price, 0.0), normal_cdf(d1), spot_usd * normal_density(d1) * math.sqrt(years)


def standard_factor(years: FloatArray) -> FloatArray:
    """What a vega (per 1.00) is multiplied by to be one of 30 days per vol point: sqrt(30 / whole days to expiry, 7 at least) / 100.

    >>> standard_factor(np.array([30.9, 3.0]) / 365.0).round(6).tolist()
    [0.01, 0.020702]
    """
    days = np.maximum(np.floor(years * 365.0 + 1e-9), LEAST_DAYS)
    return np.asarray(np.sqrt(STANDARD_DAYS / days) / 100.0)
