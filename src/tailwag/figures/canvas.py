"""The canvas that every interactive figure shares: quiet grid, units on the axes, room for labels, no chrome."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.numbers import known, price
from tailwag.figures.palette import Palette
from tailwag.kernels.arrays import FloatArray

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
CLEAR = "rgba(0,0,0,0)"


def canvas(traces: list[Any], colours: Palette, *, height: int = 380, **layout: Any) -> Figure:
    """A figure of ``traces`` on the shared canvas; ``layout`` adds to it or replaces parts."""
    from plotly.graph_objects import Figure

    base: dict[str, Any] = {
        "height": height,
        "margin": {"l": 64, "r": 18, "t": 40, "b": 52},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": FONT, "size": 13, "color": colours.ink},
        "hoverlabel": {"bgcolor": colours.surface, "bordercolor": colours.zero, "font": {"color": colours.ink, "family": FONT}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12.5}},
        "hovermode": "closest",
        "template": None,
    }
    return Figure(data=traces, layout={**base, **layout})


def axis(title: str, colours: Palette, **options: Any) -> dict[str, Any]:
    """One axis with its title (which names the unit), thin grid and a visible zero."""
    return {
        "title": {"text": title, "font": {"size": 12.5, "color": colours.muted}, "standoff": 8},
        "gridcolor": colours.grid,
        "zeroline": True,
        "zerolinecolor": colours.zero,
        "zerolinewidth": 1.2,
        "linecolor": colours.grid,
        "tickfont": {"color": colours.muted, "size": 12},
        "automargin": True,
        **options,
    }


def price_axis(title: str, colours: Palette, prices: FloatArray, **options: Any) -> dict[str, Any]:
    """A price axis: $90k where prices are thousands, $0.4312 where they are cents."""
    finite = prices[np.isfinite(prices)]
    large = finite.size and float(np.abs(finite).max()) >= 1_000
    return axis(title, colours, **{"tickprefix": "$", "tickformat": "~s" if large else ",.4~f", "zeroline": False, "nticks": 9, **options})


def marker_line(
    at: float, colours: Palette, *, text: str, colour: str, low: bool = False, dash: str = "solid", shift: int = 0
) -> tuple[Any, Any]:
    """A vertical line through the whole figure and its label, at the top or (``low``) at the bottom."""
    line = {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": {"color": colour, "width": 1.6, "dash": dash}}
    label = {
        "x": at,
        "y": 0.0 if low else 1.0,
        "yref": "paper",
        "yanchor": "bottom" if low else "top",
        "yshift": shift,
        "text": text,
        "showarrow": False,
        "font": {"color": colour, "size": 12},
        "bgcolor": colours.surface,
        "borderpad": 2,
    }
    return line, label


def spot_marker(spot_usd: Any, colours: Palette) -> tuple[list[Any], list[Any]]:
    """Shapes and annotations that mark the current spot, or nothing where it is unknown."""
    if not known(spot_usd):
        return [], []
    line, label = marker_line(float(spot_usd), colours, text=f"spot {price(spot_usd)}", colour=colours.ink)
    return [line], [label]


def note(text: str, colours: Palette) -> dict[str, Any]:
    """A sentence in the middle of an empty figure: why nothing is drawn."""
    return {
        "text": "<br>".join(wrap(text, 38)),
        "x": 0.5,
        "y": 0.5,
        "xref": "paper",
        "yref": "paper",
        "showarrow": False,
        "font": {"color": colours.muted, "size": 14},
    }


def nothing(text: str, colours: Palette, *, height: int = 160) -> Figure:
    """A figure that says why it is empty instead of drawing an axis of nothing."""
    hidden = {"visible": False}
    return canvas([], colours, height=height, annotations=[note(text, colours)], xaxis=hidden, yaxis=hidden)


def numbers(values: Any) -> FloatArray:
    """Floats with NaN for whatever is unknown, shape (n,).

    >>> numbers([1, None, "x"])
    array([ 1., nan, nan])
    """
    return np.array([float(value) if known(value) else np.nan for value in values], dtype=np.float64)


def visible_range(x: FloatArray, shown: tuple[float, float] | None, *heights: FloatArray) -> list[float] | None:
    """The height axis that fits what ``shown`` shows of every line in ``heights``, zero always in it."""
    inside = np.ones(x.size, dtype=bool) if shown is None else (x >= shown[0]) & (x <= shown[1])
    seen = np.concatenate([height[inside] for height in heights]) if heights else np.empty(0)
    seen = seen[np.isfinite(seen)]
    low, high = min(0.0, float(seen.min(initial=0.0))), max(0.0, float(seen.max(initial=0.0)))
    room = 0.07 * (high - low)
    return [low - room, high + room] if room > 0 else None


def reach_of(weights: FloatArray, strikes: FloatArray, spot_usd: Any) -> float:
    """How far from spot, as a share of it, 95 % of ``weights`` lie; between 5 % and 40 %."""
    usable = np.isfinite(weights) & np.isfinite(strikes)
    if not known(spot_usd) or spot_usd <= 0 or not (weights[usable] > 0).any():
        return 0.4
    away, weight = np.abs(strikes[usable] / spot_usd - 1.0), weights[usable]
    order = np.argsort(away)
    inside = np.searchsorted(np.cumsum(weight[order]), 0.95 * weight.sum())
    return float(np.clip(1.1 * away[order][min(int(inside), order.size - 1)], 0.05, 0.4))


def window(spot_usd: Any, positions: FloatArray, *, share: float) -> tuple[float, float] | None:
    """The part of a price axis worth showing first: ``share`` of spot either way, inside what there is."""
    finite = positions[np.isfinite(positions)]
    if not known(spot_usd) or spot_usd <= 0 or finite.size < 2:
        return None
    low, high = max(spot_usd * (1 - share), float(finite.min())), min(spot_usd * (1 + share), float(finite.max()))
    return (low, high) if low < spot_usd < high else None
