"""What venues took from margined books in a run: of their hedges and of their options, who bore the loss, and the worst path row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tailwag.experiments.report_tables import table
from tailwag.experiments.report_view import Document, records
from tailwag.experiments.run_report_words import dollars
from tailwag.figures.numbers import money, price
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.margined_events import LEGS, OPTIONS, PERP
from tailwag.sim.margined_record import MarginedRecord, record_takeovers
from tailwag.sim.metrics_sentences import usd
from tailwag.sim.run import Run
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import everybody
from tailwag.units import HOURS_PER_YEAR

MOST_PATHS = 256
"""Every takeover is written down on so many paths of a run, the first ones."""
MOST_ROWS = 40


def takeovers(run: Run) -> list[dict[str, Any]]:
    """One entry for each margined book: what was taken of hedge and options, who bore the loss, and the worst path's rows."""
    scenario = run.scenario
    if not any(isinstance(agent, MarginedBook) for agent in everybody(scenario)):
        return []
    return [_entry(record, scenario) for record in record_takeovers(scenario, seed=run.seed, paths=min(run.paths, MOST_PATHS))]


def _entry(record: MarginedRecord, scenario: Scenario) -> dict[str, Any]:
    return {
        "agent": record.agent.name,
        "margin": record.agent.terms.margin,
        "paths": record.paths,
        "paths_called": int(np.unique(record.takeovers.path).size),
        "paths_taken_over_whole": int((record.taken_share == 1.0).sum()),
        "taken_share": _mean(record.taken_share),
        "forced_hedge_usd": _mean(record.forced_usd(PERP)),
        "options_taken_usd": _mean(record.forced_usd(OPTIONS)),
        "fund_usd": _mean(record.fund_usd),
        "bad_debt_usd": _mean(record.bad_debt_usd),
        "worst_path": _worst(record, scenario),
    }


def _mean(amounts: FloatArray) -> dict[str, float | None]:
    error = float(amounts.std(ddof=1) / math.sqrt(amounts.size)) if amounts.size > 1 else None
    return {"value": float(amounts.mean()), "standard_error": error}


def _worst(record: MarginedRecord, scenario: Scenario) -> dict[str, Any] | None:
    """The path on which most of the hedge was forced to market (of several the first), its rows in the order of time; None where nobody was called."""
    rows = record.takeovers
    if not rows.rows:
        return None
    path = int(np.argmax(record.forced_usd(PERP) + 1e-9 * record.forced_usd(OPTIONS)))
    mine = np.flatnonzero(rows.path == path)
    return {"path": path, "rows": int(mine.size), "events": [_event(record, int(row), scenario) for row in mine[:MOST_ROWS]]}


def _event(record: MarginedRecord, row: int, scenario: Scenario) -> dict[str, Any]:
    rows = record.takeovers
    return {
        "hours": float(scenario.grid.years[rows.step[row]]) * HOURS_PER_YEAR,
        "leg": LEGS[int(rows.leg[row])],
        "coin": float(rows.coin[row]),
        "price_usd": float(rows.price_usd[row]),
        "kept_share": float(rows.kept[row]),
        "counterparty": rows.counterparty(row),
        "reason": rows.reason(row),
    }


def takeover_sentences(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """How often each was called, what went to the market, and who bore the loss."""
    return [_sentence(entry) for entry in found]


def _sentence(entry: Mapping[str, Any]) -> str:
    whose = f"{entry['agent']} ({entry['margin']} margin)"
    if not entry["paths_called"]:
        return f"{whose}: its venue took nothing on {entry['paths']} paths."
    fund, bad = entry["fund_usd"]["value"], entry["bad_debt_usd"]["value"]
    debt = f", and {money(bad)} was bad debt that nobody paid" if bad > 0.5 else ""
    return (
        f"{whose}: called on {entry['paths_called']} of {entry['paths']} paths, {100 * entry['taken_share']['value']:.1f} % of its options went to the "
        f"backstop on average and {usd(entry['forced_hedge_usd'])} of its hedge to the market; the insurance fund "
        f"{'gained' if fund >= 0.0 else 'paid'} {money(abs(fund))}{debt}."
    )


def takeover_tables(document: Document) -> str:
    """What was taken and who bore it; then the worst path, row by row."""
    return "".join(_totals(entry) + _path_table(entry) for entry in records(document, "takeovers"))


def _totals(entry: Mapping[str, Any]) -> str:
    rows = [
        ["called", f"{entry['paths_called']} of {entry['paths']} paths"],
        ["taken over whole", f"{entry['paths_taken_over_whole']} of {entry['paths']} paths"],
        ["of its options to the backstop", f"{100 * entry['taken_share']['value']:.1f} %"],
        ["of its hedge to the market", dollars(entry["forced_hedge_usd"])],
        ["insurance fund gained", dollars(entry["fund_usd"], signed=True)],
        ["bad debt", dollars(entry["bad_debt_usd"])],
    ]
    return table(f"{entry['agent']} on {entry['margin']} margin, mean of {entry['paths']} paths, ± one standard error", ["", ""], rows)


def _path_table(entry: Mapping[str, Any]) -> str:
    worst = entry.get("worst_path")
    if not worst:
        return ""
    rows = [
        [
            f"{row['hours']:.2f} h",
            row["leg"],
            f"{row['coin']:+,.1f} coin" if row["leg"] == LEGS[PERP] else f"{row['coin']:,.1f} coin",
            price(row["price_usd"]),
            f"{100 * row['kept_share']:.1f} %",
            row["counterparty"],
            row["reason"],
        ]
        for row in worst["events"]
    ]
    more = "" if worst["rows"] <= len(rows) else f", the first {len(rows)} of {worst['rows']} rows"
    return table(f"The path with most of the hedge forced{more}", ["after", "leg", "taken", "price a coin", "kept", "went to", "why"], rows)
