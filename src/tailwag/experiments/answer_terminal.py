"""How every answer stands on a terminal: sentences first, then what was assumed, then small tables within 100 columns; plain ASCII."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, Group, RenderableType
    from rich.table import Table
    from rich.text import Text

WIDTH, WIDEST = 100, 120
"""Columns where nobody looks, and at most on a terminal."""
LONGEST = 400
_PLAIN = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u2014": "-", "\u00b1": "+/-", "\u2265": ">=", "\u2264": "<=", "\u2026": "...", "\u00d7": "x"}
)


def fold(text: Any) -> str:
    """Text that any terminal can show and none can be misled by: no control characters, no letters beyond ASCII.

    >>> fold("\\u22121.5 %\\x1b[31m"), fold("caf\\u00e9")
    ('-1.5 %[31m', 'caf\\\\xe9')
    """
    shown = "".join(letter for letter in str(text).translate(_PLAIN) if letter.isprintable())
    return shown[:LONGEST].encode("ascii", "backslashreplace").decode()


def folded(text: Any, style: str = "") -> Text:
    """The same as rich draws it."""
    from rich.text import Text

    return Text(fold(text), style=style)


def console_on(file: IO[str] | None, *, width: int | None = None, widest: int = WIDEST) -> Console:
    """The console on ``file`` (standard output if None): as wide as a terminal up to ``widest`` columns, 100 where nobody looks."""
    from rich.console import Console

    console = Console(file=file, highlight=False, markup=False, emoji=False)
    console.width = width or (min(console.width, widest) if console.is_terminal else WIDTH)
    return console


def print_answer(headline: Iterable[str], notes: Iterable[str], tables: Iterable[RenderableType], *, file: IO[str] | None = None) -> None:
    """Print an answer on ``file`` (standard output if None): as wide as a terminal up to 120 columns, 100 where nobody looks."""
    console = console_on(file)
    for sentence in headline:
        console.print(folded(sentence))
    console.print(folded(""))
    for note in notes:
        console.print(folded(note, "dim"))
    console.print(folded(""))
    for table in tables:
        console.print(table)


def small_table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]], *, text: Sequence[int] = (0,)) -> Group | None:
    """A table under its title, the columns ``text`` to the left and numbers to the right; None where it has no row."""
    from rich.console import Group

    return Group(folded(title, "bold"), grid(head, rows, text=text), folded("")) if rows else None


def grid(head: Sequence[str], rows: Sequence[Sequence[Any]], *, text: Sequence[int] = (0,)) -> Table:
    """The table alone, the columns ``text`` to the left and numbers to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for place, name in enumerate(head):
        # folded, never cropped: half a number is a wrong number
        table.add_column(fold(name), justify="left" if place in text else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(folded, row))
    return table
