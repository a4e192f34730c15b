"""The fast engine: built-in dealers as columns of parameters that one compiled kernel steps; `tailwag.sim.engine` is its plain twin.

Same scenarios, same random numbers, same clearing prices; what it cannot do it says in a sentence, and the plain engine does that.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from tailwag.hedging.execution import Maker
from tailwag.hedging.policies import AtTimes, Band, EveryStep, NoHedge, WhalleyWilmott
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.loop import Block, Loop, advance
from tailwag.kernels.loop_rows import AVERAGE, CARRIED, HELD, LIVE, OWN_ROWS, PATH_ROWS, PEAK, SHARE, SLOTS, SPOT, STOPPED, WIDTH
from tailwag.kernels.netdelta_lanes import Table, begin_step
from tailwag.kernels.netdelta_pack import PACK_AVERAGE, PACK_WANTED, PackReader, new_pack_reader, read_pack
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.book_trader import BookTrader
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import RunPlan
from tailwag.sim.fast_accounts import block_paths, splits_steps
from tailwag.sim.fast_columns import book_seats, loop_of
from tailwag.sim.fast_options import MergedBooks
from tailwag.sim.net_delta import LANES, Settings, TabulatedNetDelta
from tailwag.sim.option_book import WINDOW_YEARS, book_greeks
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import BlockPaths
from tailwag.sim.vol_reach import vol_reach

__all__ = ["FastPlan", "prepare", "run_block", "supports"]

POLICIES = (EveryStep, AtTimes, Band, WhalleyWilmott, NoHedge)
TABLE_ROWS = 64
"""Books of more distinct options than this, all together, are read from a table; fewer are summed one by one."""


def supports(scenario: Scenario) -> str | None:
    """None where the fast engine can run a scenario, else the reason why it cannot, as a sentence."""
    if scenario.elsewhere is not None:
        return "the fast engine steps one venue, and this scenario has several"
    if scenario.impact.square_root is not None:
        return "the fast engine steps linear impact, and this scenario has a square-root law"
    if scenario.impact.depth_reacts is not None:
        return "the fast engine steps constant depth, and this scenario's depth reacts"
    if scenario.costs.internal_crossing:
        return "the fast engine charges every agent for all it trades, and this scenario crosses orders internally"
    if scenario.batch_steps > 1:
        return "the fast engine clears in every step, and this scenario clears in batch auctions"
    for agent in scenario.agents:
        reason = _refused(agent) if type(agent) is Dealer else "is no built-in dealer"
        if reason is not None:
            return f"the fast engine cannot step agent {agent.name!r}: it {reason}"
    return _refused_together(scenario)


def _refused(dealer: Dealer) -> str | None:
    if not isinstance(dealer.policy, POLICIES):
        return f"hedges by the policy {str(dealer.policy)!r}"
    if isinstance(dealer.policy, AtTimes) and dealer.policy.jitter_minutes > 0.0:
        return "trades at times that differ by chance"
    if isinstance(dealer.execution, Maker):
        return "rests its orders as a maker"
    if dealer.options is not None and dealer.after_expiry != "unwind":
        return "holds its hedge on after an expiry"
    if dealer.vega_hedge_share > 0.0:
        return "hedges vega"
    return None


def _refused_together(scenario: Scenario) -> str | None:
    books = [agent.options for agent in scenario.agents if isinstance(agent, Dealer) and agent.options is not None]
    if len(books) > LANES:
        return f"the fast engine steps up to {LANES} option books, and this scenario has {len(books)}"
    expiries = np.unique(np.concatenate([book.expiry_years[book.averaged] for book in books])) if books else np.zeros(0)
    if (np.diff(expiries) < WINDOW_YEARS).any():
        return "the fast engine steps one settlement window at a time, and two of this scenario's overlap"
    return None


@dataclass(frozen=True, slots=True)
class FastPlan:
    """A run made ready: columns for the kernel, the table of net deltas, and what the options are worth at the start, by seat."""

    plan: RunPlan
    loop: Loop
    table: Table | None
    start_delta: FloatArray
    start_value_usd: FloatArray
    merged: MergedBooks | None
    readers: threading.local

    def reader(self) -> PackReader | None:
        """This thread's scratch; None in a market without options."""
        if self.table is None:
            return None
        mine: PackReader | None = getattr(self.readers, "mine", None)
        if mine is None:
            mine = self.readers.mine = new_pack_reader(self.table)
        return mine


