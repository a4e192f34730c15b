"""Policies that need no cost model: every step, at set times, outside a band, ahead of the market, never."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tailwag.errors import InputError
from tailwag.hedging.decision import Decision, HedgeView, no_shift, trade_outside, trade_to
from tailwag.hedging.numbers import at_least_zero, plain_coin, plain_minutes, plain_usd, positive
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.units import HOURS_PER_YEAR

MINUTES_PER_YEAR = 60 * HOURS_PER_YEAR
SAME_TIME = 1e-9
"""Times closer than this share of a period are the same time: clocks add up steps in floating point."""


@dataclass(frozen=True, slots=True)
class EveryStep:
    """Closes the gap in every step.

    >>> str(EveryStep())
    'every step'
    """

    def decide(self, view: HedgeView) -> Decision:
        """Everybody trades, to the centre."""
        return trade_to(view, np.ones(view.gap.shape, dtype=np.bool_))

    def vol_shift(self, view: HedgeView) -> FloatArray:
        """None."""
        return no_shift(view)

    def __str__(self) -> str:
        return "every step"


@dataclass(frozen=True, slots=True)
class AtTimes:
    """Closes the gap at set times: in the step that meets a multiple of ``every_minutes``, or up to ``jitter_minutes`` later by chance.

    With jitter, a dealer trades at n * every + u * jitter of its n-th period.  Where the view's random numbers are drawn once per
    :meth:`period` that is exactly one trade a period; where they are new in every step, each step inside the window trades with
    probability step/jitter, which is one a period on average.  A grid finer than the step trades in every step.

    >>> str(AtTimes(60.0)), str(AtTimes(1440.0, jitter_minutes=60.0))
    ('every 60 minutes', 'every 1 day, up to 60 minutes late by chance')
    """

    every_minutes: float
    jitter_minutes: float = 0.0

    def __post_init__(self) -> None:
        positive("every_minutes", self.every_minutes)
        at_least_zero("jitter_minutes", self.jitter_minutes)
        if self.jitter_minutes > self.every_minutes:
            raise InputError(f"expected jitter_minutes of at most every_minutes = {self.every_minutes:g}, got {self.jitter_minutes:g}")

    def period(self, time_years: float) -> int:
        """Number of the period that a time falls in, counted from 0."""
        return math.floor(time_years * MINUTES_PER_YEAR / self.every_minutes + SAME_TIME)

    def decide(self, view: HedgeView) -> Decision:
        """The step that meets its time trades, to the centre."""
        return trade_to(view, meets_grid(view, self.every_minutes, self.jitter_minutes))

    def vol_shift(self, view: HedgeView) -> FloatArray:
        """None."""
        return no_shift(view)

    def __str__(self) -> str:
        late = f", up to {plain_minutes(self.jitter_minutes)} late by chance" if self.jitter_minutes else ""
        return f"every {plain_minutes(self.every_minutes)}{late}"


def meets_grid(view: HedgeView, every_minutes: float, jitter_minutes: float = 0.0) -> BoolArray:
    """Whether the step that ends at the view's time holds the trading time of its period; (paths,)."""
    now = view.time_years * MINUTES_PER_YEAR / every_minutes + SAME_TIME
    before = now - view.step_years * MINUTES_PER_YEAR / every_minutes
    period = math.floor(now)
    window = min(jitter_minutes / every_minutes, max(1.0 - (now - before), 0.0))  # so that no time falls behind the period's last step
    due = period + window * view.uniform
    return np.asarray((due <= now) & ((due > before) | (math.floor(before) < period)))


