"""What a case says, in sentences: price, signs by rule, the largest expiry, and what such a description is worth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tailwag.figures.numbers import gain_text, percent, price

Document = Mapping[str, Any]
NO_TEST = "Chosen days prove nothing: this describes what was measured beside what price did, and tests no effect of the one on the other."


def case_headline(document: Document) -> list[str]:
    """Sentences, the price first."""
    return [_price(document), _signs(document), *_gains(document), *_expiry(document), NO_TEST]


def when(text: str) -> str:
    """A time to the minute.

    >>> when("2026-02-05T16:01:32.123456Z")
    '2026-02-05 16:01'
    """
    return text[:16].replace("T", " ")


def _price(document: Document) -> str:
    told, hour = document["price"], document["moments"]["fastest_hour"]
    change = told["last_usd"] / told["first_usd"] - 1.0
    fastest = "" if hour is None else f" The fastest hour ended {when(hour['to'])}: {percent(math.expm1(hour['log_return']), signed=True)}."
    return (
        f"{document['currency']} from {price(told['first_usd'])} to {price(told['last_usd'])} ({percent(change, signed=True)}), "
        f"lowest close {price(told['low_usd'])} at {when(told['low_at'])}, highest {price(told['high_usd'])} at {when(told['high_at'])} UTC.{fastest}"
    )


def _signs(document: Document) -> str:
    signs = Counter(one["sign"] for one in document["snapshots"])
    count = len(document["snapshots"])
    parts = [f"{name} in {signs[name]}" for name in ("amplifying", "damping", "undetermined") if signs[name]]
    return f"Of {count} snapshot{'' if count == 1 else 's'}, by the published rules together: {', '.join(parts)}."


def rules_of(document: Document) -> list[str]:
    """The rules, in the history's order."""
    return list(dict.fromkeys(rule["rule"] for one in document["snapshots"] for rule in one["rules"]))


def rows_of(document: Document, rule: str) -> list[Document]:
    """One row of each snapshot under a rule: its first law and dynamics."""
    return [next(row for row in one["rules"] if row["rule"] == rule) for one in document["snapshots"]]


def _gains(document: Document) -> list[str]:
    said = []
    for rule in rules_of(document):
        gains = [row["gain"] for row in rows_of(document, rule) if row["gain"] is not None]
        if gains:
            above = sum(gain > 0.0 for gain in gains)
            said.append(f"{rule}: gain {gain_text(min(gains))} to {gain_text(max(gains))}, amplifying in {above} of {len(gains)}.")
    return said or ["No gain: the history was built without a depth; build it with --depth-usd-per-pct."]


def _expiry(document: Document) -> list[str]:
    known = [one for one in document["expiries"] if one["share_of_gross_gamma"] is not None]
    if not known:
        return []
    largest = max(known, key=lambda one: float(one["share_of_gross_gamma"]))
    at = "" if largest["price_usd"] is None else f", price then {price(largest['price_usd'])}"
    return [
        f"Largest expiry: {when(largest['expiry'])}, {percent(largest['share_of_gross_gamma'], decimals=0)} of gross gamma at {when(largest['seen_at'])}, "
        f"most open interest at {price(largest['largest_strike_usd'])}{at}."
    ]
