"""Automated market makers in closed form: what a pool is worth, how much gamma it sells, what arbitrage takes from it and who keeps it.

A pool holds coin and cash by a rule of price alone.  Arbitrageurs keep its price at the market's, so its value is a function V(P) with
V'(P) the coin in it and V''(P) < 0: its owner is short gamma, and what that costs a year is the loss versus rebalancing (LVR).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tailwag.errors import InputError, RuleError, UnitError
from tailwag.kernels.arrays import FloatArray

FIXED_BLOCK_TERM = 1.4603545088095868 / math.sqrt(math.pi)
"""-zeta(1/2) / sqrt(pi) = 0.8239169: sqrt 2 times the mean overshoot of a Gaussian walk over a barrier, in deviations of one block."""
MOST_FEE_LOG = 0.5


class Pool(Protocol):
    """A pool by its rule: value, coin and cash at a price (USD per coin), and how its coin changes with price.  Any shapes."""

    def value_usd(self, price_usd: FloatArray) -> FloatArray:
        """V(P) in USD."""
        ...

    def coin(self, price_usd: FloatArray) -> FloatArray:
        """V'(P): coin that lies in the pool."""
        ...

    def cash_usd(self, price_usd: FloatArray) -> FloatArray:
        """V - P V': cash that lies in the pool."""
        ...

    def coin_per_usd(self, price_usd: FloatArray) -> FloatArray:
        """V''(P) <= 0: coin gained when the price rises by one USD."""
        ...


@dataclass(frozen=True, slots=True)
class WeightedPool:
    """A pool that keeps the share ``weight`` of its value in coin: V(P) = ``scale`` P^weight; the constant product is weight 1/2, V = 2 L sqrt P.

    >>> pool = WeightedPool.worth(200e6, price_usd=60_000.0)
    >>> round(float(pool.value_usd(60_000.0))), round(float(dollar_gamma_usd(pool, 60_000.0)))
    (200000000, -50000000)

    Raises InputError for a weight outside (0, 1) or a scale that is not positive.
    """

    scale: float
    weight: float = 0.5

    def __post_init__(self) -> None:
        _share_in_coin(self.weight)
        _positive("the pool's scale", self.scale)

    @classmethod
    def worth(cls, value_usd: float, *, price_usd: float, weight: float = 0.5) -> WeightedPool:
        """The pool that is worth so much at a price."""
        _positive("value_usd", value_usd)
        _positive("price_usd", price_usd)
        _share_in_coin(weight)
        return cls(value_usd / price_usd**weight, weight)

    @property
    def liquidity(self) -> float:
        """L of a constant product, sqrt(coin times cash): half the scale at weight 1/2."""
        return 0.5 * self.scale

    def value_usd(self, price_usd: FloatArray) -> FloatArray:
        """scale P^weight."""
        return self.scale * np.power(price_usd, self.weight)

    def coin(self, price_usd: FloatArray) -> FloatArray:
        """weight scale P^(weight - 1)."""
        return self.weight * self.scale * np.power(price_usd, self.weight - 1.0)

    def cash_usd(self, price_usd: FloatArray) -> FloatArray:
        """(1 - weight) of the value."""
        return (1.0 - self.weight) * self.value_usd(price_usd)

    def coin_per_usd(self, price_usd: FloatArray) -> FloatArray:
        """-weight (1 - weight) scale P^(weight - 2)."""
        return -self.weight * (1.0 - self.weight) * self.scale * np.power(price_usd, self.weight - 2.0)

    def log_move(self, price_usd: float, bought_usd: float) -> float:
        """Exact log move of the pool's price when cash of ``bought_usd`` is paid in without a fee (negative: taken out).

        dln P = ln(1 + Q / cash) / weight, as cash grows like P^weight; for a constant product 2 ln(1 + Q / (V / 2)).
        """
        cash = float(self.cash_usd(np.asarray(price_usd)))
        if not bought_usd > -cash:
            raise InputError(f"expected to take out less than the {cash:.4g} USD of cash in the pool, got {-bought_usd:.4g}")
        return math.log1p(bought_usd / cash) / self.weight


