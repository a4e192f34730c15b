"""Who was liquidated in a run: by side and counterparty, who bore the loss, and the worst path liquidation by liquidation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tailwag.experiments.report_tables import table
from tailwag.experiments.report_view import Document, records
from tailwag.experiments.run_report_words import dollars
from tailwag.figures.labels import moment
from tailwag.figures.numbers import money, price
from tailwag.kernels.arrays import FloatArray
from tailwag.market.clock import format_time
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.liquidation_events import Against
from tailwag.sim.liquidation_record import Record, record_liquidations
from tailwag.sim.metrics_sentences import usd
from tailwag.sim.run import Run
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import everybody
from tailwag.units import HOURS_PER_YEAR, NS_PER_YEAR

MOST_PATHS = 256
"""Every liquidation is written down on so many paths of a run, the first ones."""
MOST_ROWS = 40
COUNTERPARTIES = (Against.MARKET, Against.FUND, Against.EMPTY_FUND, Against.OTHER_SIDE)
"""Of those who are liquidated; who is deleveraged for them is counted apart."""


def liquidations(run: Run) -> list[dict[str, Any]]:
    """One entry for each agent of leveraged traders: what was liquidated against whom, who bore it, and the worst path's liquidations."""
    scenario = run.scenario
    if not any(isinstance(agent, LeveragedTraders) for agent in everybody(scenario)):
        return []
    return [_entry(record, scenario) for record in record_liquidations(scenario, seed=run.seed, paths=min(run.paths, MOST_PATHS))]


def _entry(record: Record, scenario: Scenario) -> dict[str, Any]:
    rows = record.liquidations
    own = rows.against != int(Against.BANKRUPT)
    total = record.per_path(rows.usd, own)
    sides = {name: record.per_path(rows.usd, own & (rows.side == side)) for name, side in (("longs_usd", 1.0), ("shorts_usd", -1.0))}
    against = {party.words: record.per_path(rows.usd, rows.against == int(party)) for party in COUNTERPARTIES}
    return {
        "agent": record.agent.name,
        "paths": record.paths,
        "liquidated_usd": _mean(total),
        "by_side": {name: _mean(amount) for name, amount in sides.items()},
        "by_counterparty": {name: _mean(amount) for name, amount in against.items()},
        "gained": {
            "longs_usd": _mean(record.longs_usd),
            "shorts_usd": _mean(record.shorts_usd),
            "fund_usd": _mean(record.fund_usd),
            "bad_debt_usd": _mean(record.bad_debt_usd),
        },
        "paths_with_liquidations": int((total > 0.0).sum()),
        "paths_where_the_fund_paid": int((against["fund"] > 0.0).sum()),
        "paths_with_deleveraging": int((against["deleveraged side"] > 0.0).sum()),
        "worst_path": _worst(record, total, scenario),
    }


def _mean(amounts: FloatArray) -> dict[str, float | None]:
    error = float(amounts.std(ddof=1) / math.sqrt(amounts.size)) if amounts.size > 1 else None
    return {"value": float(amounts.mean()), "standard_error": error}


def _worst(record: Record, total: FloatArray, scenario: Scenario) -> dict[str, Any] | None:
    """The path on which most was liquidated: accounts of one step, leverage and counterparty in one row, the first ones."""
    if not total.any():
        return None
    path, rows = int(np.argmax(total)), record.liquidations
    leverage = np.repeat([bucket.leverage for bucket in record.agent.buckets], [bucket.accounts for bucket in record.agent.buckets])
    grouped: dict[tuple[int, float, float, int], list[float]] = {}
    for place in np.flatnonzero(rows.path == path):
        key = (int(rows.step[place]), float(rows.side[place]), float(leverage[rows.account[place]]), int(rows.against[place]))
        held = grouped.setdefault(key, [0.0, 0.0, 0.0])
        held[0] += 1.0
        held[1] += float(rows.usd[place])
        held[2] += float(rows.usd[place] / rows.price_usd[place])
    return {
        "path": path,
        "liquidated_usd": float(total[path]),
        "rows": len(grouped),
        "events": [_event(key, held, scenario) for key, held in sorted(grouped.items(), key=lambda item: item[0][0])[:MOST_ROWS]],
    }


