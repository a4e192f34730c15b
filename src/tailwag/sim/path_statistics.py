"""One row of numbers for every path of a block, and which of them are compared in pairs: what metrics are averages of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.errors import TailwagError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.kernels.path_sums import binned_sums, daily_vols, path_sums
from tailwag.sim.metric_plan import MetricPlan
from tailwag.sim.state import PNL_PARTS, AgentPaths, BlockPaths, Outcome
from tailwag.units import DAYS_PER_YEAR

SERIES = ("price", "fundamental")
COST_PARTS = ("spread_usd", "fees_usd", "gas_usd", "funding_usd")
"""What leaves an agent's pocket: its cost is the negative of their sum.

Execution is no part of it: a lasting impact marks one's own purchase up, so that part can be a gain on paper and stands by itself.
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of the numbers that every path gives, in their order, and the pairs whose products are added up as well.

    Numbers before ``finished`` are averaged over paths that reached the horizon, the rest over all paths.
    """

    names: tuple[str, ...]
    finished: int
    pairs: tuple[tuple[str, str], ...]

    @property
    def rows(self) -> dict[str, int]:
        """Row of each name."""
        return {name: row for row, name in enumerate(self.names)}


def layout_of(plan: MetricPlan, agents: int) -> Layout:
    """The numbers of a plan with so many agents."""
    finished = [name for series in SERIES for name in _return_names(series, plan)]
    everyone = [*(f"{series}.drawdown" for series in SERIES), "fundamental.all_variance"]
    everyone += [f"{kind}.{hour}" for kind in ("signed", "absolute") for hour in np.flatnonzero(plan.hours_covered() > 0.0)]
    everyone += [f"agent.{agent}.{name}" for agent in range(agents) for name in _AGENT_NAMES]
    pairs = [pair for series in SERIES for pair in _return_pairs(series, plan)]
    pairs += [(f"price.square.{h}", f"fundamental.square.{h}") for h in plan.measured_horizons]
    pairs += [("price.vol", "fundamental.vol"), ("price.drawdown", "fundamental.drawdown")]
    pairs += [(f"agent.{agent}.pnl_usd", f"agent.{agent}.pnl_squared") for agent in range(agents)]
    return Layout((*finished, *everyone), len(finished), tuple(pairs))


_AGENT_NAMES = (*PNL_PARTS, "pnl_usd", "pnl_squared", "cost_usd", "turnover_usd", "trades", "gap_squared", "peak_position_usd")


MONEY_UNIT = 2.0**20
"""Money is summed in units of about a million USD, so that fourth powers of a runaway's sums stay within reach; a power of two loses no bit."""


def unit_of(name: str) -> float:
    """The unit that a number is summed in: a power of two."""
    if name.startswith(("signed.", "absolute.")):
        return MONEY_UNIT
    if not name.startswith("agent.") or name.endswith(".trades"):
        return 1.0
    return MONEY_UNIT**2 if name.endswith("_squared") else MONEY_UNIT


def _return_names(series: str, plan: MetricPlan) -> list[str]:
    kinds = [f"square.{h}" for h in plan.measured_horizons] + [f"fourth.{h}" for h in plan.measured_horizons]
    kinds += [f"product.{lag}" for lag in plan.measured_lags] + ["vol", "variance"]
    kinds += ["daily_vol", "daily_variance"] if plan.day_steps else []
    kinds += ["close_product", "close_square"] if plan.close_steps() is not None else []
    return [f"{series}.{kind}" for kind in kinds]


def _return_pairs(series: str, plan: MetricPlan) -> list[tuple[str, str]]:
    pairs = [(f"square.{h}", "square.1") for h in plan.measured_horizons if h > 1]
    pairs += [(f"fourth.{h}", f"square.{h}") for h in plan.measured_horizons]
    pairs += [(f"product.{lag}", "square.1") for lag in plan.measured_lags] + [("vol", "variance")]
    pairs += [("daily_vol", "daily_variance")] if plan.day_steps else []
    pairs += [("close_product", "close_square")] if plan.close_steps() is not None else []
    return [(f"{series}.{first}", f"{series}.{second}") for first, second in pairs]


@dataclass(frozen=True, slots=True)
class PathStatistics:
    """The numbers of a block in the order of its layout (names, paths); zero for a path that its number does not count."""

    values: FloatArray
    finished: BoolArray


