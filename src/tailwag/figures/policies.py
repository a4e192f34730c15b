"""What each hedging rule does to the market's vol, and the frontier of rules as a still picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, nothing, numbers
from tailwag.figures.choices import ALONE, TOGETHER
from tailwag.figures.labels import inert, waiting
from tailwag.figures.numbers import money_scale
from tailwag.figures.palette import Palette, Theme, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from plotly.graph_objects import Figure

_TICKS = (1 / 60, 5 / 60, 0.25, 0.5, 1, 2, 4, 8, 24, 48, 96, 168, 336, 720, 2160, 8760)
_LONGEST_NAME = 30


def rule_colours(colours: Palette) -> tuple[str, ...]:
    """One colour for each rule, told apart under the common colour-vision deficiencies; used again from the start beyond six."""
    return (colours.amplifying, colours.call, colours.put, colours.damping, colours.runaway, colours.muted)


def vol_by_rule(policy: Sequence[str], hours: Any, vol_added: Any, *, error: Any = None, theme: Theme = "light") -> Figure:
    """Vol that hedging by each rule adds to the market, by the horizon of the return: bands move it from short horizons to long ones.

    Shapes: ``hours`` (horizons,); ``vol_added``, ``error`` (policies, horizons).  Units: hours; share of unhedged vol (drawn in per cent),
    bars are two standard errors either way.

    >>> vol_by_rule(["band"], [1, 24], [[0.02, 0.10]]).data[0].y.tolist()
    [2.0, 10.0]
    """
    colours = palette(theme)
    at, lines = numbers(hours), [numbers(row) * 100.0 for row in vol_added]
    if at.size == 0 or not any(np.isfinite(line).any() for line in lines):
        return nothing("Vol by horizon is unknown: the time grid is not uniform.", colours)
    paints = rule_colours(colours)
    traces = []
    for place, line in enumerate(lines):
        colour = paints[place % len(paints)]
        bars = (
            {}
            if error is None
            else {"error_y": {"type": "data", "array": 200.0 * np.nan_to_num(numbers(error[place])), "color": colour, "thickness": 1.1}}
        )
        marks = {"type": "scatter", "mode": "lines+markers", "x": at, "y": line, "name": inert(policy[place], most=_LONGEST_NAME)}
        style = {"line": {"color": colour, "width": 1.9}, "marker": {"size": 6, "color": colour}}
        traces.append(
            {**marks, **style, **bars, "hovertemplate": "%{y:+.2f} %<extra>" + inert(policy[place], most=_LONGEST_NAME) + "</extra>"}
        )
    ticks = [hour for hour in _TICKS if at.min() * 0.99 <= hour <= at.max() * 1.01]
    x_axis = axis(
        "return measured over",
        colours,
        type="log",
        tickmode="array",
        tickvals=ticks,
        ticktext=[waiting(hour) for hour in ticks],
        zeroline=False,
        range=[float(np.log10(at.min() / 1.25)), float(np.log10(at.max() * 1.25))],
    )
    return canvas(
        traces,
        colours,
        height=400,
        xaxis=x_axis,
        yaxis=axis("vol added by hedging, %", colours, ticksuffix=" %", nticks=8, rangemode="tozero"),
    )


def draw_frontier(
    axes: Axes,
    alone: tuple[Any, Any],
    together: tuple[Any, Any],
    *,
    errors: tuple[Any, Any] | None = None,
    theme: Theme = "light",
) -> None:
    """Cost against the risk left on ``axes``: each rule without feedback (open) and with it (full), joined, in its colour of :func:`rule_colours`.

    Shapes: ``alone``, ``together`` and ``errors`` (of ``together``) are pairs (cost, risk) of (policies,) in USD; bars are two standard
    errors.
    """
    colours = palette(theme)
    off, on = (np.stack([numbers(values) for values in pair]) for pair in (alone, together))
    scales = [money_scale(off[row], on[row]) for row in (0, 1)]
    divisor = np.array([[scale[0]] for scale in scales])
    off, on = off / divisor, on / divisor
    bars = np.zeros_like(on) if errors is None else 2.0 * np.nan_to_num(np.stack([numbers(values) for values in errors])) / divisor
    paints = rule_colours(colours)
    for place in range(off.shape[1]):
        colour = paints[place % len(paints)]
        axes.plot([off[0, place], on[0, place]], [off[1, place], on[1, place]], color=colour, linewidth=1.2, alpha=0.55)
        axes.plot(
            off[0, place], off[1, place], "o", markersize=8, markerfacecolor=colours.surface, markeredgecolor=colour, markeredgewidth=1.8
        )
        axes.errorbar(
            on[0, place],
            on[1, place],
            xerr=bars[0, place],
            yerr=bars[1, place],
            fmt="o",
            markersize=8,
            color=colour,
            elinewidth=1.0,
        )
    axes.set_xlabel(f"cost of hedging, {scales[0][1]}", fontsize=10, color=colours.muted)
    axes.set_ylabel(f"risk left (standard deviation of P&L), {scales[1][1]}", fontsize=10, color=colours.muted)
    axes.set_facecolor(colours.surface)
    axes.grid(color=colours.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlim(left=min(0.0, float(np.nanmin([off[0], on[0]])) * 1.05))
    axes.set_ylim(bottom=0.0)
    axes.margins(0.08)
    axes.tick_params(labelsize=9.5, colors=colours.muted, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    words = f"open: {ALONE}\nfull: {TOGETHER}"
    axes.text(0.0, 1.015, words, transform=axes.transAxes, fontsize=9, color=colours.muted, va="bottom")
