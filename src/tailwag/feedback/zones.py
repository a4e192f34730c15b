"""Runaway zones: the spot prices at which hedging would feed on itself, and how far away they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray

RUNAWAY_GAIN = 1.0


@dataclass(frozen=True, slots=True)
class RunawayZone:
    """Spot prices between which the gain is 1 or more; an open end is where the profile stops, not where the zone does."""

    low_usd: float
    high_usd: float
    low_open: bool
    high_open: bool

    def __str__(self) -> str:
        low = f"{'below ' if self.low_open else ''}{self.low_usd:,.0f}"
        return f"{low} to {self.high_usd:,.0f}{' and beyond' if self.high_open else ''} USD"


def runaway_zones(spot_usd: FloatArray, gain: FloatArray) -> tuple[RunawayZone, ...]:
    """Contiguous intervals where gain >= 1, edges by linear interpolation between grid points, lowest first.

    Shapes: both (g,), spot ascending.  A gap in the gain (not a number) ends a zone.

    >>> import numpy as np
    >>> runaway_zones(np.array([90.0, 100.0, 110.0]), np.array([0.0, 2.0, 0.0]))[0].low_usd
    95.0
    """
    inside = np.asarray(gain) >= RUNAWAY_GAIN
    steps = np.diff(np.concatenate([[0], inside.astype(np.int64), [0]]))
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
    return tuple(_zone(spot_usd, gain, int(start), int(end)) for start, end in zip(starts, ends, strict=True))


def distance_pct(spot_usd: float, zones: Sequence[RunawayZone]) -> float | None:
    """Signed move in per cent from the current spot to the nearest zone; 0 inside one, None if there is none.

    >>> distance_pct(100.0, [RunawayZone(80.0, 90.0, False, False)])
    -10.0
    """
    moves = [_gap(spot_usd, zone) for zone in zones]
    return min(moves, key=abs) if moves else None


def _gap(spot_usd: float, zone: RunawayZone) -> float:
    nearest = min(max(spot_usd, zone.low_usd), zone.high_usd)
    return round(100.0 * (nearest / spot_usd - 1.0), 12)


def _zone(spot: FloatArray, gain: FloatArray, start: int, end: int) -> RunawayZone:
    low_open, high_open = start == 0, end == len(spot) - 1
    low = float(spot[0]) if low_open else _crossing(spot, gain, start - 1, start)
    high = float(spot[-1]) if high_open else _crossing(spot, gain, end + 1, end)
    return RunawayZone(low, high, low_open, high_open)


def _crossing(spot: FloatArray, gain: FloatArray, outside: int, inside: int) -> float:
    """Where the straight line between two grid points meets the gain of 1; the inner point where the outer one is unknown."""
    outer, inner = float(gain[outside]), float(gain[inside])
    if not np.isfinite(outer) or not np.isfinite(inner):
        return float(spot[inside])
    share = (RUNAWAY_GAIN - inner) / (outer - inner)
    return float(spot[inside]) + share * (float(spot[outside]) - float(spot[inside]))
