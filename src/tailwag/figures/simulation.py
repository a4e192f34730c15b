"""What a simulated run looks like: the fan of prices, vol by horizon, pins, flows by hour, accounts, and paths that ran away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, marker_line, nothing, numbers, price_axis, spot_marker
from tailwag.figures.labels import inert, waiting
from tailwag.figures.numbers import known, money_scale, price
from tailwag.figures.palette import Palette, Theme, palette
from tailwag.kernels.arrays import FloatArray

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

WITH, WITHOUT = "everybody hedges", "nobody hedges"
LABEL_ROOM = 0.2
"""Strikes closer than this share of the axis keep their line and lose their label, so that labels stay apart on a phone."""
_HOUR_TICKS = (1 / 60, 5 / 60, 0.25, 0.5, 1, 2, 4, 8, 24, 48, 96, 168, 336, 720, 2160, 8760)


def fan_chart(
    hours: Any, quantile: Sequence[float], hedged_usd: Any, fundamental_usd: Any, *, spot_usd: Any = None, theme: Theme = "light"
) -> Figure:
    """Where the price may go: the middle half and the outer quantiles with everybody hedging, and the same lines with nobody hedging.

    Shapes: ``hours`` (times,); ``quantile`` (levels,), rising; both prices (levels, times).  Units: hours, USD.

    >>> figure = fan_chart([0, 1], [0.05, 0.5, 0.95], [[100, 90], [100, 100], [100, 111]], [[100, 95], [100, 100], [100, 105]])
    >>> [trace.name for trace in figure.data if trace.name]
    ['everybody hedges: 5 to 95 % of paths', 'everybody hedges: median', 'nobody hedges: 5 to 95 %']
    """
    colours = palette(theme)
    at, hedged, alone = numbers(hours), _table(hedged_usd), _table(fundamental_usd)
    if at.size < 2 or not np.isfinite(hedged).any():
        return nothing("No price path was simulated.", colours)
    levels, middle = len(quantile), len(quantile) // 2
    traces: list[Any] = []
    for place in range(middle):
        words = f"{100 * quantile[place]:g} to {100 * quantile[levels - 1 - place]:g} % of paths"
        traces += _ribbon(at, hedged[place], hedged[levels - 1 - place], colours.amplifying_tint, f"{WITH}: {words}")
    traces.append(_line(at, hedged[middle], colours.amplifying, name=f"{WITH}: median", width=2.2))
    outer = f"{WITHOUT}: {100 * quantile[0]:g} to {100 * quantile[-1]:g} %"
    for place in (0, levels - 1):
        traces.append(_line(at, alone[place], colours.ink, name=outer if place == 0 else None, dash="dash", width=1.6))
    _, labels = spot_marker(spot_usd, colours)
    # the fan begins at a point, so that its upper left corner is free
    notes = [{**label, "x": 0.01, "xref": "paper", "xanchor": "left", "text": f"from {label['text']}"} for label in labels]
    seen = np.concatenate([hedged.ravel(), alone.ravel()])
    x_axis, y_axis = _clock_axis(at, colours), price_axis("price", colours, seen)
    return canvas(traces, colours, height=400, xaxis=x_axis, yaxis=y_axis, annotations=notes)


def vol_signature(
    hours: Any,
    hedged_vol: Any,
    fundamental_vol: Any,
    *,
    hedged_error: Any = None,
    fundamental_error: Any = None,
    theme: Theme = "light",
) -> Figure:
    """Realised vol by the horizon it is measured over: rising means moves that run on, falling means moves that turn back.

    Shapes: all (horizons,).  Units: hours; vol as a decimal per year (drawn in per cent); bars are two standard errors either way.

    >>> vol_signature([1, 24], [0.62, 0.70], [0.6, 0.6]).data[0].y.tolist()
    [62.0, 70.0]
    """
    colours = palette(theme)
    at, hedged, alone = numbers(hours), numbers(hedged_vol) * 100.0, numbers(fundamental_vol) * 100.0
    if not np.isfinite(hedged).any():
        return nothing("Vol by horizon is unknown: the time grid is not uniform.", colours)
    traces = [
        _dotted(at, hedged, hedged_error, colours.amplifying, WITH),
        _dotted(at, alone, fundamental_error, colours.ink, WITHOUT, dash="dash"),
    ]
    ticks = [hour for hour in _HOUR_TICKS if at.min() * 0.99 <= hour <= at.max() * 1.01]
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
    seen = np.concatenate([hedged, alone])
    low, high = float(np.nanmin(seen)), float(np.nanmax(seen))
    room = max(0.15 * (high - low), 0.05 * high)
    y_axis = axis("realised vol, % a year", colours, zeroline=False, range=[low - room, high + room], nticks=7)
    return canvas(traces, colours, xaxis=x_axis, yaxis=y_axis)


def pin_histogram(
    edges_usd: Any,
    hedged_share: Any,
    fundamental_share: Any,
    *,
    strikes_usd: Sequence[Any] = (),
    spot_usd: Any = None,
    theme: Theme = "light",
) -> Figure:
    """Where the price stands in the end, strikes marked: hedgers long gamma heap it up at a strike, short gamma empties it.

    Shapes: ``edges_usd`` (bins + 1,), shares (bins,).  Units: USD; share of paths as a fraction (drawn in per cent per bin).

    >>> pin_histogram([90, 100, 110], [0.5, 0.5], [0.4, 0.6], strikes_usd=[100]).layout.shapes[0].x0
    100.0
    """
    colours = palette(theme)
    edges, hedged, alone = numbers(edges_usd), numbers(hedged_share) * 100.0, numbers(fundamental_share) * 100.0
    if hedged.size == 0 or not np.isfinite(hedged).any():
        return nothing("No final price is known.", colours)
    traces = [
        {
            "type": "bar",
            "name": WITH,
            "x": 0.5 * (edges[1:] + edges[:-1]),
            "y": hedged,
            "width": np.diff(edges),
            "marker": {"color": colours.amplifying, "opacity": 0.55, "line": {"width": 0}},
            "hovertemplate": "around $%{x:,.4~f}<br>%{y:.2f} % of paths<extra></extra>",
        },
        {**_line(np.repeat(edges, 2)[1:-1], np.repeat(alone, 2), colours.ink, name=WITHOUT, width=1.6), "hoverinfo": "skip"},
    ]
    strikes = [float(strike) for strike in strikes_usd if known(strike) and edges[0] <= strike <= edges[-1]]
    marks = [marker_line(strike, colours, text=price(strike), colour=colours.call, dash="dot") for strike in _spaced(strikes, edges)]
    bare = [
        marker_line(strike, colours, text="", colour=colours.call, dash="dot")[0]
        for strike in strikes
        if strike not in _spaced(strikes, edges)
    ]
    lines, labels = spot_marker(spot_usd, colours)
    layout: dict[str, Any] = {
        "xaxis": price_axis("price at the horizon", colours, edges, range=[float(edges[0]), float(edges[-1])]),
        "yaxis": axis("share of paths per bin, %", colours, range=[0.0, 1.3 * max(float(np.nanmax([hedged, alone])), 1e-9)], nticks=6),
        "shapes": [line for line, _ in marks] + bare + lines,
        "annotations": [label for _, label in marks] + [{**label, "y": 0.88} for label in labels],
    }
    return canvas(traces, colours, bargap=0, **layout)


def flow_by_hour(
    hour_utc: Any, absolute_usd: Any, signed_usd: Any, *, absolute_error: Any = None, signed_error: Any = None, theme: Theme = "light"
) -> Figure:
    """When hedgers trade: the size of their net flow in every UTC hour of the day, and which way it goes on average.

    Shapes: all (hours,).  Units: hour of the day, USD per hour; bars are two standard errors either way.  Sign: + they buy.

    >>> flow_by_hour([7, 8], [3e6, 9e6], [1e6, -1e6]).data[0].y.tolist()
    [3.0, 9.0]
    """
    colours = palette(theme)
    at, size, signed = numbers(hour_utc), numbers(absolute_usd), numbers(signed_usd)
    if not np.isfinite(size).any():
        return nothing("No hedging flow is known.", colours)
    divisor, unit = money_scale(size, signed)
    traces = [
        {
            "type": "bar",
            "name": "size, whichever way",
            "x": at,
            "y": size / divisor,
            "marker": {"color": colours.pale, "line": {"width": 0}},
            "error_y": _whiskers(absolute_error, divisor, colours),
            "hovertemplate": f"%{{x}}:00 UTC<br>%{{y:.3~f}} {unit} an hour<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "name": "net, + bought",
            "x": at,
            "y": signed / divisor,
            "marker": {"color": [colours.buy if value >= 0 else colours.sell for value in signed], "size": 8},
            "error_y": _whiskers(signed_error, divisor, colours),
            "hovertemplate": f"%{{x}}:00 UTC<br>%{{y:+.3~f}} {unit} an hour<extra></extra>",
        },
    ]
    ticks = list(range(0, 24, 2 if at.size > 8 else 1))
    x_axis = axis(
        "hour of the day, UTC",
        colours,
        tickmode="array",
        tickvals=ticks,
        ticktext=[f"{hour:02d}" for hour in ticks],
        range=[float(np.nanmin(at)) - 0.6, float(np.nanmax(at)) + 0.6],
        showgrid=False,
        zeroline=False,
    )
    return canvas(traces, colours, xaxis=x_axis, yaxis=axis(f"hedging flow, {unit} an hour", colours, nticks=6), bargap=0.25)


def pnl_parts(
    agent: Sequence[str],
    part: Sequence[str],
    mean_usd: Any,
    *,
    error_usd: Any = None,
    total_error_usd: Any = None,
    theme: Theme = "light",
) -> Figure:
    """What each agent earned and what it paid, part by part, on average over paths; parts that are nothing for everybody are left out.

    Shapes: ``mean_usd``, ``error_usd`` (agents, parts), ``total_error_usd`` (agents,).  Units: USD; bars are two standard errors either
    way.  Sign: + earned.

    >>> pnl_parts(["dealer"], ["gamma_theta_usd", "fees_usd"], [[2e6, -1e5]]).layout.yaxis.ticktext
    ('gamma and theta', 'fees', '<b>total</b>')
    """
    colours = palette(theme)
    means = _table(mean_usd)
    errors = np.full_like(means, np.nan) if error_usd is None else _table(error_usd)
    if means.size == 0 or not np.isfinite(means).any():
        return nothing("No agent's account is known.", colours)
    largest = float(np.nanmax(np.abs(means)))
    kept = [place for place in range(len(part)) if np.nanmax(np.abs(means[:, place]), initial=0.0) > 1e-6 * largest]
    totals = np.nansum(means, axis=1)
    shown = np.concatenate([means[:, kept], totals[:, None]], axis=1)
    last = numbers([None] * len(agent) if total_error_usd is None else total_error_usd)
    bars = np.concatenate([errors[:, kept], last[:, None]], axis=1)
    words = [_part_words(part[place]) for place in kept] + ["<b>total</b>"]
    divisor, unit = money_scale(shown)
    rows = np.arange(len(words))
    paints = (colours.call, colours.put, colours.damping, colours.runaway, colours.muted, colours.amplifying)
    width = 0.8 / len(agent)
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": inert(name, most=28),
            "x": shown[place] / divisor,
            "y": rows + (place - 0.5 * (len(agent) - 1)) * width,
            "width": 0.9 * width,
            "marker": {"color": paints[place % len(paints)], "line": {"width": 0}},
            "error_x": _whiskers(bars[place], divisor, colours),
            "hovertemplate": f"%{{x:+.4~f}} {unit}<extra>{inert(name, most=28)}</extra>",
        }
        for place, name in enumerate(agent)
    ]
    y_axis = axis(
        "",
        colours,
        tickmode="array",
        tickvals=rows,
        ticktext=words,
        range=[len(words) - 0.45, -0.55],
        showgrid=False,
        zeroline=False,
    )
    x_axis = axis(f"mean P&L, {unit}", colours, zerolinecolor=colours.ink, nticks=5)
    height = 130 + len(words) * max(30, 17 * len(agent))
    return canvas(
        traces, colours, height=height, xaxis=x_axis, yaxis=y_axis, barmode="overlay", margin={"l": 130, "r": 24, "t": 40, "b": 52}
    )


def runaway_paths(
    hours: Any, price_usd: Any, fundamental_usd: Any, *, stopped_hours: Any = None, most: int = 6, theme: Theme = "light"
) -> Figure:
    """A few prices that ran away, each until it was stopped, over the same shocks with nobody hedging.

    Shapes: ``hours`` (times,); prices (paths, times); ``stopped_hours`` (paths,).  Units: hours, USD.  The first ``most`` are drawn.

    >>> runaway_paths([0, 1, 2], [[100, 120, 200]], [[100, 101, 99]], stopped_hours=[1]).data[1].y.tolist()
    [100.0, 120.0]
    """
    colours = palette(theme)
    at, prices, alone = numbers(hours), _table(price_usd), _table(fundamental_usd)
    if prices.size == 0:
        return nothing("No path ran away.", colours, height=110)
    stops = np.full(len(prices), np.inf) if stopped_hours is None else numbers(stopped_hours)
    traces: list[Any] = []
    for place in range(min(most, len(prices))):
        first = place == 0
        kept = at <= (stops[place] if np.isfinite(stops[place]) else np.inf)
        traces.append(_line(at, alone[place], colours.zero, name=WITHOUT if first else None, width=1.1))
        traces.append(_line(at[kept], prices[place][kept], colours.runaway, name=WITH if first else None, width=1.9))
        if np.isfinite(stops[place]):
            end = {"type": "scatter", "mode": "markers", "x": [at[kept][-1]], "y": [prices[place][kept][-1]], "hoverinfo": "skip"}
            traces.append({**end, "name": "stopped", "showlegend": first, "marker": {"symbol": "x", "size": 9, "color": colours.runaway}})
    y_axis = price_axis("price", colours, np.concatenate([prices.ravel(), alone.ravel()]))
    return canvas(traces, colours, xaxis=_clock_axis(at, colours), yaxis=y_axis)


def _table(values: Any) -> FloatArray:
    """Rows of numbers, NaN for whatever is unknown: (rows, columns)."""
    rows = [numbers(row) for row in values]
    return np.array(rows, dtype=np.float64) if rows else np.empty((0, 0))


def _line(x: FloatArray, y: FloatArray, colour: str, *, name: str | None, dash: str = "solid", width: float = 1.8) -> dict[str, Any]:
    line = {"color": colour, "dash": dash, "width": width}
    shared = {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "showlegend": name is not None}
    return {**shared, "name": name, "hovertemplate": "%{y:$,.4~f}<extra></extra>"}


def _ribbon(x: FloatArray, low: FloatArray, high: FloatArray, tint: str, name: str) -> list[dict[str, Any]]:
    """The area between two lines."""
    area = {"type": "scatter", "mode": "lines", "x": np.concatenate([x, x[::-1]]), "y": np.concatenate([low, high[::-1]])}
    return [{**area, "fill": "toself", "fillcolor": tint, "line": {"width": 0}, "name": name, "hoverinfo": "skip"}]


def _dotted(x: FloatArray, y: FloatArray, error: Any, colour: str, name: str, *, dash: str = "solid") -> dict[str, Any]:
    bars = _whiskers(error, 0.01, None, colour=colour)
    marks = {"type": "scatter", "mode": "lines+markers", "x": x, "y": y, "name": name, "marker": {"size": 6.5, "color": colour}}
    return {**marks, "line": {"color": colour, "dash": dash, "width": 1.9}, "error_y": bars, "hovertemplate": "%{y:.2f} %<extra></extra>"}


def _whiskers(error: Any, divisor: float, colours: Palette | None, *, colour: str = "") -> dict[str, Any]:
    """Error bars of two standard errors either way; none where the error is unknown."""
    if error is None or not np.isfinite(numbers(error)).any():
        return {"visible": False}
    reach = 2.0 * np.nan_to_num(numbers(error)) / divisor
    return {"type": "data", "array": reach, "color": colour or (colours.ink if colours else ""), "thickness": 1.2, "width": 3}


def _clock_axis(hours: FloatArray, colours: Palette) -> dict[str, Any]:
    """Time from the start: hours up to two days, days beyond."""
    last = float(np.nanmax(hours))
    if last <= 48.0:
        step = next((step for step in (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 12) if last / step <= 9), 24)
        return axis("hours from now", colours, zeroline=False, dtick=step, range=[0, last])
    days = next((days for days in (1, 2, 5, 7, 14, 30, 60, 90) if last / 24 / days <= 9), 180)
    ticks = np.arange(0.0, last + 1e-9, 24.0 * days)
    named = {"tickmode": "array", "tickvals": ticks, "ticktext": [f"{tick / 24:g}" for tick in ticks], "range": [0, last]}
    return axis("days from now", colours, zeroline=False, **named)


def _spaced(strikes: Sequence[float], edges: FloatArray) -> list[float]:
    """Strikes far enough apart for their labels."""
    kept: list[float] = []
    for strike in sorted(strikes):
        if not kept or strike - kept[-1] >= LABEL_ROOM * float(edges[-1] - edges[0]):
            kept.append(strike)
    return kept


def _part_words(part: str) -> str:
    """A part's name without its unit.

    >>> _part_words("gamma_theta_usd"), _part_words("fees_usd")
    ('gamma and theta', 'fees')
    """
    return inert(part.removesuffix("_usd").replace("gamma_theta", "gamma and theta").replace("_", " "), most=28)
