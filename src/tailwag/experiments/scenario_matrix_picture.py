"""The matrix of mitigations as a card for chat and as one page that opens offline."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from tailwag.experiments.report_figures import Block, Section
from tailwag.experiments.report_page import page_html, section_html
from tailwag.experiments.report_tables import safe, table
from tailwag.experiments.scenario_matrix_history import HEADS as HISTORY_HEADS
from tailwag.experiments.scenario_matrix_history import history_rows, history_title
from tailwag.experiments.scenario_matrix_words import HEADS, MARK, cell_words, cells_of, counted, matrix_command, not_applied
from tailwag.figures.cards import HEIGHT_PX, LEFT, drawable, fitted, picture_png, product_name, text_lines
from tailwag.figures.effects import NOT_HERE, effects_map, shade
from tailwag.figures.numbers import MINUS, money
from tailwag.figures.palette import Theme, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tailwag.figures.palette import Palette

Document = dict[str, Any]
SHORT = {
    "liquidated_usd": "liquidated",
    "squeezed_usd": "squeeze earns",
    "arbitrage_kept_usd": "arbitrage keeps",
    "largest_fall": "deepest fall",
    "largest_excess": "largest push",
    "at_strike": "pinned",
    "stopped": "depth gone",
    "largest_step_usd": "largest flow",
    "hedge_cost_usd": "cost of hedging",
    "realised_vol": "vol",
}
FOOT = 0.085
LINE = 0.0178
"""Height of a line of a column's name, as a share of the card's."""
LETTERS = 11
"""Most letters of one line above a column."""
TIMES = 9.995
"""From this many times the base on a change is told as a multiple: 12 times, not +1,100 %."""


@dataclass(frozen=True, slots=True)
class Map:
    """The matrix as it is drawn: rows that apply somewhere, columns, shades (None: does not apply) and the numbers in the cells."""

    switches: tuple[str, ...]
    scenarios: tuple[str, ...]
    shades: tuple[tuple[float | None, ...], ...]
    text: tuple[tuple[str, ...], ...]


def matrix_map(document: Document) -> Map:
    """Rows and columns of the picture; switches that apply nowhere have no row, and histories, which have no verdicts, are pale."""
    once = [{**cell, "scenario": row["name"], "effect": "nothing"} for row in document["histories"] for cell in row["cells"]]
    cells = {(cell["row"], cell["scenario"]): cell for cell in (*document["cells"], *once)}
    switches = tuple(row["switch"] for row in document["switches"] if any(key[0] == row["switch"] for key in cells))
    scenarios = tuple(row["name"] for row in columns_of(document))
    grid = [[cells.get((switch, scenario)) for scenario in scenarios] for switch in switches]
    return Map(
        switches,
        scenarios,
        tuple(tuple(None if cell is None else shade(_relative(cell), cell["effect"]) for cell in row) for row in grid),
        tuple(tuple(NOT_HERE if cell is None else cell_text(cell) for cell in row) for row in grid),
    )


def columns_of(document: Document) -> list[Document]:
    """Scenarios, then histories."""
    return [*document["scenarios"], *document["histories"]]


def _relative(cell: Document) -> float | None:
    return None if cell["relative"] is None else float(cell["relative"]["value"])


def cell_text(cell: Document) -> str:
    """A cell's change in per cent of the base (in points, pt, or dollars where that is 0), "0" where every path is the same, a dagger where it would not stay.

    >>> cell_text({"paths_that_differ": 9, "relative": {"value": -0.123}, "effect": "helps", "stays": True})
    '−12 %'
    >>> cell_text({"paths_that_differ": 9, "relative": {"value": 11.6}, "effect": "harms", "stays": True})
    '×13'
    """
    if cell["paths_that_differ"] == 0:
        return "0"
    mark = MARK if cell["effect"] != "nothing" and not cell["stays"] else ""
    change = _relative(cell)
    if change is None:
        return f"{_from_nothing(cell)}{mark}"
    if change >= TIMES:
        return f"×{1.0 + change:,.0f}{mark}"
    return f"{_signed(100.0 * change)} %{mark}"


def _from_nothing(cell: Document) -> str:
    """A change from a base of 0: dollars as dollars, shares and logs in points."""
    change = float(cell["difference"]["value"])
    if cell["unit"] == "usd":
        return f"{MINUS if change < 0 else '+'}{money(abs(change))}"
    return f"{_signed(100.0 * change)} pt"


def _signed(change: float) -> str:
    size = abs(change)
    digits = f"{size:,.0f}" if size >= 9.95 else f"{size:.1f}" if size >= 0.05 else "0.0"
    return digits if size < 0.05 else f"{MINUS if change < 0 else '+'}{digits}"


def matrix_card(document: Document, *, theme: Theme = "light") -> bytes:
    """A 1200 x 675 PNG: every mitigation against every scenario, its change of the scenario's own harm in per cent of the base."""
    return picture_png(lambda figure: _draw(figure, document, theme), theme=theme)


