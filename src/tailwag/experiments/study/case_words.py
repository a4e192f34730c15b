"""A case on the terminal: sentences, every snapshot in a row, and under each rule what stood before, during and after."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import IO, Any

from tailwag.experiments.answer_terminal import console_on, fold, folded
from tailwag.experiments.study.case_sentences import rows_of, rules_of, when
from tailwag.figures.numbers import UNKNOWN, gain_text, known, money, percent, price

Document = Mapping[str, Any]
Table = tuple[str, list[str], list[list[str]]]
SHORT = {"undetermined": "they differ"}
MOMENTS = {"beginning": "beginning", "before": "before the fastest hour", "after": "after it", "end": "end"}


def print_case(document: Document, *, file: IO[str] | None = None) -> None:
    """Print a case on ``file`` (standard output if None)."""
    from rich import box
    from rich.table import Table as Drawn

    console = console_on(file, widest=140)
    for line in document["headline"]:
        console.print(folded(line))
    for title, head, rows in case_tables(document):
        console.print(folded(""))
        console.print(folded(title, "bold"))
        table = Drawn(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True, show_edge=False)
        for place, name in enumerate(head):
            shown = "\n".join(map(fold, name.split("\n")))
            table.add_column(shown, justify="left" if place == 0 else "right", overflow="fold", no_wrap=place == 0)
        for row in rows:
            table.add_row(*map(folded, row))
        console.print(table)


def case_tables(document: Document) -> Iterator[Table]:
    """Every snapshot; then of the moments each rule and dynamics; then the expiries."""
    yield _snapshots(document)
    for key, title in MOMENTS.items():
        place = document["moments"][key]
        if place is not None:
            yield _moment(title, document["snapshots"][place])
    yield _expiries(document)


def _snapshots(document: Document) -> Table:
    rules = rules_of(document)
    gains = [rows_of(document, rule) for rule in rules]
    gain_heads = [f"G\n{rule}".replace("-", "-\n") for rule in rules]
    head = ["known, UTC", "price", "vol of\npast day", "IV\n1 day", "published\nrules", *gain_heads, "expires\nnext", "largest\nstrike"]
    rows = []
    for place, one in enumerate(document["snapshots"]):
        shown = [
            when(one["known"])[5:],
            price(one["price_usd"]),
            percent(one["trailing_vol_1d"], decimals=0),
            percent(one["atm_iv_1d"], decimals=0),
        ]
        shown += [SHORT.get(one["sign"], one["sign"]), *(gain_range(of_rule[place]) for of_rule in gains)]
        rows.append([*shown, percent(one["expiring_share"], decimals=0), price(one["largest_strike_usd"])])
    return "Every snapshot: what the published rules say together, and the gain G under each rule (above 0 amplifies)", head, rows


def gain_range(row: Document) -> str:
    """A gain, with its range where a doubt was stated.

    >>> gain_range({"gain": 0.2, "gain_low": 0.1, "gain_high": 0.3}), gain_range({"gain": 0.2, "gain_low": None, "gain_high": None})
    ('+0.20 (+0.10 to +0.30)', '+0.20')
    """
    if not (known(row["gain_low"]) and known(row["gain_high"])):
        return gain_text(row["gain"])
    return f"{gain_text(row['gain'])} ({gain_text(row['gain_low'])} to {gain_text(row['gain_high'])})"


def distance(log: Any) -> str:
    """A distance in log price as per cent of the price.

    >>> distance(0.1), distance(None)
    ('+10.5 %', 'n/a')
    """
    return percent(math.expm1(log), signed=True) if known(log) else UNKNOWN


def _moment(title: str, one: Document) -> Table:
    head = ["rule", "smile", "net gamma\nper 1 %", "G", "flip", "distance", "they buy\nat -5 %", "they buy\nat +5 %"]
    rows = [
        [
            row["rule"] + ("" if row["law"] in ("given", "none") else f", {row['law']}"),
            row["dynamics"],
            money(row["gex_usd_per_pct"], signed=True),
            gain_range(row),
            "none" if row["flip_usd"] is None else price(row["flip_usd"]),
            distance(row["flip_distance_log"]),
            money(row["flow_down_5pct_usd"], signed=True),
            money(row["flow_up_5pct_usd"], signed=True),
        ]
        for row in one["rules"]
    ]
    return f"{title[:1].upper()}{title[1:]}: known {when(one['known'])}, spot {price(one['spot_usd'])}, sign {one['sign']}", head, rows


def _expiries(document: Document) -> Table:
    head = ["expiry, UTC", "share of\ngross gamma", "last seen", "largest\nstrike", "price then", "from the\nstrike"]
    rows = [
        [
            when(one["expiry"])[5:],
            percent(one["share_of_gross_gamma"], decimals=0),
            when(one["seen_at"])[5:],
            price(one["largest_strike_usd"]),
            price(one["price_usd"]),
            distance(one["distance_log"]),
        ]
        for one in document["expiries"]
    ]
    return "Expiries, as the last snapshot before each saw them", head, rows
