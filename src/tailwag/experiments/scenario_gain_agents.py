"""The closed form of each kind of agent, where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tailwag.experiments.scenario_gain_hedgers import dealer_law, insurer_law, margined_book_law, trend_law
from tailwag.experiments.scenario_gain_levels import ladder_law, leveraged_law
from tailwag.experiments.scenario_gain_pools import lp_hedger_law, pool_law
from tailwag.experiments.scenario_gain_public import public_law
from tailwag.experiments.scenario_gain_setting import Law, Setting
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.insurer import PortfolioInsurer
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.margined import MarginedHedger
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.agents.momentum import TrendFollower
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.agents.power_perp import Crab
from tailwag.sim.agents.price_band import PriceBand
from tailwag.sim.agents.quoting_dealer import QuotingDealer
from tailwag.sim.gain_bump import stated_response_usd


def law_of(agent: Any, setting: Setting) -> tuple[Law, str]:
    """An agent's closed form and what it is; an agent without one is taken at its word."""
    for kind, maker in _LAWS:
        if isinstance(agent, kind):
            made = maker(agent, setting)
            if made is not None:
                return made
    stated = stated_response_usd(agent, setting.spot_usd)
    return (lambda x, exogenous: (stated * x, 0.0 * x)), "as stated"


def _banded(agent: PriceBand, setting: Setting) -> tuple[Law, str]:
    """The inner agent's, no further than the edge of the band."""
    inner, by = law_of(agent.inner, setting)
    edge = agent.band_log

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        return inner(np.clip(x, -edge, edge), np.clip(exogenous, -edge, edge))

    return law, f"{by}, within the band"


def _margined(agent: MarginedHedger, setting: Setting) -> tuple[Law, str]:
    """The inner agent's: a margin slows its orders, and all of them arrive in the end."""
    return law_of(agent.inner, setting)


_LAWS: tuple[tuple[type, Callable[[Any, Setting], tuple[Law, str] | None]], ...] = (
    (Dealer, dealer_law),
    (LiquidationLadder, ladder_law),
    (LeveragedTraders, leveraged_law),
    (LpHedger, lp_hedger_law),
    (PoolArbitrage, pool_law),
    (Crab, public_law),
    (PortfolioInsurer, insurer_law),
    (QuotingDealer, dealer_law),
    (MarginedBook, margined_book_law),
    (TrendFollower, trend_law),
    (PriceBand, _banded),
    (MarginedHedger, _margined),
)
