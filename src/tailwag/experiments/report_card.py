"""The card for chat: one PNG that answers the question, with its assumptions printed on it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Protocol

from tailwag.experiments.report_view import Answer, Document, FlowCell, Tile, answer, coins, column, part, records
from tailwag.figures.cards import LEFT, RIGHT, answer_lines, drawable, foot_pair, picture_png, product_name, text_lines
from tailwag.figures.numbers import MINUS, money
from tailwag.figures.palette import Palette, Theme, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MIDDLE = 0.445


class Headed(Protocol):
    """What the head of any card needs: a title, a headline, its regime, and whether the data are synthetic or degraded."""

    @property
    def title(self) -> str: ...

    @property
    def headline(self) -> str: ...

    @property
    def regime(self) -> str: ...

    @property
    def synthetic(self) -> bool: ...

    @property
    def degraded(self) -> tuple[str, ...]: ...


def report_card(document: Document, *, theme: Theme = "light") -> bytes:
    """A 1200 x 675 PNG: headline, regime, gain, flip, flows, the profile over spot, exposure by strike, and what was assumed.

    >>> report_card({})[:4]
    b'\\x89PNG'
    """
    return picture_png(lambda figure: _draw(figure, document, theme), theme=theme)


def _draw(figure: Figure, document: Document, theme: Theme) -> None:
    from tailwag.figures.pictures import draw_profile, draw_strikes

    first, colours = answer(document), palette(theme)
    bottom = card_head(figure, first, colours)
    _tiles(figure, first, colours, top=bottom)
    _flows(figure, first, document, colours)
    _foot(figure, first, document, colours)
    rows = records(document, "profile")
    zones = [zone for zone in part(document, "gain").get("runaway_zones_usd") or [] if isinstance(zone, list | tuple) and len(zone) == 2]
    upper = figure.add_axes((_MIDDLE + 0.055, 0.40, 0.475, bottom - 0.445))
    draw_profile(
        upper,
        column(rows, "spot_usd"),
        column(rows, "gex_usd_per_pct"),
        spot_usd=document.get("spot_usd"),
        flips_usd=[row.get("spot_usd") for row in records(document, "levels", "flips")],
        runaway_zones_usd=zones,
        theme=theme,
    )
    _title(figure, "Exposure at every price: above 0 damps, below 0 amplifies", bottom - 0.030, colours)
    strikes = records(document, "exposure", "by_strike")
    lower = figure.add_axes((_MIDDLE + 0.055, 0.145, 0.475, 0.175))
    names = ("strike_usd", "call_gex_usd_per_pct", "put_gex_usd_per_pct")
    draw_strikes(lower, *(column(strikes, name) for name in names), spot_usd=document.get("spot_usd"), theme=theme)
    _title(figure, "Exposure by strike", 0.338, colours)


def tone_colour(tone: str, colours: Palette) -> str:
    """The colour of a regime or of a tile."""
    tones = {"damping": colours.damping, "amplifying": colours.amplifying, "runaway": colours.runaway}
    undetermined = "#5b4a9c" if colours.surface == palette("light").surface else "#b3a1f2"
    return {**tones, "undetermined": undetermined}.get(tone, colours.ink)


def _title(figure: Figure, text: str, height: float, colours: Palette) -> None:
    figure.text(_MIDDLE + 0.055, height, text, fontsize=10, weight="bold", color=colours.ink, va="center")


def card_head(figure: Figure, first: Headed, colours: Palette) -> float:
    """Title line, labels, badge and headline; gives back where the space below them begins."""
    tone = tone_colour(first.regime, colours)
    figure.text(LEFT, 0.955, drawable(first.title, most=80), fontsize=11.5, color=colours.muted, va="center")
    labels = [("SYNTHETIC", tone_colour("undetermined", colours))] if first.synthetic else []
    labels += [("DEGRADED DATA", colours.amplifying)] if first.degraded else []
    at = RIGHT
    product_name(figure, colours, height=0.955)
    for text, colour in labels:
        at -= 0.082 + 0.0005 * len(text)
        box = {"facecolor": colour, "edgecolor": "none", "boxstyle": "round,pad=0.3"}
        figure.text(at, 0.955, text, fontsize=9, weight="bold", color=colours.surface, ha="right", va="center", bbox=box)
        at -= 0.006 * len(text) - 0.06
    return answer_lines(figure, first.headline[:1].upper() + first.headline[1:], tone) - 0.012


def _tiles(figure: Figure, first: Answer, colours: Palette, *, top: float) -> None:
    for rank, tile in enumerate(first.tiles):
        card_tile(figure, tile, colours, left=LEFT + (rank % 2) * 0.225, top=top - 0.02 - (rank // 2) * 0.162)


def card_tile(figure: Figure, tile: Tile, colours: Palette, *, left: float, top: float) -> None:
    """One number with its label above and what it means below."""
    size = 17 if len(tile.value) <= 13 else 13.5
    figure.text(left, top, drawable(tile.label, most=30), fontsize=9.5, color=colours.muted, va="center")
    figure.text(
        left, top - 0.042, drawable(tile.value, most=24), fontsize=size, weight="bold", color=tone_colour(tile.tone, colours), va="center"
    )
    lines = textwrap.wrap(drawable(tile.detail, most=200), width=36, max_lines=2, placeholder="…")
    text_lines(figure, lines, at=(left, top - 0.080), step=0.026, size=8.6, colour=colours.muted)


def _flows(figure: Figure, first: Answer, document: Document, colours: Palette) -> None:
    head = drawable(f"Dealers must trade at once, under {first.flows_rule}", most=58)
    figure.text(LEFT, 0.405, head, fontsize=10, weight="bold", color=colours.ink, va="center")
    for rank, cell in enumerate(first.flows):
        _flow(figure, cell, document, colours, height=0.362 - 0.0415 * rank)


def _flow(figure: Figure, cell: FlowCell, document: Document, colours: Palette, *, height: float) -> None:
    colour = {"buy": colours.buy, "sell": colours.sell}.get(cell.side, colours.muted)
    words = {"buy": "BUY", "sell": "SELL", "none": "nothing", "unknown": "unknown"}[cell.side]
    amount = money(abs(cell.buy_usd)) if cell.buy_usd is not None else "n/a"
    coin = drawable(coins(abs(cell.buy_coin), document.get("currency")), most=13) if cell.buy_coin is not None else ""
    spot = f"spot {'+' if cell.move_pct > 0 else MINUS}{abs(cell.move_pct):g} %"
    for left, text, align, weight, paint in (
        (LEFT, spot, "left", "normal", colours.ink),
        (LEFT + 0.115, words, "left", "bold", colour),
        (LEFT + 0.255, amount, "right", "bold", colour),
        (LEFT + 0.375, coin, "right", "normal", colours.muted),
    ):
        figure.text(left, height, text, fontsize=11.5, color=paint, ha=align, weight=weight, va="center")


def _foot(figure: Figure, first: Answer, document: Document, colours: Palette) -> None:
    taken = "Assumed: " + "; ".join(f"{name} {value}" for name, value in first.assumptions)
    source = part(document, "source")
    digest = str(source.get("sha256") or "")[:12]
    where = f"Source: {source.get('name') or 'unknown'}" + (f" (sha256 {digest})" if digest else "") + ". " + " ".join(first.degraded)
    foot_pair(figure, taken, where, colours)
