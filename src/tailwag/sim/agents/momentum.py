"""A trend follower: its position is proportional to an exponential average of returns, up to a cap."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.empty_answers import WantsNoHedge
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, Orders, Trader, View
from tailwag.units import HOURS_PER_YEAR

MINUTES_PER_YEAR = 60.0 * HOURS_PER_YEAR
SCAN_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class TrendFollower:
    """Has bought ``usd_per_log`` USD for every unit of its trend, at most ``most_usd`` either way; below 0 it is a contrarian.

    The trend is the sum of past log returns, each counted by half after every ``half_life_minutes``: s_t = rho s_{t-1} + r_t.  Without a cap, trading in
    the step of the move against lasting impact per USD, s is an AR(1) of (rho - g) / (1 - g) with shocks over 1 - g, g = impact x ``usd_per_log``; one step
    late it is an AR(2) of rho + g and -g.  What it moves the price by comes back as its trend fades.  InputError for a number that means nothing.

    >>> TrendFollower("trend", 0, usd_per_log=4e9, half_life_minutes=120.0).starting_flow_response_usd(6e4)
    4000000000.0
    """

    name: str
    delay_steps: int
    usd_per_log: float
    half_life_minutes: float
    most_usd: float = math.inf

    def __post_init__(self) -> None:
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        if not 0.0 < abs(self.usd_per_log) < 1e15:
            raise InputError(
                f"agent {self.name!r}: expected usd_per_log other than 0, got {self.usd_per_log:g}; USD bought after a unit of log price"
            )
        if not 0.0 < self.half_life_minutes < 1e9:
            raise InputError(
                f"agent {self.name!r}: expected half_life_minutes above 0, got {self.half_life_minutes:g}; after it a return counts half"
            )
        if not self.most_usd > 0.0:
            raise InputError(f"agent {self.name!r}: expected most_usd above 0, got {self.most_usd:g}; leave it out for no cap")

    def __str__(self) -> str:
        capped = "" if math.isinf(self.most_usd) else f", at most {self.most_usd:.3g} USD"
        way = "follows" if self.usd_per_log > 0.0 else "leans against"
        return f"{way} the trend of {self.half_life_minutes:g} minutes with {abs(self.usd_per_log):.3g} USD per unit of log price{capped}"

    def content(self) -> str:
        """Everything but the name."""
        return repr(["trend follower", *(getattr(self, entry.name) for entry in fields(self) if entry.name != "name")])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """Minus ``usd_per_log``: it buys rises, like short gamma, until the trend fades."""
        return -self.usd_per_log

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """USD bought per unit of log price at the start, + buys rises."""
        return self.usd_per_log

    def at_work(self, market: Market) -> Trader:
        """Ready to follow."""
        return TrendTrader(self)


@dataclass(frozen=True, slots=True)
class TrendTrader(WantsNoHedge):
    """The trend follower at work; its memory is the trend after the last cleared step, (paths,)."""

    agent: TrendFollower

    def init(self, paths: int, draw: Draws | None = None) -> FloatArray:
        """No trend yet."""
        return np.zeros(paths)

    def start_coin(self, state: FloatArray) -> FloatArray:
        """Nothing held."""
        return np.zeros(state.shape)

    def act(self, view: View, account: Account, state: FloatArray, draw: Draws) -> Orders:
        """The position that the trend asks for, less what was bought and what is on its way."""
        owed, nothing = account.bought_usd + account.flight_usd, np.zeros(state.shape)
        if self.agent.delay_steps:
            return Orders(usd=np.where(view.live, self._wanted(state) - owed, 0.0), coin=nothing)
        faded = self._kept(view.step_years) * state

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            trend = faded + log_price - view.last_log_price
            slope = np.where(view.live, self._slope(trend), 0.0)
            return np.where(view.live, self._wanted(trend) - owed, 0.0), nothing, slope, nothing

        return Orders(usd=nothing, coin=nothing, demand=demand, scale_log=np.where(view.live, self._scale(), np.inf))

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: FloatArray) -> FloatArray:
        """Minus ``usd_per_log`` while the last trend is below the cap."""
        return -self._slope(state)

    def options(self, move: Move, state: FloatArray) -> tuple[None, FloatArray]:
        """No options; the trend takes the step's return."""
        return None, np.where(move.live, self._kept(move.step_years) * state + move.log_price - move.log_before, state)

    def _kept(self, step_years: float) -> float:
        return float(0.5 ** (step_years * MINUTES_PER_YEAR / self.agent.half_life_minutes))

    def _wanted(self, trend: FloatArray) -> FloatArray:
        return np.clip(self.agent.usd_per_log * trend, -self.agent.most_usd, self.agent.most_usd)

    def _slope(self, trend: FloatArray) -> FloatArray:
        return np.where(np.abs(self.agent.usd_per_log * trend) < self.agent.most_usd, self.agent.usd_per_log, 0.0)

    def _scale(self) -> float:
        """From no position to the cap: the solver must not stride over the corner."""
        return SCAN_SHARE * self.agent.most_usd / abs(self.agent.usd_per_log)
