"""What agents of a run traded in options with each other: who paid premium to whom, what dealers earned on it and what moved against them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tailwag.experiments.report_tables import table
from tailwag.experiments.report_view import Document, records
from tailwag.experiments.run_report_words import dollars
from tailwag.figures.numbers import money
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.blocks import paths_per_block
from tailwag.sim.metrics_sentences import usd
from tailwag.sim.option_record import OptionRecord, record_options
from tailwag.sim.run import Run

MOST_PATHS = 256
"""Option trades are written down on so many paths of a run, the first ones."""
FIGURES = (
    "traded_coin",
    "unfilled_coin",
    "refused_coin",
    "premium_usd",
    "edge_usd",
    "settled_usd",
    "value_usd",
    "options_usd",
    "hedge_costs_usd",
    "profit_usd",
)


def option_trades(run: Run) -> list[dict[str, Any]]:
    """One entry for each agent that trades options, in the order of the file: means over paths with standard errors."""
    paths = min(run.paths, MOST_PATHS, paths_per_block(run.scenario.grid.steps))
    return [_entry(record) for record in record_options(run.scenario, seed=run.seed, paths=paths)]


def _entry(record: OptionRecord) -> dict[str, Any]:
    crossed, watched = record.crossed_coin, record.watched_coin
    return {
        "agent": record.name,
        "paths": int(record.traded_coin.size),
        **{figure: _mean(getattr(record, figure)) for figure in FIGURES},
        "crossed_share": None if crossed is None else _ratio(crossed, record.traded_coin),
        "adverse_usd_per_coin": None if watched is None or record.against_usd is None else _ratio(record.against_usd, watched),
        "edge_usd_per_coin": _ratio(record.edge_usd, record.traded_coin),
        "watch_steps": record.watch_steps,
    }


def _mean(amounts: FloatArray) -> dict[str, float | None]:
    error = float(amounts.std(ddof=1) / math.sqrt(amounts.size)) if amounts.size > 1 else None
    return {"value": float(amounts.mean()), "standard_error": error}


def _ratio(above: FloatArray, below: FloatArray) -> dict[str, float | None]:
    """Sum over sum, with the standard error of a ratio of means; no value where there is nothing to divide by."""
    total = float(below.sum())
    if total <= 0.0:
        return {"value": None, "standard_error": None}
    value = float(above.sum()) / total
    if above.size < 2:
        return {"value": value, "standard_error": None}
    left = above - value * below
    return {"value": value, "standard_error": float(left.std(ddof=1) / math.sqrt(left.size) / below.mean())}


def option_sentences(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each quoting dealer earned on its trades and what moved against it."""
    return [_sentence(entry) for entry in found if entry["crossed_share"] is not None]


def _sentence(entry: Mapping[str, Any]) -> str:
    if not entry["traded_coin"]["value"]:
        return f"{entry['agent']}: nobody traded options with it on {entry['paths']} paths."
    edge, adverse, crossed = (entry[key]["value"] for key in ("edge_usd_per_coin", "adverse_usd_per_coin", "crossed_share"))
    moved = "" if adverse is None else f", and prices moved {money(adverse)} a coin against it within {entry['watch_steps']} steps"
    return (
        f"{entry['agent']}: traded {entry['traded_coin']['value']:,.4g} coin of options a path at {money(edge)} a coin better than the model"
        f"{moved}; {100.0 * (crossed or 0.0):.0f} % of it was crossed inside; in all it made {usd(entry['profit_usd'])} (mean of {entry['paths']} paths)."
    )


def option_tables(document: Document) -> str:
    """One table for each agent that traded options with others."""
    return "".join(_table(entry) for entry in records(document, "option_trades"))


def _table(entry: Mapping[str, Any]) -> str:
    words = {
        "premium_usd": "premium paid (received: -)",
        "settled_usd": "received at expiries",
        "value_usd": "value still held",
        "options_usd": "options by themselves",
        "edge_usd": "of it at the trades, against the model",
        "hedge_costs_usd": "costs of hedges",
        "profit_usd": "profit in all",
    }
    rows = [["traded", f"{entry['traded_coin']['value']:,.4g} coin"], ["found no quote", f"{entry['unfilled_coin']['value']:,.4g} coin"]]
    rows += [[word, dollars(entry[figure], signed=True)] for figure, word in words.items()]
    if entry["crossed_share"] is not None and entry["crossed_share"]["value"] is not None:
        rows.append(["crossed inside", f"{100.0 * entry['crossed_share']['value']:.1f} %"])
    if entry["adverse_usd_per_coin"] is not None and entry["adverse_usd_per_coin"]["value"] is not None:
        rows.append([f"moved against it within {entry['watch_steps']} steps, a coin", dollars(entry["adverse_usd_per_coin"], signed=True)])
    return table(f"Options traded by {entry['agent']}, mean of {entry['paths']} paths, ± one standard error", ["", ""], rows)
