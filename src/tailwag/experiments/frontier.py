"""Policies compared: what each costs and leaves at risk on the same shocks, when hedging moves nothing and when everybody's moves the price."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from tailwag.errors import InputError
from tailwag.experiments.frontier_sums import Joint, joined, kept_numbers, numbers_of_policies
from tailwag.experiments.frontier_worlds import WORLDS, Question, word
from tailwag.hedging.policies import Policy
from tailwag.kernels.arrays import FloatArray
from tailwag.sim import fast
from tailwag.sim.blocks import paths_per_block, run_block
from tailwag.sim.engine import plan_run
from tailwag.sim.metric_plan import MetricPlan
from tailwag.sim.metrics import BlockSums, Metrics, fold, merge, metrics
from tailwag.sim.run import MOST_THREADS, Progress, default_metric_plan
from tailwag.sim.scenario import MOST_PATHS
from tailwag.sim.state import BlockPaths


@dataclass(frozen=True, slots=True)
class Progressed:
    """A comparison on its way: how many blocks of paths are in, and their sums; every number of the result is read from these.

    ``runs`` holds one BlockSums for each policy and world, worlds of a policy side by side, in the order of ``WORLDS``.
    """

    blocks: int
    runs: tuple[BlockSums, ...]
    joint: Joint


class Keeper(Protocol):
    """Where a comparison is kept while it runs, so that a killed one goes on where it was."""

    def load(self) -> Progressed | None:
        """What was kept, None where there is nothing."""
        ...

    def save(self, progressed: Progressed) -> None:
        """Keep it, whole or not at all."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyRun:
    """One policy in both worlds."""

    policy: Policy
    alone: Metrics
    together: Metrics

    @property
    def name(self) -> str:
        """Its command-line word."""
        return word(self.policy)


@dataclass(frozen=True, slots=True)
class Frontier:
    """Policies compared on the same shocks: metrics of every policy in both worlds, and how they vary together."""

    question: Question
    paths: int
    seed: int
    engine: str
    runs: tuple[PolicyRun, ...]
    joint: Joint

    @property
    def names(self) -> tuple[str, ...]:
        """Command-line words of the policies, in the order in which they were given."""
        return tuple(run.name for run in self.runs)


@dataclass(frozen=True, slots=True)
class _Finished:
    """One block of one run, measured."""

    sums: BlockSums
    numbers: FloatArray


def compare_policies(
    question: Question,
    policies: Sequence[Policy],
    *,
    paths: int,
    seed: int,
    threads: int = 1,
    engine: str = "auto",
    keeper: Keeper | None = None,
    progress: Progress | None = None,
) -> Frontier:
    """Run every policy with and without feedback on the same shocks, and keep what differences between them need.

    ``paths`` in blocks, each block through all runs, so that memory does not grow with paths; the result is the same to the bit for any
    number of threads and across a kill.  ``progress(done, total)`` counts paths of all runs.  InputError for counts that make no sense
    and for a policy that cannot run here.
    """
    _refuse(policies, paths, threads)
    steppers = [_stepper(question, policy, world, seed, threads, engine) for policy in policies for world in WORLDS]
    plan = _metric_plan(question)
    firsts = _firsts(question, paths)
    so_far = None if keeper is None else keeper.load()
    left = firsts[0 if so_far is None else so_far.blocks :]
    total, done = paths * len(steppers), (paths - sum(size for _, size in left)) * len(steppers)
    works = [partial(_work, step, first, size, question.compared, plan) for first, size in left for step in steppers]
    row: list[_Finished] = []
    for finished in _in_order(works, threads):
        row.append(finished)
        done += finished.sums.paths
        if progress is not None:
            progress(done, total)
        if len(row) == len(steppers):
            so_far, row = _added(so_far, row), []
            if keeper is not None and so_far.blocks < len(firsts):
                keeper.save(so_far)
    assert so_far is not None
    found = [metrics(sums, plan) for sums in so_far.runs]
    runs = tuple(PolicyRun(policy, found[2 * place], found[2 * place + 1]) for place, policy in enumerate(policies))
    return Frontier(question, paths, seed, _engines(question, policies, engine), runs, so_far.joint)


def _refuse(policies: Sequence[Policy], paths: int, threads: int) -> None:
    if not policies:
        raise InputError("expected a policy at least, got none")
    if not 1 <= paths <= MOST_PATHS:
        raise InputError(f"expected 1 to {MOST_PATHS:,} paths, got {paths:,}")
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"expected 1 to {MOST_THREADS:,} threads, got {threads:,}")


def _metric_plan(question: Question) -> MetricPlan:
    """The customary horizons and tails; no fan and no lags, which no table of policies shows."""
    plan = default_metric_plan(question.scenario)
    return replace(plan, checkpoint_steps=(0, plan.steps), lags_steps=())


def _firsts(question: Question, paths: int) -> list[tuple[int, int]]:
    size = paths_per_block(question.scenario.grid.steps)
    return [(first, min(size, paths - first)) for first in range(0, paths, size)]


def _stepper(question: Question, policy: Policy, world: str, seed: int, threads: int, engine: str) -> Callable[[int, int], BlockPaths]:
    """Runs one block of one policy in one world."""
    try:
        scenario = question.world(policy, world)
    except InputError as error:
        raise InputError(f"policy {word(policy)}: {error}") from None
    plan = plan_run(scenario, seed=seed, full_pnl=False)
    if engine == "fast" or (engine == "auto" and fast.supports(scenario) is None):
        return partial(fast.run_block, fast.prepare(plan, threads=threads))
    return partial(run_block, plan)


def _engines(question: Question, policies: Sequence[Policy], engine: str) -> str:
    """Which engines step the policies: "fast", "plain", or both; their numbers differ in the last digits only."""
    used = {"plain" if fast.supports(question.world(policy, "together")) else "fast" for policy in policies}
    return engine if engine != "auto" else " and ".join(sorted(used))


def _work(step: Callable[[int, int], BlockPaths], first: int, size: int, compared: tuple[str, ...], plan: MetricPlan) -> _Finished:
    block = joined(step(first, size), compared)
    return _Finished(fold(block, plan), kept_numbers(block))


def _in_order(works: Sequence[Callable[[], _Finished]], threads: int) -> Iterator[_Finished]:
    """Results in the order of the works; with several threads, at most one more is held than there are threads."""
    if threads == 1:
        yield from (work() for work in works)
        return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[_Finished]] = deque()
    try:
        for work in works:
            waiting.append(pool.submit(work))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _added(so_far: Progressed | None, row: Sequence[_Finished]) -> Progressed:
    """One more block, through all its runs."""
    names, values = numbers_of_policies([one.numbers for one in row[0::2]], [one.numbers for one in row[1::2]])
    joint, runs = Joint.of(names, values), tuple(one.sums for one in row)
    if so_far is None:
        return Progressed(1, runs, joint)
    together = tuple(merge([old, new]) for old, new in zip(so_far.runs, runs, strict=True))
    return Progressed(so_far.blocks + 1, together, so_far.joint.plus(joint))
