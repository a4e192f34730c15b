"""What a fast block leaves behind, in the form of the plain engine: accounts, profits by cause, options paid out and valued."""

from __future__ import annotations

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.kernels.loop_rows import (
    CARRY,
    CASH,
    EXECUTION,
    FUNDING,
    GAP_SQUARED,
    HELD,
    OPTION,
    OUTCOME,
    PEAK,
    SHARE,
    STOPPED,
    TRADES,
    TURNOVER,
    WIDTH,
    Block,
    Loop,
)
from tailwag.sim.book_trader import BookTrader
from tailwag.sim.engine import RunPlan, opening_cost_usd
from tailwag.sim.fast_options import MergedBooks, OptionProfit, ends_profit, final_values, steps_profit
from tailwag.sim.ledger import BPS, PART
from tailwag.sim.state import PNL_PARTS, AgentPaths, BlockPaths

__all__ = ["block_paths", "splits_steps"]


def block_paths(
    plan: RunPlan, loop: Loop, block: Block, first_path: int, value_usd: FloatArray, delta: FloatArray, merged: MergedBooks | None
) -> BlockPaths:
    """The block as the plain engine would hand it over; ``value_usd`` and ``delta`` of every seat's options at the start, all options in ``merged``."""
    paths = block.flow.shape[1]
    stopped = _row(block.path, STOPPED, paths).astype(np.int64)
    changes = _changes(plan, loop, block, stopped, value_usd, merged)
    agents: list[AgentPaths] = []
    liquidity, venue, holders, coin = (np.zeros(paths) for _ in range(4))
    for seat in range(len(plan.seats)):
        options = _options(plan, loop, block, seat, stopped, float(value_usd[seat]), changes.get(seat))
        agent, to_venue, to_liquidity = _agent(plan, block, seat, options)
        agents.append(agent)
        venue, liquidity, holders = venue + to_venue, liquidity + to_liquidity, holders - options.paid_usd
        coin = coin - (agent.final_position_coin + loop.terms[seat, SHARE] * delta[seat])
    order = np.argsort([seat.position for seat in plan.seats], kind="stable")
    return BlockPaths(
        first_path=first_path,
        time_years=plan.scenario.grid.years,
        log_price=block.log_price.T,
        fundamental_log=block.fundamental.T,
        net_flow_usd=block.flow.T,
        vol_shift=block.shift.T if block.shift.shape[0] else None,
        outcome=_row(block.path, OUTCOME, paths).astype(np.int64),
        stopped_step=stopped,
        agents=tuple(agents[int(seat)] for seat in order),
        liquidity_cash_usd=liquidity,
        liquidity_position_coin=coin,
        venue_cash_usd=venue,
        holders_cash_usd=holders,
    )


def splits_steps(plan: RunPlan) -> bool:
    """Whether the profit of options is split by greeks at every step, which needs every step's vol shift."""
    return any(isinstance(seat.trader, BookTrader) and seat.trader.market.full_pnl for seat in plan.seats)


def _row(packs: FloatArray, row: int, paths: int) -> FloatArray:
    """One row of all packs, path after path."""
    return packs[:, row : row + WIDTH].reshape(-1)[:paths]


def _changes(
    plan: RunPlan, loop: Loop, block: Block, stopped: IntArray, value_usd: FloatArray, merged: MergedBooks | None
) -> dict[int, FloatArray]:
    """By seat, how the value of its options changed from the start to where each path ended; none where every step is split."""
    seats = {seat: one.trader for seat, one in enumerate(plan.seats) if isinstance(one.trader, BookTrader)}
    if merged is None or splits_steps(plan):
        return {}
    values = final_values(list(seats.values()), merged, loop, block, stopped)
    return {seat: value - value_usd[seat] for seat, value in zip(seats, values)}


def _options(
    plan: RunPlan, loop: Loop, block: Block, seat: int, stopped: IntArray, value_usd: float, change_usd: FloatArray | None
) -> OptionProfit:
    trader, paths = plan.seats[seat].trader, stopped.size
    carried = _row(block.own[:, seat], OPTION, paths)
    if not isinstance(trader, BookTrader):
        nothing = np.zeros(paths)
        return OptionProfit(nothing, carried, nothing, nothing, nothing, nothing)
    if change_usd is None:
        return steps_profit(trader, block, stopped, value_usd)
    return ends_profit(trader, loop, block, stopped, carried, change_usd)


def _agent(plan: RunPlan, block: Block, seat: int, options: OptionProfit) -> tuple[AgentPaths, FloatArray, FloatArray]:
    """An agent's account, and cash that went to the venue and to liquidity providers."""
    own, paths, costs = block.own[:, seat], options.paid_usd.size, plan.seats[seat].terms.costs

    def row(place: int) -> FloatArray:
        return _row(own, place, paths)

    turnover, trades, funding = row(TURNOVER), row(TRADES), row(FUNDING)
    spread, fees, gas = costs.half_spread_bps * BPS * turnover, costs.fee_bps * BPS * turnover, costs.gas_usd * trades
    spread = spread + opening_cost_usd(plan.seats[seat])
    parts = np.zeros((len(PNL_PARTS), paths))
    for name, amount in (
        ("delta_usd", row(CARRY) + options.delta_usd),
        ("gamma_theta_usd", options.gamma_theta_usd),
        ("vanna_usd", options.vanna_usd),
        ("vega_usd", options.vega_usd),
        ("execution_usd", row(EXECUTION)),
        ("spread_usd", -spread),
        ("fees_usd", -fees),
        ("gas_usd", -gas),
        ("funding_usd", -funding),
        ("residual_usd", options.residual_usd),
    ):
        parts[PART[name]] = amount
    spent = -row(CASH)
    agent = AgentPaths(
        name=plan.seats[seat].agent.name,
        turnover_usd=turnover,
        trades=trades.astype(np.int64),
        pnl_usd=parts,
        gap_squared_usd=row(GAP_SQUARED) / plan.scenario.grid.horizon_years,
        final_position_coin=row(HELD),
        final_cash_usd=options.paid_usd - spent - spread - fees - gas - funding,
        peak_position_usd=row(PEAK),
        position_coin=block.positions[seat].T if block.positions.shape[0] else None,
        flow_usd=block.flows[seat].T if block.flows.shape[0] else None,
    )
    return agent, fees + gas, spent + spread + funding
