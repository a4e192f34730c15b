"""A scenario's pictures: two paths with everybody's flow, who gains and loses, and what each switch changes with its error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, nothing, numbers, price_axis
from tailwag.figures.labels import inert
from tailwag.figures.numbers import money, money_scale
from tailwag.figures.palette import Palette, Theme, palette
from tailwag.figures.policies import rule_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from plotly.graph_objects import Figure

LONGEST_NAME = 40
DASHES = ("solid", "dash", "dot", "dashdot")
ROW_PX = 52
VERDICTS = {
    "better": "damping",
    "lower": "call",
    "higher": "put",
    "worse": "amplifying",
    "unclear": "muted",
    "nothing": "muted",
    "link": "call",
}
"""The palette's colour of each verdict."""


def flows_through(hours: Any, price_usd: Any, fundamental_usd: Any, bought_usd: Mapping[str, Any], *, theme: Theme = "light") -> Figure:
    """One path: price over what it would have been with nobody trading, and below it what each agent that trades has bought by then.

    Shapes: ``hours`` and both prices (times,); ``bought_usd`` by agent (times,).  Units: hours, USD; + bought, - sold.

    >>> flows_through([0, 1], [6e4, 5.9e4], [6e4, 5.95e4], {"dealers": [0.0, -2e6]}).data[2].name
    'dealers'
    """
    colours, at = palette(theme), numbers(hours)
    if at.size < 2:
        return nothing("No path is known.", colours)
    prices = [numbers(price_usd), numbers(fundamental_usd)]
    lines = {name: numbers(values) for name, values in bought_usd.items() if np.any(numbers(values))}
    divisor, unit = money_scale(*lines.values()) if lines else (1.0, "$")
    traces: list[dict[str, Any]] = [
        _line(at, prices[0], "price", colours.ink, y="y2"),
        _line(at, prices[1], "with nobody trading", colours.muted, y="y2", dash="dash"),
    ]
    paints = rule_colours(colours)
    for place, (name, values) in enumerate(lines.items()):
        dash = DASHES[place // len(paints) % len(DASHES)]  # no two lines look alike
        traces.append(_line(at, values / divisor, inert(name, most=LONGEST_NAME), paints[place % len(paints)], y="y", dash=dash))
    return canvas(
        traces,
        colours,
        height=430,
        xaxis=axis("hours from the start", colours, zeroline=False),
        yaxis=axis(f"bought so far, {unit}", colours, domain=[0.0, 0.42], nticks=5),
        yaxis2=price_axis("price", colours, np.concatenate(prices), domain=[0.5, 1.0], nticks=6, anchor="x"),
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
    )


def _line(at: Any, values: Any, name: str, colour: str, *, y: str, dash: str = "solid") -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": at,
        "y": values,
        "yaxis": y,
        "name": name,
        "line": {"color": colour, "width": 1.8, "dash": dash},
    }


def gains_and_losses(agent: Sequence[str], pnl_usd: Any, error_usd: Any, worst_usd: Any, *, theme: Theme = "light") -> Figure:
    """Mean profit of everybody with two standard errors, and the mean of the worst 5 % of paths beside it.

    Shapes: all (agents,); unknown errors and worst means are left out.  Units: USD; + gains.

    >>> gains_and_losses(["dealers"], [-2e6], [1e5], [-9e6]).layout.annotations[0].text
    '<b>dealers</b>: −$2.00m, worst 5 % −$9.00m'
    """
    colours = palette(theme)
    mean, error, worst = numbers(pnl_usd), np.nan_to_num(numbers(error_usd)), numbers(worst_usd)
    if not np.isfinite(mean).any():
        return nothing("Nobody's account is known.", colours)
    divisor, unit = money_scale(mean, worst)
    rows = list(range(len(agent)))
    bar = {
        "type": "bar",
        "orientation": "h",
        "y": rows,
        "x": mean / divisor,
        "width": 0.32,
        "hoverinfo": "skip",
        "marker": {"color": [colours.damping if value >= 0.0 else colours.amplifying for value in mean]},
        "error_x": {"type": "data", "array": 2.0 * error / divisor, "color": colours.ink, "thickness": 1.2},
    }
    marks = {
        "type": "scatter",
        "mode": "markers",
        "x": worst / divisor,
        "y": rows,
        "marker": {"symbol": "diamond-open", "size": 10, "color": colours.runaway},
        "hoverinfo": "skip",
    }
    words = [
        f"<b>{inert(name, most=LONGEST_NAME)}</b>: {money(value, signed=True)}"
        + (f", worst 5 % {money(tail, signed=True)}" if np.isfinite(tail) else "")
        for name, value, tail in zip(agent, mean, worst)
    ]
    return _rows([bar, marks], words, f"profit and loss, {unit}", colours)


