"""A played scenario as a page and a card need it: the differences by the story's own outcome, in one unit, and short tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.experiments.run_report_words import percent
from tailwag.experiments.scenario_sentences import answer_row, estimate_words, plain_number, verdict_for
from tailwag.figures.numbers import money_scale
from tailwag.sim.metrics_sentences import span
from tailwag.sim.state import Outcome

Document = dict[str, Any]
ENDS = {Outcome.RUNAWAY: "ran away", Outcome.DEPTH_EXHAUSTED: "exhausted the depth", Outcome.HALTED: "was halted"}


@dataclass(frozen=True, slots=True)
class Differences:
    """The differences of one kind of switches in the story's own outcome, largest first, in the unit of ``axis``."""

    title: str
    axis: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    errors: tuple[float, ...]
    verdicts: tuple[str, ...]


def difference_series(document: Document, kind: str) -> Differences:
    """Every switch of a kind ("mitigation" or "link") with its difference from the base in the outcome that the story asks for."""
    name = document["story"]["answer"]
    rows = [(row["switch"], _of(row, name)) for row in document["comparisons"] if row["kind"] == kind]
    found = sorted(((label, one) for label, one in rows if one is not None), key=lambda pair: float(pair[1]["difference"]["value"]))
    scale, unit = _scale(document, [one for _, one in found])
    words = answer_row(document)["words"]
    return Differences(
        title=f"{words[:1].upper()}{words[1:]}",
        axis=f"difference from the base, {unit}",
        labels=tuple(label for label, _ in found),
        values=tuple(one["difference"]["value"] / scale for _, one in found),
        errors=tuple((one["difference"]["standard_error"] or 0.0) / scale for _, one in found),
        verdicts=tuple("link" if kind == "link" else verdict_for(document, one) for _, one in found),
    )


def _scale(document: Document, rows: list[Document]) -> tuple[float, str]:
    if answer_row(document)["unit"] != "usd":
        return 0.01, "percentage points"
    return money_scale(np.array([row["difference"]["value"] for row in rows] or [0.0]))


def _of(row: Document, name: str) -> Document | None:
    return next((one for one in row["outcomes"] if one["outcome"] == name), None)


def summary_heads(document: Document) -> list[str]:
    """Columns of the short table: the story's outcome, then what a switch costs."""
    return ["switch", answer_row(document)["words"], "z", "verdict", "mis-hedge", "halted", "profit", "options not written"]


def summary_cells(document: Document, kind: str) -> list[list[str]]:
    """One row for each switch of a kind, in the order of ``summary_heads``."""
    return [_summary(document, row) for row in document["comparisons"] if row["kind"] == kind]


def _summary(document: Document, row: Document) -> list[str]:
    one = _of(row, document["story"]["answer"])
    profit = [part for part in row["outcomes"] if part["outcome"].startswith("pnl:") and not part["outcome"].endswith("providers")]
    cut = row["options_not_written"]
    return [
        row["switch"],
        "n/a" if one is None else estimate_words(one, one["difference"], signed=True),
        "n/a" if one is None else plain_number(one["z"]),
        "n/a" if one is None else verdict_for(document, one),
        _change(row, "mishedge_usd"),
        _change(row, "halted"),
        "; ".join(f"{part['outcome'][4:]} {estimate_words(part, part['difference'], signed=True)}" for part in profit) or "n/a",
        percent({"value": cut}) if cut else "0 %",
    ]


def _change(row: Document, name: str) -> str:
    found = _of(row, name)
    return "n/a" if found is None else estimate_words(found, found["difference"], signed=True)


def outcome_cells(document: Document) -> list[list[str]]:
    """Every outcome of the base, and of a pin what it is with nobody trading."""
    rows = []
    for row in document["outcomes"]:
        alone = document["alone"].get(row["outcome"])
        rows.append([row["words"], estimate_words(row) + ("" if alone is None else f" ({percent(alone)} with nobody trading)")])
    return rows


def shown_title(document: Document, path: Document) -> str:
    """Which path a figure shows, and how it ended."""
    if document["paths"] == 1:
        return "The one history"
    ended = ENDS.get(Outcome(path["outcome"]))
    end = "" if ended is None else f", which {ended} after {span(path['hours'][-1])}"
    return f"The {path['which']} path by distance from fundamental (path {path['path'] + 1:,}){end}"
