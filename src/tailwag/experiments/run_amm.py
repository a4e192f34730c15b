"""The accounts of a run's options pools: fees, stale quotes, what options and hedges made, shares of liquidity, and a CPMM of equal size beside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tailwag.experiments.report_tables import table
from tailwag.experiments.report_view import Document, records
from tailwag.experiments.run_report_words import dollars
from tailwag.figures.numbers import money
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.amm_record import AmmRecord, record_amms
from tailwag.sim.blocks import paths_per_block
from tailwag.sim.metrics_sentences import usd
from tailwag.sim.run import Run

MOST_PATHS = 256
"""Pools' accounts are kept on so many paths of a run, the first ones."""
FIGURES = (
    "fees_usd",
    "stale_usd",
    "vol_usd",
    "options_usd",
    "hedge_usd",
    "hedge_costs_usd",
    "profit_usd",
    "residual_usd",
    "lvr_usd",
    "premium_usd",
    "hedge_turnover_usd",
    "sold_coin",
    "bought_coin",
    "share_value",
    "worst_share_value",
    "least_free_share",
    "starved_share",
)


def options_pools(run: Run) -> list[dict[str, Any]]:
    """One entry for each options pool in the order of the file, means over paths with standard errors.

    With several venues: home's pools, where the option market is.
    """
    paths = min(run.paths, MOST_PATHS, paths_per_block(run.scenario.grid.steps))
    return [_entry(record, paths) for record in record_amms(run.scenario, seed=run.seed, paths=paths)]


def _entry(record: AmmRecord, paths: int) -> dict[str, Any]:
    agent = record.agent
    return {
        "agent": agent.name,
        "paths": paths,
        "mode": agent.mode,
        "hedged": str(agent),
        "deposit_usd": agent.deposit_usd,
        **{figure: _mean(getattr(record, figure)) for figure in FIGURES},
    }


def _mean(amounts: FloatArray) -> dict[str, float | None]:
    error = float(amounts.std(ddof=1) / math.sqrt(amounts.size)) if amounts.size > 1 else None
    return {"value": float(amounts.mean()), "standard_error": error}


def options_pool_sentences(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each pool took at its trades and kept; what stale quotes lost, beside a CPMM's loss; how often its liquidity was used up."""
    return [_sentence(entry) for entry in found]


def _sentence(entry: Mapping[str, Any]) -> str:
    over = "one path" if entry["paths"] == 1 else f"mean of {entry['paths']} paths"
    if not entry["sold_coin"]["value"] and not entry["bought_coin"]["value"]:
        return (
            f"{entry['agent']} ({entry['mode']} pool of {money(entry['deposit_usd'])}): traded no option; no order came that it may take (delta, cutoff, "
            f"collateral) and whose limit its price with fees met ({over})."
        )
    stale = ""
    if entry["mode"] == "oracle":
        lost = entry["stale_usd"]
        old = f"gained {usd({**lost, 'value': -lost['value']})} by" if lost["value"] < 0.0 else f"lost {usd(lost)} to"
        stale = f", {old} quotes at an old price (a CPMM of its size: {usd(entry['lvr_usd'])} to arbitrage, without fees)"
    starved = entry["starved_share"]["value"]
    used = f"; in {starved:.0%} of steps its liquidity was used up" if starved > 0.005 else ""
    return (
        f"{entry['agent']} ({entry['mode']} pool of {money(entry['deposit_usd'])}): sold {_coin(entry['sold_coin']['value'])} coin of options and bought "
        f"{_coin(entry['bought_coin']['value'])}, took {money(entry['fees_usd']['value'])} in fees{stale}, and a share of 1 ended at "
        f"{entry['share_value']['value']:.4f}{used} ({over})."
    )


def _coin(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 1000.0 else f"{amount:.4g}"


def options_pool_tables(document: Document) -> str:
    """One table for each options pool: its profit in parts that sum to it, and how its liquidity fared."""
    return "".join(_table(entry) for entry in records(document, "options_pools"))


def _table(entry: Mapping[str, Any]) -> str:
    words = {
        "fees_usd": "fees",
        "vol_usd": "its vol against the market's, at the trades",
        "options_usd": "options while held, by the model",
        "hedge_usd": "hedge",
    }
    rows = [[word, dollars(entry[figure], signed=True)] for figure, word in words.items()]
    rows.insert(1, ["lost to quotes at an old price", dollars(entry["stale_usd"], signed=True)])
    rows += [
        ["costs of hedging", dollars(entry["hedge_costs_usd"], signed=True)],
        ["profit", dollars(entry["profit_usd"], signed=True)],
        ["a CPMM of its size would have lost to arbitrage", dollars(entry["lvr_usd"], signed=True)],
        ["a share of 1 ended at", f"{entry['share_value']['value']:.4f} (lowest {entry['worst_share_value']['value']:.4f})"],
        ["smallest free part of its worth", f"{100.0 * entry['least_free_share']['value']:.1f} %"],
    ]
    head = (
        f"{entry['agent']}: {entry['mode']} options pool, hedged: {entry['hedged']}; mean of {entry['paths']} paths, ± one standard error"
    )
    return table(head, ["", ""], rows)
