"""The fan of prices as a small picture for chat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import numbers
from tailwag.figures.numbers import known, price
from tailwag.figures.palette import Theme, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_fan(
    axes: Axes,
    hours: Any,
    quantile: Sequence[float],
    hedged_usd: Any,
    fundamental_usd: Any,
    *,
    spot_usd: Any = None,
    theme: Theme = "light",
) -> None:
    """Price quantiles over time on ``axes``: shaded with everybody hedging, dashed with nobody hedging.

    Shapes: ``hours`` (times,); ``quantile`` (levels,), rising; both prices (levels, times).  Units: hours, USD.
    """
    colours, at = palette(theme), numbers(hours)
    hedged, alone = ([numbers(row) for row in rows] for rows in (hedged_usd, fundamental_usd))
    axes.set_facecolor(colours.surface)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(colours.grid)
    axes.tick_params(colors=colours.muted, labelsize=9.5, length=0)
    if at.size < 2 or not hedged:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no price path is known", ha="center", va="center", transform=axes.transAxes, color=colours.muted)
        return
    levels, middle = len(quantile), len(quantile) // 2
    for place in range(middle):
        words = f"everybody hedges: {100 * quantile[place]:g} to {100 * quantile[levels - 1 - place]:g} %"
        shade = 0.20 + 0.16 * place
        axes.fill_between(at, hedged[place], hedged[-1 - place], color=colours.amplifying, alpha=shade, linewidth=0, label=words)
    axes.plot(at, hedged[middle], color=colours.amplifying, linewidth=2.0)
    outer = f"nobody hedges: {100 * quantile[0]:g} to {100 * quantile[-1]:g} %"
    for place, label in ((0, outer), (-1, None)):
        axes.plot(at, alone[place], color=colours.ink, linewidth=1.5, linestyle=(0, (5, 3)), label=label)
    if known(spot_usd):
        axes.text(0.012, 0.965, f"from spot {price(spot_usd)}", transform=axes.transAxes, color=colours.ink, fontsize=9.5, va="top")
    axes.set_xlim(float(at[0]), float(at[-1]))
    axes.yaxis.set_major_formatter(lambda value, _: price(value))
    axes.grid(True, color=colours.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    _clock(axes, at, colours.muted)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=3,
        frameon=False,
        fontsize=9,
        borderaxespad=0.2,
        labelcolor=colours.ink,
        handlelength=1.6,
        columnspacing=1.4,
    )


def _clock(axes: Axes, hours: Any, colour: str) -> None:
    """Hours up to two days, days beyond."""
    last = float(hours[-1])
    unit, length = ("hours", 1.0) if last <= 48.0 else ("days", 24.0)
    whole = last / length
    step = next((step for step in (0.1, 0.25, 0.5, 1, 2, 3, 4, 6, 7, 12, 14, 30, 60, 90) if whole / step <= 9), 365)
    ticks = np.arange(0.0, whole + 1e-9, step)
    axes.set_xticks(ticks * length, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel(f"{unit} from now", color=colour, fontsize=9.5)
