"""The clearing of one step: everybody's orders meet, and fills are known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, is_zero
from tailwag.sim.agents.protocol import Orders
from tailwag.sim.clearing import Cleared, clear
from tailwag.sim.demands import Demands, chosen_paths
from tailwag.sim.engine_state import Exogenous, State
from tailwag.sim.ledger import Fill
from tailwag.sim.orders import Flight, sum_in_order
from tailwag.sim.seats import RunPlan
from tailwag.sim.vega_loop import VegaMarket
from tailwag.sim.walked import Market as SearchedMarket


class Collected(NamedTuple):
    """What everybody brings to a step, seat by seat: what arrives now (USD and coin), same-step orders (None: none), and what is still on its way."""

    fills: Sequence[Fill]
    same_step: Sequence[Orders | None]
    flights: Sequence[Flight]


class Clearing(NamedTuple):
    """What is cleared in a step: orders that do not answer the price (USD, coin), vol, over what distance demands are smooth, and whether they jump."""

    plan: RunPlan
    state: State
    before: Exogenous
    fixed: tuple[FloatArray, FloatArray]
    vols: VegaMarket
    scale_log: FloatArray
    jumps: bool


def clear_step(plan: RunPlan, state: State, before: Exogenous, collected: Collected) -> tuple[FloatArray, list[Fill], BoolArray]:
    """Clearing log price, everybody's fills (USD and coin orders, not yet in one unit), and which paths found a price."""
    spot, impact, vols = before.spot_pre_usd, plan.scenario.impact, vol_market(plan, state, before, state.live)
    demands = Demands([orders for orders in collected.same_step if orders is not None], spot.size)
    found = np.ones(spot.shape, dtype=bool)
    log_price = before.log_pre
    if demands.orders:
        log_price, found = _searched(_clearing(plan, state, before, collected, vols), demands)
    if not demands.settled:
        demands.settle(log_price, vols.shift(log_price, _tilt(plan, state, log_price))[0])
    fills = [demands.added(fill, orders) for fill, orders in zip(collected.fills, collected.same_step)]
    usd = sum_in_order([fill.usd for fill in fills], spot.shape)
    coin = sum_in_order([fill.coin for fill in fills], spot.shape)
    moved = impact.move(before.impact, usd + coin * spot, coin + usd / spot)[0]
    log_price = np.where(found, before.log_pre + np.where(state.live, moved, 0.0), log_price)
    middle = 0.5 * (spot + plan.scenario.spot_usd * np.exp(np.where(found, log_price, before.log_pre)))
    return log_price, [_in_both_units(fill, spot, middle) for fill in fills], found


def _in_both_units(fill: Fill, spot: FloatArray, middle: FloatArray) -> Fill:
    """Orders in USD and in coin as one purchase: in USD at the price before trading, in coin for those at the price of all fills."""
    if is_zero(fill.coin):
        return Fill(fill.usd, fill.coin if is_zero(fill.usd) else fill.usd / middle)
    if is_zero(fill.usd):
        return Fill(fill.coin * spot, fill.coin)
    return Fill(fill.usd + fill.coin * spot, fill.usd / middle + fill.coin)


def _clearing(plan: RunPlan, state: State, before: Exogenous, collected: Collected, vols: VegaMarket) -> Clearing:
    shape = before.spot_pre_usd.shape
    fixed = (sum_in_order([fill.usd for fill in collected.fills], shape), sum_in_order([fill.coin for fill in collected.fills], shape))
    scales = [orders.scale_log for orders in collected.same_step if orders is not None and orders.scale_log is not None]
    jumps = any(orders is not None and hasattr(seat.trader, "liquidation_usd") for seat, orders in zip(plan.seats, collected.same_step))
    return Clearing(plan, state, before, fixed, vols, reduce(np.minimum, scales) if scales else np.full(shape, np.inf), jumps)