def path_statistics(block: BlockPaths, plan: MetricPlan, layout: Layout) -> PathStatistics:
    """Every path's numbers.

    Raises TailwagError where one is not finite, naming the number and the path.
    """
    _check_shapes(block, plan)
    finished = np.asarray(block.outcome == int(Outcome.FINISHED))
    prices = [_time_first(series) for series in (block.log_price, block.fundamental_log)]
    rows, falls = [], []
    for log_price in prices:
        sums = path_sums(log_price, np.array(plan.measured_horizons), np.array(plan.measured_lags, dtype=np.int64))
        falls.append(-np.expm1(-sums[-1]))
        rows += [*_return_rows(sums[:-1], log_price, plan)]
    all_variance = rows[layout.rows["fundamental.variance"]]
    rows = [np.where(finished, row, 0.0) for row in rows]
    covered = plan.hours_covered()
    seen = np.flatnonzero(covered > 0.0)
    flows = binned_sums(_time_first(block.net_flow_usd), plan.hour_of_step(), 24)
    rows += [*falls, all_variance, *(flows[seen] / covered[seen, None]), *(flows[24 + seen] / covered[seen, None])]
    rows += [row for agent in block.agents for row in _agent_rows(agent)]
    values = np.array(rows, dtype=np.float64).reshape(len(layout.names), block.log_price.shape[0])
    _check_finite(values, block, layout)
    values /= np.array([unit_of(name) for name in layout.names])[:, None]
    return PathStatistics(values, finished)


def _time_first(series: FloatArray) -> FloatArray:
    """(paths, times) as (times, paths), which is how an engine's block lies in memory: nothing is copied there."""
    return np.ascontiguousarray(series.T)


def _return_rows(sums: FloatArray, log_price: FloatArray, plan: MetricPlan) -> list[FloatArray]:
    """Rows in the order of ``_return_names`` of log prices (times, paths): mean squares and fourth powers per return, mean products, vols per year."""
    horizons, lags = plan.measured_horizons, plan.measured_lags
    counts = np.array([plan.steps // horizon for horizon in horizons] * 2 + [plan.steps - lag for lag in lags], dtype=np.float64)
    variance = sums[0] / plan.years
    rows: list[FloatArray] = [*(sums / counts[:, None]), np.sqrt(variance), variance]
    if plan.day_steps:
        vols, squares = daily_vols(log_price, plan.day_steps)
        rows += [vols * np.sqrt(float(DAYS_PER_YEAR)), squares * DAYS_PER_YEAR]
    closes = plan.close_steps()
    if closes is not None:
        rows += _close_rows(log_price, closes)
    return rows


def _close_rows(log_price: FloatArray, closes: IntArray) -> list[FloatArray]:
    """Sums over days, one after the other, of last window x rest of day and of rest of day squared."""
    products, squares = np.zeros(log_price.shape[1]), np.zeros(log_price.shape[1])
    for begin, window, close in closes:
        rest = log_price[window] - log_price[begin]
        products += rest * (log_price[close] - log_price[window])
        squares += rest * rest
    return [products / len(closes), squares / len(closes)]


def _agent_rows(agent: AgentPaths) -> list[FloatArray]:
    total = agent_pnl(agent)
    return [
        *agent.pnl_usd,
        total,
        total * total,
        agent_cost(agent),
        agent.turnover_usd,
        np.asarray(agent.trades, dtype=np.float64),
        agent.gap_squared_usd,
        agent.peak_position_usd,
    ]


def agent_pnl(agent: AgentPaths) -> FloatArray:
    """Total profit and loss of each path: the parts in their order, USD (paths,)."""
    total = np.zeros(agent.pnl_usd.shape[1])
    for part in agent.pnl_usd:
        total = total + part
    return total


def agent_cost(agent: AgentPaths) -> FloatArray:
    """What trading cost on each path, + paid: spread, fees, gas and funding with their sign turned, USD (paths,)."""
    total = np.zeros(agent.pnl_usd.shape[1])
    for part in COST_PARTS:
        total = total - agent.pnl_usd[PNL_PARTS.index(part)]
    return total


def _check_shapes(block: BlockPaths, plan: MetricPlan) -> None:
    paths = block.log_price.shape[0]
    shapes = (block.log_price.shape, block.fundamental_log.shape, block.net_flow_usd.shape, block.outcome.shape)
    wanted = ((paths, plan.steps + 1), (paths, plan.steps + 1), (paths, plan.steps), (paths,))
    if shapes != wanted:
        raise TailwagError(f"a block of shapes {wanted} expected by the plan, {shapes} came; plan and block need one time grid")


def _check_finite(values: FloatArray, block: BlockPaths, layout: Layout) -> None:
    good = np.isfinite(values)
    if good.all():
        return
    row, path = (int(place[0]) for place in np.nonzero(~good))
    raise TailwagError(
        f"path {block.first_path + path}: {layout.names[row]} is not a number; no simulated number may be (please report this)"
    )
