"""A study in the terminal: the answer first, every hypothesis in sentences, then short tables of all that the document holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from tailwag.experiments.answer_terminal import console_on, folded, grid
from tailwag.experiments.study import report_tables as tables
from tailwag.experiments.study.report_sentences import (
    assumed_sentences,
    came,
    flow_depth_sentence,
    forecast_sentences,
    headline,
    placebo_sentence,
    placebo_warning,
    secondary_sentence,
    seen,
    unanswered_sentence,
)
from tailwag.experiments.study.report_view import Document, number, p_value

__all__ = ["number", "p_value", "print_study", "study_sentences"]
Table = tuple[str, Sequence[str], list[list[str]]]


def study_sentences(document: Document) -> list[str]:
    """The answer first, then each hypothesis, then what it rests on."""
    said = [f"{headline(document)}.", placebo_warning(document), secondary_sentence(document), unanswered_sentence(document)]
    for entry in document["hypotheses"]:
        said += [f"{entry['name']}: {came(document, entry)}", seen(entry)]
    for rank, line in enumerate(forecast_sentences(document)):
        said.append(line if rank else f"out-of-sample: {line}")
    return [*filter(None, (*said, flow_depth_sentence(document))), *assumed_sentences(document)]


def study_tables(document: Document) -> Iterator[Table]:
    """Title, heads and rows of every table that the document has something for."""
    if len(document["hypotheses"]) > 2:
        yield "Every hypothesis", _SHORT, [[row[place] for place in _SHORT_OF] for row in tables.hypothesis_cells(document)]
    else:
        yield from (_coefficients(entry) for entry in document["hypotheses"])
    if document.get("rejected"):
        yield "Holm at 5 % over the secondary hypotheses", ("hypothesis", "p", "rejected"), _holm(document["rejected"])
    others = [[entry["name"], *row[:4]] for entry in document["hypotheses"] for row in tables.other_cells(document, entry)]
    yield "Under other assumptions; coefficients of a gain scale with depth", ("hypothesis", *tables.OTHERS[:4]), others
    if document.get("out_of_sample") and not document["out_of_sample"]["refused"]:
        yield "Out of sample: QLIKE loss by forecast, lower is better", _LOSSES, [row[:8] for row in tables.forecast_cells(document)]
    yield from _identified(document.get("identification") or {})
    if document.get("replication"):
        yield "The primary question from one snapshot to the next", tables.REPLICATIONS, tables.replication_cells(document)


_SHORT = ("hypothesis", "estimate", "95 %", "p", "decision", "seen in 4 of 5", "rows")
_SHORT_OF = (0, 1, 3, 5, 6, 7, 9)
_LOSSES = ("assumed", "R2", "p", "with", "without", "sigma/(1-G)", "implied vol", "past vol")


def _coefficients(entry: Document) -> Table:
    heads = ("coefficient", "estimate", "error", "95 %", "bootstrap", "p", "seen in 4 of 5")
    return f"{entry['name']}: {entry['hypothesis']}", heads, [tables.coefficient_cells(one["name"], one) for one in entry["estimates"]]


def _holm(told: Document) -> list[list[str]]:
    names = sorted(told["secondary"], key=lambda name: (told["p_values"][name], name))
    return [[name, tables.p_cell(told["p_values"][name]), "yes" if told["secondary"][name] else "no"] for name in names]


def _identified(told: Document) -> Iterator[Table]:
    if not told or told["refused"]:
        return
    yield "The sign of each part: 1 hedgers short all of it, -1 long all of it", tables.SIGNS, tables.sign_cells(told)
    rows = tables.contrast_cells(told)
    yield "Sums of signs, by how much the data say of them", tables.contrast_heads(told)[:6], [row[:6] for row in rows]


def _notes(document: Document) -> Iterator[str]:
    """What stands under the tables: placebos, what was left out, and what could not be had."""
    for entry in document["hypotheses"]:
        yield placebo_sentence(entry)
        yield _left_out(entry)
    told = document.get("identification") or {}
    yield f"Signs: {told['refused']}" if told.get("refused") else ""
    yield from (f"Replication, {one['currency']}: {one['refused']}" for one in document.get("replication") or [] if one["refused"])
    yield from tables.not_had(document)


def _left_out(entry: Document) -> str:
    told = [f"{reason}: {count:,}" for reason, count in entry["left_out"].items() if count]
    return f"Left out of {entry['name']}, by reason: {'; '.join(told)}." if told else ""


def print_study(document: Document, *, file: IO[str] | None = None) -> None:
    """Print a study on ``file`` (standard output if None)."""
    console = console_on(file)
    for place, line in enumerate(study_sentences(document)):
        console.print(folded(line, "bold" if place == 0 else ""))
    for title, heads, rows in study_tables(document):
        if not rows:
            continue
        console.print(folded(""))
        console.print(folded(title, "bold"))
        console.print(grid(heads, rows))
    console.print(folded(""))
    for line in filter(None, _notes(document)):
        console.print(folded(line, "dim"))
