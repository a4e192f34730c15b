"""The console loop that every simulated answer shares: sentences first, then what was assumed, then small tables within 100 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING

from tailwag.experiments.report_terminal import WIDTH, fold

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

WIDEST = 120


def print_answer(headline: Iterable[str], notes: Iterable[str], tables: Iterable[RenderableType], *, file: IO[str] | None = None) -> None:
    """Print an answer on ``file`` (standard output if None): as wide as a terminal up to 120 columns, 100 where nobody looks."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=file, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDEST) if console.is_terminal else WIDTH
    for sentence in headline:
        console.print(Text(fold(sentence)))
    console.print(Text(""))
    for note in notes:
        console.print(Text(fold(note), style="dim"))
    console.print(Text(""))
    for table in tables:
        console.print(table)


def small_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, text: tuple[int, ...] = (0,)) -> Group | None:
    """A table under its title, the columns ``text`` to the left and numbers to the right; None where it has no row."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for place, name in enumerate(head):
        table.add_column(fold(name), justify="left" if place in text else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(fold(cell)) for cell in row))
    return Group(Text(fold(title), style="bold"), table, Text(""))
