"""tailwag measures, simulates and tames the hedging feedback loop of crypto options.

>>> import tailwag as tw
>>> tw.LongCallsShortPuts().name
'long-calls-short-puts'
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "load": "tailwag.sources",
    "load_trades": "tailwag.sources",
    "load_books": "tailwag.sources",
    "fetch": "tailwag.sources",
    "demo": "tailwag.sources",
    "merge": "tailwag.sources",
    "save": "tailwag.sources",
    "fit_surface": "tailwag.surface",
    "forward_curve": "tailwag.surface",
    "infer_positions": "tailwag.positioning",
    "LongCallsShortPuts": "tailwag.positioning",
    "ShortAll": "tailwag.positioning",
    "LongAll": "tailwag.positioning",
    "CustomersBuy": "tailwag.positioning",
    "CustomersSellOtm": "tailwag.positioning",
    "FlowRule": "tailwag.positioning",
    "PositionsFile": "tailwag.positioning",
    "Mixture": "tailwag.positioning",
    "parse_rule": "tailwag.positioning",
    "exposure_profile": "tailwag.exposure",
    "exposure_bands": "tailwag.exposure",
    "by_expiry": "tailwag.exposure",
    "by_strike": "tailwag.exposure",
    "by_venue": "tailwag.exposure",
    "by_right": "tailwag.exposure",
    "scenario_grid": "tailwag.exposure",
    "read_own_book": "tailwag.exposure",
    "trade_effect": "tailwag.exposure",
    "hedge_flows": "tailwag.exposure",
    "forward_view": "tailwag.exposure",
    "flow_calendar": "tailwag.exposure",
    "LinearImpact": "tailwag.liquidity",
    "SquareRootImpact": "tailwag.liquidity",
    "BookImpact": "tailwag.liquidity",
    "impacts_from_snapshot": "tailwag.liquidity",
    "loop_gain": "tailwag.feedback",
    "joint_gain": "tailwag.feedback",
    "matrix_gain": "tailwag.feedback",
    "MeasureOptions": "tailwag.experiments.options",
    "measure": "tailwag.experiments.measure",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    """Import a public name from its room on first use, so that ``import tailwag`` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module 'tailwag' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
