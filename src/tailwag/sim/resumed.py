"""Run what is left of a simulation: blocks that are done already are not run again, and the result is the same to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Protocol

from tailwag.errors import TailwagError
from tailwag.sim import fast
from tailwag.sim.block_sums import BlockSums
from tailwag.sim.blocks import run_block
from tailwag.sim.engine import plan_run
from tailwag.sim.metric_plan import MetricPlan
from tailwag.sim.metrics import metrics
from tailwag.sim.run import Progress, Run, _blocks, _engine, _firsts, _folded, _refuse, _split
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import Outcome


class Part(Protocol):
    """The blocks that are done: the paths of each by its first path, and their exact sum, whose bits no order changes."""

    @property
    def done(self) -> Mapping[int, int]:
        """How many paths each finished block has, by its first path."""
        ...

    @property
    def sums(self) -> BlockSums | None:
        """All finished blocks added together; None where there is none."""
        ...

    def add(self, first_path: int, sums: BlockSums) -> None:
        """One more block is done."""
        ...


def simulate_rest(
    scenario: Scenario,
    *,
    paths: int,
    seed: int,
    part: Part,
    plan: MetricPlan,
    threads: int = 1,
    progress: Progress | None = None,
) -> Run:
    """Simulate the blocks that ``part`` lacks and read the metrics of all: the same Run as ``simulate`` gives, without trajectories.

    InputError for counts that make no sense.
    """
    _refuse(scenario, paths, seed, threads, False)
    split, engine = _split(scenario, "auto"), _engine(scenario, "auto")
    prepared = plan_run(scenario, seed=seed, tabulate=engine == "tabulated", full_pnl=split == "steps")
    step_block = partial(fast.run_block, fast.prepare(prepared, threads=threads)) if engine == "fast" else partial(run_block, prepared)
    blocks = dict(_firsts(scenario, paths, keep_agents=False))
    if not part.done.items() <= blocks.items():
        raise TailwagError(
            f"expected the finished part of this run in blocks of {max(blocks.values()):,} paths, got others; delete it and run again"
        )
    missing = [(first, size) for first, size in blocks.items() if first not in part.done]
    for (first, _), (_, found) in zip(missing, _blocks(partial(_folded, step_block, plan), missing, threads, False)):
        part.add(first, found)
        if progress is not None:
            progress(sum(part.done.values()), paths)
    sums = part.sums
    if sums is None or sums.paths != paths:
        raise TailwagError(f"expected the finished part of this run to hold {paths:,} paths, got another; delete it and run again")
    counts = {outcome.name.lower(): int(sums.outcomes[int(outcome)]) for outcome in Outcome}
    return Run(scenario, paths, seed, engine, split, metrics(sums, plan), counts, None)
