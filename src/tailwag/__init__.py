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
    "RecordedFlowRule": "tailwag.positioning",
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
    "Scenario": "tailwag.sim.scenario",
    "Costs": "tailwag.sim.scenario",
    "VolDynamics": "tailwag.sim.scenario",
    "TimeGrid": "tailwag.sim.grid",
    "simulate": "tailwag.sim.run",
    "calibrated": "tailwag.sim.calibrate",
    "fundamental_returns": "tailwag.sim.calibrate",
    "citations": "tailwag.sim.citations",
    "ImpactModel": "tailwag.sim.impact",
    "OptionBook": "tailwag.sim.option_book",
    "Dealer": "tailwag.sim.agents.dealer",
    "HedgeInstrument": "tailwag.sim.agents.dealer",
    "LiquidationLadder": "tailwag.sim.agents.ladder",
    "scalper": "tailwag.sim.scalping",
    "neutral_dealer": "tailwag.sim.option_hedge",
    "AssetScenario": "tailwag.sim.assets_scenario",
    "simulate_assets": "tailwag.sim.assets",
    "Gbm": "tailwag.sim.dynamics",
    "Heston": "tailwag.sim.dynamics",
    "Merton": "tailwag.sim.dynamics",
    "Kou": "tailwag.sim.dynamics",
    "Bates": "tailwag.sim.dynamics",
    "StudentT": "tailwag.sim.dynamics",
    "HawkesJumps": "tailwag.sim.dynamics",
    "Bootstrap": "tailwag.sim.dynamics",
    "Replay": "tailwag.sim.dynamics",
    "EveryStep": "tailwag.hedging.policies",
    "AtTimes": "tailwag.hedging.policies",
    "Band": "tailwag.hedging.policies",
    "WhalleyWilmott": "tailwag.hedging.policies",
    "Zakamouline": "tailwag.hedging.policies",
    "Leland": "tailwag.hedging.policies",
    "Predictive": "tailwag.hedging.policies",
    "CharmOnly": "tailwag.hedging.policies",
    "NoHedge": "tailwag.hedging.policies",
    "AtOnce": "tailwag.hedging.execution",
    "Twap": "tailwag.hedging.execution",
    "AlmgrenChriss": "tailwag.hedging.execution",
    "Maker": "tailwag.hedging.execution",
    "load_scenario": "tailwag.experiments.scenario_files",
    "simulate_file": "tailwag.experiments.simulate",
    "scan_for_arbitrage": "tailwag.liquidity.arbitrage",
    "ols_lambda": "tailwag.liquidity.estimate",
    "instrumented_lambda": "tailwag.liquidity.estimate",
    "hedge_free_lambda": "tailwag.liquidity.estimate",
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
