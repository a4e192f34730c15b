"""Liquidity: what a flow of dollars does to the price, by a law that is always named.

Order books answer for minutes, the square-root law for hours, the part that does not revert for days. Adding two impacts with ``+``
adds their price moves (a lasting part and a passing part of one flow); books merged by :meth:`BookImpact.from_books` add their depth.
"""

from __future__ import annotations

from tailwag.liquidity.ladder import BookImpact
from tailwag.liquidity.laws import (
    Impact,
    LinearImpact,
    SquareRootImpact,
    SumImpact,
    UnknownImpact,
    depth_usd_per_pct,
    doubt_at_move,
    lasting_impact,
    permanent_impact,
    unknown_reason,
)
from tailwag.liquidity.ratio import LiquidityRatio, hedged_open_interest_usd, liquidity_ratios
from tailwag.liquidity.volume import DailyVolume, atm_daily_vol, daily_volume, impacts_from_snapshot

__all__ = [
    "BookImpact",
    "DailyVolume",
    "Impact",
    "LinearImpact",
    "LiquidityRatio",
    "SquareRootImpact",
    "SumImpact",
    "UnknownImpact",
    "atm_daily_vol",
    "daily_volume",
    "depth_usd_per_pct",
    "doubt_at_move",
    "hedged_open_interest_usd",
    "impacts_from_snapshot",
    "lasting_impact",
    "liquidity_ratios",
    "permanent_impact",
    "unknown_reason",
]