def switch_differences(
    label: Sequence[str], value: Any, error: Any, verdict: Sequence[str], *, axis_title: str, theme: Theme = "light"
) -> Figure:
    """What each switch changes: the paired difference from the base with two standard errors, coloured by what it amounts to.

    Shapes: all (switches,).  Units: those of ``axis_title``.  Sign: below zero the switch lowers the outcome.

    >>> switch_differences(["batch"], [-0.2], [0.01], ["better"], axis_title="fall, %").data[0].marker.color
    ('#00795f',)
    """
    colours = palette(theme)
    at, errors = numbers(value), np.nan_to_num(numbers(error))
    if not len(label):
        return nothing("Nothing was compared.", colours)
    paints = [getattr(colours, VERDICTS[one]) for one in verdict]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": at,
        "y": list(range(len(label))),
        "marker": {"size": 10, "color": paints},
        "error_x": {"type": "data", "array": 2.0 * errors, "color": colours.muted, "thickness": 1.4},
        "hoverinfo": "skip",
    }
    words = [f"<b>{inert(name, most=LONGEST_NAME)}</b>" for name in label]
    return _rows([trace], words, axis_title, colours)


def _rows(traces: list[Any], words: Sequence[str], title: str, colours: Palette) -> Figure:
    """A row for each name, its words above it, where they have the whole width of a phone."""
    count = len(words)
    shared = {"x": 0, "xref": "paper", "xanchor": "left", "yanchor": "bottom", "showarrow": False, "align": "left"}
    notes = [{**shared, "y": place - 0.34, "text": text, "font": {"size": 12, "color": colours.ink}} for place, text in enumerate(words)]
    return canvas(
        traces,
        colours,
        height=80 + ROW_PX * count,
        annotations=notes,
        showlegend=False,
        margin={"l": 14, "r": 14, "t": 8, "b": 52},
        xaxis=axis(title, colours, zerolinecolor=colours.ink, nticks=6, rangemode="tozero"),
        yaxis=axis("", colours, showticklabels=False, range=[count - 0.65, -0.9], showgrid=False, zeroline=False),
    )


def draw_differences(
    axes: Axes, label: Sequence[str], value: Any, error: Any, verdict: Sequence[str], *, axis_title: str, theme: Theme = "light"
) -> None:
    """What each switch changes on ``axes``, as in :func:`switch_differences`; names at the left."""
    colours, at = palette(theme), numbers(value)
    errors = 2.0 * np.nan_to_num(numbers(error))
    axes.set_facecolor(colours.surface)
    for place, (middle, bar, one) in enumerate(zip(at, errors, verdict)):
        paint = getattr(colours, VERDICTS[one])
        axes.errorbar(middle, place, xerr=bar, fmt="o", markersize=7, color=paint, ecolor=colours.muted, elinewidth=1.2)
    axes.axvline(0.0, color=colours.ink, linewidth=1.0)
    axes.set_yticks(range(len(label)), [str(name)[:LONGEST_NAME] for name in label])
    axes.set_ylim(len(label) - 0.4, -0.6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(colours.grid)
    axes.grid(True, axis="x", color=colours.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=colours.muted, labelsize=9, length=0)
    for tick in axes.get_yticklabels():
        tick.set_color(colours.ink)
    axes.set_xlabel(axis_title, fontsize=9.5, color=colours.muted)
