"""The card of a simulated run for chat: one PNG with the answer, the fan of prices, four numbers and what was assumed."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from tailwag.experiments.report_card import card_head, card_tile
from tailwag.experiments.report_view import Document, part
from tailwag.experiments.run_report_view import RunAnswer, metrics_of, run_answer
from tailwag.figures.cards import LEFT, drawable, picture_png
from tailwag.figures.palette import Palette, Theme, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FAN_LEFT = 0.30
_TILE_STEP = 0.158


def run_card(document: Document, *, theme: Theme = "light") -> bytes:
    """A 1200 x 675 PNG of a run's document: headline, four numbers, the fan with and without hedging, assumptions.

    >>> run_card({})[:4]
    b'\\x89PNG'
    """
    return picture_png(lambda figure: _draw(figure, document, theme), theme=theme)


def _draw(figure: Figure, document: Document, theme: Theme) -> None:
    from tailwag.figures.fan_picture import draw_fan

    first, colours = run_answer(document), palette(theme)
    top = card_head(figure, first, colours)
    for rank, tile in enumerate(first.tiles):
        card_tile(figure, tile, colours, left=LEFT, top=top - 0.035 - rank * _TILE_STEP)
    fan = part(document, "metrics", "fan")
    axes = figure.add_axes((_FAN_LEFT + 0.055, 0.165, 0.62, top - 0.235))
    draw_fan(
        axes,
        fan.get("hours") or [],
        fan.get("quantiles") or [],
        fan.get("hedged_usd") or [],
        fan.get("fundamental_usd") or [],
        spot_usd=metrics_of(document).get("spot_usd"),
        theme=theme,
    )
    _foot(figure, first, colours)


def _foot(figure: Figure, first: RunAnswer, colours: Palette) -> None:
    taken = "Assumed: " + "; ".join(f"{name} {value}" for name, value in first.assumptions)
    lines = [(line, colours.amplifying) for text in first.doubts for line in _wrapped(text)]
    lines += [(line, colours.muted) for line in _wrapped(taken)]
    for rank, (line, colour) in enumerate(lines[:4]):
        figure.text(LEFT, 0.092 - 0.0225 * rank, line, fontsize=8.2, color=colour, va="center")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(drawable(text, most=330), width=168, max_lines=2, placeholder="…")
