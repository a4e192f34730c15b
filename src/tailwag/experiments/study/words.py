"""A study in sentences and one table: what was asked, what came, what could have been seen, and how placebos did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from tailwag.experiments.report_terminal import WIDTH, fold
from tailwag.figures.numbers import MINUS

Document = Mapping[str, Any]
PRIMARY = "reversal"


def study_sentences(document: Document) -> list[str]:
    """The answer first, then what it rests on."""
    said = [sentence(entry) for entry in document["hypotheses"]]
    told = document["assumptions"]
    said.append(
        f"Assumed: {told['rule']}, {told['dynamics']}, USD {told['depth_usd_per_pct']:,.0f} moves the price 1 %. "
        f"{document['history']['rows']:,} snapshots of {document['currency']}, {document['candles']['candles']:,} candles of {document['candles']['name']}."
    )
    said.append(f"Plan, version {document['plan']['version']}: SHA-256 {document['plan']['sha256']}.")
    return said


def sentence(entry: Document) -> str:
    """One hypothesis: rejected or not, its estimate, and what could have been seen."""
    if not entry["estimates"]:
        return f"{entry['name']}: no estimate: {entry['refused']}"
    one = entry["estimates"][0]
    decision = "no effect is rejected at 5 %" if decided(entry) else "no effect cannot be rejected at 5 %"
    return (
        f"{entry['name']}: {decision}. {one['name']}: {number(one['value'])}, 95 % interval {number(one['low'])} to {number(one['high'])}"
        f"{_blocks(one)}, p {p_value(one['p_value'])}, from {one['rows']:,} rows in {one['blocks']} blocks of days; predicted {entry['predicted']:g}. "
        f"An effect of {number(one['seen_at'])} would have been seen in four of five such samples."
    )


def decided(entry: Document) -> bool:
    """Before the correction for several hypotheses: the primary by both intervals, pinning by its sign flips, the others by their p-value."""
    one = entry["estimates"][0]
    return bool(one["rejects_zero"]) if entry["name"] == PRIMARY else bool(one["p_value"] < 0.05)


def _blocks(one: Document) -> str:
    return "" if one["block_low"] is None else f" (bootstrap {number(one['block_low'])} to {number(one['block_high'])})"


def number(value: float) -> str:
    """Three significant digits with a true minus.

    >>> number(-0.01234), number(1.0)
    ('−0.0123', '1.00')
    """
    return f"{value:#.3g}".replace("-", MINUS)


def p_value(value: float) -> str:
    """A p-value to three digits, and never 0.

    >>> p_value(0.0), p_value(0.0421)
    ('below 0.0001', '0.0421')
    """
    return "below 0.0001" if value < 1e-4 else f"{value:.3g}"


def placebo_sentence(entry: Document) -> str:
    """How far out the true figure lies among its placebos; empty without any."""
    told = [f"{one['name']} {100 * one['share_as_far']:.3g} % of {one['placebos']:,}" for one in entry["placebos"]]
    return f"Placebos as far from 0 as {entry['name']}: {', '.join(told)}." if told else ""


def print_study(document: Document, *, file: IO[str] | None = None) -> None:
    """Print a study on ``file`` (standard output if None)."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=file, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, 120) if console.is_terminal else WIDTH
    for line in study_sentences(document):
        console.print(Text(fold(line)))
    for entry in document["hypotheses"]:
        console.print(Text(""))
        console.print(Text(fold(f"{entry['name']}: {entry['hypothesis']}"), style="bold"))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
        for place, head in enumerate(("coefficient", "estimate", "error", "95 %", "p")):
            table.add_column(head, justify="left" if place == 0 else "right", overflow="fold")
        for one in entry["estimates"]:
            reach = f"{number(one['low'])} to {number(one['high'])}"
            table.add_row(
                *(fold(cell) for cell in (one["name"], number(one["value"]), number(one["error"]), reach, p_value(one["p_value"])))
            )
        console.print(table)
        for line in filter(None, (placebo_sentence(entry), _without_implied(entry), _left_out(entry))):
            console.print(Text(fold(line), style="dim"))


def _without_implied(entry: Document) -> str:
    other = entry.get("without_implied_vol")
    if not other or not other["estimates"]:
        return ""
    one = other["estimates"][0]
    return f"Without implied vol among the controls: {number(one['value'])}, 95 % interval {number(one['low'])} to {number(one['high'])}."


def _left_out(entry: Document) -> str:
    told = [f"{reason} {count:,}" for reason, count in entry["left_out"].items() if count]
    return f"Left out: {', '.join(told)}." if told else ""
