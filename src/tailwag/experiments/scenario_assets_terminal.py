"""What ``tailwag scenario run`` and ``compare`` print of a scenario over several assets."""

from __future__ import annotations

from typing import IO, Any

from tailwag.experiments.answer_terminal import print_answer, small_table
from tailwag.experiments.run_report_words import dollars
from tailwag.experiments.scenario_assets_play import percents, plain, points
from tailwag.experiments.scenario_terminal import DIFFERENCE_HEADS

Document = dict[str, Any]
WORDS = {
    "runaway": "paths that run away",
    "vol": "realised vol a year of",
    "vol_alone": "with nobody hedging, realised vol of",
    "correlation": "correlation of",
    "correlation_alone": "with nobody hedging, correlation of",
    "push": "largest push from fundamental of",
    "pnl": "profit of",
}


def print_assets(document: Document, *, file: IO[str] | None = None) -> None:
    """Print a played scenario over several assets: outcomes, and each switch against the base on the same seeds."""
    tables = [small_table("Outcomes", ["outcome", "mean"], outcome_cells(document))]
    for row in document["comparisons"]:
        rows = [difference_cells(one) for one in row["outcomes"] if one["verdict"] != "nothing"]
        tables.append(small_table(f"{row['switch']} against base, same seeds: {row['sentence']}", DIFFERENCE_HEADS, rows, text=(0, 5)))
    told = document["scenario"]
    sources = (f"{one['figure']}: {one['said']}" for one in told["sources"])
    notes = filter(None, [told["sentence"], told["question"], *sources, *document["notes"]])
    print_answer(document["headline"], notes, filter(None, tables), file=file)


def outcome_cells(document: Document) -> list[list[str]]:
    """Every outcome with its mean."""
    return [[_words(row["outcome"]), _said(row["outcome"], row)] for row in document["outcomes"]]


def _words(outcome: str) -> str:
    kind, _, of = outcome.partition(":")
    return " ".join(filter(None, [WORDS[kind], of.replace(",", " and ") if kind.startswith("correlation") else of]))


def _said(outcome: str, row: Document, *, signed: bool = False) -> str:
    kind = outcome.partition(":")[0]
    if kind == "pnl":
        return dollars(row, signed=True)
    if kind.startswith("correlation"):
        return plain(row, signed=signed)
    return points(row) if signed else percents(row)


def difference_cells(one: Document) -> list[str]:
    """One outcome of a comparison, in the order of ``DIFFERENCE_HEADS``."""
    said = [_said(one["outcome"], one[which], signed=which == "difference") for which in ("base", "switched", "difference")]
    return [_words(one["outcome"]), *said, "" if one["z"] is None else f"{one['z']:+.3g}", one["verdict"]]
