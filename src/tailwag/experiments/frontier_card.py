"""The frontier as one picture: cost against risk of every rule, with feedback and without, and what each adds to market vol."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from tailwag.experiments.frontier_terminal import assumed
from tailwag.figures.cards import LEFT, part_title, picture_png, text_lines
from tailwag.figures.numbers import MINUS, money
from tailwag.figures.palette import Theme, palette
from tailwag.figures.policies import rule_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Document = dict[str, Any]
WIDTH_PX, HEIGHT_PX = 1200, 760
MOST_ROWS, MOST_NOTES = 10, 7


def frontier_card(document: Document, *, theme: Theme = "light") -> bytes:
    """A 1200 x 760 PNG of one comparison, its assumptions printed on it."""
    return picture_png(lambda figure: _draw(figure, document, theme), size_px=(WIDTH_PX, HEIGHT_PX), theme=theme)


def _draw(figure: Figure, document: Document, theme: Theme) -> None:
    from tailwag.figures.policies import draw_frontier

    rows = document["policies"]
    _head(figure, document, theme)
    axes = figure.add_axes((0.065, 0.255, 0.515, 0.510))
    pairs = {
        world: tuple([row[world][key]["value"] for row in rows] for key in ("cost_usd", "risk_usd")) for world in ("alone", "together")
    }
    errors = tuple([row["together"][key]["standard_error"] for row in rows] for key in ("cost_usd", "risk_usd"))
    draw_frontier(
        axes,
        (pairs["alone"][0], pairs["alone"][1]),
        (pairs["together"][0], pairs["together"][1]),
        errors=(errors[0], errors[1]),
        theme=theme,
    )
    _beside(figure, document, theme)
    _foot(figure, document, theme)


def _head(figure: Figure, document: Document, theme: Theme) -> None:
    colours = palette(theme)
    figure.text(LEFT, 0.962, f"tailwag hedge: {_plain(document['source']['name'], 60)}", fontsize=11, color=colours.muted, va="center")
    lines = textwrap.wrap(_plain(document["headline"][0], 400), width=104)[:3]
    for place, line in enumerate(lines):
        figure.text(LEFT, 0.920 - 0.034 * place, line, fontsize=13, weight="bold", color=colours.ink, va="center")


def _beside(figure: Figure, document: Document, theme: Theme) -> None:
    """Names in the colours of the points, with what the picture shows and what each rule adds to market vol."""
    colours, left = palette(theme), 0.612
    paints = rule_colours(colours)
    part_title(figure, "With everybody's hedging moving the price", colours, at=(left, 0.800))
    heads = (("cost", 0.220), ("risk", 0.270), ("vol,\na step", 0.325), ("vol,\nthe run", 0.380))
    for name, across in heads:
        figure.text(left + across, 0.765, name, fontsize=8.6, color=colours.muted, ha="right", va="center")
    rows = document["policies"]
    for place, row in enumerate(rows[:MOST_ROWS]):
        height, found = 0.733 - 0.036 * place, row["together"]
        figure.text(left - 0.003, height, "●", fontsize=11, color=paints[place % len(paints)], va="center")
        figure.text(left + 0.014, height, _plain(row["policy"], 27), fontsize=9, color=colours.ink, va="center")
        cells = (
            money(found["cost_usd"]["value"]),
            money(found["risk_usd"]["value"]),
            *map(_percent, ("amplification", "amplification_horizon"), (found, found)),
        )
        for cell, (_, across) in zip(cells, heads, strict=True):
            figure.text(left + across, height, cell, fontsize=9, color=colours.ink, ha="right", va="center")
    if len(rows) > MOST_ROWS:
        figure.text(left, 0.733 - 0.036 * MOST_ROWS, f"and {len(rows) - MOST_ROWS} more", fontsize=9, color=colours.muted, va="center")


def _percent(name: str, found: Document) -> str:
    value = found[name]["value"]
    return "n/a" if value is None else f"{100.0 * (value - 1.0) + 0.0:+.1f} %"


def _foot(figure: Figure, document: Document, theme: Theme) -> None:
    lines = [line for note in assumed(document) for line in textwrap.wrap(_plain(note, 320), width=175)]
    shown = lines if len(lines) <= MOST_NOTES else [*lines[: MOST_NOTES - 1], f"{lines[MOST_NOTES - 1]} …"]
    text_lines(figure, shown, at=(LEFT, 0.172), step=0.0245, size=8.4, colour=palette(theme).muted)


def _plain(text: Any, most: int) -> str:
    """Text that the picture's font can draw, of bounded length."""
    shown = "".join(
        letter if letter.isprintable() and (ord(letter) < 0x180 or letter == MINUS) else "?" for letter in str(text).replace("+-", "±")
    )
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
