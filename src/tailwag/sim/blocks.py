"""Run a block of paths from start to end and keep its trajectory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.engine import RunPlan, State, init, step
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import AgentPaths, BlockPaths

LEAST_BLOCK, MOST_BLOCK = 64, 1024
BLOCK_BYTES = 48 * 2**20
MOST_TOGETHER, TOGETHER_BYTES, ROWS_BYTES, ACCOUNT_BYTES = 8192, 192 * 2**20, 512 * 2**20, 72
ARRAYS_KEPT = 4
"""Trajectories that every block holds: price, fundamental, flow, vol shift."""


def paths_per_block(steps: int) -> int:
    """Paths of one block: a power of two that keeps a block's trajectories near 48 MiB; it depends on the grid alone.

    >>> paths_per_block(288), paths_per_block(2016), paths_per_block(1_000_000)
    (1024, 512, 64)
    """
    fitting = BLOCK_BYTES // (8 * ARRAYS_KEPT * (steps + 1))
    return int(min(max(1 << max(fitting.bit_length() - 1, 0), LEAST_BLOCK), MOST_BLOCK))


def paths_together(scenario: Scenario, paths: int, *, keep_agents: bool = True) -> int:
    """Paths of one block where agents of all kinds are stepped one after another: many, as every step of every agent costs the same for few.

    At least ``paths_per_block``, and more while two blocks are left to share, trajectories (those of agents only where they are kept) stay below 192 MiB and
    leveraged accounts below 512 MiB.  It never depends on threads, and no number of a run depends on it.
    """
    grid, size = scenario.grid, paths_per_block(scenario.grid.steps)
    if scenario.elsewhere is not None:
        return size
    accounts = sum(bucket.accounts for agent in scenario.agents for bucket in getattr(agent, "buckets", ()))
    a_path = 8 * (grid.steps + 1) * (ARRAYS_KEPT + (2 * len(scenario.agents) if keep_agents else 0))
    while (
        size < MOST_TOGETHER
        and 4 * size <= paths
        and 2 * size * a_path <= TOGETHER_BYTES
        and 2 * size * accounts * ACCOUNT_BYTES <= ROWS_BYTES
    ):
        size *= 2
    return size


@dataclass(frozen=True, slots=True)
class Kept:
    """Trajectories of one block, time first: (steps + 1, paths) or (steps, paths)."""

    log_price: FloatArray
    fundamental: FloatArray
    flow: FloatArray
    shift: FloatArray | None
    positions: tuple[FloatArray, ...]
    flows: tuple[FloatArray, ...]

    @classmethod
    def empty(cls, plan: RunPlan, paths: int, keep_agents: bool) -> Kept:
        """Room for a whole block."""
        steps = plan.scenario.grid.steps
        seats = len(plan.seats) if keep_agents else 0
        return cls(
            np.zeros((steps + 1, paths)),
            np.zeros((steps + 1, paths)),
            np.zeros((steps, paths)),
            np.zeros((steps + 1, paths)) if plan.scenario.vol.moves else None,
            tuple(np.zeros((steps + 1, paths)) for _ in range(seats)),
            tuple(np.zeros((steps, paths)) for _ in range(seats)),
        )

    def note(self, state: State) -> None:
        """Write down one state."""
        now = state.step
        self.log_price[now], self.fundamental[now] = state.log_price, state.fundamental_log
        if self.shift is not None:
            self.shift[now] = state.vol_shift
        if now:
            self.flow[now - 1] = state.net_flow_usd
        for seat, positions in enumerate(self.positions):
            positions[now] = state.seats[seat].holding.position_coin
            if now:
                self.flows[seat][now - 1] = state.fills_usd[seat]


def run_block(plan: RunPlan, first_path: int, paths: int, *, keep_agents: bool = False) -> BlockPaths:
    """Simulate ``paths`` paths from ``first_path`` on; each path's numbers are the same in any block.

    Runs the steps one after another; the block's memory is that of its trajectories.  With other venues beside it, all of them step together.
    """
    if plan.scenario.elsewhere is not None:
        from tailwag.sim.venues_home import run_home_block

        return run_home_block(plan, first_path, paths, keep_agents=keep_agents)
    state = init(plan, first_path, paths)
    kept = Kept.empty(plan, paths, keep_agents)
    kept.note(state)
    for _ in range(plan.scenario.grid.steps):
        state = step(plan, state)
        kept.note(state)
    return _block(plan, state, kept)


def _block(plan: RunPlan, state: State, kept: Kept) -> BlockPaths:
    order = np.argsort([seat.position for seat in plan.seats], kind="stable")
    return BlockPaths(
        first_path=state.first_path,
        time_years=plan.scenario.grid.years,
        log_price=kept.log_price.T,
        fundamental_log=kept.fundamental.T,
        net_flow_usd=kept.flow.T,
        vol_shift=None if kept.shift is None else kept.shift.T,
        outcome=state.outcome,
        stopped_step=state.stopped_step,
        agents=tuple(_agent(plan, state, kept, int(seat)) for seat in order),
        liquidity_cash_usd=state.liquidity_usd,
        liquidity_position_coin=state.liquidity_coin,
        venue_cash_usd=state.venue_usd,
        holders_cash_usd=state.holders_usd,
    )


def _agent(plan: RunPlan, state: State, kept: Kept, seat: int) -> AgentPaths:
    holding = state.seats[seat].holding
    horizon = plan.scenario.grid.horizon_years
    trader, memory = plan.seats[seat].trader, state.seats[seat].memory
    taken, borne = getattr(trader, "taken", None), getattr(trader, "borne", None)
    forced_usd, taken_share = (None, None) if taken is None else taken(memory)
    return AgentPaths(
        name=plan.seats[seat].agent.name,
        turnover_usd=holding.turnover_usd,
        trades=holding.trades,
        pnl_usd=holding.pnl_usd,
        gap_squared_usd=holding.gap_squared_years / horizon,
        final_position_coin=holding.position_coin,
        final_cash_usd=holding.cash_usd,
        peak_position_usd=holding.peak_position_usd,
        position_coin=kept.positions[seat].T if kept.positions else None,
        flow_usd=kept.flows[seat].T if kept.flows else None,
        forced_usd=forced_usd,
        taken_share=taken_share,
        borne=None if borne is None else borne(plan.scenario.spot_usd * np.exp(state.log_price), memory),
    )
