"""The answer of a policy comparison as a trader would say it: which rule costs least, and what each adds to market vol."""

from __future__ import annotations

from typing import Any

from tailwag.sim.metrics_sentences import span, usd, with_error

Document = dict[str, Any]
UNHEDGED = "none"
MOST_NAMED = 6


def sentences(document: Document) -> list[str]:
    """The answer first: cheapest with feedback, cheapest without, what each rule adds to vol, which rules are beaten, what ran away.

    ``document`` needs ``policies``, ``differences`` and ``assumptions``.
    """
    rows = [row for row in document["policies"] if row["policy"] != UNHEDGED]
    if not rows:
        return ["Nobody hedges, so there is nothing to compare; name a policy that trades."]
    hours = document["assumptions"]["hours"]
    said = [_cheapest(document, rows, hours), _without(rows), _market_vol(document, rows, hours), _beaten(rows), _stopped(rows)]
    return [sentence for sentence in said if sentence]


def cheapest(document: Document, world: str) -> str:
    """Command-line word of the policy that hedges and costs least in a world; "" where nobody hedges."""
    rows = [row for row in document["policies"] if row["policy"] != UNHEDGED]
    return str(min(rows, key=lambda row: _value(row, world, "cost_usd"))["policy"]) if rows else ""


def efficient(document: Document, world: str) -> list[str]:
    """Policies that no other one beats on both cost and risk, in the order given."""
    rows = [row for row in document["policies"] if row["policy"] != UNHEDGED]
    return [row["policy"] for row in rows if _beater(row, rows, world) is None]


def percent_added(amplification: Document) -> str:
    """Vol that hedging adds, in per cent, with its error.

    >>> percent_added({"value": 1.0412, "standard_error": 0.002}), percent_added({"value": 0.9, "standard_error": 0.0})
    ('+4.12 +- 0.20 %', '-10.00 %')
    """
    if amplification["value"] is None:
        return "unknown"
    change, error = 100.0 * (amplification["value"] - 1.0), 100.0 * (amplification["standard_error"] or 0.0)
    if error < 5e-4:
        return f"{change + 0.0:+.2f} %"
    return f"{'-' if change < 0.0 else '+'}{with_error(abs(change), error)} %"


def _value(row: Document, world: str, name: str) -> float:
    return float(row[world][name]["value"])


def _cheapest(document: Document, rows: list[Document], hours: float) -> str:
    best = min(rows, key=lambda row: _value(row, "together", "cost_usd"))
    said = (
        f"With hedging moving the market, {best['policy']} costs least: {usd(best['together']['cost_usd'])} over {span(hours)}, "
        f"leaving a risk of {usd(best['together']['risk_usd'])} (standard deviation of P&L)"
    )
    others = sorted((row for row in rows if row is not best), key=lambda row: _value(row, "together", "cost_usd"))
    if not others:
        return f"{said}."
    gap = _gap(document, best["policy"], others[0]["policy"], "together")
    clear = abs(gap["value"]) > 2.0 * (gap["standard_error"] or 0.0)
    more = {**gap, "value": abs(gap["value"])}
    next_best = f"next is {others[0]['policy']}, {usd(more)} more at a risk of {usd(others[0]['together']['risk_usd'])}"
    return f"{said}; {next_best}{'' if clear else ', which is within the noise'}."


def _gap(document: Document, first: str, second: str, world: str) -> Document:
    """Cost of the first less that of the second."""
    for row in document["differences"]:
        if (row["policy"], row["less"]) == (first, second):
            found: Document = row[world]["cost_usd"]
            return found
        if (row["policy"], row["less"]) == (second, first):
            return {**row[world]["cost_usd"], "value": -row[world]["cost_usd"]["value"]}
    raise KeyError(first)


def _without(rows: list[Document]) -> str:
    off = min(rows, key=lambda row: _value(row, "alone", "cost_usd"))
    on = min(rows, key=lambda row: _value(row, "together", "cost_usd"))
    same = "the same rule is cheapest" if off is on else f"{off['policy']} is cheapest"
    feedback = on["together"]["feedback_usd"]
    deed = "costs" if feedback["value"] >= 0.0 else "earns"
    amount = usd({**feedback, "value": abs(feedback["value"])})
    return (
        f"Were hedging to move nothing, {same}, at {usd(off['alone']['cost_usd'])} and a risk of {usd(off['alone']['risk_usd'])}; "
        f"the moved price itself {deed} {amount} under {on['policy']}."
    )


def _market_vol(document: Document, rows: list[Document], hours: float) -> str:
    step = document["assumptions"]["step_minutes"]
    short = "a step" if step is None else span(step / 60.0)
    named = [
        f"{row['policy']} {_whole(row['together']['amplification'])} and {_whole(row['together']['amplification_horizon'])}"
        for row in rows[:MOST_NAMED]
    ]
    more = f"; {len(rows) - MOST_NAMED} more below" if len(rows) > MOST_NAMED else ""
    return f"What hedging adds to market vol, over {short} and over {span(hours)}: {'; '.join(named)}{more}."


def _whole(amplification: Document) -> str:
    value = amplification["value"]
    return "unknown" if value is None else f"{100.0 * (value - 1.0) + 0.0:+.1f} %"


def _beater(row: Document, rows: list[Document], world: str) -> Document | None:
    """A policy that costs less and leaves less risk."""
    mine = (_value(row, world, "cost_usd"), _value(row, world, "risk_usd"))
    for other in rows:
        theirs = (_value(other, world, "cost_usd"), _value(other, world, "risk_usd"))
        if theirs[0] <= mine[0] and theirs[1] <= mine[1] and theirs != mine:
            return other
    return None


def _beaten(rows: list[Document]) -> str:
    found = [(row, _beater(row, rows, "together")) for row in rows]
    named = [f"{row['policy']} (by {other['policy']})" for row, other in found if other is not None]
    return f"Beaten on both cost and risk: {', '.join(named)}." if named else ""


def _stopped(rows: list[Document]) -> str:
    found = [
        f"{100.0 * (1.0 - row['together']['finished']['value']):.2g} % under {row['policy']}"
        for row in rows
        if row["together"]["finished"]["value"] < 1.0
    ]
    return (
        f"Paths that stopped before the horizon (ran away, exhausted the depth or were halted): {', '.join(found)}; their losses up to the stop "
        "are counted."
        if found
        else ""
    )
