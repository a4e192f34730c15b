"""Static arbitrage in fitted smiles: butterflies inside an expiry, calendars between expiries of one venue."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tailwag.market.clock import format_time
from tailwag.surface.quotes import SmilePoints
from tailwag.surface.smile import Smile

BUTTERFLY_DEVIATIONS = 5.0
CALENDAR_DEVIATIONS = 4.0
"""Further out than this the near option is worth nothing, so its calendar spread is no arbitrage that anyone could trade."""

CALENDAR_POINTS = 81
CALENDAR_TOLERANCE_VOLPT = 0.05
"""Crossings shallower than this are rounding, not money."""


@dataclass(frozen=True, slots=True)
class CalendarViolation:
    """A log-moneyness where a later expiry has less total variance than an earlier one of the same venue.

    ``depth_volpt``: how many vol points the later expiry would have to rise at the worst point; ``low`` and ``high`` bound the region.
    """

    venue: str
    near_expiry_ns: int
    far_expiry_ns: int
    log_moneyness: float
    depth_volpt: float
    low: float
    high: float

    def document(self) -> dict[str, Any]:
        """Plain numbers for the report."""
        return {
            "venue": self.venue,
            "near_expiry": format_time(self.near_expiry_ns),
            "far_expiry": format_time(self.far_expiry_ns),
            "log_moneyness": self.log_moneyness,
            "depth_volpt": self.depth_volpt,
            "from_log_moneyness": self.low,
            "to_log_moneyness": self.high,
        }

    def __str__(self) -> str:
        return (
            f"{self.venue}: {format_time(self.far_expiry_ns)[:10]} is {self.depth_volpt:.2f} vol points too cheap against "
            f"{format_time(self.near_expiry_ns)[:10]} at {np.exp(self.log_moneyness) - 1.0:+.0%} moneyness"
        )


def checked_range(points: SmilePoints, years: float) -> tuple[float, float]:
    """Log-moneynesses where a butterfly can be worth money: the quoted strikes, and five standard deviations around the money."""
    k = points.log_moneyness
    level = float(np.interp(0.0, k, points.target_iv))
    reach = BUTTERFLY_DEVIATIONS * level * float(np.sqrt(years))
    return min(float(k[0]), -reach), max(float(k[-1]), reach)


def calendar_violations(smiles: tuple[Smile, ...]) -> tuple[CalendarViolation, ...]:
    """Every pair of neighbouring expiries of a venue whose total variances cross where both are quoted and the near one is worth something."""
    ordered = sorted(smiles, key=lambda smile: (smile.venue, smile.expiry_ns))
    found = []
    for near, far in pairwise(ordered):
        if near.venue == far.venue:
            found.append(_crossing(near, far))
    return tuple(violation for violation in found if violation is not None)


def _crossing(near: Smile, far: Smile) -> CalendarViolation | None:
    reach = CALENDAR_DEVIATIONS * float(np.sqrt(near.total_variance(0.0)))
    low = max(near.quoted_range[0], far.quoted_range[0], -reach)
    high = min(near.quoted_range[1], far.quoted_range[1], reach)
    if not high > low:
        return None
    k = np.linspace(low, high, CALENDAR_POINTS)
    # in vol of the far expiry: how much it lacks to carry the near expiry's variance
    lacking = 100.0 * (np.sqrt(near.total_variance(k) / far.years) - far.vol(k))
    worst = int(np.argmax(lacking))
    if not lacking[worst] > CALENDAR_TOLERANCE_VOLPT:
        return None
    where = k[lacking > CALENDAR_TOLERANCE_VOLPT]
    return CalendarViolation(
        near.venue, near.expiry_ns, far.expiry_ns, float(k[worst]), float(lacking[worst]), float(where[0]), float(where[-1])
    )
