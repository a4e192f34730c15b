"""Policies that weigh trading costs: Whalley-Wilmott and Zakamouline bands, and hedging at Leland's vol.

``cost_bps`` is one-way, in basis points of the traded value (fee plus half-spread); a round trip costs twice that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.hedging.bands import ZakamoulineBand, whalley_wilmott_half_width_coin, zakamouline_band
from tailwag.hedging.decision import Decision, HedgeView, no_shift, trade_outside, trade_to
from tailwag.hedging.numbers import cost_in_bps, plain_minutes, positive
from tailwag.hedging.rebalancing import MINUTES_PER_YEAR, meets_grid
from tailwag.hedging.transaction_costs import leland_vol
from tailwag.kernels.arrays import FloatArray

BPS = 1e-4


@dataclass(frozen=True, slots=True)
class WhalleyWilmott:
    """Trades to the edge of the band that is best for small costs: wider where gamma is large, narrower for the risk-averse.

    H = (3/2 c S Gamma^2/a)^(1/3) coin around the book's delta, with the one-way cost c and risk aversion a per USD.

    >>> str(WhalleyWilmott(1e-6, 5.0))
    'Whalley-Wilmott band (risk aversion 1e-06 per USD, cost 5 bps one way)'
    """

    risk_aversion_per_usd: float
    cost_bps: float

    def __post_init__(self) -> None:
        positive("risk_aversion_per_usd", self.risk_aversion_per_usd)
        cost_in_bps("cost_bps", self.cost_bps)

    def decide(self, view: HedgeView) -> Decision:
        """Paths outside the band trade, to its edge."""
        gamma = view.dollar_gamma_usd / view.spot_usd**2
        width_coin = whalley_wilmott_half_width_coin(
            gamma, view.spot_usd, cost_share=BPS * self.cost_bps, risk_aversion_per_usd=self.risk_aversion_per_usd
        )
        return trade_outside(view, view.in_gap_unit(width_coin), to_edge=True)

    def vol_shift(self, view: HedgeView) -> FloatArray:
        """None."""
        return no_shift(view)

    def __str__(self) -> str:
        return f"Whalley-Wilmott band (risk aversion {self.risk_aversion_per_usd:g} per USD, cost {self.cost_bps:g} bps one way)"


@dataclass(frozen=True, slots=True)
class Zakamouline:
    """Trades to the edge of Zakamouline's band H0 + H1 around the delta at his modified vol.

    Needs a book with an expiry: on a constant gamma it raises InputError.  At the expiry itself (no time left) the band is infinite.

    >>> str(Zakamouline(1e-6, 5.0))
    'Zakamouline band (risk aversion 1e-06 per USD, cost 5 bps one way)'
    """

    risk_aversion_per_usd: float
    cost_bps: float

    def __post_init__(self) -> None:
        positive("risk_aversion_per_usd", self.risk_aversion_per_usd)
        cost_in_bps("cost_bps", self.cost_bps)

    def decide(self, view: HedgeView) -> Decision:
        """Paths outside the band trade, to its edge."""
        return trade_outside(view, self._half_width(view), to_edge=True)

    def vol_shift(self, view: HedgeView) -> FloatArray:
        """vol (sqrt(1 -+ K) - 1): up for short gamma, down for long."""
        if not self._has_time_left(view):
            return no_shift(view)
        return self._band(view).modified_vol(view.vol, np.sign(view.dollar_gamma_usd)) - view.vol

    def _half_width(self, view: HedgeView) -> FloatArray:
        if not self._has_time_left(view):
            return np.full(view.gap.shape, math.inf if view.years_left <= 0.0 else 0.0)
        return view.in_gap_unit(self._band(view).half_width_coin)

    def _has_time_left(self, view: HedgeView) -> bool:
        if view.years_left == math.inf and np.any(view.dollar_gamma_usd):
            raise InputError("policy zakamouline needs a book with an expiry, got a constant gamma; use whalley-wilmott")
        return 0.0 < view.years_left < math.inf

    def _band(self, view: HedgeView) -> ZakamoulineBand:
        return zakamouline_band(
            view.dollar_gamma_usd / view.spot_usd**2,
            view.spot_usd,
            view.vol,
            view.years_left,
            cost_share=BPS * self.cost_bps,
            risk_aversion_per_usd=self.risk_aversion_per_usd,
        )

    def __str__(self) -> str:
        return f"Zakamouline band (risk aversion {self.risk_aversion_per_usd:g} per USD, cost {self.cost_bps:g} bps one way)"


@dataclass(frozen=True, slots=True)
class Leland:
    """Rebalances every ``every_minutes`` to the delta at Leland's vol, which pays for the trading: up for short gamma, down for long.

    Vol sqrt(1 + Le) short, vol sqrt(1 - Le) long (zero from Le = 1 on), Le = sqrt(2/pi) 2c/(vol sqrt(dt)) with the one-way cost c.
    Sources: Leland 1985; Hoggard, Whalley and Wilmott 1994.

    >>> str(Leland(5.0, 60.0))
    'every 60 minutes at the Leland vol (cost 5 bps one way)'
    """

    cost_bps: float
    every_minutes: float

    def __post_init__(self) -> None:
        cost_in_bps("cost_bps", self.cost_bps)
        positive("every_minutes", self.every_minutes)

    def decide(self, view: HedgeView) -> Decision:
        """The step that meets a multiple of the interval trades, to the centre."""
        return trade_to(view, meets_grid(view, self.every_minutes))

    def vol_shift(self, view: HedgeView) -> FloatArray:
        """vol (sqrt(1 +- Le) - 1), by the sign of the book's gamma on each path."""
        interval_years = self.every_minutes / MINUTES_PER_YEAR
        sign = np.sign(view.dollar_gamma_usd)
        return leland_vol(view.vol, sign, cost_share=BPS * self.cost_bps, interval_years=interval_years) - view.vol

    def __str__(self) -> str:
        return f"every {plain_minutes(self.every_minutes)} at the Leland vol (cost {self.cost_bps:g} bps one way)"
