"""Who keeps what: bars of one length told apart by who gets which part, one bar for each way of doing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, nothing, numbers
from tailwag.figures.labels import inert
from tailwag.figures.numbers import money, money_scale
from tailwag.figures.palette import Theme, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from plotly.graph_objects import Figure

ROW_PX = 58
LEAST_SHARE = 0.06
"""A part smaller than this of the longest bar has no room for its number."""


def stacked_shares(label: Sequence[str], parts: Mapping[str, Any], *, axis_title: str, theme: Theme = "light") -> Figure:
    """A bar for each label, divided into ``parts`` (by name, each (labels,) in USD and not below 0), with each part's amount in it.

    >>> [one.name for one in stacked_shares(["base"], {"kept": [2e6], "paid back": [1e6]}, axis_title="lost").data]
    ['kept', 'paid back']
    """
    colours = palette(theme)
    amounts = {name: np.maximum(np.nan_to_num(numbers(values)), 0.0) for name, values in parts.items()}
    longest = float(np.sum(list(amounts.values()), axis=0).max(initial=0.0)) if amounts else 0.0
    if longest == 0.0:
        return nothing("Nothing was lost and nothing was paid.", colours)
    divisor, unit = money_scale(np.array([longest]))
    paints, rows = (colours.amplifying, colours.call, colours.pale), list(range(len(label)))
    inks = (colours.surface, colours.surface, colours.ink)
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": inert(name),
            "y": rows,
            "x": values / divisor,
            "width": 0.42,
            "hoverinfo": "skip",
            "marker": {"color": paints[place % len(paints)], "line": {"width": 0}},
            "text": [money(value) if value >= LEAST_SHARE * longest else "" for value in values],
            "textposition": "inside",
            "insidetextanchor": "middle",
            "textangle": 0,
            "textfont": {"size": 12, "color": inks[place % len(inks)]},
        }
        for place, (name, values) in enumerate(amounts.items())
    ]
    shared = {"x": 0, "xref": "paper", "xanchor": "left", "yanchor": "bottom", "showarrow": False, "align": "left"}
    words = [
        {**shared, "y": row - 0.26, "text": f"<b>{inert(name)}</b>", "font": {"size": 12.5, "color": colours.ink}}
        for row, name in enumerate(label)
    ]
    return canvas(
        traces,
        colours,
        height=120 + ROW_PX * len(label),
        barmode="stack",
        annotations=words,
        margin={"l": 14, "r": 14, "t": 44, "b": 52},
        xaxis=axis(f"{axis_title}, {unit}", colours, nticks=6),
        yaxis=axis("", colours, showticklabels=False, range=[len(label) - 0.6, -0.85], showgrid=False, zeroline=False),
    )


def draw_stacked_shares(axes: Axes, label: Sequence[str], parts: Mapping[str, Any], *, axis_title: str, theme: Theme = "light") -> None:
    """The same on matplotlib axes: names at the left, the key above."""
    colours = palette(theme)
    amounts = {name: np.maximum(np.nan_to_num(numbers(values)), 0.0) for name, values in parts.items()}
    longest = float(np.sum(list(amounts.values()), axis=0).max(initial=0.0)) or 1.0
    divisor, unit = money_scale(np.array([longest]))
    paints, inks = (colours.amplifying, colours.call, colours.pale), (colours.surface, colours.surface, colours.ink)
    left = np.zeros(len(label))
    axes.set_facecolor(colours.surface)
    for place, (name, values) in enumerate(amounts.items()):
        axes.barh(range(len(label)), values / divisor, left=left / divisor, height=0.55, color=paints[place % len(paints)], label=name)
        for row, value in enumerate(values):
            if value >= LEAST_SHARE * longest:
                middle, ink = (left[row] + 0.5 * value) / divisor, inks[place % len(inks)]
                axes.text(middle, row, money(value), fontsize=9, color=ink, ha="center", va="center")
        left = left + values
    axes.set_yticks(range(len(label)), [str(name) for name in label])
    axes.set_ylim(len(label) - 0.4, -0.6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(colours.grid)
    axes.tick_params(colors=colours.muted, labelsize=9, length=0)
    for tick in axes.get_yticklabels():
        tick.set_color(colours.ink)
    axes.set_xlabel(f"{axis_title}, {unit}", fontsize=9.5, color=colours.muted)
    key = {"ncols": len(amounts), "frameon": False, "fontsize": 9, "labelcolor": colours.ink, "handlelength": 1.2, "columnspacing": 1.0}
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), **key)
