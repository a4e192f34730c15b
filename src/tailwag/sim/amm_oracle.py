"""A price that arrives late: the oracle of an options pool, and what its lateness costs the pool in each trade."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.black_plain import normal_cdf
from tailwag.sim.amm_pricing import black
from tailwag.sim.grid import TimeGrid
from tailwag.units import HOURS_PER_YEAR

SECONDS_PER_YEAR = 3600.0 * HOURS_PER_YEAR
SAME_SHARE = 1e-9
NODES, REACH = 96, 9.0
"""Gauss-Legendre nodes of the one integral, and how many standard deviations it goes out."""


@dataclass(frozen=True, slots=True)
class OracleRule:
    """When an oracle tells a price: it looks at every cleared one and reports it ``lag_seconds`` later (whole steps, one at least), but only where
    it is ``deviation_share`` away from the last report or that is ``heartbeat_hours`` old.

    >>> OracleRule(lag_seconds=90.0).lag_steps(TimeGrid.uniform(horizon_days=1.0, step_minutes=1.0))
    2

    InputError for a negative lag or deviation or a heartbeat that is not positive.
    """

    lag_seconds: float = 0.0
    deviation_share: float = 0.0
    heartbeat_hours: float = math.inf

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lag_seconds) and self.lag_seconds >= 0.0 and 0.0 <= self.deviation_share < 1.0):
            raise InputError(
                f"expected lag_seconds of 0 or more and deviation_share from 0 to 1, got {self.lag_seconds:g} and {self.deviation_share:g}"
            )
        if not self.heartbeat_hours > 0.0:
            raise InputError(f"expected heartbeat_hours above 0, got {self.heartbeat_hours:g}; inf has none")

    def lag_steps(self, grid: TimeGrid) -> int:
        """Steps between a cleared price and the first quote that knows it; no later than the step after the run, where nobody quotes any more."""
        step_seconds = float(grid.step_years[0]) * SECONDS_PER_YEAR
        wanted = self.lag_seconds / step_seconds - SAME_SHARE
        return grid.steps + 1 if wanted > grid.steps else max(math.ceil(wanted), 1)


@dataclass(frozen=True, slots=True)
class OracleState:
    """Reports on their way, oldest first (that one is what quotes use), as ln of price over the run's first; when the last was made.  (paths,)."""

    reports_log: tuple[FloatArray, ...]
    reported_years: FloatArray

    @classmethod
    def opened(cls, rule: OracleRule, grid: TimeGrid, paths: int) -> OracleState:
        """The first price, known to all."""
        return cls((np.zeros(paths),) * rule.lag_steps(grid), np.zeros(paths))

    @property
    def told_log(self) -> FloatArray:
        """What quotes use now."""
        return self.reports_log[0]

    def stepped(self, rule: OracleRule, log_price: FloatArray, now_years: float) -> OracleState:
        """After a cleared price."""
        last = self.reports_log[-1]
        moved = np.abs(np.expm1(log_price - last)) >= rule.deviation_share * (1.0 - SAME_SHARE)
        reports = moved | (now_years - self.reported_years >= rule.heartbeat_hours / HOURS_PER_YEAR * (1.0 - SAME_SHARE))
        newest = np.where(reports, log_price, last)
        return replace(self, reports_log=(*self.reports_log[1:], newest), reported_years=np.where(reports, now_years, self.reported_years))


def expected_move_share(vol: float, lag_years: float) -> float:
    """E|S(t+L)/S(t) - 1| of a martingale geometric Brownian motion: 2 (2 N(vol sqrt(L) / 2) - 1); vol sqrt(2 L / pi) for short lags.

    What a quote on one coin at a price L old loses to a taker who knows better, in shares of the price, fees aside.

    >>> round(expected_move_share(0.6, 60 / 31_536_000), 9)
    0.000660334
    """
    return 2.0 * (2.0 * float(normal_cdf(0.5 * vol * math.sqrt(lag_years))) - 1.0)


def expected_gap_share(deviation: float) -> float:
    """Mean size of the gap between price and an oracle that reports at once but only moves of ``deviation``: a third of it.

    Between reports the gap walks from 0 to +-d, so that its long-run density is the triangle (1 - |y| / d) / d: E|y| = d / 3, E y^2 = d^2 / 6.
    Log prices without drift, watched all the time.

    >>> round(expected_gap_share(0.006), 9)
    0.002
    """
    return deviation / 3.0


def expected_stale_loss_usd(
    right: int, *, spot_usd: float, strike_usd: float, years: float, vol: float, lag_years: float, fee_usd: float = 0.0
) -> float:
    """What a pool loses in expectation on one coin of an option that it quotes at a spot ``lag_years`` old, to a taker who knows the price.

    E[(|c(S_L) - c(S_0)| - fee)^+] with c Black's price at ``years`` left and ``vol``, S_L = S_0 exp(s z - s^2/2), s = vol sqrt(lag): the sum of a
    call and a put on the option, each one integral from the z where it begins to pay.  For a short lag and no fee |delta| S vol sqrt(2 lag / pi).

    >>> round(expected_stale_loss_usd(+1, spot_usd=3000.0, strike_usd=3000.0, years=7 / 365, vol=0.7, lag_years=120 / 31_536_000), 6)
    1.69742
    """
    s = vol * math.sqrt(lag_years)

    def value(z: FloatArray) -> FloatArray:
        spot = spot_usd * np.exp(s * z - 0.5 * s * s)
        return black(right, spot, np.full(spot.shape, strike_usd), years, np.full(spot.shape, vol))[0]

    quoted = float(black(right, np.array([spot_usd]), np.array([strike_usd]), years, np.array([vol]))[0][0])
    total = 0.0
    for side in (1.0, -1.0):
        edge = _crossing(value, quoted + side * fee_usd, right)
        low, high = (edge, REACH) if side * right > 0.0 else (-REACH, edge)
        total += _integral(lambda z, side=side: side * (value(z) - quoted) - fee_usd, low, high)
    return total


def _crossing(value: object, level: float, right: int) -> float:
    """The z at which the option's value is ``level``; an end of the reach where it never is."""
    assert callable(value)
    low, high = -REACH, REACH
    for _ in range(80):
        middle = 0.5 * (low + high)
        above = (float(value(np.array([middle]))[0]) - level) * right > 0.0
        low, high = (low, middle) if above else (middle, high)
    return 0.5 * (low + high)


def _integral(integrand: object, low: float, high: float) -> float:
    assert callable(integrand)
    if not high > low:
        return 0.0
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    z = 0.5 * (high - low) * nodes + 0.5 * (high + low)
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return float(0.5 * (high - low) * np.sum(weights * density * integrand(z)))
