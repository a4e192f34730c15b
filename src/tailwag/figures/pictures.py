"""Pictures for chat: the same drawings on matplotlib axes, small and still legible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import numbers, reach_of, visible_range, window
from tailwag.figures.numbers import known, money_scale, price
from tailwag.figures.palette import Palette, Theme, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def blank_picture(*, width_px: int, height_px: int, theme: Theme = "light") -> Figure:
    """An empty picture of that many pixels, for Agg, in the palette's colours.

    >>> blank_picture(width_px=1200, height_px=675).get_size_inches().tolist()
    [12.0, 6.75]
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_px / 100, height_px / 100), dpi=100, facecolor=palette(theme).surface)
    FigureCanvasAgg(figure)
    return figure


def draw_profile(
    axes: Axes,
    spot_level_usd: Any,
    gex_usd_per_pct: Any,
    *,
    spot_usd: Any = None,
    flips_usd: Sequence[Any] = (),
    runaway_zones_usd: Sequence[Sequence[Any]] = (),
    theme: Theme = "light",
) -> None:
    """Exposure at every price on ``axes``: long gamma above zero, short below, spot, flips and runaway zones marked.

    Shapes: both (levels,); NaN leaves a gap.  Units: USD, USD per 1 % move.
    """
    colours = palette(theme)
    levels, gex = numbers(spot_level_usd), numbers(gex_usd_per_pct)
    if not np.isfinite(gex).any():
        return _say(axes, "the profile over spot is unknown", colours)
    divisor, unit = money_scale(gex)
    scaled = gex / divisor
    axes.plot(levels, scaled, color=colours.ink, linewidth=1.8)
    axes.fill_between(levels, scaled, 0.0, where=scaled >= 0, color=colours.damping, alpha=0.25, linewidth=0, interpolate=True)
    axes.fill_between(levels, scaled, 0.0, where=scaled <= 0, color=colours.amplifying, alpha=0.25, linewidth=0, interpolate=True)
    shown = window(spot_usd, levels, share=0.25) or (float(np.nanmin(levels)), float(np.nanmax(levels)))
    axes.set_xlim(*shown)
    axes.set_ylim(*(visible_range(levels, shown, scaled) or (-1.0, 1.0)))
    for zone in runaway_zones_usd:
        low, high = (value if known(value) else edge for value, edge in zip(zone, shown, strict=True))
        low, high = max(low, shown[0]), min(high, shown[1])
        if low < high:
            axes.axvspan(low, high, color=colours.runaway, alpha=0.13, linewidth=0)
            axes.text(
                (low + high) / 2,
                0.97,
                "runaway\nG ≥ 1",
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="top",
                fontsize=9,
                color=colours.runaway,
            )
    _dress(axes, colours, f"GEX, {unit} per 1 %")
    for flip in flips_usd:
        if known(flip) and shown[0] <= flip <= shown[1]:
            axes.axvline(flip, color=colours.runaway, linewidth=1.4, linestyle="--")
    nearest = min((flip for flip in flips_usd if known(flip)), key=lambda flip: abs(flip - (spot_usd or 0)), default=None)
    if nearest is not None and shown[0] <= nearest <= shown[1]:
        _mark(axes, nearest, f"flip {price(nearest)}", colours.runaway, colours, height=0.06)
    if known(spot_usd):
        axes.axvline(spot_usd, color=colours.ink, linewidth=1.4)
        _mark(axes, spot_usd, f"spot {price(spot_usd)}", colours.ink, colours, height=0.92)
    return None


def draw_strikes(
    axes: Axes, strike_usd: Any, call_gex_usd_per_pct: Any, put_gex_usd_per_pct: Any, *, spot_usd: Any = None, theme: Theme = "light"
) -> None:
    """Exposure by strike on ``axes``: calls and puts stacked, spot marked.

    Shapes: all (strikes,); an unknown strike is left out.  Units: USD, USD per 1 % move.
    """
    colours = palette(theme)
    strikes, calls, puts = numbers(strike_usd), numbers(call_gex_usd_per_pct), numbers(put_gex_usd_per_pct)
    usable = np.isfinite(strikes) & (np.isfinite(calls) | np.isfinite(puts))
    if not usable.any():
        return _say(axes, "exposure by strike is unknown", colours)
    order = np.flatnonzero(usable)[np.argsort(strikes[usable])]
    strikes, calls, puts = strikes[order], np.nan_to_num(calls[order]), np.nan_to_num(puts[order])
    divisor, unit = money_scale(calls, puts)
    reach = reach_of(np.abs(calls) + np.abs(puts), strikes, spot_usd)
    shown = window(spot_usd, strikes, share=min(reach, 0.25))
    seen = strikes if shown is None else strikes[(strikes >= shown[0]) & (strikes <= shown[1])]
    gaps = np.diff(seen)
    width = 0.8 * float(np.median(gaps)) if gaps.size else max(0.01 * float(strikes[0]), 1e-6)
    same_side = np.sign(calls) * np.sign(puts) > 0
    axes.bar(strikes, calls / divisor, width=width, color=colours.call, label="calls")
    axes.bar(strikes, puts / divisor, width=width, bottom=np.where(same_side, calls, 0.0) / divisor, color=colours.put, label="puts")
    if shown is not None:
        axes.set_xlim(*shown)
    _dress(axes, colours, f"GEX, {unit} per 1 %")
    if known(spot_usd):
        axes.axvline(spot_usd, color=colours.ink, linewidth=1.2)
    axes.legend(loc="upper left", frameon=False, fontsize=9, labelcolor=colours.ink, ncols=2, handlelength=1.2, borderaxespad=0.2)
    return None


def _dress(axes: Axes, colours: Palette, unit: str) -> None:
    axes.set_facecolor(colours.surface)
    axes.axhline(0.0, color=colours.zero, linewidth=1.0)
    axes.grid(color=colours.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_ylabel(unit, fontsize=9.5, color=colours.muted)
    axes.tick_params(labelsize=9, colors=colours.muted, length=0)
    axes.xaxis.set_major_formatter(lambda value, _: price(value) if abs(value) < 10_000 else f"${value / 1_000:g}k")
    axes.locator_params(axis="x", nbins=7)
    axes.locator_params(axis="y", nbins=5)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _mark(axes: Axes, at: float, text: str, colour: str, colours: Palette, *, height: float) -> None:
    """A label on a vertical line, kept inside the picture near its edges."""
    low, high = axes.get_xlim()
    share = (at - low) / (high - low)
    align = "left" if share < 0.12 else "right" if share > 0.88 else "center"
    box = {"facecolor": colours.surface, "edgecolor": "none", "pad": 1.5}
    axes.text(at, height, text, transform=axes.get_xaxis_transform(), ha=align, va="center", fontsize=9.5, color=colour, bbox=box)


def _say(axes: Axes, text: str, colours: Palette) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=11, color=colours.muted)
