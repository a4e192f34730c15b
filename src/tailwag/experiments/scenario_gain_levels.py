"""Closed forms of what is liquidated where: ladders of levels, and accounts by their leverage."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from tailwag.experiments.scenario_gain_setting import Law, Setting
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.black_plain import normal_cdf
from tailwag.margin.contract import Contract
from tailwag.margin.maintenance import maintenance_share
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.leverage_buckets import LeverageBucket


def ladder_law(agent: LiquidationLadder, setting: Setting) -> tuple[Law, str]:
    """Notional of the levels passed: shorts bought in above the start, longs sold below it."""

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        usd = (agent.density_usd + agent.levels_per_log * agent.level_usd) * x
        for cluster in agent.clusters:
            side, center = math.copysign(1.0, cluster.distance_log), abs(cluster.distance_log)
            passed = normal_cdf((np.maximum(side * x, 0.0) - center) / cluster.width_log) - normal_cdf(
                np.asarray(-center / cluster.width_log)
            )
            usd = usd + side * cluster.notional_usd * passed
        return usd, 0.0 * x

    return law, "+liquidated notional"


def leveraged_law(agent: LeveragedTraders, setting: Setting) -> tuple[Law, str] | None:
    """The same from leverage: entry prices scatter, accounts liquidated before the start are left out; whole positions only."""
    if agent.rules.rounds:
        return None
    linear = agent.rules.contract is Contract.LINEAR

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        usd = np.zeros(x.shape)
        for bucket in agent.buckets:
            kept = float(maintenance_share(agent.rules.maintenance, bucket.account_usd, price_usd=setting.spot_usd))
            side = 1.0 if bucket.side == "long" else -1.0
            net = 1.0 + side / bucket.leverage if bucket.collateral == "coin" else 1.0
            level = bucket.entry_log + _level_log(side, bucket.leverage * net, kept / net, linear=linear)
            share = _even(bucket, side, level, x) if agent.entries == "even" else _drawn(bucket, side, level, x)
            usd = usd - side * net * bucket.notional_usd * share
        return (0.0 * x, usd / setting.spot_usd) if linear else (usd, 0.0 * x)

    return law, "+liquidated notional (leverage)"


def _drawn(bucket: LeverageBucket, side: float, level: float, x: FloatArray) -> FloatArray:
    """Expected share of the accounts whose level lies between the start and x."""
    width = bucket.entry_width_log
    alive = float(normal_cdf(np.asarray(-side * level / width)))
    passed = normal_cdf((np.maximum(-side * x, 0.0) + side * level) / width) - normal_cdf(np.asarray(side * level / width))
    return np.asarray(passed / alive)


def _even(bucket: LeverageBucket, side: float, level: float, x: FloatArray) -> FloatArray:
    """Share of the accounts whose level is reached at x, one account after another at even quantiles."""
    normal, width = NormalDist(), bucket.entry_width_log
    alive = normal.cdf(-side * level / width)
    ranks = (np.arange(bucket.accounts) + 0.5) / bucket.accounts
    distances = np.sort([-(side * level + width * normal.inv_cdf(rank * alive)) for rank in ranks])
    return np.asarray(np.searchsorted(distances, -side * x, side="right") / bucket.accounts)


def _level_log(side: float, leverage: float, kept: float, *, linear: bool) -> float:
    """Liquidation price over entry price, in logs: (1 - side / l) / (1 - side m), inverse (1 + side m) / (1 + side / l)."""
    if linear:
        return math.log((1.0 - side / leverage) / (1.0 - side * kept)) if leverage != 1.0 or side < 0.0 else -math.inf
    return math.log((1.0 + side * kept) / (1.0 + side / leverage)) if leverage != 1.0 or side > 0.0 else math.inf
