"""A study as a card for chat: one PNG with the answer, every estimate against its prediction, and what it rests on."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tailwag.experiments.study.report_figures import dot_colours, reach_of, shown_text
from tailwag.experiments.study.report_sentences import (
    asked,
    assumed_sentences,
    decided,
    figures,
    headline,
    placebo_sentence,
    placebo_warning,
    secondary_sentence,
    seen,
    unanswered_sentence,
)
from tailwag.experiments.study.report_view import Document, Interval, glance
from tailwag.figures.cards import LEFT, drawable, named_head, picture_png, text_lines
from tailwag.figures.palette import Palette, Theme, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE, RIGHT = 0.265, 0.735
BOTTOM, SPACE = 0.185, 0.105
"""Where the pictures end above the foot, and what an axis with its title needs."""
MOST_ROWS = 12
LINE = 0.03


def study_card(document: Document, *, theme: Theme = "light") -> bytes:
    """A 1200 x 675 PNG of a study: headline, intervals against the predictions, decisions, assumptions and the plan's name."""
    return picture_png(lambda figure: _draw(figure, document, theme), theme=theme, metadata={"Software": None})


def _draw(figure: Figure, document: Document, theme: Theme) -> None:
    colours = palette(theme)
    top = _head(figure, document, colours)
    below = _panels(figure, document, colours, top=top)
    _answers(figure, document, colours, top=below)
    _foot(figure, document, colours)


def _head(figure: Figure, document: Document, colours: Palette) -> float:
    title = f"study {document['study']}: {document['currency']}, {document['history']['rows']:,} snapshots, candles {document['candles']['name']}"
    top = named_head(figure, colours, title=title, answer=headline(document)) - 0.022
    more = " ".join(filter(None, (placebo_warning(document), secondary_sentence(document), unanswered_sentence(document))))
    for line in textwrap.wrap(drawable(more, most=320), width=150, max_lines=2, placeholder=" …"):
        figure.text(LEFT, top, line, fontsize=10, color=colours.ink, va="center")
        top -= 0.031
    return top - 0.012


def _panels(figure: Figure, document: Document, colours: Palette, *, top: float) -> float:
    """Rows with a predicted size above, those with a direction alone below, in units that are written under them; gives back where they end."""
    predicted, others = glance(document)
    panels = [
        (predicted[:MOST_ROWS], "share of the predicted effect (0 none, 1 as predicted)"),
        (others[:MOST_ROWS], "in units of the smallest effect that four of five samples show"),
    ]
    shown = [(rows, title) for rows, title in panels if rows]
    count = sum(len(rows) for rows, _ in shown)
    if not count:
        return top - 0.02
    step = min((top - BOTTOM - SPACE * len(shown) + 0.03) / count, 0.085)
    for rows, title in shown:
        height = step * len(rows)
        axes = figure.add_axes((PICTURE, top - height, RIGHT - PICTURE, height))
        draw_intervals(axes, rows, colours)
        axes.set_xlabel(title, fontsize=9, color=colours.muted, labelpad=3)
        for place, row in enumerate(rows):
            _words(figure, row, colours, height=top - step * (place + 0.5))
        top -= height + SPACE
    return top


def _answers(figure: Figure, document: Document, colours: Palette, *, top: float) -> None:
    """Questions and answers in whatever room a study of few hypotheses leaves."""
    for entry in document["hypotheses"]:
        parts = (decided(document, entry), figures(document, entry), seen(entry))
        lines = textwrap.wrap(drawable(" ".join(filter(None, parts)), most=900), width=150)
        if top - 0.034 - LINE * len(lines) < BOTTOM - 0.04:
            return
        figure.text(LEFT, top, drawable(asked(entry), most=140), fontsize=10.5, weight="bold", color=colours.ink, va="center")
        for rank, line in enumerate(lines):
            figure.text(LEFT, top - 0.034 - LINE * rank, line, fontsize=9.6, color=colours.ink, va="center")
        top -= 0.034 + LINE * len(lines) + 0.028


def _words(figure: Figure, row: Interval, colours: Palette, *, height: float) -> None:
    """A row's name at the left; its figure and what it amounts to at the right."""
    figure.text(LEFT, height, drawable(row.name, most=40), fontsize=10, color=colours.ink, va="center")
    figure.text(RIGHT + 0.012, height, drawable(shown_text(row), most=32), fontsize=9.5, color=colours.ink, va="center")
    told = "descriptive" if row.rejected is None else "shown" if row.rejected else "not shown"
    weight, paint = ("bold", colours.amplifying) if row.rejected else ("normal", colours.muted)
    figure.text(0.972, height, told, fontsize=9.5, weight=weight, color=paint, ha="right", va="center")


def draw_intervals(axes: Axes, rows: Sequence[Interval], colours: Palette) -> None:
    """Intervals row by row: thick over blocks, thin from the bootstrap, grey what cannot be seen, a diamond at the prediction."""
    reach = reach_of(rows)
    axes.set_facecolor(colours.surface)
    for place, row in enumerate(rows):
        unseen = min(row.seen_at, reach)
        axes.barh(place, 2 * unseen, left=-unseen, height=0.56, color=colours.grid, linewidth=0)
        _line(axes, (row.low, row.high), place - 0.06, reach, paint=colours.ink, width=3.0)
        if row.block is not None:
            _line(axes, row.block, place + 0.2, reach, paint=colours.call, width=1.4)
        if row.predicted is not None and abs(row.predicted) <= reach:
            axes.plot(
                [row.predicted], [place - 0.06], "D", markersize=9, markerfacecolor="none", color=colours.runaway, markeredgewidth=1.6
            )
        inside, edge = dot_colours(row.rejected, colours)
        axes.plot([row.value], [place - 0.06], "o", markersize=7.5, markerfacecolor=inside, markeredgecolor=edge, markeredgewidth=1.5)
    axes.axvline(0.0, color=colours.ink, linewidth=1.0)
    axes.set_xlim(-1.04 * reach, 1.04 * reach)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(True, axis="x", color=colours.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=colours.muted, labelsize=8.5, length=0, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _line(axes: Axes, ends: tuple[float, float], height: float, reach: float, *, paint: str, width: float) -> None:
    """An interval as far as the picture goes, with an arrow where it goes on."""
    low, high = max(ends[0], -reach), min(ends[1], reach)
    if low < high:
        axes.plot([low, high], [height, height], color=paint, linewidth=width, solid_capstyle="butt")
    for end, symbol in ((ends[0], "<"), (ends[1], ">")):
        if abs(end) > reach:
            axes.plot([reach if end > 0.0 else -reach], [height], symbol, color=paint, markersize=6)


def _foot(figure: Figure, document: Document, colours: Palette) -> None:
    marks = (
        "Orange: 0 is rejected as the plan asks; hollow: it is not; grey: descriptive. Thick: 95 %, jackknife over blocks of days; thin: bootstrap of them. Grey: effects too small to be "
        "seen in four of five samples. Diamond: predicted size. Forecast: Clark and West's adjusted difference."
    )
    placed = placebo_sentence(document["hypotheses"][0])
    texts = (marks, placed, " ".join(assumed_sentences(document)))
    lines = [line for text in texts for line in textwrap.wrap(drawable(text, most=420), width=172, max_lines=2, placeholder=" …")]
    text_lines(figure, lines[:5], at=(LEFT, 0.118), step=0.0245, size=8.2, colour=colours.muted)
