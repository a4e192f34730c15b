"""The same number without and with something: a hollow mark, a full one, and the way between them; and prices that moved with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, nothing, numbers
from tailwag.figures.labels import inert
from tailwag.figures.numbers import money_scale
from tailwag.figures.palette import Palette, Theme, palette
from tailwag.figures.policies import rule_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from plotly.graph_objects import Figure

ROW_PX = 56
LONGEST_NAME = 60


def before_and_after(
    label: Sequence[str], before: Any, after: Any, text: Sequence[str], *, axis_title: str, theme: Theme = "light"
) -> Figure:
    """Each number without (hollow) and with (full), the change drawn between them, its words above.

    Shapes: all (rows,); a row that is not known is not drawn.  Units: those of ``axis_title``.

    >>> before_and_after(["BTC"], [55.0], [67.0], ["55 to 67"], axis_title="vol, %").layout.annotations[0].text
    '<b>BTC</b>: 55 to 67'
    """
    colours = palette(theme)
    start, end = numbers(before), numbers(after)
    if not (np.isfinite(start) & np.isfinite(end)).any():
        return nothing("Nothing is known.", colours)
    paints = [_paint(a, b, colours) for a, b in zip(start, end)]
    rows = list(range(len(label)))
    ways = [
        {"type": "scatter", "mode": "lines", "x": [a, b], "y": [row, row], "line": {"color": paint, "width": 4}, "hoverinfo": "skip"}
        for row, a, b, paint in zip(rows, start, end, paints)
    ]
    hollow = {"symbol": "circle-open", "size": 12, "color": colours.muted, "line": {"width": 2}}
    marks = [
        {"type": "scatter", "mode": "markers", "x": values, "y": rows, "marker": marker, "hoverinfo": "skip"}
        for values, marker in ((start, hollow), (end, {"size": 13, "color": paints}))
    ]
    shared = {"x": 0, "xref": "paper", "xanchor": "left", "yanchor": "bottom", "showarrow": False, "align": "left"}
    words = [f"<b>{inert(name, most=LONGEST_NAME)}</b>: {inert(said, most=LONGEST_NAME)}" for name, said in zip(label, text)]
    notes = [{**shared, "y": row - 0.36, "text": said, "font": {"size": 12.5, "color": colours.ink}} for row, said in enumerate(words)]
    return canvas(
        [*ways, *marks],
        colours,
        height=84 + ROW_PX * len(label),
        annotations=notes,
        showlegend=False,
        margin={"l": 14, "r": 18, "t": 8, "b": 52},
        xaxis=axis(axis_title, colours, nticks=6, zeroline=False),
        yaxis=axis("", colours, showticklabels=False, range=[len(label) - 0.6, -0.9], showgrid=False, zeroline=False),
    )


def _paint(before: float, after: float, colours: Palette) -> str:
    """Grey where nothing changes."""
    return colours.muted if before == after else colours.amplifying if after > before else colours.damping


def draw_before_and_after(
    axes: Axes, label: Sequence[str], before: Any, after: Any, text: Sequence[str], *, axis_title: str, theme: Theme = "light"
) -> None:
    """The same on matplotlib axes: names at the left, the change in words above its way."""
    colours = palette(theme)
    start, end = numbers(before), numbers(after)
    axes.set_facecolor(colours.surface)
    for row, (a, b, said) in enumerate(zip(start, end, text)):
        paint = _paint(a, b, colours)
        axes.plot([a, b], [row, row], color=paint, linewidth=3.0, zorder=2)
        axes.plot([a], [row], marker="o", markersize=8, color=colours.surface, markeredgecolor=colours.muted, markeredgewidth=1.6, zorder=3)
        axes.plot([b], [row], marker="o", markersize=8.5, color=paint, zorder=4)
        middle = ((a + b) / 2.0, row)
        axes.annotate(said, middle, (0, 11), textcoords="offset points", fontsize=9.5, color=colours.ink, ha="center", va="center")
    axes.set_yticks(range(len(label)), [str(name)[:LONGEST_NAME] for name in label])
    axes.set_ylim(len(label) - 0.5, -0.75)
    axes.margins(x=0.35)  # words are wider than a short way
    axes.locator_params(axis="x", nbins=5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(colours.grid)
    axes.grid(True, axis="x", color=colours.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=colours.muted, labelsize=9.5, length=0)
    for tick in axes.get_yticklabels():
        tick.set_color(colours.ink)
    axes.set_xlabel(axis_title, fontsize=9.5, color=colours.muted)


def moves_through(
    hours: Any, moves: Mapping[str, Any], alone: Mapping[str, Any], bought_usd: Mapping[str, Any], *, theme: Theme = "light"
) -> Figure:
    """One path of several assets: each one's move since the start, dashed with nobody hedging, and below what was bought of what by then.

    Shapes: ``hours`` and every line (times,); ``moves`` and ``alone`` by asset.  Units: hours, per cent, USD; + bought, - sold.

    >>> [one.name for one in moves_through([0, 1], {"BTC": [0, 1]}, {"BTC": [0, 0.5]}, {"desk: BTC": [0, 2e6]}).data]
    ['BTC', 'BTC with nobody hedging', 'desk: BTC']
    """
    colours, at = palette(theme), numbers(hours)
    if at.size < 2:
        return nothing("No path is known.", colours)
    paints, lines = rule_colours(colours), {name: numbers(values) for name, values in bought_usd.items()}
    divisor, unit = money_scale(*lines.values()) if lines else (1.0, "$")
    traces = []
    for place, name in enumerate(moves):
        paint, said = paints[place % len(paints)], inert(name, most=LONGEST_NAME)
        for values, dash, named in ((moves[name], "solid", said), (alone[name], "dot", f"{said} with nobody hedging")):
            line = {"color": paint, "width": 1.8, "dash": dash}
            traces.append({"type": "scatter", "mode": "lines", "x": at, "y": numbers(values), "yaxis": "y2", "name": named, "line": line})
    for place, (name, values) in enumerate(lines.items(), start=len(moves)):
        line = {"color": paints[place % len(paints)], "width": 1.8}
        said = inert(name, most=LONGEST_NAME)
        traces.append({"type": "scatter", "mode": "lines", "x": at, "y": values / divisor, "yaxis": "y", "name": said, "line": line})
    return canvas(
        traces,
        colours,
        height=520,
        xaxis=axis("hours from the start", colours, zeroline=False),
        yaxis=axis(f"bought so far, {unit}", colours, domain=[0.0, 0.42], nticks=5),
        yaxis2=axis("move since the start, %", colours, domain=[0.5, 1.0], nticks=6, anchor="x"),
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
    )