def _event(key: tuple[int, float, float, int], held: list[float], scenario: Scenario) -> dict[str, Any]:
    step, side, leverage, code = key
    years = float(scenario.grid.years[step])
    at = None if scenario.start_ns is None else format_time(scenario.start_ns + round(years * NS_PER_YEAR / 1000) * 1000)
    return {
        "hours": years * HOURS_PER_YEAR,
        "at": at,
        "side": "long" if side > 0.0 else "short",
        "leverage": leverage,
        "accounts": int(held[0]),
        "usd": held[1],
        "price_usd": held[1] / held[2],
        "counterparty": Against(code).words,
        "reason": Against(code).reason,
    }


def liquidation_sentences(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """How much was liquidated and who bore it, one sentence for each agent."""
    return [_sentence(entry) for entry in found]


def _sentence(entry: Mapping[str, Any]) -> str:
    amount, sides, gained = entry["liquidated_usd"], entry["by_side"], entry["gained"]
    if not entry["paths_with_liquidations"]:
        return f"{entry['agent']}: nobody was liquidated on {entry['paths']} paths."
    bad = gained["bad_debt_usd"]["value"]
    debt = f", and {money(bad)} was bad debt that nobody paid" if bad > 0.5 else ""
    deleveraged = entry["paths_with_deleveraging"]
    other = f"; on {deleveraged} of {entry['paths']} paths the other side was deleveraged" if deleveraged else ""
    fund = gained["fund_usd"]["value"]
    purse = f"the insurance fund {'gained' if fund >= 0.0 else 'paid'} {money(abs(fund))}"
    return (
        f"{entry['agent']}: {usd(amount)} liquidated on average ({money(sides['longs_usd']['value'])} of longs, "
        f"{money(sides['shorts_usd']['value'])} of shorts), on {entry['paths_with_liquidations']} of {entry['paths']} paths; {purse}{debt}{other}."
    )


def liquidation_tables(document: Document) -> str:
    """What was liquidated against whom and who bore it; then the worst path, step by step."""
    return "".join(_totals(entry) + _path_table(entry) for entry in records(document, "liquidations"))


def _totals(entry: Mapping[str, Any]) -> str:
    rows = [["liquidated", dollars(entry["liquidated_usd"])]]
    rows += [[f"of it {name.removesuffix('_usd')}", dollars(amount)] for name, amount in entry["by_side"].items()]
    rows += [[f"closed against the {name}", dollars(amount)] for name, amount in entry["by_counterparty"].items()]
    words = {
        "longs_usd": "all longs gained",
        "shorts_usd": "all shorts gained",
        "fund_usd": "insurance fund gained",
        "bad_debt_usd": "bad debt",
    }
    rows += [[words[name], dollars(amount, signed=name != "bad_debt_usd")] for name, amount in entry["gained"].items()]
    head = f"Liquidations of {entry['agent']}, mean of {entry['paths']} paths, ± one standard error"
    return table(head, ["", "USD"], rows)


def _clock(text: Any) -> str:
    found = moment(text)
    return f"{found.day} {found:%b %H:%M} UTC" if found else "n/a"


def _path_table(entry: Mapping[str, Any]) -> str:
    worst = entry.get("worst_path")
    if not worst:
        return ""
    rows = [
        [
            f"{row['hours']:.2f} h",
            _clock(row["at"]),
            f"{row['accounts']} {row['side']}{'s' if row['accounts'] > 1 else ''} at {row['leverage']:g} x",
            money(row["usd"]),
            price(row["price_usd"]),
            row["counterparty"],
            row["reason"],
        ]
        for row in worst["events"]
    ]
    more = "" if worst["rows"] <= len(rows) else f", the first {len(rows)} of {worst['rows']} rows"
    head = f"The path with most liquidations ({money(worst['liquidated_usd'])}){more}"
    return table(head, ["after", "at", "who", "how much", "price", "closed against", "why"], rows)
