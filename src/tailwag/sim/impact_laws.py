"""Parts of the simulated impact: the square root with its crossover, and depth that reacts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray
from tailwag.liquidity.laws import SquareRootImpact


@dataclass(frozen=True, slots=True)
class SquareRootLaw:
    """The empirical law of hours: move = y * daily_vol * sqrt(|flow| / daily_volume), linear below ``crossover_usd`` and meeting it there.

    The crossover is required: a pure square root is infinitely steep at zero flow, so a small hedging loop would have no gain.
    Units: USD, daily vol as a decimal.  Source: Toth et al. 2011.

    >>> law = SquareRootLaw(daily_volume_usd=10e9, daily_vol=0.031405, crossover_usd=1e6)
    >>> round(1e4 * float(law.log_move(np.array([100e6]))[0]), 3)
    31.405
    """

    daily_volume_usd: float
    daily_vol: float
    crossover_usd: float
    y: float = 1.0

    def __post_init__(self) -> None:
        if self.crossover_usd is None:
            raise RuleError(
                "expected crossover_usd with the square-root law, got none; below it impact is linear, and without it the law is infinitely "
                "steep at zero flow, so that no hedging loop is stable: state the flow at which the root begins, such as 1e6"
            )
        SquareRootImpact(self.daily_volume_usd, self.daily_vol, y=self.y, crossover_usd=self.crossover_usd)

    @property
    def slope_at_zero_per_usd(self) -> float:
        """Log move per USD of the linear part."""
        return self.y * self.daily_vol / math.sqrt(self.daily_volume_usd * self.crossover_usd)

    def log_move(self, flow_usd: FloatArray) -> FloatArray:
        """Signed log move (paths,) of signed flows (paths,)."""
        size = np.abs(flow_usd)
        root = self.y * self.daily_vol * np.sqrt(np.maximum(size, self.crossover_usd) / self.daily_volume_usd)
        return np.asarray(np.where(size > self.crossover_usd, np.copysign(root, flow_usd), self.slope_at_zero_per_usd * flow_usd))

    def slope_per_usd(self, flow_usd: FloatArray) -> FloatArray:
        """Derivative of the log move (paths,): constant up to the crossover, half the secant above it."""
        size = np.maximum(np.abs(flow_usd), self.crossover_usd)
        above = 0.5 * self.y * self.daily_vol / np.sqrt(self.daily_volume_usd * size)
        return np.asarray(np.where(np.abs(flow_usd) > self.crossover_usd, above, self.slope_at_zero_per_usd))


@dataclass(frozen=True, slots=True)
class ReactiveDepth:
    """Depth that thins out when the market moves or flow is one-sided, and refills with a half-life.

    log depth_t = k log depth_{t-1} - vol_sensitivity |r_t| - flow_sensitivity_per_usd |m_t|, held between log ``floor`` and 0, with
    k = 2^(-step / half_life) and m_t = k m_{t-1} + (1 - k) flow_t, the exponentially averaged signed flow of one step.  A steady flow thins
    depth alike on every time grid; the sum of |r| depends on the step, so state the step with which ``vol_sensitivity`` was measured.
    """

    vol_sensitivity: float
    flow_sensitivity_per_usd: float
    half_life_minutes: float
    floor: float

    def __post_init__(self) -> None:
        not_negative("vol_sensitivity", self.vol_sensitivity)
        not_negative("flow_sensitivity_per_usd", self.flow_sensitivity_per_usd)
        positive("half_life_minutes", self.half_life_minutes)
        if not 0.0 < self.floor <= 1.0:
            raise RuleError(f"expected a floor above 0 and up to 1, the share of depth that always stays, got {self.floor}")


def not_negative(name: str, value: float) -> None:
    """RuleError unless a finite number of 0 or more."""
    if not (math.isfinite(value) and value >= 0.0):
        raise RuleError(f"expected {name} of 0 or more, got {value}; buying never lowers the price")


def positive(name: str, value: float | None) -> None:
    """RuleError unless stated, finite and above 0."""
    if value is None or not (math.isfinite(value) and value > 0.0):
        raise RuleError(f"expected {name} above 0, got {value}; state it, or leave this part of the impact out")
