"""Paths of a run to look at: those that were stopped, and where price stood at each expiry inside the run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.first_paths import first_paths
from tailwag.sim.run import Run
from tailwag.sim.state import BlockPaths, Outcome
from tailwag.units import HOURS_PER_YEAR

MOST_STOPPED = 6
MOST_POINTS = 400
FINE_BINS = 120
OUTERMOST = 0.002


@dataclass(frozen=True, slots=True)
class AtExpiry:
    """Where price stands at one expiry: shares of paths between ``edges_usd`` (bins + 1,), and the strikes that are watched there."""

    hours: float
    strikes_usd: tuple[float, ...]
    edges_usd: FloatArray
    hedged_share: FloatArray
    fundamental_share: FloatArray


@dataclass(frozen=True, slots=True)
class RunExamples:
    """The first ``paths`` paths of a run once more: the stopped ones in order, and the price at each expiry.

    Shapes: ``hours`` (times,), prices (stopped, times), ``stopped_hours`` (stopped,), ``endings`` one outcome for each.
    """

    paths: int
    hours: FloatArray
    price_usd: FloatArray
    fundamental_usd: FloatArray
    stopped_hours: FloatArray
    endings: tuple[str, ...]
    expiries: tuple[AtExpiry, ...]


def run_examples(run: Run) -> RunExamples | None:
    """Examples from the first block of a run's paths; None where nothing was stopped and no strike is watched, so that nothing is to be seen."""
    stops = run.paths - run.outcomes[Outcome.FINISHED.name.lower()]
    if not stops and not run.metrics.pins:
        return None
    return _examples(run, first_paths(run))


def _examples(run: Run, block: BlockPaths) -> RunExamples:
    spot, hours = run.scenario.spot_usd, (block.time_years - block.time_years[0]) * HOURS_PER_YEAR
    chosen = np.flatnonzero(block.outcome != int(Outcome.FINISHED))[:MOST_STOPPED]
    stops = block.stopped_step[chosen]
    # a drawing needs few points; the stop itself is one of them
    drawn = np.unique(np.concatenate([np.round(np.linspace(0, len(hours) - 1, min(len(hours), MOST_POINTS))).astype(np.int64), stops]))
    return RunExamples(
        paths=block.paths,
        hours=hours[drawn],
        price_usd=spot * np.exp(block.log_price[np.ix_(chosen, drawn)]),
        fundamental_usd=spot * np.exp(block.fundamental_log[np.ix_(chosen, drawn)]),
        stopped_hours=hours[stops],
        endings=tuple(Outcome(int(ending)).name.lower() for ending in block.outcome[chosen]),
        expiries=tuple(_at_expiry(run, block, at, hours) for at in sorted({pin.hours for pin in run.metrics.pins})),
    )


def _at_expiry(run: Run, block: BlockPaths, at_hours: float, hours: FloatArray) -> AtExpiry:
    step = int(np.argmin(np.abs(hours - at_hours)))
    spot = run.scenario.spot_usd
    prices = [spot * np.exp(log[:, step]) for log in (block.log_price, block.fundamental_log)]
    ends = [np.quantile(price, [OUTERMOST, 1.0 - OUTERMOST]) for price in prices]
    # a few runaways must not stretch the picture: bins reach as far as the paths that nobody hedges, or the hedged ones' middle
    middle = np.quantile(prices[0], [0.01, 0.99])
    low, high = min(ends[1][0], middle[0]), max(ends[1][1], middle[1])
    edges = np.linspace(low, max(high, low * (1.0 + 1e-9)), FINE_BINS + 1)
    shares = [np.histogram(price, edges)[0] / block.paths for price in prices]
    strikes = tuple(sorted({pin.strike_usd for pin in run.metrics.pins if pin.hours == at_hours}))
    return AtExpiry(at_hours, strikes, edges, shares[0], shares[1])
