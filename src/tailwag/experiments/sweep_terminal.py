"""What ``tailwag sweep`` prints: the answer in sentences, then one figure over the axes of the picture as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from tailwag.experiments.answer_terminal import console_on, folded, grid
from tailwag.experiments.sweep_page import caption, sentence_of
from tailwag.experiments.sweep_sentences import shown_setting
from tailwag.experiments.sweep_slice import Slice, cell_text, title_of

MOST_COLUMNS, MOST_ROWS = 9, 40


def print_sweep(document: Mapping[str, Any], found: Slice, *, file: IO[str] | None = None) -> None:
    """Print the summary of a sweep on ``file`` (standard output if None)."""
    console = console_on(file)
    for sentence in document["headline"]:
        console.print(folded(sentence))
    console.print(folded(""))
    console.print(folded(sentence_of(caption(found)), "bold"))
    console.print(grid(*_cells(found)))
    for line in _left_out(found):
        console.print(folded(line, "dim"))
    console.print(folded(""))


def _cells(found: Slice) -> tuple[list[str], list[list[str]]]:
    """The heads and rows of the table: one axis runs down; two span it, the first across."""
    down = range(min(len(found.x_values), MOST_ROWS))
    if found.y is None:
        return [title_of(found.x), found.value], [[shown_setting(found.x_values[row]), cell_text(found, 0, row)] for row in down]
    across = range(min(len(found.y_values), MOST_COLUMNS))
    head = [title_of(found.x), *(shown_setting(found.y_values[column]) for column in across)]
    return head, [[shown_setting(found.x_values[row]), *(cell_text(found, column, row) for column in across)] for row in down]


def _left_out(found: Slice) -> list[str]:
    """Which axis runs across, and what the table had no room for."""
    said = [] if found.y is None else [f"Across: {title_of(found.y)}."]
    if len(found.x_values) > MOST_ROWS or (found.y and len(found.y_values) > MOST_COLUMNS):
        said.append("The table is cut; sweep.parquet and phase.html have all points.")
    return said
