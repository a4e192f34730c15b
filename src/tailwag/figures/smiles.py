"""Volatility: each expiry's smile against its quotes, and the term structure of vol and forwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, marker_line, nothing, numbers, price_axis
from tailwag.figures.numbers import known, percent, price
from tailwag.figures.palette import Palette, Theme, palette
from tailwag.kernels.arrays import FloatArray

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def smile_fit(
    strike_usd: Any,
    bid_iv: Any,
    ask_iv: Any,
    mark_iv: Any,
    *,
    curve_strike_usd: Any = (),
    curve_iv: Any = (),
    forward_usd: Any = None,
    theme: Theme = "light",
    height: int = 380,
) -> Figure:
    """One expiry's fitted smile against what is quoted: a bar from bid to ask, a dot at the venue's mark.

    Shapes: quotes (n,), curve (m,).  Units: strikes in USD, vols as decimals (drawn in per cent).  A one-sided quote is a triangle that
    points to the side that is missing.

    >>> figure = smile_fit([90e3], [0.48], [0.50], [0.49], curve_strike_usd=[80e3, 100e3], curve_iv=[0.5, 0.5])
    >>> [trace.name for trace in figure.data]
    ['bid to ask', 'mark', 'fit']
    """
    colours = palette(theme)
    strikes, bid, ask, mark = (
        numbers(values) * scale for values, scale in ((strike_usd, 1.0), (bid_iv, 100.0), (ask_iv, 100.0), (mark_iv, 100.0))
    )
    curve_x, curve_y = numbers(curve_strike_usd), numbers(curve_iv) * 100.0
    if not any(np.isfinite(values).any() for values in (bid, ask, mark, curve_y)):
        return nothing("No quote and no fit for this expiry.", colours, height=height)
    traces = _quotes(strikes, bid, ask, colours)
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "mark",
            "x": strikes,
            "y": mark,
            "marker": {"color": colours.put, "size": 5},
            "hovertemplate": "%{x:$,.0f} mark %{y:.1f} %<extra></extra>",
        }
    )
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "fit",
            "x": curve_x,
            "y": curve_y,
            "line": {"color": colours.ink, "width": 2},
            "hovertemplate": "%{x:$,.0f} fit %{y:.1f} %<extra></extra>",
        }
    )
    shapes: list[Any] = []
    labels: list[Any] = []
    if known(forward_usd):
        line, label = marker_line(float(forward_usd), colours, text=f"forward {price(forward_usd)}", colour=colours.muted, dash="dot")
        shapes, labels = [line], [label]
    x_axis = price_axis("strike", colours, np.r_[strikes, curve_x], nticks=6)
    y_axis = axis("implied vol, %", colours, zeroline=False, range=_vol_range(bid, ask, mark, curve_y))
    return canvas(traces, colours, shapes=shapes, annotations=labels, xaxis=x_axis, yaxis=y_axis, height=height)


def _quotes(strikes: FloatArray, bid: FloatArray, ask: FloatArray, colours: Palette) -> list[dict[str, Any]]:
    both = np.isfinite(bid) & np.isfinite(ask)
    middle, half = (bid[both] + ask[both]) / 2, (ask[both] - bid[both]) / 2
    bars = {
        "type": "scatter",
        "mode": "markers",
        "name": "bid to ask",
        "x": strikes[both],
        "y": middle,
        "marker": {"size": 0.1, "color": colours.call},
        "error_y": {"type": "data", "array": np.abs(half), "color": colours.call, "thickness": 3, "width": 0},
        "customdata": np.c_[bid[both], ask[both]],
        "hovertemplate": "%{x:$,.0f} bid %{customdata[0]:.1f} % ask %{customdata[1]:.1f} %<extra></extra>",
    }
    found = [bars]
    for name, rows, values, symbol in (
        ("bid only", ~both & np.isfinite(bid), bid, "triangle-up"),
        ("ask only", ~both & np.isfinite(ask), ask, "triangle-down"),
    ):
        if rows.any():
            mark = {"symbol": symbol, "size": 7, "color": colours.call}
            found.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    "x": strikes[rows],
                    "y": values[rows],
                    "marker": mark,
                    "hovertemplate": f"%{{x:$,.0f}} {name} %{{y:.1f}} %<extra></extra>",
                }
            )
    return found


def _vol_range(bid: FloatArray, ask: FloatArray, mark: FloatArray, curve: FloatArray) -> list[float] | None:
    """A range that one absurd wing quote cannot blow up: everything fitted or marked, and quotes near it."""
    core = np.r_[mark, curve]
    core = core[np.isfinite(core)]
    if core.size < 2:
        return None
    low, high = float(core.min()), float(core.max())
    room = max(high - low, 2.0)
    near = np.r_[bid, ask]
    near = near[np.isfinite(near) & (near > low - room) & (near < high + room)]
    low, high = min(low, float(near.min(initial=low))), max(high, float(near.max(initial=high)))
    return [max(0.0, low - 0.06 * (high - low) - 0.5), high + 0.12 * (high - low) + 0.5]


def term_structure(days: Any, atm_iv: Any, forward_usd: Any, *, spot_usd: Any = None, theme: Theme = "light") -> Figure:
    """At-the-money vol (left axis) and the forward's distance from spot (right axis) over the time to expiry.

    Shapes: all (expiries,).  Units: days; vols as decimals (drawn in per cent); forwards in USD (drawn in per cent above spot).

    >>> [trace.name for trace in term_structure([1, 30], [0.5, 0.6], [100.0, 101.0], spot_usd=100.0).data]
    ['at-the-money vol', 'forward above spot']
    """
    colours = palette(theme)
    when, vols, forwards = numbers(days), numbers(atm_iv) * 100.0, numbers(forward_usd)
    if not (np.isfinite(vols).any() or np.isfinite(forwards).any()) or not (when > 0).any():
        return nothing("Vols and forwards are unknown.", colours)
    shared = {"type": "scatter", "mode": "lines+markers", "x": when}
    vol_line = {
        **shared,
        "name": "at-the-money vol",
        "y": vols,
        "line": {"color": colours.call, "width": 2},
        "hovertemplate": "%{x:.3g} days: vol %{y:.1f} %<extra></extra>",
    }
    traces = [vol_line]
    y_axes = {"yaxis": axis("at-the-money vol, %", colours, zeroline=False)}
    if known(spot_usd) and spot_usd > 0 and np.isfinite(forwards).any():
        basis = (forwards / float(spot_usd) - 1.0) * 100.0
        hover = [
            f"forward {price(value)}, {percent(share / 100, signed=True, decimals=2)} from spot" for value, share in zip(forwards, basis)
        ]
        line = {"color": colours.put, "width": 2, "dash": "dot"}
        traces.append(
            {
                **shared,
                "name": "forward above spot",
                "y": basis,
                "yaxis": "y2",
                "line": line,
                "customdata": hover,
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        )
        y_axes["yaxis2"] = axis(
            "forward above spot, %", colours, overlaying="y", side="right", showgrid=False, zeroline=False, tickmode="auto", nticks=5
        )
    steps = [
        (1 / 24, "1 h"),
        (0.25, "6 h"),
        (1, "1 d"),
        (3, "3 d"),
        (7, "1 w"),
        (30, "1 m"),
        (91, "3 m"),
        (182, "6 m"),
        (365, "1 y"),
        (730, "2 y"),
    ]
    x_axis = axis(
        "time to expiry",
        colours,
        type="log",
        zeroline=False,
        tickmode="array",
        tickvals=[day for day, _ in steps],
        ticktext=[name for _, name in steps],
    )
    return canvas(traces, colours, xaxis=x_axis, height=360, margin={"l": 64, "r": 64, "t": 40, "b": 52}, **y_axes)
