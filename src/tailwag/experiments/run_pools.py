"""The accounts of a run's pools: what arbitrage took from them at the market's prices, and who kept it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tailwag.figures.numbers import money
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.blocks import paths_per_block, run_block
from tailwag.sim.engine import plan_run
from tailwag.sim.metrics_sentences import usd
from tailwag.sim.pool_statement import PoolStatement, pool_statement
from tailwag.sim.run import Run

MOST_PATHS = 256
"""A pool's account is kept on so many paths of a run, the first ones."""
FIGURES = (
    "held_usd",
    "lost_usd",
    "arbitrage_fees_usd",
    "arbitrage_usd",
    "two_way_fees_usd",
    "owners_usd",
    "second_order_usd",
    "residual_usd",
)


def pools(run: Run) -> list[dict[str, Any]]:
    """One entry for each agent with a pool, in the order of the file: its account over the run, means with standard errors."""
    scenario = run.scenario
    agents = [agent for agent in scenario.agents if isinstance(agent, PoolArbitrage | LpHedger)]
    if not agents:
        return []
    block = run_block(plan_run(scenario, seed=run.seed), 0, min(run.paths, MOST_PATHS, paths_per_block(scenario.grid.steps)))
    told = [
        pool_statement(agent.terms, scenario.grid, block.log_price, spot_usd=scenario.spot_usd, stopped_step=block.stopped_step)
        for agent in agents
    ]
    return [_entry(agent.name, statement) for agent, statement in zip(agents, told)]


def _entry(name: str, statement: PoolStatement) -> dict[str, Any]:
    value = float(statement.value_start_usd[0])
    figures = {figure: _mean(getattr(statement, figure)) for figure in FIGURES}
    return {
        "agent": name,
        "paths": int(statement.lost_usd.size),
        "value_usd": value,
        **figures,
        "steps_traded": _mean(statement.blocks_traded),
    }


def _mean(amounts: FloatArray) -> dict[str, float | None]:
    error = float(amounts.std(ddof=1) / math.sqrt(amounts.size)) if amounts.size > 1 else None
    return {"value": float(amounts.mean()), "standard_error": error}


def pool_sentences(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What arbitrage took from each pool, who kept it, and what others paid."""
    return [_sentence(entry) for entry in found]


def _sentence(entry: Mapping[str, Any]) -> str:
    lost, fees = entry["lost_usd"], entry["arbitrage_fees_usd"]["value"]
    others = entry["two_way_fees_usd"]["value"]
    also = f"; others paid {money(others)} in fees" if others > 0.0 else ""
    return (
        f"{entry['agent']}: its pool of {money(entry['value_usd'])} lost {usd(lost)} against rebalancing, of which arbitrageurs kept "
        f"{money(entry['arbitrage_usd']['value'])} and paid {money(fees)} back in fees{also} (mean of {entry['paths']} paths)."
    )
