"""What remains of a block once it is measured: exact sums and integer counts of fixed size, which add up to the same bits in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailwag.errors import TailwagError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.sim.exact_sum import exact_sums
from tailwag.sim.histogram import FINAL_BINS, LOG_BINS, MONEY_BINS, SHARE_BINS, Histogram
from tailwag.sim.metric_plan import MetricPlan, PinWatch
from tailwag.sim.path_statistics import agent_cost, agent_pnl, layout_of, path_statistics
from tailwag.sim.state import BlockPaths, Outcome


@dataclass(frozen=True, slots=True)
class BlockSums:
    """A block of paths, or several added together; its size depends on the plan and the number of agents, never on the paths.

    Shapes: ``outcomes`` (4,) paths by :class:`Outcome`; ``pinned`` (pins, 3) paths pinned with hedging, without, and both;
    ``sums`` (rows, digits) of :func:`exact_sums`: every number of the layout, every square, every product of a pair.
    """

    agents: tuple[str, ...]
    outcomes: IntArray
    pinned: IntArray
    sums: IntArray
    fan: Histogram
    final: Histogram
    drawdown: Histogram
    money: Histogram

    @property
    def paths(self) -> int:
        """How many paths were measured."""
        return int(self.outcomes.sum())

    @property
    def finished(self) -> int:
        """How many of them reached the horizon."""
        return int(self.outcomes[int(Outcome.FINISHED)])


def fold(block: BlockPaths, plan: MetricPlan) -> BlockSums:
    """Measure a block of paths; afterwards the block may go.

    Raises TailwagError where a number of a path is not finite or the block has another grid than the plan.
    """
    layout = layout_of(plan, len(block.agents))
    statistics = path_statistics(block, plan, layout)
    values, row = statistics.values, layout.rows
    pairs = np.array([(row[first], row[second]) for first, second in layout.pairs])
    products = values[pairs[:, 0]] * values[pairs[:, 1]]
    money = [amount for agent in block.agents for amount in (agent_pnl(agent), agent_cost(agent))]
    falls = values[[row["price.drawdown"], row["fundamental.drawdown"]]]
    checkpoints = np.array(plan.checkpoint_steps, dtype=np.int64)
    fan = np.concatenate([series[:, checkpoints].T for series in (block.log_price, block.fundamental_log)])
    final = np.stack([block.log_price[:, -1], block.fundamental_log[:, -1]])
    return BlockSums(
        agents=tuple(agent.name for agent in block.agents),
        outcomes=np.bincount(np.asarray(block.outcome, dtype=np.int64), minlength=len(Outcome)).astype(np.int64),
        pinned=np.array([_pinned(block, pin, plan) for pin in plan.pins], dtype=np.int64).reshape(len(plan.pins), 3),
        sums=exact_sums(np.concatenate([values, values * values, products])),
        fan=Histogram.of(LOG_BINS, np.ascontiguousarray(fan)),
        final=Histogram.of(FINAL_BINS, final),
        drawdown=Histogram.of(SHARE_BINS, falls),
        money=Histogram.of(MONEY_BINS, np.array(money, dtype=np.float64).reshape(len(money), values.shape[1])),
    )


def merge(sums: Sequence[BlockSums]) -> BlockSums:
    """Several blocks as one: exact sums and counts, so the same bits in any order and any grouping.

    Raises TailwagError where there is nothing to merge, or blocks were measured by different plans or with different agents.
    """
    if not sums:
        raise TailwagError("at least one block of paths expected, none came")
    total = sums[0]
    for one in sums[1:]:
        total = _together(total, one)
    return total


def _together(one: BlockSums, other: BlockSums) -> BlockSums:
    if one.agents != other.agents or one.sums.shape != other.sums.shape or one.fan.counts.shape != other.fan.counts.shape:
        raise TailwagError(f"blocks of one plan and the agents {one.agents} expected, a block of {other.agents} or of another plan came")
    return BlockSums(
        agents=one.agents,
        outcomes=one.outcomes + other.outcomes,
        pinned=one.pinned + other.pinned,
        sums=one.sums + other.sums,
        fan=one.fan.plus(other.fan),
        final=one.final.plus(other.final),
        drawdown=one.drawdown.plus(other.drawdown),
        money=one.money.plus(other.money),
    )


def _pinned(block: BlockPaths, pin: PinWatch, plan: MetricPlan) -> tuple[int, int, int]:
    """Paths near the strike at the pin's step: with hedging (a stopped path is not), without, and both."""
    step = plan.steps if pin.step is None else pin.step
    target = float(np.log(pin.strike_usd / plan.spot_usd))
    hedged = _near(block.log_price[:, step], target, pin) & ((block.outcome == int(Outcome.FINISHED)) | (block.stopped_step > step))
    alone = _near(block.fundamental_log[:, step], target, pin)
    return int(hedged.sum()), int(alone.sum()), int((hedged & alone).sum())


def _near(log_price: FloatArray, target: float, pin: PinWatch) -> BoolArray:
    near: BoolArray = np.abs(log_price - target) <= pin.half_width_log
    return near