@dataclass(frozen=True, slots=True)
class RangePool:
    """A position that quotes between two prices only: a constant product of liquidity L inside, one coin or all cash outside.

    Inside: coin L (1/sqrt P - 1/sqrt high), cash L (sqrt P - sqrt low), V'' = -L / (2 P^(3/2)).  Outside nothing trades and V'' = 0.

    >>> pool = RangePool(1.0, 54_000.0, 66_000.0)
    >>> round(float(pool.value_usd(60_000.0)), 6), float(pool.coin_per_usd(70_000.0))
    (23.969265, 0.0)

    Raises InputError for prices that are not positive and rising, or a liquidity that is not positive.
    """

    liquidity: float
    low_usd: float
    high_usd: float

    def __post_init__(self) -> None:
        _positive("liquidity", self.liquidity)
        _positive("low_usd", self.low_usd)
        if not (math.isfinite(self.high_usd) and self.high_usd > self.low_usd):
            raise InputError(f"expected high_usd above low_usd = {self.low_usd:g}, got {self.high_usd:g}")

    @classmethod
    def worth(cls, value_usd: float, *, price_usd: float, low_usd: float, high_usd: float) -> RangePool:
        """The position over a range that is worth so much at a price, inside it or not."""
        _positive("value_usd", value_usd)
        _positive("price_usd", price_usd)
        return cls(value_usd / float(cls(1.0, low_usd, high_usd).value_usd(np.asarray(price_usd))), low_usd, high_usd)

    def value_usd(self, price_usd: FloatArray) -> FloatArray:
        """Coin at the price, and cash."""
        return self.coin(price_usd) * price_usd + self.cash_usd(price_usd)

    def coin(self, price_usd: FloatArray) -> FloatArray:
        """L (1/sqrt P - 1/sqrt high), P held inside the range."""
        held = np.clip(price_usd, self.low_usd, self.high_usd)
        return self.liquidity * (1.0 / np.sqrt(held) - 1.0 / math.sqrt(self.high_usd))

    def cash_usd(self, price_usd: FloatArray) -> FloatArray:
        """L (sqrt P - sqrt low), P held inside the range."""
        held = np.clip(price_usd, self.low_usd, self.high_usd)
        return self.liquidity * (np.sqrt(held) - math.sqrt(self.low_usd))

    def coin_per_usd(self, price_usd: FloatArray) -> FloatArray:
        """-L / (2 P^(3/2)) inside the range, 0 outside."""
        inside = (np.asarray(price_usd) >= self.low_usd) & (np.asarray(price_usd) <= self.high_usd)
        return np.where(inside, -0.5 * self.liquidity * np.power(price_usd, -1.5), 0.0)

    def log_move(self, price_usd: float, bought_usd: float) -> float:
        """Exact log move when cash of ``bought_usd`` is paid in without a fee, 2 ln(1 + Q / (L sqrt P)); RuleError where the range runs dry."""
        _inside(self, price_usd)
        root = math.sqrt(price_usd) + bought_usd / self.liquidity
        if not math.sqrt(self.low_usd) <= root <= math.sqrt(self.high_usd):
            raise RuleError(
                f"{bought_usd:.4g} USD would leave the range {self.low_usd:g} to {self.high_usd:g}: beyond it the position does not trade"
            )
        return 2.0 * math.log(root / math.sqrt(price_usd))


def dollar_gamma_usd(pool: Pool, price_usd: FloatArray | float) -> FloatArray:
    """S^2 Gamma of a pool's owner, P^2 V''(P), negative: short.  -V/4 of a constant product, -L sqrt P / 2 inside a range.

    An owner who hedges the pool's delta answers a log move dx with +|P^2 V''| dx: it buys rises, and adds lambda |P^2 V''| to the loop gain.
    The pool itself trades the other way: arbitrageurs take coin out of it as price rises and sell that coin in the market.
    """
    price = np.asarray(price_usd, dtype=np.float64)
    return np.asarray(price * price * pool.coin_per_usd(price))


def lvr_usd_per_year(pool: Pool, price_usd: FloatArray | float, *, vol: float) -> FloatArray:
    """What arbitrage takes from a pool without fees in a year at this price: vol^2 P^2 |V''(P)| / 2, in USD.

    A constant product loses vol^2 / 8 of its value a year, a pool of weight w vol^2 w (1 - w) / 2, a range vol^2 L sqrt P / 4 USD.
    Source: Milionis, Moallemi, Roughgarden and Zhang 2022, Automated market making and loss-versus-rebalancing.

    >>> pool = WeightedPool.worth(1.0, price_usd=60_000.0)
    >>> round(float(lvr_usd_per_year(pool, 60_000.0, vol=0.6)), 6)
    0.045
    """
    _vol(vol)
    return np.asarray(-0.5 * vol * vol * dollar_gamma_usd(pool, price_usd))


def log_move_per_usd(pool: Pool, price_usd: float) -> float:
    """How far one small dollar moves the pool's price: 1 / |P^2 V''|, which is 4 / V of a constant product.

    RuleError outside a range, where the pool quotes nothing.
    """
    _inside(pool, price_usd)
    return -1.0 / float(dollar_gamma_usd(pool, price_usd))


def expected_lvr_share(vol: float, years: float, *, weight: float = 0.5) -> float:
    """Expected loss of a pool without fees against rebalancing over a time, as a share of its first value: 1 - exp(-vol^2 w (1 - w) T / 2).

    The price is a martingale that diffuses; the rebalancing portfolio then keeps its value on average and the pool does not.

    >>> round(expected_lvr_share(0.6, 1 / 12), 6)
    0.003743
    """
    _vol(vol)
    return -math.expm1(-0.5 * vol * vol * weight * (1.0 - weight) * years)


@dataclass(frozen=True, slots=True)
class FeeSplit:
    """Who keeps a constant product's loss versus rebalancing: rates a year as shares of the pool's value.

    ``trade_share``: blocks in which an arbitrageur trades.  ``arbitrage_per_year``: what arbitrageurs keep after the fee;
    ``fees_per_year``: what they pay the pool's owners, the rest of vol^2 / 8 (exact to the order of the squared fee).
    """

    trade_share: float
    arbitrage_per_year: float
    fees_per_year: float


