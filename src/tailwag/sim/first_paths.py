"""The first paths of a run once more, whole: examples to look at, the same paths by construction."""

from __future__ import annotations

from tailwag.sim import fast
from tailwag.sim.blocks import paths_per_block, run_block
from tailwag.sim.engine import plan_run
from tailwag.sim.run import Run
from tailwag.sim.state import BlockPaths


def first_paths(run: Run) -> BlockPaths:
    """The first block of a run's paths with their prices, flows and ends; up to 1,024 paths, fewer on long grids.

    Random numbers are keyed by seed and path, so that these are the paths whose sums the run's metrics hold.
    """
    paths = min(run.paths, paths_per_block(run.scenario.grid.steps))
    plan = plan_run(run.scenario, seed=run.seed, full_pnl=False)
    return fast.run_block(fast.prepare(plan), 0, paths) if run.engine == "fast" else run_block(plan, 0, paths)