def _draw(figure: Figure, document: Document, theme: Theme) -> None:
    from tailwag.figures.effects import draw_effects

    colours = palette(theme)
    top = _head(figure, document, colours)
    found = matrix_map(document)
    outcome = {row["name"]: SHORT.get(row["outcome"], _few_words(row["words"])) for row in columns_of(document)}
    columns = [f"{_broken(drawable(name, most=40))}\n{_broken(f'({outcome[name]})')}" for name in found.scenarios]
    lines = max((column.count("\n") + 1 for column in columns), default=1)
    axes = figure.add_axes((0.155, FOOT, 0.835, top - FOOT - LINE * lines - 0.012))
    draw_effects(axes, [drawable(name, most=30) for name in found.switches], columns, found.shades, found.text, theme=theme)
    _foot(figure, document, colours)


def _few_words(words: str) -> str:
    """An outcome that has no short name: its first words."""
    return textwrap.shorten(words.partition(",")[0].partition(":")[0], width=24, placeholder="")


def _broken(name: str) -> str:
    """A name over as many lines as a narrow column needs, broken at blanks and behind hyphens.

    >>> _broken("portfolio-insurance-1987").split()
    ['portfolio-', 'insurance-', '1987']
    """
    lines = [""]
    for word in name.replace("-", "- ").split(" "):
        apart = "" if lines[-1].endswith("-") or not lines[-1] else " "
        if lines[-1] and len(lines[-1] + apart + word) > LETTERS:
            lines.append(word)
        else:
            lines[-1] += apart + word
    return "\n".join(lines)


def _head(figure: Figure, document: Document, colours: Palette) -> float:
    figure.text(
        LEFT,
        0.966,
        "what helps, what does nothing, what harms: the same shocks with and without",
        fontsize=10,
        color=colours.muted,
        va="center",
    )
    product_name(figure, colours, height=0.966)
    lines, size = fitted(drawable(document["headline"][0], most=190))
    step = min(size, 13.0) * 1.34 / HEIGHT_PX * 100 / 72
    for rank, line in enumerate(lines):
        figure.text(LEFT, 0.938 - step * (rank + 0.5), line, fontsize=min(size, 13.0), weight="bold", color=colours.ink, va="center")
    return 0.938 - step * len(lines)


def _foot(figure: Figure, document: Document, colours: Palette) -> None:
    once = "".join(f"; {row['name']} is one history: no errors, no verdicts" for row in document["histories"])
    key = (
        "Change of the outcome in brackets, in % of its base: blue = less harm, orange = more, each beyond 3 standard errors; pale = nothing that can be seen; "
        f"0 = every path the same to the bit; {NOT_HERE} = does not apply{once}. {counted(document)}"
    )
    lines = textwrap.wrap(key, width=186, max_lines=3, placeholder=" …")
    text_lines(figure, lines, at=(LEFT, 0.060), step=0.0225, size=7.6, colour=colours.muted)


def matrix_html(document: Document) -> str:
    """One self-contained page: the picture, then every switch with a row for each scenario, and where it does not apply."""
    return page_html("What helps", _parts(document), styles=("report.css", "run_report.css"))


def _parts(document: Document) -> Iterator[str]:
    first, *rest = document["headline"]
    left_out = (f"Left out: {row['scenario']}: {row['reason']}" for row in document["left_out"])
    said = "".join(f"<li>{safe(line, most=1200)}</li>" for line in (*rest, *left_out))
    yield (
        f'<header><p class="where"><strong>tailwag</strong><span>{safe(matrix_command(document), most=300)}</span></p>'
        f'<div class="card answer plain"><h1>{safe(first, most=400)}</h1></div><div class="card"><ul class="notes">{said}</ul></div></header>'
    )
    found = matrix_map(document)
    reading = (
        "Change of the scenario's own outcome in % of its base, on the same shocks. Blue: less harm, orange: more, each beyond three standard errors; "
        f"pale: nothing that can be seen; 0: every path the same; {NOT_HERE}: does not apply."
    )
    figure = effects_map(found.switches, found.scenarios, found.shades, found.text)
    yield section_html(
        Section("effects", "What helps where?", (Block("effects-map", "Every mitigation, every scenario", reading, figure, 12),))
    )
    for row in document["histories"]:
        inside = table("One path, so no error and no verdict", HISTORY_HEADS, history_rows(row))
        yield (
            f'<section id="history-{escape(row["name"])}"><h2>{safe(history_title(row))}</h2><div class="grid">'
            f'<div class="card block span-12">{inside}</div></div></section>'
        )
    for row in document["switches"]:
        yield _switch(document, row)
    yield f"<footer><p>tailwag, schema {safe(document['schema'])}. Not investment advice.</p></footer>"


def _switch(document: Document, row: Document) -> str:
    cells = cells_of(document, row)
    told = [[*(part.replace("*", "") for part in cell_words(cell))] for cell in cells]
    inside = table(row["sentence"], HEADS, told) if told else f"<p>{safe(row['sentence'], most=400)}</p>"
    asks = [f"beside what accounts show: {row['asks']}"] if row["asks"] else []
    notes = "".join(f"<li>{safe(line, most=900)}</li>" for line in (*asks, *not_applied(document, row)))
    name = "".join(letter if letter.isalnum() else "-" for letter in row["switch"])
    return (
        f'<section id="switch-{escape(name)}"><h2>{safe(row["switch"])}</h2><div class="grid"><div class="card block span-12">{inside}'
        f"{f'<ul class=notes>{notes}</ul>' if notes else ''}</div></div></section>"
    )