def _searched(asked: Clearing, demands: Demands) -> tuple[FloatArray, BoolArray]:
    """Clearing prices and which paths have one: by compiled code where it knows all demands, and where it cannot tell, from the agents themselves."""
    walks = asked.plan.walks and not asked.vols.holders and asked.plan.scenario.impact.is_linear and demands.known
    walked = demands.walk(_as_compiled(asked)) if walks else None
    if walked is None:
        cleared = _search_plainly(asked, demands, None)
        return cleared.log_price, cleared.found
    if walked.hard is None:
        return walked.log_price, walked.found
    cleared = _search_plainly(asked, demands, walked.hard)
    return np.where(walked.hard, cleared.log_price, walked.log_price), np.where(walked.hard, cleared.found, walked.found)


def _search_plainly(asked: Clearing, demands: Demands, wanted: BoolArray | None) -> Cleared:
    """The search that asks the agents; ``wanted``: only on these paths."""
    plan, state, before = asked.plan, asked.state, asked.before
    fixed, out = np.stack(asked.fixed), np.zeros((2, before.log_pre.size))
    market = np.stack((before.spot_pre_usd, before.log_pre, np.exp(-before.impact.depth_log)))
    everybody = np.arange(before.log_pre.size)

    def excess(price: FloatArray, sought: BoolArray) -> tuple[FloatArray, FloatArray]:
        chosen = chosen_paths(sought) if wanted is None else np.flatnonzero(sought)
        answers = demands.ask(price, asked.vols.shift(price, _tilt(plan, state, price))[0], chosen)
        plan.scenario.impact.excess(answers, everybody if chosen is None else chosen, fixed, market, price, out)
        return out[0], out[1]

    bound = plan.scenario.stop_log_move
    return clear(excess, before.log_pre, bound_log=bound, scale_log=asked.scale_log, jumps=asked.jumps, wanted=wanted)


def _as_compiled(asked: Clearing) -> SearchedMarket:
    """The market of a step as compiled code reads it."""
    before, scenario, pushed = asked.before, asked.plan.scenario, asked.vols.impact_per_usd * asked.vols.arrived_usd
    (per_usd, per_coin), thin = scenario.impact.full_depth, np.exp(-before.impact.depth_log)
    columns = (
        before.log_pre,
        before.spot_pre_usd,
        thin,
        *asked.fixed,
        asked.vols.base,
        pushed,
        asked.state.log_price,
        asked.scale_log,
    )
    rows = np.empty((len(columns), thin.size))
    for row, column in zip(rows, columns):
        row[:] = column
    return SearchedMarket(rows, per_usd, per_coin, float(scenario.vol.spot_vol_beta), float(scenario.stop_log_move), asked.jumps)


def _tilt(plan: RunPlan, state: State, log_price: FloatArray) -> FloatArray:
    """How far vol goes with the price."""
    return plan.scenario.vol.spot_vol_beta * (log_price - state.log_price)


def vol_rests(plan: RunPlan, state: State, before: Exogenous, log_price: FloatArray) -> BoolArray:
    """Paths whose vol comes to rest at a price; all of them where nobody hedges vega."""
    if not any(seat.hedges_vega for seat in plan.seats):
        return np.ones(log_price.shape, dtype=bool)
    return vol_market(plan, state, before, state.live).rests(log_price, _tilt(plan, state, log_price)) | ~state.live


def vol_market(plan: RunPlan, state: State, before: Exogenous, trading: BoolArray) -> VegaMarket:
    """Where vol stands before vega trades, and who trades vega in this step."""
    arrived = np.zeros(state.log_price.shape)
    holders = []
    for seat, own in zip(plan.seats, state.seats):
        if own.desk is None:
            continue
        arrived = arrived + own.desk.arrive()[0] * trading
        if seat.agent.delay_steps == 0:
            holders.append((seat.trader, own.desk.held_usd, own.memory))
    return VegaMarket(before.shift_base, plan.scenario.vol.vega_impact_per_usd, arrived, holders, before.step, trading.astype(np.float64))
