"""Replays of one history beside the matrix: what each mitigation would have changed, without an error and so without a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tailwag.experiments.run_report_words import percent
from tailwag.experiments.scenario_sentences import estimate_words
from tailwag.sim.dynamics import Replay

if TYPE_CHECKING:
    from tailwag.experiments.scenario_files import ScenarioFile
    from tailwag.experiments.scenario_matrix_twins import Twin

Document = dict[str, Any]
SAME = "0, to the bit"
HEADS = ["switch", "change", "of the base", "what it costs, and whom"]
MOST_NAMED = 6


def is_history(file: ScenarioFile) -> bool:
    """Whether a scenario replays one history: every path of it would be the same, so one is run."""
    return isinstance(file.scenario.price, Replay)


def history_cell(row: Mapping[str, Any], outcome: str, twin: Twin, sought: frozenset[str]) -> Document:
    """One switch in one history: the outcome with it and without, what the accounts of that one path lose, and no verdict.

    ``row``: the comparison; ``sought``: accounts that mitigations are against, whose loss is no cost.
    """
    one = next(entry for entry in row["outcomes"] if entry["outcome"] == outcome)
    base, change = one["base"]["value"], one["difference"]["value"]
    return {
        "asked": twin.asked,
        "row": twin.row,
        "switch": twin.chosen.label,
        **{key: one[key] for key in ("outcome", "words", "unit", "base", "switched", "difference", "paths_that_differ")},
        "relative": {"value": change / abs(base), "standard_error": None} if base else None,
        "costs": list(_costs(row["outcomes"], sought)),
    }


def _costs(rows: Sequence[Mapping[str, Any]], sought: frozenset[str]) -> Iterator[Document]:
    """Costs that rise and accounts that earn less on this path, the largest loss first."""
    told = [
        row
        for row in rows
        if row["verdict"] in ("lower", "higher")
        and row["outcome"] not in sought
        and (
            row["difference"]["value"] > 0.0
            if row["more_is"] == "cost"
            else row["outcome"].startswith("pnl:") and row["verdict"] == "lower"
        )
    ]
    for row in sorted(told, key=lambda row: (not row["outcome"].startswith("pnl:"), row["difference"]["value"])):
        yield {key: row[key] for key in ("outcome", "words", "unit", "base", "difference")}


def history_sentences(document: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each history: its outcome, and the switches that change it most."""
    for row in document["histories"]:
        moved = sorted((cell for cell in row["cells"] if cell["paths_that_differ"]), key=lambda cell: -abs(cell["difference"]["value"]))
        told = ", ".join(f"{cell['row']} {_change(cell)}" for cell in moved[:MOST_NAMED]) or "no switch changes it"
        rest = f" and {len(moved) - MOST_NAMED} more" if len(moved) > MOST_NAMED else ""
        yield f"{row['name']}, one history and so no errors and no verdicts: {row['words']} {estimate_words(row, row['base'])}; {told}{rest}."


def _change(cell: Mapping[str, Any]) -> str:
    return estimate_words(cell, cell["difference"], signed=True)


def history_rows(row: Mapping[str, Any]) -> list[list[str]]:
    """One row for each switch of a history, in the order of ``HEADS``, the largest change first."""
    cells = sorted(row["cells"], key=lambda cell: -abs(cell["difference"]["value"]))
    return [
        [
            cell["row"],
            _change(cell) if cell["paths_that_differ"] else SAME,
            "0 %" if not cell["paths_that_differ"] else "n/a" if cell["relative"] is None else percent(cell["relative"], signed=True),
            "; ".join(f"{one['words']} {_change(one)}" for one in cell["costs"][:3]) or "nothing that the accounts show",
        ]
        for cell in cells
    ]


def history_title(row: Mapping[str, Any]) -> str:
    """What a history's table is headed with."""
    return f"One history: {row['name']}, {row['words']} {estimate_words(row, row['base'])}"
