"""Exposure and loop gain at every price: flips, spot, runaway zones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, marker_line, nothing, numbers, price_axis, spot_marker, visible_range, window
from tailwag.figures.numbers import gain_text, known, money, money_scale, price
from tailwag.figures.palette import Palette, Theme, palette
from tailwag.kernels.arrays import FloatArray

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def gex_profile(
    spot_level_usd: Any,
    gex_usd_per_pct: Any,
    gain: Any = None,
    *,
    spot_usd: Any = None,
    flips_usd: Sequence[Any] = (),
    runaway_zones_usd: Sequence[Sequence[Any]] = (),
    theme: Theme = "light",
) -> Figure:
    """What hedging does at every price: exposure above, loop gain below where liquidity is known.

    Shapes: the first three (levels,); NaN leaves a gap.  Units: USD, USD per 1 % move, gain without unit.  Sign: GEX + damps, gain +
    amplifies.  ``runaway_zones_usd`` are [low, high] pairs in which gain is 1 or more.

    >>> figure = gex_profile([80e3, 90e3, 100e3], [-4e7, -1e7, 3e7], spot_usd=91630.0, flips_usd=[92500.0])
    >>> [trace.name for trace in figure.data]
    ['GEX', 'long gamma: damps', 'short gamma: amplifies']
    """
    colours = palette(theme)
    levels, gex = numbers(spot_level_usd), numbers(gex_usd_per_pct)
    gains = numbers([] if gain is None else gain)
    if not np.isfinite(gex).any():
        return nothing("The profile over spot is unknown.", colours)
    with_gain = gains.size == levels.size and bool(np.isfinite(gains).any())
    divisor, unit = money_scale(gex)
    traces = _gex_traces(levels, gex, divisor, colours)
    shown = window(spot_usd, levels, share=0.3)
    x_axis = price_axis("spot", colours, levels, **({"range": shown} if shown else {}), anchor="y2" if with_gain else "y")
    layout: dict[str, Any] = {
        "xaxis": x_axis,
        "yaxis": _height_axis(
            f"GEX, {unit} per 1 % move", colours, (levels, shown, gex / divisor), [0.46, 1.0] if with_gain else [0.0, 1.0]
        ),
    }
    if with_gain:
        traces += _gain_traces(levels, gains, colours)
        layout["yaxis2"] = _height_axis("loop gain G", colours, (levels, shown, gains), [0.0, 0.36], anchor="x")
    shapes, labels = _marks(spot_usd, flips_usd, runaway_zones_usd, levels, colours)
    if with_gain and float(np.nanmax(gains)) > 0.5:
        shapes.append(
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "yref": "y2",
                "y0": 1,
                "y1": 1,
                "line": {"color": colours.runaway, "dash": "dot", "width": 1.5},
            }
        )
    return canvas(traces, colours, shapes=shapes, annotations=labels, height=520 if with_gain else 400, hovermode="x unified", **layout)


def _height_axis(
    title: str, colours: Palette, seen: tuple[FloatArray, tuple[float, float] | None, FloatArray], domain: list[float], **options: Any
) -> dict[str, Any]:
    fitted = visible_range(*seen)
    return axis(title, colours, domain=domain, **({"range": fitted} if fitted else {}), **options)


def _gex_traces(levels: FloatArray, gex: FloatArray, divisor: float, colours: Palette) -> list[dict[str, Any]]:
    fill_x, fill_y = with_crossings(levels, gex / divisor)
    text = [f"GEX {money(value, signed=True)} per 1 %" for value in gex]
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": "GEX",
        "x": levels,
        "y": gex / divisor,
        "line": {"color": colours.ink, "width": 2},
        "showlegend": False,
    }
    fills = [
        ("long gamma: damps", np.where(fill_y >= 0, fill_y, 0.0), colours.damping_tint),
        ("short gamma: amplifies", np.where(fill_y <= 0, fill_y, 0.0), colours.amplifying_tint),
    ]
    return [
        {**line, "text": text, "hovertemplate": "%{text}<extra></extra>"},
        *(
            {
                "type": "scatter",
                "mode": "none",
                "name": name,
                "x": fill_x,
                "y": np.where(np.isfinite(fill_y), part, np.nan),
                "fill": "tozeroy",
                "fillcolor": tint,
                "hoverinfo": "skip",
            }
            for name, part, tint in fills
        ),
    ]


def _gain_traces(levels: FloatArray, gains: FloatArray, colours: Palette) -> list[dict[str, Any]]:
    text = [f"gain {gain_text(value)}" for value in gains]
    line = {"color": colours.call, "width": 2}
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "loop gain G",
            "x": levels,
            "y": gains,
            "yaxis": "y2",
            "line": line,
            "text": text,
            "hovertemplate": "%{text}<extra></extra>",
            "showlegend": False,
        }
    ]


def _marks(
    spot_usd: Any, flips_usd: Sequence[Any], zones: Sequence[Sequence[Any]], levels: FloatArray, colours: Palette
) -> tuple[list[Any], list[Any]]:
    shapes, labels = spot_marker(spot_usd, colours)
    for rank, flip in enumerate(value for value in flips_usd if known(value)):
        line, label = marker_line(
            float(flip), colours, text=f"flip {price(flip)}", colour=colours.runaway, low=True, dash="dash", shift=20 * (rank % 3)
        )
        shapes.append(line)
        labels.append(label)
    low, high = float(np.nanmin(levels)), float(np.nanmax(levels))
    for zone in zones:
        start = float(zone[0]) if known(zone[0]) else low
        end = float(zone[1]) if known(zone[1]) else high
        shapes.append(
            {
                "type": "rect",
                "x0": start,
                "x1": end,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "fillcolor": colours.runaway_tint,
                "line": {"width": 0},
                "layer": "below",
            }
        )
        labels.append(
            {
                "x": (start + end) / 2,
                "y": 0.41,
                "yref": "paper",
                "text": "runaway, G ≥ 1",
                "showarrow": False,
                "font": {"color": colours.runaway, "size": 11.5},
            }
        )
    return shapes, labels


def with_crossings(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The same broken line with its zero crossings added, so that areas of each sign meet exactly at zero.

    >>> with_crossings(np.array([0.0, 2.0]), np.array([-1.0, 1.0]))
    (array([0., 1., 2.]), array([-1.,  0.,  1.]))
    """
    turn = np.flatnonzero(np.sign(y[:-1]) * np.sign(y[1:]) < 0)
    if turn.size == 0:
        return x, y
    share = y[turn] / (y[turn] - y[turn + 1])
    at = x[turn] + share * (x[turn + 1] - x[turn])
    return np.insert(x, turn + 1, at), np.insert(y, turn + 1, 0.0)
