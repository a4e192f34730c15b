"""Closed forms of pools: those who hedge what they own of one, and those who trade it back to the market."""

from __future__ import annotations

import math

import numpy as np

from tailwag.experiments.scenario_gain_setting import MINUTES_PER_YEAR, SAME_TIME, Law, Setting, beyond, dead_zone, silent, to_edge
from tailwag.hedging.policies import NoHedge
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.pool import PoolArbitrage


def lp_hedger_law(agent: LpHedger, setting: Setting) -> tuple[Law, str] | None:
    """+hedge_share (coin in the pool at the start less coin at x): V / 4 of a constant product, L sqrt P / 2 inside a range."""
    width = math.inf if isinstance(agent.policy, NoHedge) else dead_zone(agent.policy, setting)
    if width is None:
        return None
    pool, start = agent.terms.pool, agent.terms.pool.coin(np.asarray(setting.spot_usd))

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        price, before = setting.spot_usd * np.exp(x), setting.spot_usd * np.exp(exogenous)
        wanted, seen = (-agent.hedge_share * (pool.coin(at) - start) for at in (price, before))
        return 0.0 * x, to_edge(wanted, seen, width, price, before)

    return law, "+P^2 |V''|"


def pool_law(agent: PoolArbitrage, setting: Setting) -> tuple[Law, str] | None:
    """Coin that leaves the pool is sold: depth, not gain.  Inside the fee nothing trades; on a chain nothing before a block falls."""
    fee, terms = agent.terms.fee, agent.terms
    if fee.bps_per_vol:
        return None
    if terms.block_minutes:
        now, before = (
            years * MINUTES_PER_YEAR / terms.block_minutes for years in (setting.now_years, setting.now_years - setting.step_years)
        )
        if math.floor(now + SAME_TIME) == math.floor(before + SAME_TIME):
            return silent, "no block falls"
    start = terms.pool.coin(np.asarray(setting.spot_usd))

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        reached = beyond(x, 1e-4 * fee.base_bps)
        return 0.0 * x, terms.pool.coin(setting.spot_usd * np.exp(reached)) - start

    return law, "-P^2 |V''| (depth)"
