"""Surface: forwards with their sources, checked smiles, and how they move with spot."""

from __future__ import annotations

from tailwag.market.forwards import ForwardCurve, forward_curve
from tailwag.surface.arbitrage import CalendarViolation
from tailwag.surface.dynamics import STICKY_MONEYNESS, STICKY_STRIKE, SmileDynamics, parse_dynamics
from tailwag.surface.fit import fit_surface
from tailwag.surface.quotes import SmilePoints
from tailwag.surface.rows import RowVols, Surface
from tailwag.surface.smile import Smile
from tailwag.surface.ssvi import SsviFit

__all__ = [
    "STICKY_MONEYNESS",
    "STICKY_STRIKE",
    "CalendarViolation",
    "ForwardCurve",
    "RowVols",
    "Smile",
    "SmileDynamics",
    "SmilePoints",
    "SsviFit",
    "Surface",
    "fit_surface",
    "forward_curve",
    "parse_dynamics",
]