def split_at_random_blocks(fee_log: float, *, vol: float, block_years: float) -> FeeSplit:
    """The split when blocks arrive at random (Poisson), ``block_years`` apart on average.

    k = fee / (vol sqrt dt); trades 1 / (1 + sqrt 2 k) of the blocks; arbitrageurs keep vol^2 / 8 of that, times
    cosh(fee / 2) / (1 - vol^2 dt / 8).  Fee in log price: 0.003 is 30 basis points.
    Source: Milionis, Moallemi and Roughgarden 2023, Automated market making and arbitrage profits in the presence of fees; derived anew.

    >>> day = 1 / 365
    >>> split = split_at_random_blocks(0.003, vol=0.05 * 365**0.5, block_years=12 * day / 86400)
    >>> round(split.trade_share, 6), round(split.arbitrage_per_year * day * 1e4, 6)
    (0.121951, 0.381098)
    """
    wide = _width(fee_log, vol, block_years)
    per_block = vol * vol * block_years / 8.0
    if per_block >= 1.0:
        raise RuleError(f"expected blocks over which vol^2 dt / 8 stays below 1, got {per_block:g}; shorten block_years")
    share = 1.0 / (1.0 + math.sqrt(2.0) * wide)
    kept = vol * vol / 8.0 * share * math.cosh(0.5 * fee_log) / (1.0 - per_block)
    return FeeSplit(share, kept, max(vol * vol / 8.0 - kept, 0.0))


def split_at_fixed_blocks(fee_log: float, *, vol: float, block_years: float) -> FeeSplit:
    """The split when blocks come every ``block_years``: trades 1 / (c + sqrt 2 k) of them, arbitrageurs keep vol^2 / 8 cosh(fee / 2) / (1 + sqrt 2 k / c).

    c = -zeta(1/2) / sqrt(pi) = 0.8239169, k = fee / (vol sqrt dt): the mean overshoot of a Gaussian walk.  From k = 4 on both are exact to
    1e-5, from 0.8 on to 0.2 %; below, what arbitrageurs keep is right to 1 % and the share of blocks (bounded by 1) up to 16 % too high.
    Source: Nezlobin and Tassy 2025 for the per-block form; derived anew, its reach measured against the stationary law of the mispricing.

    >>> day = 1 / 365
    >>> split = split_at_fixed_blocks(0.003, vol=0.05 * 365**0.5, block_years=12 * day / 86400)
    >>> round(split.trade_share, 6), round(split.arbitrage_per_year * day * 1e4, 6)
    (0.124627, 0.320884)
    """
    wide = math.sqrt(2.0) * _width(fee_log, vol, block_years)
    kept = vol * vol / 8.0 * math.cosh(0.5 * fee_log) / (1.0 + wide / FIXED_BLOCK_TERM)
    return FeeSplit(min(1.0 / (FIXED_BLOCK_TERM + wide), 1.0), kept, max(vol * vol / 8.0 - kept, 0.0))


def break_even_volume_usd_per_day(pool: Pool, price_usd: float, *, vol: float, fee_log: float) -> float:
    """Uninformed trading a day whose fees pay for the loss versus rebalancing: LVR / 365 / fee, in USD.

    >>> round(break_even_volume_usd_per_day(WeightedPool.worth(1e8, price_usd=100.0), 100.0, vol=0.6, fee_log=0.003))
    4109589
    """
    if not 0.0 < fee_log <= MOST_FEE_LOG:
        raise UnitError(f"expected fee_log above 0 and at most {MOST_FEE_LOG:g}, got {fee_log:g}; 0.003 is 30 basis points")
    return float(lvr_usd_per_year(pool, price_usd, vol=vol)) / 365.0 / fee_log


def _width(fee_log: float, vol: float, block_years: float) -> float:
    """Fee in deviations of one block's move."""
    if not 0.0 <= fee_log <= MOST_FEE_LOG:
        raise UnitError(f"expected fee_log from 0 to {MOST_FEE_LOG:g}, got {fee_log:g}; 0.003 is 30 basis points")
    _positive("block_years", block_years)
    _vol(vol)
    if vol == 0.0:
        raise InputError("expected a vol above 0, got 0: a price that stands still is not arbitraged")
    return fee_log / (vol * math.sqrt(block_years))


def _inside(pool: Pool, price_usd: float) -> None:
    if float(pool.coin_per_usd(np.asarray(price_usd))) == 0.0:
        raise RuleError(f"the pool does not trade at {price_usd:g} USD, outside its range; ask at a price inside it")


def _vol(vol: float) -> None:
    if not 0.0 <= vol <= 10.0:
        raise UnitError(f"expected vol as a decimal from 0 to 10, got {vol:g}; 0.6 is 60 %")


def _share_in_coin(weight: float) -> None:
    if not 0.0 < weight < 1.0:
        raise InputError(f"expected weight above 0 and below 1 (share of the pool's value in coin), got {weight:g}; 0.5 is half")


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise InputError(f"expected {name} above 0, got {value:g}")
