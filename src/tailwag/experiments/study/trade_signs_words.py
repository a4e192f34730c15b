"""The study of signed trades in sentences and two tables: how often signs differ, and what wrong sides would do to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from tailwag.experiments.answer_terminal import console_on, folded, grid
from tailwag.figures.numbers import UNKNOWN, known, percent

Document = Mapping[str, Any]


def print_trade_signs(document: Document, *, file: IO[str] | None = None) -> None:
    """Print the study on ``file`` (standard output if None)."""
    console = console_on(file)
    for line in document["headline"]:
        console.print(folded(line))
    for title, head, rows in _tables(document):
        console.print(folded(""))
        console.print(folded(title, "bold"))
        console.print(grid(head, rows))
    console.print(folded(""))
    for line in document["assumptions"]:
        console.print(folded(f"Assumed: {line}.", "dim"))


def _tables(document: Document) -> list[tuple[str, list[str], list[list[str]]]]:
    found = []
    for file in document["files"]:
        found.append(
            (_title(file), ["signs differ from", "options", "contracts", "gamma", "95 %", "whoever took", "days, net"], _rules(file))
        )
    head = ["trades with the other side", *(whole(one["share"]) for one in document["files"][0]["wrong_sides"])]
    first = document["files"][0]["rules"][0]["rule"]
    for key, title in (
        ("differs", f"Share of gamma whose sign is not that of {first} if makers were the customers in some trades, drawn by chance"),
        (
            "undecided",
            "Share of gamma whose sign could be either if they were in that share of each option's contracts, whichever those are",
        ),
    ):
        rows = [[file["name"], *(whole(one[key]) for one in file["wrong_sides"])] for file in document["files"]]
        found.append((title, head, rows))
    return found


def _title(file: Document) -> str:
    left = ", ".join(f"{reason} {count:,}" for reason, count in file["left_out"].items() if count)
    return (
        f"{file['name']}: {file['trades']:,} trades in {file['options']} options ({file['calls']} calls), "
        f"{file['expiries']} {'expiry' if file['expiries'] == 1 else 'expiries'}, "
        f"{file['first'][:10]} to {file['last'][:10]}; {file['repeats']:,} repeats dropped"
        f"{f'; left out: {left}' if left else ''}; customer assumed in {whole(file['assumed_share'])} of contracts"
    )


def _rules(file: Document) -> list[list[str]]:
    rows = []
    for one in file["rules"]:
        gamma, net = one["differs"]["gamma"], one["net_gamma"]
        shares = [whole(one["differs"][weight]["share"]) for weight in ("options", "contracts", "gamma")]
        rows.append(
            [one["rule"], *shares, between(gamma["low"], gamma["high"]), between(gamma["at_least"], gamma["at_most"]), _of_days(net)]
        )
    return rows


def _of_days(net: Document) -> str:
    return f"{net['differing']:,} of {net['days']:,}"


def whole(share: Any) -> str:
    """A share in whole per cent.

    >>> whole(0.8885), whole(None)
    ('89 %', 'n/a')
    """
    return percent(share, decimals=0)


def between(low: Any, high: Any) -> str:
    """Two shares as a range.

    >>> between(0.1, 0.94), between(None, None)
    ('10 to 94 %', 'n/a')
    """
    return f"{100 * low:.0f} to {100 * high:.0f} %" if known(low) and known(high) else UNKNOWN
