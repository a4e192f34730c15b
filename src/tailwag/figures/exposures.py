"""Where the gamma sits: exposure by strike and by expiry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, nothing, numbers, price_axis, reach_of, spot_marker, visible_range, window
from tailwag.figures.labels import short_dates
from tailwag.figures.numbers import money, money_scale, price
from tailwag.figures.palette import Theme, palette
from tailwag.kernels.arrays import FloatArray

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def exposure_by_strike(
    strike_usd: Any, call_gex_usd_per_pct: Any, put_gex_usd_per_pct: Any, *, spot_usd: Any = None, theme: Theme = "light"
) -> Figure:
    """Which strikes pull and which push: calls and puts stacked, their net as a line, spot marked.

    Shapes: all (strikes,); NaN leaves a gap.  Units: USD per 1 % move.  Sign: + dealers long gamma.

    >>> exposure_by_strike([90e3, 100e3], [2e6, 5e6], [-3e6, -1e6], spot_usd=91630.0).layout.yaxis.title.text
    'GEX, $m per 1 % move'
    """
    colours = palette(theme)
    strikes, calls, puts = numbers(strike_usd), numbers(call_gex_usd_per_pct), numbers(put_gex_usd_per_pct)
    if not np.isfinite(strikes).any():
        return nothing("No strike carries a known exposure.", colours)
    order = np.argsort(strikes)
    strikes, calls, puts = strikes[order], calls[order], puts[order]
    net = calls + puts
    divisor, unit = money_scale(calls, puts)
    widths = _bar_widths(strikes)
    hover = [
        [money(c, signed=True), money(p, signed=True), money(n, signed=True), price(k)] for c, p, n, k in zip(calls, puts, net, strikes)
    ]
    template = "<b>%{customdata[3]}</b><br>calls %{customdata[0]}<br>puts %{customdata[1]}<br>net %{customdata[2]} per 1 %<extra></extra>"
    shared = {"x": strikes, "customdata": hover, "hovertemplate": template}
    traces = [
        {
            "type": "bar",
            "name": "calls",
            "y": calls / divisor,
            "width": widths,
            "marker": {"color": colours.call, "line": {"width": 0}},
            **shared,
        },
        {
            "type": "bar",
            "name": "puts",
            "y": puts / divisor,
            "width": widths,
            "marker": {"color": colours.put, "line": {"width": 0}},
            **shared,
        },
        {
            "type": "scatter",
            "mode": "lines+markers" if strikes.size < 150 else "lines",
            "name": "net",
            "y": net / divisor,
            "line": {"color": colours.ink, "width": 1.3},
            "marker": {"size": 4},
            **shared,
        },
    ]
    shapes, labels = spot_marker(spot_usd, colours)
    reach = reach_of(np.nan_to_num(np.abs(calls)) + np.nan_to_num(np.abs(puts)), strikes, spot_usd)
    shown = window(spot_usd, strikes, share=reach)
    x_axis = price_axis("strike", colours, strikes, **({"range": shown} if shown else {}))
    highest = np.fmax(calls, 0.0) + np.fmax(puts, 0.0)
    lowest = np.fmin(calls, 0.0) + np.fmin(puts, 0.0)
    seen = visible_range(strikes, shown, highest / divisor, lowest / divisor)
    y_axis = axis(f"GEX, {unit} per 1 % move", colours, **({"range": seen} if seen else {}))
    near = window(spot_usd, strikes, share=reach / 2)
    layout = {"xaxis": x_axis, "yaxis": y_axis, "shapes": shapes, "annotations": labels, "meta": {"narrow_range": near} if near else {}}
    return canvas(traces, colours, barmode="relative", bargap=0, height=400, **layout)


def _bar_widths(strikes: FloatArray) -> FloatArray:
    """Bars as wide as the gap to the nearer neighbour allows, so that listed strikes far apart stay visible."""
    if strikes.size < 2:
        return np.full(strikes.size, max(float(np.nan_to_num(strikes).max(initial=1.0)) * 0.02, 1e-6))
    gaps = np.diff(strikes)
    nearer = np.minimum(np.r_[gaps[:1], gaps], np.r_[gaps, gaps[-1:]])
    return np.where(np.isfinite(nearer) & (nearer > 0), nearer * 0.84, 1.0)


def exposure_by_expiry(expiry: Sequence[str], net_gex_usd_per_pct: Any, gross_gex_usd_per_pct: Any, *, theme: Theme = "light") -> Figure:
    """Which expiries matter: net exposure (by the rule) inside gross exposure (whoever is short).

    Shapes: all (expiries,); ``expiry`` is ISO 8601.  Units: USD per 1 % move.  Sign of net: + dealers long gamma.

    >>> exposure_by_expiry(["2026-03-27T08:00:00Z"], [-2e7], [5e7]).data[0].name
    'gross (all open interest)'
    """
    colours = palette(theme)
    net, gross = numbers(net_gex_usd_per_pct), numbers(gross_gex_usd_per_pct)
    if not (np.isfinite(net).any() or np.isfinite(gross).any()):
        return nothing("No expiry carries a known exposure.", colours)
    divisor, unit = money_scale(net, gross)
    names = short_dates(expiry)
    hover = [[money(n, signed=True), money(g), day] for n, g, day in zip(net, gross, names)]
    template = "<b>%{customdata[2]}</b><br>net %{customdata[0]} per 1 %<br>gross %{customdata[1]} per 1 %<extra></extra>"
    places = list(range(len(names)))
    shared = {"type": "bar", "x": places, "customdata": hover, "hovertemplate": template}
    traces: list[dict[str, Any]] = [
        {
            "name": "gross (all open interest)",
            "y": gross / divisor,
            "width": 0.82,
            "marker": {"color": colours.pale, "line": {"width": 0}},
            **shared,
        }
    ]
    for name, part, colour in (
        ("net, dealers long (damps)", np.where(net >= 0, net, np.nan), colours.damping),
        ("net, dealers short (amplifies)", np.where(net < 0, net, np.nan), colours.amplifying),
    ):
        if np.isfinite(part).any():
            traces.append({"name": name, "y": part / divisor, "width": 0.5, "marker": {"color": colour, "line": {"width": 0}}, **shared})
    x_axis = axis("expiry", colours, tickmode="array", tickvals=places, ticktext=names, showgrid=False, zeroline=False)
    return canvas(traces, colours, barmode="overlay", xaxis=x_axis, yaxis=axis(f"GEX, {unit} per 1 % move", colours), height=380)
