"""The card of the daily note: one PNG in the style of the report's card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tailwag.experiments.report_card import card_head, card_tile
from tailwag.experiments.report_view import Tile
from tailwag.figures.canvas import numbers
from tailwag.figures.cards import LEFT, drawable, foot_pair, picture_png
from tailwag.figures.numbers import gain_text, money, price
from tailwag.figures.palette import Palette, Theme, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MIDDLE = 0.50


@dataclass(frozen=True, slots=True)
class _Head:
    title: str
    headline: str
    regime: str
    synthetic: bool
    degraded: tuple[str, ...]


def note_card(note: Mapping[str, Any], *, theme: Theme = "light") -> bytes:
    """A 1200 x 675 PNG of a daily note: regime, gain, flips, what the expiry removed, the next expiry, before and after.

    >>> note_card({})[:4]
    b'\\x89PNG'
    """
    return picture_png(lambda figure: _draw(figure, note, theme), theme=theme)


def _draw(figure: Figure, note: Mapping[str, Any], theme: Theme) -> None:
    from tailwag.figures.pictures import draw_profile

    colours = palette(theme)
    bottom = card_head(figure, _head(note), colours)
    for rank, tile in enumerate(note.get("tiles", ())):
        card_tile(figure, Tile(**tile), colours, left=LEFT + (rank % 2) * 0.235, top=bottom - 0.03 - (rank // 2) * 0.185)
    _changes(figure, note, colours)
    _foot(figure, note, colours)
    profile = note.get("profile") or {"spot_usd": [], "gex_usd_per_pct": []}
    axes = figure.add_axes((_MIDDLE + 0.055, 0.175, 0.42, bottom - 0.235))
    draw_profile(
        axes,
        numbers(profile["spot_usd"]),
        numbers(profile["gex_usd_per_pct"]),
        spot_usd=note.get("spot_usd"),
        flips_usd=list(note.get("flips_usd", ())),
        runaway_zones_usd=[],
        theme=theme,
    )
    told = "Exposure at every price: above 0 damps, below 0 amplifies"
    figure.text(_MIDDLE + 0.055, bottom - 0.032, told, fontsize=10, weight="bold", color=colours.ink, va="center")


def _head(note: Mapping[str, Any]) -> _Head:
    headline = str(note.get("headline") or "Nothing could be measured.")
    title = str(note.get("title") or "Daily note")
    return _Head(title, headline, str(note.get("regime") or "unknown"), note.get("synthetic") is True, tuple(note.get("degraded") or ()))


def _changes(figure: Figure, note: Mapping[str, Any], colours: Palette) -> None:
    """Before and after the expiry, side by side."""
    before, after = note.get("before") or {}, note.get("after") or {}
    rows = [("", "before 08:00", "now")]
    rows += [
        ("regime", str(before.get("regime") or "n/a"), str(after.get("regime") or "n/a")),
        ("loop gain", gain_text(before.get("gain")), gain_text(after.get("gain"))),
        ("net GEX per 1 %", money(before.get("gex_usd_per_pct"), signed=True), money(after.get("gex_usd_per_pct"), signed=True)),
        ("nearest flip", price(before.get("nearest_flip_usd")), price(after.get("nearest_flip_usd"))),
        ("spot", price(before.get("spot_usd")), price(after.get("spot_usd"))),
    ]
    for rank, (label, was, now) in enumerate(rows):
        height = 0.402 - 0.0435 * rank
        weight = "bold" if rank == 0 else "normal"
        figure.text(LEFT, height, label, fontsize=11, color=colours.muted, va="center")
        figure.text(LEFT + 0.30, height, drawable(was, most=16), fontsize=11, color=colours.muted, ha="right", va="center", weight=weight)
        figure.text(LEFT + 0.44, height, drawable(now, most=16), fontsize=11, color=colours.ink, ha="right", va="center", weight="bold")


def _foot(figure: Figure, note: Mapping[str, Any], colours: Palette) -> None:
    taken = "Assumed: " + "; ".join(f"{name} {value}" for name, value in note.get("assumptions", ()))
    where = f"Source: {note.get('source') or 'unknown'}. " + " ".join(note.get("degraded") or ())
    foot_pair(figure, taken, where, colours)
