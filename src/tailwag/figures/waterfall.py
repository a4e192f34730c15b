"""The loop gain as a waterfall: agent after agent, what each adds or takes away, up to the total that was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, nothing, numbers
from tailwag.figures.labels import inert
from tailwag.figures.palette import Palette, Theme, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from plotly.graph_objects import Figure

LONGEST_NAME = 34
ROW_PX = 46
FINE_SPAN = 1e-3
"""A picture narrower than this has numbers of six decimals: with four its bars would all say zero."""
SMALLEST_SPAN = 1e-12
"""What rounding leaves of a gain of zero is not drawn as wide as the picture."""


def gain_waterfall(agent: Sequence[str], gain: Any, *, measured: Any = None, error: Any = None, theme: Theme = "light") -> Figure:
    """Each agent's gain from where the last one ended, their sum, and below it the gain that was measured with two standard errors.

    Shapes: ``gain`` (agents,); ``measured`` and ``error`` numbers, None leaves that row out.  Units: loop gain, + amplifies.

    >>> gain_waterfall(["dealers", "pool"], [0.12, -0.02], measured=0.1).layout.annotations[2].text
    '<b>sum</b> +0.1000'
    """
    colours, parts = palette(theme), numbers(gain)
    if not parts.size or not np.isfinite(parts).all():
        return nothing("Nobody answers a move.", colours)
    names, starts, lengths, paints = _rows(agent, parts, measured, colours)
    rows = list(range(len(names)))
    bar = {
        "type": "bar",
        "orientation": "h",
        "y": rows,
        "x": lengths,
        "base": starts,
        "width": 0.5,
        "hoverinfo": "skip",
        "marker": {"color": paints},
    }
    if measured is not None and error:
        bar["error_x"] = {"type": "data", "array": [0.0] * (len(names) - 1) + [2.0 * float(error)], "color": colours.ink, "thickness": 1.2}
    words = [
        {
            "x": 0.0,
            "xref": "paper",
            "xanchor": "left",
            "y": row - 0.40,
            "text": f"<b>{inert(name, most=LONGEST_NAME)}</b> {length:+.4f}",
            "showarrow": False,
            "font": {"size": 12, "color": colours.ink},
        }
        for row, name, length in zip(rows, names, lengths)
    ]
    return canvas(
        [bar],
        colours,
        height=70 + ROW_PX * len(names),
        annotations=words,
        showlegend=False,
        margin={"l": 14, "r": 14, "t": 8, "b": 48},
        xaxis=axis("loop gain: + amplifies a move, − damps it", colours, zerolinecolor=colours.ink, nticks=7),
        yaxis=axis("", colours, showticklabels=False, range=[len(names) - 0.6, -0.75], showgrid=False, zeroline=False),
    )


def draw_waterfall(axes: Axes, agent: Sequence[str], gain: Any, *, measured: Any = None, error: Any = None, theme: Theme = "light") -> None:
    """The same on matplotlib ``axes``, names at the left and numbers at the end of each bar."""
    colours, parts = palette(theme), numbers(gain)
    names, starts, lengths, paints = _rows(agent, parts, measured, colours)
    axes.set_facecolor(colours.surface)
    for row, (start, length, paint) in enumerate(zip(starts, lengths, paints)):
        axes.barh(row, length, left=start, height=0.56, color=paint)
        if row:
            axes.plot(
                [start if row < len(parts) else lengths[len(parts)]] * 2, [row - 0.72, row - 0.28], color=colours.muted, linewidth=0.9
            )
    halves = [0.0] * len(names)
    if measured is not None and error:
        halves[-1] = 2.0 * float(error)
        axes.errorbar(float(measured), len(names) - 1, xerr=halves[-1], ecolor=colours.ink, elinewidth=1.4, capsize=3, fmt="none")
    axes.axvline(0.0, color=colours.ink, linewidth=1.0)
    _numbers(axes, starts, lengths, halves, colours)
    axes.set_yticks(range(len(names)), [name[:LONGEST_NAME] for name in names])
    axes.set_ylim(len(names) - 0.45, -0.6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(colours.grid)
    axes.grid(True, axis="x", color=colours.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=colours.muted, labelsize=10, length=0)
    for tick in axes.get_yticklabels():
        tick.set_color(colours.ink)
    axes.set_xlabel("loop gain: + amplifies a move, − damps it", fontsize=10, color=colours.muted)


def _numbers(axes: Axes, starts: list[float], lengths: list[float], halves: list[float], colours: Palette) -> None:
    """The limits of the gain, and each bar's number right of all that is drawn in its row, error bar included; no line runs through it."""
    ends = np.asarray(starts) + np.asarray(lengths)
    left, right = np.minimum(starts, ends - halves), np.maximum(starts, ends + halves)
    lowest, highest = min(0.0, float(left.min())), max(0.0, float(right.max()))
    span = highest - lowest if highest - lowest > SMALLEST_SPAN else 1.0
    axes.set_xlim(lowest - 0.06 * span, highest + 0.2 * span)
    decimals = 4 if span >= FINE_SPAN else 6
    for row, (edge, length) in enumerate(zip(right, lengths)):
        axes.text(
            float(edge) + 0.015 * span,
            row,
            f"{length:+.{decimals}f}".replace("-", "−"),
            va="center",
            fontsize=10,
            color=colours.ink,
            bbox={"facecolor": colours.surface, "edgecolor": "none", "pad": 1.0},
        )


def _rows(agent: Sequence[str], parts: Any, measured: Any, colours: Palette) -> tuple[list[str], list[float], list[float], list[str]]:
    """Names, where each bar starts, its length, its colour: the agents, their sum, and what was measured."""
    ends = np.cumsum(parts) if len(parts) else np.zeros(0)
    total = float(ends[-1]) if len(parts) else 0.0
    names, lengths = [*agent, "sum"], [*map(float, parts), total]
    starts = [0.0, *map(float, ends[:-1]), 0.0] if len(parts) else [0.0]
    paints = [colours.amplifying if part >= 0.0 else colours.damping for part in parts] + [colours.ink]
    if measured is not None:
        names, lengths, starts, paints = [*names, "measured"], [*lengths, float(measured)], [*starts, 0.0], [*paints, colours.call]
    return names, starts, lengths, paints