def prepare(plan: RunPlan, *, table_rows: int = TABLE_ROWS, threads: int = 1, tolerance: float = 1e-6) -> FastPlan:
    """Build what all blocks of a run share; the table of net deltas is most of the work.

    Books of more than ``table_rows`` distinct options together are tabulated, to ``tolerance`` of their gross contracts.
    """
    seats = book_seats(plan)
    delta, value = np.zeros(len(plan.seats)), np.zeros(len(plan.seats))
    if not seats:
        return FastPlan(plan, loop_of(plan), None, delta, value, None, threading.local())
    traders = [trader for trader in (plan.seats[seat].trader for seat in seats) if isinstance(trader, BookTrader)]
    source = TabulatedNetDelta(
        [trader.book for trader in traders],
        plan.scenario.grid.years,
        plan.scenario.spot_usd,
        settings=_settings(plan, sum(trader.book.rows for trader in traders) > table_rows, threads, tolerance),
    )
    merged = MergedBooks.of([trader.book for trader in traders])
    nowhere = np.zeros(1)
    delta[seats] = _start_delta(source.table, plan.scenario.spot_usd)[: len(seats)]
    value[seats] = [float(book_greeks(trader.book, 0.0, plan.scenario.spot_usd, nowhere, nowhere)[0, 0]) for trader in traders]
    return FastPlan(plan, loop_of(plan), source.table, delta, value, merged, threading.local())


def _start_delta(table: Table, spot_usd: float) -> FloatArray:
    """Every lane's net delta where all paths begin, read as the loop reads it."""
    pack = new_pack_reader(table)
    begin_step(table, pack.reader, 0)
    pack.rows[PACK_AVERAGE], pack.rows[PACK_WANTED] = spot_usd, 1.0
    read_pack(table, pack, False)
    return pack.found[: table.lanes]


def _settings(plan: RunPlan, tabulate: bool, threads: int, tolerance: float) -> Settings:
    most = vol_reach(plan.scenario)
    shifts = (max(Settings().vol_shifts[0], -most), min(Settings().vol_shifts[1], most))
    reach = min(Settings().reach_log, plan.scenario.stop_log_move) if tabulate else 0.0
    return Settings(tolerance=tolerance, vol_shifts=shifts, reach_log=reach, threads=threads)


def run_block(fast: FastPlan, first_path: int, paths: int, *, keep_agents: bool = False) -> BlockPaths:
    """Simulate ``paths`` paths from ``first_path`` on: the same numbers in any block and on any thread.

    As :func:`tailwag.sim.blocks.run_block`; books whose profit is not split at every step are valued when their path ends.
    """
    block = _empty(fast, paths, keep_agents)
    _shocks(fast, block, first_path, paths)
    advance(fast.loop, fast.table, fast.reader(), block)
    return block_paths(fast.plan, fast.loop, block, first_path, fast.start_value_usd, fast.start_delta, fast.merged)


def _empty(fast: FastPlan, paths: int, keep_agents: bool) -> Block:
    """A block at the start: everybody hedged, nothing traded."""
    scenario, loop = fast.plan.scenario, fast.loop
    steps, packs, seats = scenario.grid.steps, -(-paths // WIDTH), loop.terms.shape[0]
    path = np.zeros((packs, (PATH_ROWS + loop.passing.shape[1]) * WIDTH))
    path[:, SPOT : SPOT + WIDTH] = path[:, AVERAGE : AVERAGE + WIDTH] = scenario.spot_usd
    path[:, STOPPED : STOPPED + WIDTH] = steps
    path[:, LIVE : LIVE + WIDTH] = (np.arange(packs * WIDTH) < paths).reshape(packs, WIDTH)
    own = np.zeros((packs, seats, OWN_ROWS * WIDTH))
    held = -fast.start_delta * loop.terms[:, SHARE]
    for row, start in ((HELD, held), (CARRIED, fast.start_delta), (PEAK, np.abs(held) * scenario.spot_usd)):
        own[:, :, row : row + WIDTH] = start[None, :, None]
    slots = int(loop.terms[:, SLOTS].max()) if seats else 1
    kept = seats if keep_agents else 0
    shifts = scenario.vol.moves and (keep_agents or splits_steps(fast.plan))  # else nobody looks back at them
    return Block(
        path=path,
        own=own,
        flight=np.zeros((packs, seats, slots, WIDTH)),
        log_price=np.zeros((steps + 1, paths)),
        fundamental=np.zeros((steps + 1, paths)),
        flow=np.zeros((steps, paths)),
        shift=np.zeros((steps + 1 if shifts else 0, paths)),
        positions=np.zeros((kept, steps + 1, paths)),
        flows=np.zeros((kept, steps, paths)),
    )


def _shocks(fast: FastPlan, block: Block, first_path: int, paths: int) -> None:
    """Every step's exogenous increments, laid where the exogenous price will stand."""
    scenario, seed = fast.plan.scenario, fast.plan.seed
    years, state = scenario.grid.years, scenario.price.init(paths)
    if isinstance(scenario.price, Gbm):
        scenario.price.fill(block.fundamental[1:], years, seed=seed, first_path=first_path)
        return
    for step in range(1, years.size):
        length = float(years[step] - years[step - 1])
        block.fundamental[step], state = scenario.price.increments(state, step=step, step_years=length, seed=seed, first_path=first_path)
