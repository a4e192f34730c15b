"""Replication with transaction costs: the vol that pays for the trading, and what hedging at discrete times leaves open.

Costs are one-way shares of the traded value; a round trip costs twice as much. Whoever is short gamma pays them on top of the option's
value, so that its vol goes up; whoever is long gamma pays them out of it, so that its vol goes down.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tailwag.errors import InputError
from tailwag.hedging.bands import shifted_vol
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.black import black_price


def leland_number(vol: ArrayLike, *, cost_share: float, interval_years: float) -> FloatArray:
    """Share of the option's variance that trading costs add (short gamma) or take (long gamma).

    Le = sqrt(2/pi) k/(vol sqrt(dt)) with the round-trip cost k = 2 ``cost_share`` and a rebalancing interval dt.  Source: Leland 1985.

    >>> float(leland_number(0.2, cost_share=0.005, interval_years=1 / 52).round(5))
    0.28768
    """
    return np.asarray(math.sqrt(2.0 / math.pi) * 2.0 * cost_share / (np.asarray(vol, dtype=np.float64) * math.sqrt(interval_years)))


def leland_vol(vol: ArrayLike, gamma_sign: ArrayLike, *, cost_share: float, interval_years: float) -> FloatArray:
    """The vol at which a hedger with costs should price and hedge: vol sqrt(1 + Le) short gamma, vol sqrt(1 - Le) long.

    Zero where a long book's costs eat the whole variance (Le >= 1: hedged that often it cannot pay for itself).
    Sources: Leland 1985; Hoggard, Whalley and Wilmott 1994 (the same for a whole book, by the sign of its gamma).

    >>> leland_vol(0.2, [-1, 0, 1], cost_share=0.005, interval_years=1 / 52).round(6).tolist()
    [0.226952, 0.2, 0.168798]
    """
    number = leland_number(vol, cost_share=cost_share, interval_years=interval_years)
    return shifted_vol(vol, -np.asarray(gamma_sign, dtype=np.float64) * number)


def boyle_vorst_vol(vol: ArrayLike, gamma_sign: ArrayLike, *, cost_share: float, interval_years: float) -> FloatArray:
    """Leland's vol for a binomial market, where every move has its full size: vol sqrt(1 + 2c/(vol sqrt(dt))) short gamma.

    Source: Boyle and Vorst 1992.

    >>> float(boyle_vorst_vol(0.2, -1, cost_share=0.005, interval_years=1 / 52).round(6))
    0.233286
    """
    number = 2.0 * cost_share / (np.asarray(vol, dtype=np.float64) * math.sqrt(interval_years))
    return shifted_vol(vol, -np.asarray(gamma_sign, dtype=np.float64) * number)


def leland_price_usd(
    right: ArrayLike,
    forward_usd: ArrayLike,
    strike_usd: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    *,
    gamma_sign: int,
    cost_share: float,
    interval_years: float,
) -> FloatArray:
    """What an option is worth to a hedger who pays to trade: the Black-76 price at :func:`leland_vol`.

    ``gamma_sign`` -1 is the seller's price (he is short gamma), +1 the buyer's.  Source: Leland 1985.

    >>> leland_price_usd(+1, 100.0, 100.0, 1.0, 0.2, gamma_sign=-1, cost_share=0.005, interval_years=1 / 52).round(5)
    array([9.03468])
    """
    return black_price(
        right, forward_usd, strike_usd, years, leland_vol(vol, gamma_sign, cost_share=cost_share, interval_years=interval_years)
    )


def boyle_vorst_price_usd(
    spot_usd: float,
    strike_usd: float,
    years: float,
    vol: float,
    *,
    gamma_sign: int,
    cost_share: float,
    steps: int,
    rate: float = 0.0,
) -> float:
    """Exact cost of replicating a physically delivered call on a binomial tree with trading costs.

    ``gamma_sign`` -1: the seller of the call, who must hold it synthetically; +1: its buyer, who replicates the short side.  At every node
    the holding D must pay for the next node's holding and for the trade into it, after a rise and after a fall; without the cash those are
    one equation in D, piecewise linear and rising, with kinks at the two next holdings.  The first trade is free of cost.
    Source: Boyle and Vorst 1992.

    >>> round(boyle_vorst_price_usd(100.0, 100.0, 1.0, 0.2, gamma_sign=-1, cost_share=0.005, steps=52, rate=0.1), 4)
    14.3739

    Raises InputError where a step's move does not exceed its cost and its interest: the equation has no single answer then.
    """
    step_move, growth = vol * math.sqrt(years / steps), math.exp(rate * years / steps)
    if not (cost_share < math.tanh(step_move) and abs(math.log(growth)) < step_move):
        raise InputError(
            f"expected one step's move ({step_move:.4%}) above the one-way cost ({cost_share:.4%}) and the step's interest ({growth - 1.0:.4%}); "
            "use fewer steps against costs, more against interest"
        )
    level = np.arange(steps, -steps - 1, -2)
    holding = -gamma_sign * (level * step_move > math.log(strike_usd / spot_usd)).astype(np.float64)
    cash = -strike_usd * holding
    for size in range(steps, 0, -1):
        price = spot_usd * np.exp(step_move * (level[:size] - (steps - size) - 1))
        above, below = price * math.exp(step_move), price * math.exp(-step_move)
        now = _self_financing(holding, cash, above, below, cost_share)
        cash = (cash[:-1] + (holding[:-1] - now) * above + cost_share * above * np.abs(holding[:-1] - now)) / growth
        holding = now
    return float(-gamma_sign * (holding[0] * spot_usd + cash[0]))


def _self_financing(holding: FloatArray, cash: FloatArray, above: FloatArray, below: FloatArray, cost: float) -> FloatArray:
    """The holding before each step that needs the same cash whether the price rises or falls, costs of the next trade included."""
    up, down = holding[:-1], holding[1:]

    def excess(now: FloatArray) -> FloatArray:
        after_rise = cash[:-1] + (up - now) * above + cost * above * np.abs(up - now)
        after_fall = cash[1:] + (down - now) * below + cost * below * np.abs(down - now)
        return after_fall - after_rise

    low, high = np.minimum(up, down), np.maximum(up, down)
    at_low, at_high = excess(low), excess(high)
    inside = low + (high - low) * np.divide(-at_low, at_high - at_low, out=np.zeros_like(low), where=at_high > at_low)
    beneath = low - at_low / ((1.0 + cost) * (above - below))
    beyond = high - at_high / ((1.0 - cost) * (above - below))
    return np.where(at_low > 0.0, beneath, np.where(at_high < 0.0, beyond, inside))


def hedging_error_rule_usd(vega_usd: ArrayLike, vol: ArrayLike, *, trades: int) -> FloatArray:
    """Rule of thumb for what hedging an at-the-money option ``trades`` times leaves open: sqrt(pi/4) vega vol/sqrt(trades).

    Standard deviation of the profit and loss in USD; vega per 1.00 of vol.  Source: Derman and Kamal 1999.

    >>> float(hedging_error_rule_usd(11.5117, 0.2, trades=84).round(4))
    0.2226
    """
    return np.asarray(
        math.sqrt(math.pi / 4.0) * np.asarray(vega_usd, dtype=np.float64) * np.asarray(vol, dtype=np.float64) / math.sqrt(trades)
    )


def hedging_error_usd(spot_usd: float, strike_usd: float, years: float, vol: float, *, trades: int) -> float:
    """Standard deviation of the profit and loss of an option hedged at ``trades`` equally spaced times, any strike, for many trades.

    variance = vol^4 (T/2N) integral of E[(S^2 Gamma)^2] dt, whose expectation is Gaussian in closed form; no costs, no drift.
    Equal to :func:`hedging_error_rule_usd` at the money for small vol sqrt(T).  Source: Bertsimas, Kogan and Lo 2000.

    >>> round(hedging_error_usd(100.0, 100.0, 1 / 12, 0.2, trades=84), 4)
    0.2227
    """
    nodes, weights = np.polynomial.legendre.leggauss(96)
    total = vol * vol * years
    left = total * (0.5 * (nodes + 1.0)) ** 2  # variance left w, as total * u^2: takes the square-root singularity at the expiry away
    weight = total * 0.5 * (nodes + 1.0) * weights
    passed = total - left
    mean = math.log(spot_usd / strike_usd) - 0.5 * passed
    spread = left + 2.0 * passed  # E exp(y - y^2/w) for y of this mean and variance `passed`
    expectation = np.exp((mean * left - mean * mean + 0.5 * passed * left) / spread) * np.sqrt(left / spread)
    density = strike_usd**2 / (2.0 * math.pi * left) * np.exp(-0.25 * left) * expectation
    return math.sqrt(0.5 * total / trades * float(np.sum(weight * density)))
