"""Simulate: run a scenario's paths in blocks, on one thread or several, and fold them into metrics."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.sim import fast
from tailwag.sim.blocks import paths_per_block, paths_together, run_block
from tailwag.sim.book_trader import TABLE_ROWS
from tailwag.sim.engine import plan_run
from tailwag.sim.metric_plan import MetricPlan
from tailwag.sim.metrics import BlockSums, Metrics, fold, merge, metrics
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import MOST_PATHS, Scenario
from tailwag.sim.state import BlockPaths, Outcome
from tailwag.sim.watched import watched_strikes
from tailwag.units import NS_PER_DAY, NS_PER_HOUR

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from tailwag.figures.palette import Theme

ENGINES = ("auto", "plain", "fast", "tabulated")
PNL_SPLITS = ("auto", "steps", "ends")
SPLIT_ROWS = 64
"""Books of up to this many rows have their profit split by greeks at every step unless the caller says otherwise."""
MOST_THREADS = 1024
KEPT_BYTES = 2 * 2**30
"""Trajectories that are kept in memory may take this much; more is refused before anything runs."""

Progress = Callable[[int, int], None]
Made = TypeVar("Made")
StepBlock = Callable[..., BlockPaths]
"""``step_block(first_path, paths, keep_agents=...)``: one block of paths from start to end, by either engine."""


@dataclass(frozen=True, slots=True)
class KeptPaths:
    """Trajectories of a whole run: log price, the same shocks with nobody hedging, and what every agent held.

    Shapes: ``time_years`` (steps + 1,); the others (paths, steps + 1); ``position_coin`` by agent name.
    """

    spot_usd: float
    time_years: FloatArray
    log_price: FloatArray
    fundamental_log: FloatArray
    position_coin: dict[str, FloatArray]

    @property
    def price_usd(self) -> FloatArray:
        """Price paths in USD."""
        return np.asarray(self.spot_usd * np.exp(self.log_price))

    @property
    def fundamental_usd(self) -> FloatArray:
        """The same shocks with nobody hedging, in USD."""
        return np.asarray(self.spot_usd * np.exp(self.fundamental_log))


@dataclass(frozen=True, slots=True)
class Run:
    """A simulated scenario: what was run, what came out, and, where asked for, the paths themselves."""

    scenario: Scenario
    paths: int
    seed: int
    engine: str
    pnl_split: str
    metrics: Metrics
    outcomes: dict[str, int]
    kept: KeptPaths | None

    def __str__(self) -> str:
        return str(self.metrics)

    def plot(self, *, theme: Theme = "light") -> Figure:
        """Four panels: where price may go, vol by horizon, where price ends, and who earns and pays what."""
        from tailwag.sim.run_figures import run_figure

        return run_figure(self, theme=theme)


def simulate(
    scenario: Scenario,
    *,
    paths: int,
    seed: int,
    threads: int = 1,
    engine: str = "auto",
    keep_paths: bool = False,
    pnl: str = "auto",
    progress: Progress | None = None,
    plan: MetricPlan | None = None,
) -> Run:
    """Close the loop on ``paths`` simulated paths and measure what hedging did to them.

    ``engine``: "plain" steps every agent in turn, "tabulated" does so, reads large option books from tables (1e-6 of their contracts) and clears in compiled code,
    "fast" steps built-in dealers in compiled code; "auto" takes the fast one where it can, else tables where a book is large.
    ``pnl``: "steps" splits the options' profit by greeks at every step, "ends" only at fixings and at the end (large books).
    The result is the same to the bit for any number of threads.  InputError for counts that make no sense or paths that would not fit.
    """
    _refuse(scenario, paths, seed, threads, keep_paths)
    if engine not in ENGINES or pnl not in PNL_SPLITS:
        raise InputError(f"expected engine one of {', '.join(ENGINES)} and pnl one of {', '.join(PNL_SPLITS)}, got {engine!r} and {pnl!r}")
    split = _split(scenario, pnl)
    measured = plan or default_metric_plan(scenario)
    chosen = _engine(scenario, engine)
    prepared = plan_run(scenario, seed=seed, tabulate=chosen == "tabulated", full_pnl=split == "steps")
    step_block = partial(fast.run_block, fast.prepare(prepared, threads=threads)) if chosen == "fast" else partial(run_block, prepared)
    merged: BlockSums | None = None
    blocks: list[BlockPaths] = []
    done = 0
    for block, sums in _blocks(
        partial(_folded, step_block, measured), _firsts(scenario, paths, keep_agents=keep_paths), threads, keep_paths
    ):
        merged = sums if merged is None else merge([merged, sums])
        if block is not None:
            blocks.append(block)
        done += sums.paths
        if progress is not None:
            progress(done, paths)
    assert merged is not None  # there is one path at least
    counts = Counter({outcome.name.lower(): 0 for outcome in Outcome})
    for outcome in Outcome:
        counts[outcome.name.lower()] = int(merged.outcomes[int(outcome)])
    kept = _kept(scenario, blocks) if keep_paths else None
    return Run(scenario, paths, seed, chosen, split, metrics(merged, measured), dict(counts), kept)


def _folded(
    step_block: StepBlock, plan: MetricPlan, first_path: int, paths: int, *, keep_agents: bool
) -> tuple[BlockPaths | None, BlockSums]:
    """A block's sums, made on the worker's own thread, and the block itself only if somebody keeps it."""
    block = step_block(first_path, paths, keep_agents=keep_agents)
    return block if keep_agents else None, fold(block, plan)


def default_metric_plan(scenario: Scenario) -> MetricPlan:
    """What is measured unless the caller says otherwise: the customary horizons, hours of the day, pins at the largest strikes that expire."""
    hour = 0.0 if scenario.start_ns is None else (scenario.start_ns % NS_PER_DAY) / NS_PER_HOUR
    return MetricPlan.for_grid(scenario.grid.years, spot_usd=scenario.spot_usd, pins=watched_strikes(scenario), start_hour=hour)


def _engine(scenario: Scenario, engine: str) -> str:
    """The engine that runs: the fast one where it can, unless the plain one was asked for."""
    if engine in ("plain", "tabulated"):
        return engine
    reason = fast.supports(scenario)
    if engine == "fast" and reason is not None:
        raise InputError(f"expected a scenario that engine 'fast' can step: {reason}; take engine 'plain' or 'auto'")
    if reason is None:
        return "fast"
    return "tabulated" if any(_rows(agent) > TABLE_ROWS for agent in scenario.agents) else "plain"


def _firsts(scenario: Scenario, paths: int, *, keep_agents: bool = True) -> list[tuple[int, int]]:
    """First path and size of every block."""
    small, slow = paths_per_block(scenario.grid.steps), fast.supports(scenario) is not None
    size = paths_together(scenario, paths, keep_agents=keep_agents) if slow else small
    return [(first, min(size, paths - first)) for first in range(0, paths, size)]


def _blocks(step_block: Callable[..., Made], firsts: list[tuple[int, int]], threads: int, keep_agents: bool) -> Iterator[Made]:
    """Blocks in order; with several threads, at most one more is held than there are threads."""
    if threads == 1:
        for first, size in firsts:
            yield step_block(first, size, keep_agents=keep_agents)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Made]] = deque()
        for first, size in firsts:
            waiting.append(pool.submit(step_block, first, size, keep_agents=keep_agents))
            if len(waiting) >= threads + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _split(scenario: Scenario, pnl: str) -> str:
    if pnl != "auto":
        return pnl
    rows = sum(_rows(agent) for agent in scenario.agents)
    return "steps" if rows <= SPLIT_ROWS else "ends"


def _rows(agent: Any) -> int:
    book = getattr(agent, "options", None)  # an agent that is its own trader has a method of that name
    return book.rows if isinstance(book, OptionBook) else 0


def _refuse(scenario: Scenario, paths: int, seed: int, threads: int, keep_paths: bool) -> None:
    if not 1 <= paths <= MOST_PATHS:
        raise InputError(f"expected 1 to {MOST_PATHS:,} paths, got {paths:,}")
    if seed < 0:
        raise InputError(f"expected a seed of 0 or more, got {seed}")
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"expected 1 to {MOST_THREADS:,} threads, got {threads:,}")
    if keep_paths:
        needed = 8 * paths * (scenario.grid.steps + 1) * (2 + len(scenario.agents))
        if needed > KEPT_BYTES:
            raise InputError(
                f"expected trajectories of {KEPT_BYTES / 2**30:g} GiB at most, got {needed / 2**30:.1f} GiB ({paths:,} paths of "
                f"{scenario.grid.steps:,} steps); lower the paths, take longer steps, or leave the paths out"
            )


def _kept(scenario: Scenario, blocks: list[BlockPaths]) -> KeptPaths:
    positions = {
        agent.name: np.concatenate([np.asarray(block.agents[place].position_coin) for block in blocks])
        for place, agent in enumerate(scenario.agents)
    }
    return KeptPaths(
        scenario.spot_usd,
        scenario.grid.years,
        np.concatenate([block.log_price for block in blocks]),
        np.concatenate([block.fundamental_log for block in blocks]),
        positions,
    )
