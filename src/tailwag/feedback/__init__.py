"""Feedback: hedging flow over liquidity, the loop gain, with everything that explains it."""

from __future__ import annotations

from tailwag.feedback.assets import MatrixGain, joint_gain, matrix_gain
from tailwag.feedback.gain import Gain, RuleGain, ShareGain, loop_gain
from tailwag.feedback.inputs import GainInputs, gain_inputs
from tailwag.feedback.law import LawGain, law_gain, repriced_gain
from tailwag.feedback.spot_vol import SpotVolLoop, shadow_gain, spot_vol_loop
from tailwag.feedback.volatility import (
    SquareRootLoop,
    break_even_variance_ratio,
    frey_volatility,
    realised_variance_ratio,
    sircar_papanicolaou_volatility,
    square_root_loop,
)
from tailwag.feedback.zones import RunawayZone, distance_pct, runaway_zones

__all__ = [
    "Gain",
    "GainInputs",
    "LawGain",
    "MatrixGain",
    "RuleGain",
    "RunawayZone",
    "ShareGain",
    "SpotVolLoop",
    "SquareRootLoop",
    "break_even_variance_ratio",
    "distance_pct",
    "frey_volatility",
    "gain_inputs",
    "joint_gain",
    "law_gain",
    "loop_gain",
    "matrix_gain",
    "realised_variance_ratio",
    "repriced_gain",
    "runaway_zones",
    "shadow_gain",
    "sircar_papanicolaou_volatility",
    "spot_vol_loop",
    "square_root_loop",
]