@dataclass(frozen=True, slots=True)
class Band:
    """Trades only where the gap is strictly wider than the half-width, back to the band's edge or to its centre.

    Exactly one of ``half_width_usd`` and ``half_width_coin``; the other unit follows from the price at the decision.

    >>> str(Band(half_width_usd=2e6)), str(Band(half_width_coin=5.0, target="centre"))
    ('band of +-2.0 M USD, to the edge', 'band of +-5.0 coin, to the centre')
    """

    half_width_usd: float | None = None
    half_width_coin: float | None = None
    target: Literal["edge", "centre"] = "edge"

    def __post_init__(self) -> None:
        given = {"half_width_usd": self.half_width_usd, "half_width_coin": self.half_width_coin}
        widths = {name: width for name, width in given.items() if width is not None}
        if len(widths) != 1:
            came = "both" if widths else "neither"
            raise InputError(f"expected exactly one of half_width_usd and half_width_coin for a band, got {came}")
        for name, width in widths.items():
            at_least_zero(name, width)
        if self.target not in ("edge", "centre"):
            raise InputError(f"expected target = edge or centre, got {self.target!a}")

    def decide(self, view: HedgeView) -> Decision:
        """Paths outside the band trade."""
        return trade_outside(view, self.half_width(view), to_edge=self.target == "edge")

    def half_width(self, view: HedgeView) -> FloatArray:
        """The half-width (paths,) in the unit of the view's gap."""
        if self.half_width_usd is None:
            return view.in_gap_unit(np.full(view.gap.shape, self.half_width_coin))
        return np.full(view.gap.shape, self.half_width_usd) if view.unit == "usd" else self.half_width_usd / view.spot_usd

    def vol_shift(self, view: HedgeView) -> FloatArray:
        """None."""
        return no_shift(view)

    def __str__(self) -> str:
        width = plain_coin(self.half_width_coin) if self.half_width_coin is not None else plain_usd(self.half_width_usd or 0.0)
        return f"band of +-{width}, to the {self.target}"


@dataclass(frozen=True, slots=True)
class Predictive:
    """Trades ahead of what everybody's hedging will do to the price: gap/(1 - g), with the market's estimated gain g.

    Of the gap's answer the market gives back a share g, so that this trade closes it in one go.  Where g >= 1 there is no such trade (every
    purchase raises the target by more than itself): those paths do not trade, and nothing is capped elsewhere.  Meant for orders that arrive
    later; where a step clears at once the clearing price already holds everybody's answer, and :class:`EveryStep` is the same hedge.

    >>> str(Predictive())
    'ahead of the market: the gap over 1 - gain'
    """

    def decide(self, view: HedgeView) -> Decision:
        """Paths with a gain below 1 trade."""
        active = view.market_gain < 1.0
        speed = 1.0 / np.where(active, 1.0 - view.market_gain, 1.0)
        return Decision(active, np.zeros(view.gap.shape), speed)

    def vol_shift(self, view: HedgeView) -> FloatArray:
        """None."""
        return no_shift(view)

    def __str__(self) -> str:
        return "ahead of the market: the gap over 1 - gain"


@dataclass(frozen=True, slots=True)
class CharmOnly:
    """Trades only the delta that time decay brings, never the delta that moves bring: the classic model of pinning.

    The simulation gives such a dealer the time-decay part as its gap; all of it is traded.  Source: Avellaneda and Lipkin 2003.

    >>> str(CharmOnly())
    'time decay only'
    """

    def decide(self, view: HedgeView) -> Decision:
        """Everybody trades what is given."""
        return trade_to(view, np.ones(view.gap.shape, dtype=np.bool_))

    def vol_shift(self, view: HedgeView) -> FloatArray:
        """None."""
        return no_shift(view)

    def __str__(self) -> str:
        return "time decay only"


@dataclass(frozen=True, slots=True)
class NoHedge:
    """Never trades.

    >>> str(NoHedge())
    'no hedging'
    """

    def decide(self, view: HedgeView) -> Decision:
        """Nobody trades."""
        return trade_to(view, np.zeros(view.gap.shape, dtype=np.bool_))

    def vol_shift(self, view: HedgeView) -> FloatArray:
        """None."""
        return no_shift(view)

    def __str__(self) -> str:
        return "no hedging"
