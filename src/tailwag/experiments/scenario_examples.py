"""Two paths to look at: the one whose largest distance from fundamental is the median, and the worst; with every agent's flow through them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tailwag.experiments.scenario_arms import engine_of, step_block
from tailwag.experiments.scenario_outcomes import Columns
from tailwag.sim.scenario import Scenario
from tailwag.units import HOURS_PER_YEAR

MOST_POINTS = 300


def shown_paths(scenario: Scenario, columns: Columns, *, seed: int) -> list[dict[str, Any]]:
    """The median and the worst path by largest distance from fundamental (a path that gave up is worse than any other), each once more: price, fundamental, and bought by each agent so far (USD)."""
    size = np.abs(columns["peak_excess"])
    order = np.lexsort((size, columns["stopped"]))
    middle = np.argsort(size, kind="stable")[(size.size - 1) // 2]
    chosen = [("median", int(middle)), ("worst", int(order[-1]))]
    stepped = step_block(scenario, seed=seed, engine=engine_of(scenario))
    return [_shown(scenario, stepped(path, 1, keep_agents=True), name, path) for name, path in chosen[: 2 if size.size > 1 else 1]]


def _shown(scenario: Scenario, block: Any, name: str, path: int) -> dict[str, Any]:
    stop = int(block.stopped_step[0])
    steps = np.unique(np.round(np.linspace(0, stop, min(stop + 1, MOST_POINTS))).astype(np.int64))
    bought = {own.name: np.concatenate(([0.0], np.cumsum(np.asarray(own.flow_usd)[0])))[steps].tolist() for own in block.agents}
    spot = scenario.spot_usd
    return {
        "which": name,
        "path": path,
        "outcome": int(block.outcome[0]),
        "hours": ((block.time_years - block.time_years[0]) * HOURS_PER_YEAR)[steps].tolist(),
        "price_usd": (spot * np.exp(block.log_price[0, steps])).tolist(),
        "fundamental_usd": (spot * np.exp(block.fundamental_log[0, steps])).tolist(),
        "bought_usd": bought,
    }
