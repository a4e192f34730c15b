"""What hedgers must trade, and when exposure leaves: the hedge-flow map and the flow calendar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, nothing, numbers
from tailwag.figures.labels import inert, moment, short_dates, waiting
from tailwag.figures.numbers import gain_text, known, money, money_scale, percent
from tailwag.figures.palette import Palette, Theme, palette
from tailwag.kernels.arrays import FloatArray

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def hedge_flow_map(
    spot_move_pct: Any, vol_move_volpt: Any, buy_usd: Any, *, largest_usd: float | None = None, theme: Theme = "light"
) -> Figure:
    """What hedgers must buy (+) or sell (-) for each spot and vol move, at one horizon.

    Shapes: all (scenarios,), in any order; a missing scenario stays blank.  Units: per cent, vol points, USD at the current spot.  The
    colour is centred at zero and deepens with the square root of the flow, so that small moves stay visible; ``largest_usd`` sets the
    deepest colour, to share one scale over several horizons.

    >>> figure = hedge_flow_map([-1, 0, 1], [0, 0, 0], [-5e6, 0.0, 5e6])
    >>> figure.data[0].z.tolist()
    [[-1.0], [0.0], [1.0]]
    """
    colours = palette(theme)
    moves, vols, buys = numbers(spot_move_pct), numbers(vol_move_volpt), numbers(buy_usd)
    if not np.isfinite(buys).any():
        return nothing("Hedge flows are unknown.", colours)
    rows, columns = np.unique(moves[np.isfinite(moves)]), np.unique(vols[np.isfinite(vols)])
    grid = np.full((rows.size, columns.size), np.nan)
    usable = np.isfinite(moves) & np.isfinite(vols)
    grid[np.searchsorted(rows, moves[usable]), np.searchsorted(columns, vols[usable])] = buys[usable]
    top = largest_usd if known(largest_usd) and largest_usd else float(np.nanmax(np.abs(grid)))
    depth = np.sign(grid) * np.sqrt(np.abs(grid) / top) if top else grid
    trace = {
        "type": "heatmap",
        "z": depth,
        "x": [f"{_signed(move)}" for move in columns],
        "y": [f"{_signed(move)} %" for move in rows],
        "text": [[money(cell, signed=True) if known(cell) else "" for cell in line] for line in grid],
        "texttemplate": "%{text}",
        "textfont": {"size": 12.5},
        "customdata": [[_order(cell) for cell in line] for line in grid],
        "hovertemplate": "spot %{y}, vol %{x} points<br><b>%{customdata}</b><extra></extra>",
        "colorscale": colours.diverging,
        "zmin": -1,
        "zmax": 1,
        "zmid": 0,
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }
    x_axis = axis("vol move, points", colours, type="category", showgrid=False, zeroline=False)
    y_axis = axis("spot move", colours, type="category", showgrid=False, zeroline=False)
    return canvas(
        [trace], colours, xaxis=x_axis, yaxis=y_axis, height=max(200, 110 + 32 * rows.size), margin={"l": 70, "r": 8, "t": 10, "b": 52}
    )


def _signed(move: float) -> str:
    return "0" if move == 0 else f"{'+' if move > 0 else '−'}{abs(move):g}"


def _order(buy_usd: Any) -> str:
    if not known(buy_usd):
        return "unknown"
    return f"hedgers {'buy' if buy_usd >= 0 else 'sell'} {money(abs(buy_usd))}"


def flow_calendar(
    at: Sequence[str],
    event: Sequence[str],
    removed_usd_per_pct: Any,
    *,
    as_of: str,
    gross_usd_per_pct: Any = None,
    most: int = 16,
    theme: Theme = "light",
) -> Figure:
    """The timetable of exposure: what each expiry takes away, and what is left of today's gross afterwards.

    Shapes: all (events,); ``at`` and ``as_of`` are ISO 8601.  Units: USD per 1 % move, whoever is short.  What is left is drawn only where
    the removals add up to no more than ``gross_usd_per_pct``.  Of many expiries the next and the largest are drawn, ``most`` in all.

    >>> flow_calendar(["2026-03-27T08:00:00Z"], ["expiry"], [3e7], as_of="2026-03-26T08:00:00Z", gross_usd_per_pct=1e8).data[0].name
    'left afterwards'
    """
    colours = palette(theme)
    removed = numbers(removed_usd_per_pct)
    shown = np.isfinite(removed)
    if not shown.any():
        return nothing("No expiry with a known exposure lies ahead.", colours)
    rows = np.flatnonzero(shown)
    taken = removed[rows]
    left = _left_after(taken, gross_usd_per_pct)
    kept = largest_in_order(taken, most=most)
    drawn, taken, left = rows[kept].tolist(), taken[kept], left[kept]
    days = short_dates([at[row] for row in drawn])
    names = [_event_name(at[row], day, event[row], as_of) for row, day in zip(drawn, days, strict=True)]
    divisor, unit = money_scale(taken, left)
    total = float(gross_usd_per_pct) if known(gross_usd_per_pct) and gross_usd_per_pct > 0 else None
    words = [money(value) + (f" ({percent(value / total)})" if total else "") for value in taken]
    places = list(range(len(names)))
    bars: dict[str, Any] = {"type": "bar", "orientation": "h", "y": places, "width": 0.7, "hoverinfo": "skip"}
    traces = []
    if np.isfinite(left).all():
        traces.append({**bars, "name": "left afterwards", "x": left / divisor, "marker": {"color": colours.pale, "line": {"width": 0}}})
    traces.append({**bars, "name": "taken away", "x": taken / divisor, "marker": {"color": colours.call, "line": {"width": 0}}})
    x_axis = axis(f"gross GEX, {unit} per 1 %", colours, nticks=3, rangemode="tozero")
    y_axis = axis(
        "", colours, tickmode="array", tickvals=places, ticktext=names, range=[len(names) - 0.5, -0.5], showgrid=False, zeroline=False
    )
    layout = {
        "xaxis": x_axis,
        "yaxis": y_axis,
        "annotations": _right_column(words, colours),
        "margin": {"l": 130, "r": 132, "t": 36, "b": 52},
    }
    return canvas(traces, colours, barmode="stack", height=118 + 28 * len(names), **layout)


def largest_in_order(sizes: FloatArray, *, most: int) -> list[int]:
    """The rows worth drawing, in their own order: the ``most`` largest, the next one always among them.

    >>> largest_in_order(np.array([1.0, 5.0, 2.0, 9.0]), most=3)
    [0, 1, 3]
    """
    if sizes.size <= most:
        return list(range(sizes.size))
    weight = np.nan_to_num(np.abs(sizes))
    weight[0] = np.inf
    return sorted(int(row) for row in np.argsort(-weight, kind="stable")[:most])


def _left_after(taken: FloatArray, gross_usd_per_pct: Any) -> FloatArray:
    if not known(gross_usd_per_pct) or float(taken.sum()) > 1.005 * gross_usd_per_pct:
        return np.full(taken.size, np.nan)
    return np.maximum(float(gross_usd_per_pct) - np.cumsum(taken), 0.0)


def _event_name(when: str, day: str, what: str, as_of: str) -> str:
    start, end = moment(as_of), moment(when)
    away = f"in {waiting((end - start).total_seconds() / 3600)}" if start and end and end >= start else ""
    kind = "" if what == "expiry" else f"{inert(what, most=18)} "
    return f"{kind}{day}  <i>{away}</i>" if away else f"{kind}{day}"


def forward_view(label: Sequence[str], gex_usd_per_pct: Any, gain: Any = None, *, theme: Theme = "light") -> Figure:
    """How exposure changes with the clock alone: spot and vol unchanged, options ageing and expiring.

    Shapes: all (times,).  Units: USD per 1 % move; each bar names its loop gain where that is known.  Sign: + damps.

    >>> figure = forward_view(["now", "+6 h"], [2e7, -1e7], [-0.2, 0.1])
    >>> [note.text for note in figure.layout.annotations]
    ['+$20.0m  G −0.20', '−$10.0m  G +0.10']
    """
    colours = palette(theme)
    gex, gains = numbers(gex_usd_per_pct), numbers([None] * len(label) if gain is None else gain)
    if not np.isfinite(gex).any():
        return nothing("The forward view is unknown.", colours)
    divisor, unit = money_scale(gex)
    places = list(range(len(label)))
    paint = [colours.damping if value >= 0 else colours.amplifying for value in gex]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": gex / divisor,
        "y": places,
        "width": 0.7,
        "marker": {"color": paint, "line": {"width": 0}},
        "hoverinfo": "skip",
    }
    words = [money(value, signed=True) + (f"  G {gain_text(g)}" if known(g) else "") for value, g in zip(gex, gains)]
    x_axis = axis(f"net GEX, {unit} per 1 % move", colours, nticks=3, zerolinecolor=colours.ink)
    names = [inert(name, most=24) for name in label]
    y_axis = axis("", colours, tickmode="array", tickvals=places, ticktext=names, autorange="reversed", showgrid=False, zeroline=False)
    layout = {
        "xaxis": x_axis,
        "yaxis": y_axis,
        "annotations": _right_column(words, colours),
        "margin": {"l": 100, "r": 136, "t": 8, "b": 52},
    }
    return canvas([trace], colours, showlegend=False, height=82 + 28 * len(names), **layout)


def _right_column(words: Sequence[str], colours: Palette) -> list[dict[str, Any]]:
    """Numbers of each row in one column at the right, where bars of either sign never meet them."""
    shared = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 8, "showarrow": False, "font": {"size": 12, "color": colours.ink}}
    return [{**shared, "y": place, "text": text} for place, text in enumerate(words)]
