"""A played scenario over several assets as a card for chat: one PNG with what hedging does to every vol, through whom, and what switches change."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tailwag.experiments.scenario_assets_view import (
    answer_of,
    correlation_changes,
    crossing,
    gain_grid,
    pushes,
    switched,
    told_switches,
    vol_changes,
)
from tailwag.figures.cards import (
    ANSWER_STEP,
    QUESTION_STEP,
    RIGHT,
    drawable,
    foot_lines,
    named_head,
    part_title,
    picture_png,
    question_and_answer,
)
from tailwag.figures.palette import Theme, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tailwag.figures.palette import Palette

Document = dict[str, Any]
MIDDLE = 0.36
ACROSS = 44
LOWEST_WORD = 0.125
MOST_PANELS, MOST_SWITCHES, MOST_ROWS, MOST_CHANGES = 3, 9, 6, 3
LETTERS = 75
"""Letters that fit above all panels side by side."""


def assets_card(document: Document, *, theme: Theme = "light") -> bytes:
    """A 1200 x 675 PNG: with switches what each changes in vol and correlation, without them both before and after, and whose hedge moves what."""
    return picture_png(lambda figure: _draw(figure, document, theme), theme=theme)


def _draw(figure: Figure, document: Document, theme: Theme) -> None:
    colours = palette(theme)
    top = _head(figure, document, colours)
    _words(figure, document, colours, top=top)
    if document["comparisons"]:
        _switches(figure, document, theme, top=top)
    else:
        _changes(figure, document, theme, top=top)
        _gains(figure, document, theme)
    _foot(figure, document, colours)


def _head(figure: Figure, document: Document, colours: Palette) -> float:
    title = f"scenario {document['scenario']['name']}: {document['scenario']['sentence']}"
    return named_head(figure, colours, title=title, answer=answer_of(document)) - 0.035


def _words(figure: Figure, document: Document, colours: Palette, *, top: float) -> None:
    height = top
    for title, body in _asked(document):
        lines = textwrap.wrap(drawable(body, most=420), width=ACROSS, max_lines=7, placeholder=" …")
        if height - QUESTION_STEP - ANSWER_STEP * (len(lines) - 1) < LOWEST_WORD:
            return
        height = question_and_answer(figure, title, lines, colours, top=height)


def _asked(document: Document) -> Iterator[tuple[str, str]]:
    if document["scenario"]["question"]:
        yield "Asked", document["scenario"]["question"]
    yield "Through which link", crossing(document)
    yield "Pushed", pushes(document)
    for line in list(told_switches(document))[:2]:
        title, _, body = line.partition(": ")
        yield f"With {title}" if not title.startswith("without") else title.capitalize(), body
    if not document["comparisons"]:
        yield "Not told", "who earns what: options earn no time value here, so that only differences between runs say something of profit"


def _changes(figure: Figure, document: Document, theme: Theme, *, top: float) -> None:
    from tailwag.figures.before_after import draw_before_and_after

    part_title(figure, "Without hedging (hollow) and with it (full), same shocks", palette(theme), at=(MIDDLE, top))
    vols, pairs = vol_changes(document), correlation_changes(document)
    axes = figure.add_axes((0.475, 0.535, 0.205, top - 0.575))
    kept = slice(0, MOST_CHANGES)
    draw_before_and_after(
        axes, _drawn(vols.labels), vols.before[kept], vols.after[kept], vols.text[kept], axis_title="realised vol a year, %", theme=theme
    )
    if pairs.labels:
        axes = figure.add_axes((0.845, 0.535, 0.127, top - 0.575))
        draw_before_and_after(
            axes, _drawn(pairs.labels), pairs.before[kept], pairs.after[kept], pairs.text[kept], axis_title="correlation", theme=theme
        )


def _drawn(labels: tuple[str, ...]) -> list[str]:
    return [drawable(label, most=24) for label in labels[:MOST_CHANGES]]


def _gains(figure: Figure, document: Document, theme: Theme) -> None:
    from tailwag.figures.effects import draw_effects

    grid = gain_grid(document)
    part_title(figure, "A move of 1 %: how far, in %, whose hedges move which price", palette(theme), at=(MIDDLE, 0.425))
    axes = figure.add_axes((0.575, 0.155, 0.397, 0.205))
    kept = slice(0, MOST_ROWS)
    columns = [drawable(name, most=24).replace(" ", "\n", 1) for name in grid.columns]
    draw_effects(axes, [drawable(name, most=34) for name in grid.rows[kept]], columns, grid.shades[kept], grid.text[kept], theme=theme)


def _switches(figure: Figure, document: Document, theme: Theme, *, top: float) -> None:
    from tailwag.figures.stories import draw_differences

    found, kept = switched(document)[:MOST_PANELS], slice(0, MOST_SWITCHES)
    part_title(figure, "What each switch changes, on the same shocks", palette(theme), at=(MIDDLE, top))
    paint: dict[str, Any] = {"color": palette(theme).ink, "bbox": {"facecolor": palette(theme).surface, "edgecolor": "none", "pad": 0.6}}
    first, wide, apart = 0.575, RIGHT - 0.575, 0.022
    for place, one in enumerate(found):
        width = (wide - apart * (len(found) - 1)) / len(found)
        axes = figure.add_axes((first + place * (width + apart), 0.19, width, top - 0.275))
        labels = [drawable(label, most=34) for label in one.labels[kept]]
        draw_differences(axes, labels, one.values[kept], one.errors[kept], one.verdicts[kept], axis_title=one.axis, theme=theme)
        axes.set_title(drawable(one.title, most=LETTERS // len(found)), fontsize=9.5, color=palette(theme).ink)
        axes.margins(x=0.18)
        axes.locator_params(axis="x", nbins=3)
        for row, (value, said) in enumerate(zip(one.values[kept], one.text[kept])):
            axes.annotate(said, (value, row), (0, 13), textcoords="offset points", fontsize=9, ha="center", va="center", **paint)
        if place:
            axes.set_yticklabels([])


def _foot(figure: Figure, document: Document, colours: Palette) -> None:
    marks = "Dots: mean difference, bars two standard errors; blue lowers, yellow raises. " if document["comparisons"] else ""
    sources = "; ".join(row["figure"] for row in document["scenario"]["sources"])
    assumed = f"Assumed: {sources}. " if sources else ""
    foot_lines(figure, f"{marks}{assumed}{document['paths']:,} paths, seed {document['seed']}.", colours)
