"""What a law of the predicted gain is and may read, and how a policy closes a gap."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.hedging.policies import AtTimes, Band, EveryStep, Predictive
from tailwag.kernels.arrays import FloatArray
from tailwag.units import HOURS_PER_YEAR

MINUTES_PER_YEAR = 60.0 * HOURS_PER_YEAR
SAME_TIME = 1e-9

Law = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""``law(x, exogenous)`` -> (usd, coin): what an agent has bought once price rests at x after an exogenous move, (points,) each."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a law may read: the price at the start, the end of the bumped step and its length, how vol follows spot,
    whether everybody is late, and whether time goes on after the bump; ``first_seen(exogenous)``: what same-step agents make of a move at once."""

    spot_usd: float
    now_years: float
    step_years: float
    spot_vol_beta: float
    late: bool
    fades: bool
    first_seen: Callable[[FloatArray], FloatArray] | None = None


def dead_zone(policy: Any, setting: Setting) -> float | None:
    """How many USD of gap a policy leaves open; None for a rule without a closed form."""
    if isinstance(policy, EveryStep | Predictive):
        return 0.0
    if isinstance(policy, Band) and policy.target == "edge":
        return float(policy.half_width_usd if policy.half_width_usd is not None else (policy.half_width_coin or 0.0) * setting.spot_usd)
    if isinstance(policy, AtTimes) and policy.jitter_minutes == 0.0:
        now, before = (
            years * MINUTES_PER_YEAR / policy.every_minutes for years in (setting.now_years, setting.now_years - setting.step_years)
        )
        return 0.0 if math.floor(now + SAME_TIME) > math.floor(before + SAME_TIME) else math.inf
    return None


def beyond(wanted: FloatArray, width: FloatArray | float) -> FloatArray:
    """What is traded of a gap that is closed to the edge of a band."""
    return np.asarray(np.copysign(np.maximum(np.abs(wanted) - width, 0.0), wanted))


def to_edge(wanted: FloatArray, seen: FloatArray, width: float, price: FloatArray, before: FloatArray) -> FloatArray:
    """A gap in coin closed to the edge of a band in USD, which is narrowest at the highest price at which its owner saw itself outside."""
    if width in (0.0, math.inf):
        return wanted if width == 0.0 else 0.0 * wanted
    outside = np.abs(seen) * before > width
    return beyond(wanted, width / np.where(outside, np.maximum(price, before), price))


def silent(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Nothing is bought."""
    return 0.0 * x, 0.0 * x
