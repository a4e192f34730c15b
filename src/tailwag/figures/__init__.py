"""Figures: arrays in, figure out; plotly for the screen, matplotlib for pictures; no input or output.

>>> exposure_by_strike([90e3], [1e6], [-2e6], spot_usd=91e3).layout.xaxis.title.text
'strike'
"""

from __future__ import annotations

from tailwag.figures.choices import phase_diagram, policy_frontier
from tailwag.figures.comparisons import data_quality, gain_by_law, who_is_short
from tailwag.figures.exposures import exposure_by_expiry, exposure_by_strike
from tailwag.figures.flows import flow_calendar, forward_view, hedge_flow_map, largest_in_order
from tailwag.figures.profiles import gex_profile
from tailwag.figures.simulation import fan_chart, flow_by_hour, pin_histogram, pnl_parts, runaway_paths, vol_signature
from tailwag.figures.smiles import smile_fit, term_structure

__all__ = [
    "data_quality",
    "exposure_by_expiry",
    "exposure_by_strike",
    "fan_chart",
    "flow_by_hour",
    "flow_calendar",
    "forward_view",
    "gain_by_law",
    "gex_profile",
    "hedge_flow_map",
    "largest_in_order",
    "phase_diagram",
    "pin_histogram",
    "pnl_parts",
    "policy_frontier",
    "runaway_paths",
    "smile_fit",
    "term_structure",
    "vol_signature",
    "who_is_short",
]
