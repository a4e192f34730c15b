"""The picture of a case: price over the signs of the published rules, and below it the gain under each rule, with the expiries as lines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.experiments.report_card import tone_colour
from tailwag.experiments.study.case_sentences import rows_of, rules_of, when
from tailwag.figures.cards import drawable, picture_png
from tailwag.figures.numbers import percent, price
from tailwag.figures.palette import Palette, palette
from tailwag.figures.policies import rule_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Document = Mapping[str, Any]
WIDTH_PX, HEIGHT_PX = 1000, 640
SIGNS = {"amplifying": "amplifying", "damping": "damping", "undetermined": "undetermined: the published rules differ"}
LEAST_LABELLED = 0.10
"""Expiries of less gross gamma have a line and no words."""


def case_png(document: Document) -> bytes:
    """A PNG of 1000 x 640."""
    size = (WIDTH_PX, HEIGHT_PX)
    return picture_png(lambda figure: _draw(figure, document), size_px=size, metadata={"Software": None})


def _draw(figure: Figure, document: Document) -> None:
    colours = palette("light")
    title = f"{document['currency']}, {when(document['from'])} to {when(document['to'])} UTC: what was measured, beside the price"
    figure.text(0.075, 0.965, drawable(title, most=90), fontsize=13, weight="bold", color=colours.ink, va="center")
    above = figure.add_axes((0.075, 0.50, 0.90, 0.385))
    below = figure.add_axes((0.075, 0.085, 0.90, 0.30), sharex=above)
    _price(above, document, colours)
    _gains(below, document, colours)
    for axes in (above, below):
        _dress(axes, document, colours)


def moment64(text: str) -> Any:
    """A UTC time for an axis."""
    return np.datetime64(datetime.fromisoformat(text).replace(tzinfo=None))


def spans(document: Document) -> list[tuple[str, str, str]]:
    """(from, to, sign) of each snapshot: from when it was known until the next one was, the last until the end."""
    shots = document["snapshots"]
    ends = [*(one["known"] for one in shots[1:]), document["to"]]
    return [(one["known"], end, one["sign"]) for one, end in zip(shots, ends, strict=True)]


def _price(axes: Axes, document: Document, colours: Palette) -> None:
    told = document["price"]
    closes = np.array([np.nan if close is None else close / 1000.0 for close in told["close_usd"]])
    axes.plot([moment64(end) for end in told["end"]], closes, color=colours.ink, linewidth=1.6)
    seen = set()
    for start, end, sign in spans(document):
        paint = tone_colour(sign, colours)
        label = None if sign in seen else SIGNS[sign]
        seen.add(sign)
        axes.axvspan(moment64(start), moment64(end), color=paint, alpha=0.13, linewidth=0, label=label)
    axes.set_title("price, thousand USD", fontsize=10, color=colours.muted, loc="left")
    _legend(axes, colours, anchor=(1.0, 1.02))
    for one in document["expiries"]:
        if (one["share_of_gross_gamma"] or 0.0) >= LEAST_LABELLED:
            _label(axes, one, document, colours)


def _label(axes: Axes, one: Document, document: Document, colours: Palette) -> None:
    """Words at an expiry's line, where the price that follows is not."""
    words = (
        f"{percent(one['share_of_gross_gamma'], decimals=0)} of gamma expires,\nmost open interest at {price(one['largest_strike_usd'])}"
    )
    start, whole = moment64(one["expiry"]), moment64(document["to"]) - moment64(document["from"])
    near = [
        close
        for end, close in zip(document["price"]["end"], document["price"]["close_usd"])
        if close is not None and start <= moment64(end) <= start + whole / 5
    ]
    low, high = document["price"]["low_usd"], document["price"]["high_usd"]
    above = bool(near) and min(near) < low + 0.25 * (high - low)
    box = {"facecolor": colours.surface, "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
    place: dict[str, Any] = {"ha": "left", "va": "top" if above else "bottom", "transform": axes.get_xaxis_transform(), "bbox": box}
    axes.text(start, 0.97 if above else 0.03, words, fontsize=8.5, color=colours.runaway, **place)


def _gains(axes: Axes, document: Document, colours: Palette) -> None:
    paints = rule_colours(colours)
    at = [moment64(one["known"]) for one in document["snapshots"]]
    for place, rule in enumerate(rules_of(document)):
        rows, paint = rows_of(document, rule), paints[place % len(paints)]
        gains = np.array([np.nan if row["gain"] is None else row["gain"] for row in rows])
        last = moment64(document["to"])
        axes.step([*at, last], [*gains, gains[-1]], where="post", color=paint, linewidth=1.6, label=rule)
        axes.plot(at, gains, "o", color=paint, markersize=3.5)
        low = np.array([np.nan if row["gain_low"] is None else row["gain_low"] for row in rows])
        high = np.array([np.nan if row["gain_high"] is None else row["gain_high"] for row in rows])
        if np.isfinite(low).any():
            axes.fill_between(at, low, high, step="post", color=paint, alpha=0.15, linewidth=0)
    axes.axhline(0.0, color=colours.ink, linewidth=1.0)
    axes.set_title("gain: above 0 amplifies, below damps; 1 runs away", fontsize=10, color=colours.muted, loc="left")
    _legend(axes, colours, anchor=(1.0, 1.02))


def _legend(axes: Axes, colours: Palette, *, anchor: tuple[float, float]) -> None:
    axes.legend(
        loc="lower right",
        bbox_to_anchor=anchor,
        ncols=3,
        frameon=False,
        fontsize=9,
        labelcolor=colours.ink,
        borderaxespad=0.0,
        handlelength=1.3,
    )


def _dress(axes: Axes, document: Document, colours: Palette) -> None:
    import matplotlib.dates as dates

    for one in document["expiries"]:
        axes.axvline(
            moment64(one["expiry"]), color=colours.runaway, linewidth=0.6 + 6.0 * (one["share_of_gross_gamma"] or 0.0), linestyle="--"
        )
    axes.set_xlim(moment64(document["from"]), moment64(document["to"]))
    axes.set_facecolor(colours.surface)
    axes.grid(color=colours.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, colors=colours.muted, length=0)
    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=4, maxticks=9))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(dates.DateFormatter("%d %b\n%H:%M"))  # type: ignore[no-untyped-call]
    for spine in axes.spines.values():
        spine.set_visible(False)
