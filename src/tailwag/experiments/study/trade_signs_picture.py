"""The picture of signed trades: when flow's sign is not the naive rule's, and how much of that wrong sides would leave."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.cards import drawable, picture_png
from tailwag.figures.palette import Palette, palette
from tailwag.figures.policies import rule_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Document = Mapping[str, Any]
WIDTH_PX, HEIGHT_PX = 1000, 620
LONGEST_NAME = 26


def trade_signs_png(document: Document) -> bytes:
    """A PNG of 1000 x 620: share of gamma with the other sign over time above, and over the share of trades with the other side below."""
    size = (WIDTH_PX, HEIGHT_PX)
    return picture_png(lambda figure: _draw(figure, document), size_px=size, metadata={"Software": None})


def _draw(figure: Figure, document: Document) -> None:
    colours = palette("light")
    rule = document["files"][0]["rules"][0]["rule"]
    figure.text(
        0.06,
        0.965,
        drawable(f"Where dealers' sign from trades is not that of {rule}", most=90),
        fontsize=13,
        weight="bold",
        color=colours.ink,
        va="center",
    )
    over_time = figure.add_axes((0.06, 0.55, 0.915, 0.34))
    wrong, legend = figure.add_axes((0.06, 0.085, 0.50, 0.325)), figure.add_axes((0.60, 0.085, 0.375, 0.325))
    _over_time(over_time, document, colours)
    _wrong(wrong, document, colours)
    _legend(legend, document, colours)


def _over_time(axes: Axes, document: Document, colours: Palette) -> None:
    for place, file in enumerate(document["files"]):
        days = [np.datetime64(datetime.fromisoformat(end).replace(tzinfo=None)) for end in file["days"]["end"]]
        shares = np.array([np.nan if share is None else 100.0 * share for share in file["days"]["differs_by_gamma"]])
        single = {"marker": "o", "markersize": 5} if np.isfinite(shares).sum() == 1 else {}
        axes.plot(days, shares, linewidth=1.5, **_stroke(place, colours), **single)  # type: ignore[arg-type]
    _dress(axes, "share of gamma at each day's end, %", colours)


def _wrong(axes: Axes, document: Document, colours: Palette) -> None:
    for place, file in enumerate(document["files"]):
        known = [one for one in file["wrong_sides"] if one["differs"] is not None]
        at, stroke = [100.0 * one["share"] for one in known], _stroke(place, colours)
        axes.plot(at, [100.0 * one["differs"] for one in known], linewidth=1.7, **stroke)
        axes.fill_between(
            at,
            [100.0 * one["low"] for one in known],
            [100.0 * one["high"] for one in known],
            color=stroke["color"],
            alpha=0.10,
            linewidth=0,
        )
    _dress(axes, "share of gamma over all days, %", colours)
    axes.set_xlabel("share of trades whose customer is the maker, %", fontsize=9.5, color=colours.muted)
    axes.set_xlim(0.0, 50.0)


def _dress(axes: Axes, title: str, colours: Palette) -> None:
    axes.set_facecolor(colours.surface)
    axes.set_title(title, fontsize=10, color=colours.muted, loc="left")
    axes.axhline(50.0, color=colours.ink, linewidth=1.0, linestyle=":")
    axes.set_ylim(-2.0, 102.0)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.grid(color=colours.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, colors=colours.muted, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend(axes: Axes, document: Document, colours: Palette) -> None:
    """A line for each file: its name, share over all days, and what it could be whoever took."""
    axes.set_axis_off()
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.0)
    for column, words in ((0.68, "of gamma"), (1.0, "whoever took")):
        axes.text(column, 1.03, words, fontsize=9, color=colours.muted, ha="right", va="center")
    step = min(0.135, 0.95 / len(document["files"]))
    for place, file in enumerate(document["files"]):
        height, gamma = 0.90 - step * place, file["rules"][0]["differs"]["gamma"]
        axes.plot([0.0, 0.05], [height, height], linewidth=2.2, **_stroke(place, colours))
        name = drawable(file["name"].rsplit(".", 1)[0], most=LONGEST_NAME)
        axes.text(0.07, height, name, fontsize=9, color=colours.ink, va="center")
        if gamma["share"] is None:
            continue
        axes.text(0.68, height, f"{100 * gamma['share']:.0f} %", fontsize=9, color=colours.ink, va="center", ha="right")
        reach = f"{100 * gamma['at_least']:.0f} to {100 * gamma['at_most']:.0f} %"
        axes.text(1.0, height, reach, fontsize=9, color=colours.ink, va="center", ha="right")
    axes.text(0.0, -0.12, "dotted: half, as signs drawn by chance would give", fontsize=8.5, color=colours.muted, va="center")


def _stroke(place: int, colours: Palette) -> dict[str, Any]:
    """A file's colour; dashed where the colours begin again."""
    paints = rule_colours(colours)
    return {"color": paints[place % len(paints)], "linestyle": "-" if place < len(paints) else "--"}
