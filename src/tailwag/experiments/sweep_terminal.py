"""What ``tailwag sweep`` prints: the answer in sentences, then one figure over the axes of the picture as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from tailwag.experiments.report_terminal import WIDTH, fold
from tailwag.experiments.sweep_page import caption, sentence_of
from tailwag.experiments.sweep_sentences import shown_setting
from tailwag.experiments.sweep_slice import Slice, cell_text, title_of

MOST_COLUMNS, MOST_ROWS = 9, 40


def print_sweep(document: Mapping[str, Any], found: Slice, *, file: IO[str] | None = None) -> None:
    """Print the summary of a sweep on ``file`` (standard output if None)."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=file, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, 120) if console.is_terminal else WIDTH
    for sentence in document["headline"]:
        console.print(Text(fold(sentence)))
    console.print(Text(""))
    console.print(Text(fold(sentence_of(caption(found))), style="bold"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    head, rows = _cells(found)
    for place, name in enumerate(head):
        table.add_column(fold(name), justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(fold(cell)) for cell in row))
    console.print(table)
    for line in _left_out(found):
        console.print(Text(line, style="dim"))
    console.print(Text(""))


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
    return [fold(line) for line in said]
