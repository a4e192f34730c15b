"""How wide a no-trade band should be, and how much a hedger with a band trades: closed forms.

A band lets the mis-hedge wander within +-H of the target. Costs are one-way shares of the traded value (5 bps = 0.0005); risk aversion is
absolute, per USD of profit and loss (exponential utility).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray

OVERSHOOT = 0.5825971579390106
"""-zeta(1/2)/sqrt(2 pi): mean overshoot of a Gaussian walk past a far barrier, in standard deviations of one step."""


def whalley_wilmott_half_width_coin(
    gamma: ArrayLike, spot_usd: ArrayLike, *, cost_share: float, risk_aversion_per_usd: float, discount: float = 1.0
) -> FloatArray:
    """Half-width in coin of the band that balances trading costs against risk, for small costs.

    H = (3/2 discount cost S Gamma^2 / risk aversion)^(1/3); ``gamma`` in coin per USD (any sign), ``cost_share`` one-way.
    Source: Whalley and Wilmott 1997.

    >>> float(whalley_wilmott_half_width_coin(0.02, 5000.0, cost_share=5e-4, risk_aversion_per_usd=1.0).round(7))
    0.1144714
    """
    gamma, spot = np.asarray(gamma, dtype=np.float64), np.asarray(spot_usd, dtype=np.float64)
    return np.asarray(np.cbrt(1.5 * discount * cost_share / risk_aversion_per_usd * spot * gamma * gamma))


@dataclass(frozen=True, slots=True)
class ZakamoulineBand:
    """The double-asymptotic band: hedge to delta(vol_modified) +- half_width_coin.

    ``idle_half_width_coin`` (H0) is the part that stays where gamma vanishes, ``gamma_half_width_coin`` (H1) the part that gamma widens;
    ``vol_correction`` (K < 0) moves the vol at which delta is read: up for short gamma, down for long.
    """

    idle_half_width_coin: FloatArray
    gamma_half_width_coin: FloatArray
    vol_correction: FloatArray

    @property
    def half_width_coin(self) -> FloatArray:
        """H0 + H1."""
        return self.idle_half_width_coin + self.gamma_half_width_coin

    def modified_vol(self, vol: ArrayLike, gamma_sign: ArrayLike) -> FloatArray:
        """vol sqrt(1 - K) short (sign -1), vol sqrt(1 + K) long (+1), the vol itself for 0; zero where 1 + K would be negative."""
        return shifted_vol(vol, np.asarray(gamma_sign) * self.vol_correction)


def shifted_vol(vol: ArrayLike, variance_change: ArrayLike) -> FloatArray:
    """vol sqrt(1 + change), and zero where costs eat more than the whole variance."""
    return np.asarray(np.asarray(vol, dtype=np.float64) * np.sqrt(np.maximum(1.0 + np.asarray(variance_change, dtype=np.float64), 0.0)))


def zakamouline_band(
    gamma: ArrayLike,
    spot_usd: ArrayLike,
    vol: ArrayLike,
    years: float,
    *,
    cost_share: float,
    risk_aversion_per_usd: float,
    discount: float = 1.0,
) -> ZakamoulineBand:
    """Band and modified vol that fit the utility-indifference hedge over small and large risk aversion.

    H0 = c/(a S vol^2 T), H1 = 1.12 c^.31 T^.05 (D/vol)^.25 (|Gamma|/a)^.5, K = -4.76 c^.78 T^-.02 (D/vol)^.25 (a S^2 |Gamma|)^.15 with one-way
    cost c, risk aversion a per USD and discount factor D = exp(-r T).  Where Gamma = 0, H1 and K vanish.
    Source: Zakamouline 2006, European Financial Management 12(4).

    >>> band = zakamouline_band(0.02, 5000.0, 0.2, 0.25, cost_share=5e-4, risk_aversion_per_usd=1.0)
    >>> [float(x.round(7)) for x in (band.idle_half_width_coin, band.gamma_half_width_coin, band.modified_vol(0.2, -1))]
    [1e-05, 0.0209437, 0.2134905]

    Raises InputError unless 0 < years < inf: a constant gamma has no expiry to hedge to.
    """
    if not 0.0 < years < math.inf:
        raise InputError(
            f"expected years to expiry above 0 and finite for Zakamouline's band, got {years}; use whalley-wilmott for a book without expiry"
        )
    size, spot, sigma = (
        np.abs(np.asarray(gamma, dtype=np.float64)),
        np.asarray(spot_usd, dtype=np.float64),
        np.asarray(vol, dtype=np.float64),
    )
    c, a, quarter = cost_share, risk_aversion_per_usd, (discount / sigma) ** 0.25
    return ZakamoulineBand(
        np.asarray(c / (a * spot * sigma**2 * years)),
        np.asarray(1.12 * c**0.31 * years**0.05 * quarter * np.sqrt(size / a)),
        np.asarray(-4.76 * c**0.78 / years**0.02 * quarter * (a * spot**2 * size) ** 0.15),
    )


def monitored_half_width(half_width: float, *, diffusion: float, step_years: float) -> float:
    """The continuous band that a band looked at only every ``step_years`` behaves like: H + 0.5826 a sqrt(dt).

    ``diffusion`` a: standard deviation of the mis-hedge per square root of a year, in the unit of ``half_width``.
    Source: Siegmund 1979; Broadie, Glasserman and Kou 1997.
    """
    return half_width + OVERSHOOT * diffusion * math.sqrt(step_years)


@dataclass(frozen=True, slots=True)
class BandStatistics:
    """What a band costs and leaves open in the long run, per year and in the unit of the band.

    ``turnover_per_year``; ``mean_square_gap``, the average squared mis-hedge; ``trades_per_year``, infinite for a band that is watched without
    a break and hedged to its edge (it touches the edge again and again).
    """

    turnover_per_year: float
    mean_square_gap: float
    trades_per_year: float


def band_statistics(
    half_width: float, *, diffusion: float, target: Literal["edge", "centre"], gain: float = 0.0, step_years: float = 0.0
) -> BandStatistics:
    """Turnover, mean squared mis-hedge and trade rate of a band around a constant-gamma hedge.

    With a = |Gamma| vol S: to the edge a^2/(2H), H^2/3; to the centre a^2/H, H^2/6 and a^2/H^2 trades a year.  In the closed loop every trade
    moves the target, so that turnover is divided by 1 - ``gain``.  Looked at only every ``step_years``, H is the monitored one and, with the
    variance s = a^2 dt of a step, a trade to the edge is sqrt(s/2) on average (before the loop), the squared mis-hedges are H^2/3 - s/4 and
    H^2/6 - 7s/24, and a trade to the centre closes H^2 + s/4 on average square; right to second order in sqrt(s)/H.
    Source: derived from the moments of a Gaussian walk's ladder height (Siegmund 1985).

    >>> band_statistics(1.0, diffusion=1.0, target="edge").turnover_per_year, band_statistics(1.0, diffusion=1.0, target="centre").turnover_per_year
    (0.5, 1.0)

    Raises InputError for a band or a diffusion that is not positive, and for gain >= 1 (no clearing price exists).
    """
    if not (half_width > 0.0 and diffusion > 0.0 and gain < 1.0):
        raise InputError(f"expected half_width > 0, diffusion > 0 and gain < 1, got {half_width}, {diffusion} and {gain}")
    h, step = monitored_half_width(half_width, diffusion=diffusion, step_years=step_years), diffusion**2 * step_years
    if target == "edge":
        trades = diffusion / h / math.sqrt(2.0 * step_years) if step_years > 0.0 else math.inf
        return BandStatistics(diffusion**2 / (2.0 * h) / (1.0 - gain), h * h / 3.0 - step / 4.0, trades)
    trades = diffusion**2 / (h * h + step / 4.0)
    return BandStatistics(trades * h / (1.0 - gain), h * h / 6.0 - 7.0 * step / 24.0, trades)
