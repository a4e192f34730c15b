"""Side by side: the rules that say who is short, the laws that say how deep the market is, and what the data left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, nothing, numbers
from tailwag.figures.labels import inert
from tailwag.figures.numbers import gain_text, known, money, money_scale, percent
from tailwag.figures.palette import Theme, palette

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def who_is_short(rule: Sequence[str], gex_usd_per_pct: Any, gain: Any = None, *, theme: Theme = "light") -> Figure:
    """What each positioning rule says: net exposure left, loop gain right; the colour is the verdict.

    Shapes: all (rules,).  Units: USD per 1 % move; gain without unit.  Sign: GEX + damps, gain + amplifies.

    >>> who_is_short(["short-all"], [-4e7], [0.5]).data[0].text
    ('−$40.0m',)
    """
    colours = palette(theme)
    gex, gains = numbers(gex_usd_per_pct), numbers([None] * len(rule) if gain is None else gain)
    if not np.isfinite(gex).any():
        return nothing("No rule gives a known exposure.", colours)
    with_gain = bool(np.isfinite(gains).any())
    divisor, unit = money_scale(gex)
    verdict = [colours.damping if value >= 0 else colours.amplifying for value in gex]
    places = list(range(len(rule)))
    bars: dict[str, Any] = {
        "type": "bar",
        "orientation": "h",
        "y": places,
        "width": 0.6,
        "marker": {"color": verdict},
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }
    traces = [{**bars, "x": gex / divisor, "text": [money(value, signed=True) for value in gex]}]
    layout: dict[str, Any] = {
        "xaxis": axis(
            f"net GEX, {unit} per 1 % move",
            colours,
            domain=[0, 0.56 if with_gain else 1],
            range=_roomy(gex / divisor),
            nticks=5,
            zerolinecolor=colours.ink,
        ),
        "yaxis": axis(
            "", colours, tickmode="array", tickvals=places, ticktext=[""] * len(rule), autorange="reversed", showgrid=False, zeroline=False
        ),
    }
    if with_gain:
        traces.append({**bars, "x": gains, "xaxis": "x2", "text": [gain_text(value) if known(value) else "" for value in gains]})
        layout["xaxis2"] = axis(
            "loop gain G", colours, domain=[0.64, 1], range=_roomy(gains), nticks=4, zerolinecolor=colours.ink, anchor="y"
        )
    names = [
        {
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": place - 0.34,
            "yanchor": "bottom",
            "text": f"<b>{inert(name, most=60)}</b>: {_verdict(value)}",
            "showarrow": False,
            "font": {"size": 12.5, "color": colours.ink},
        }
        for place, (name, value) in enumerate(zip(rule, gex))
    ]
    return canvas(traces, colours, annotations=names, height=100 + 70 * len(rule), margin={"l": 18, "r": 18, "t": 30, "b": 52}, **layout)


def _verdict(gex: float) -> str:
    if not known(gex):
        return "unknown"
    return "dealers long gamma, damps" if gex > 0 else "dealers short gamma, amplifies" if gex < 0 else "no exposure"


def _roomy(values: Any) -> list[float]:
    """An axis range with room for the number outside each bar's end."""
    low, high = min(0.0, float(np.nanmin(values))), max(0.0, float(np.nanmax(values)))
    room = 0.34 * ((high - low) or 1.0)
    return [low - (room if low < 0 else 0.02 * room), high + (room if high > 0 else 0.02 * room)]


def gain_by_law(law: Sequence[str], gain: Any, depth_usd_per_pct: Any, *, theme: Theme = "light") -> Figure:
    """Loop gain under each law of liquidity; a gain of 1 is where hedging runs away.

    Shapes: all (laws,).  Units: gain without unit; depth in USD per 1 %.  Sign: + amplifies.

    >>> gain_by_law(["square-root"], [0.18], [7.8e7]).data[0].text
    ('G +0.18 at $78.0m per 1 %',)
    """
    colours = palette(theme)
    gains, depths = numbers(gain), numbers(depth_usd_per_pct)
    if not np.isfinite(gains).any():
        return nothing("No liquidity is known, so there is no gain to compare.", colours)
    places = list(range(len(law)))
    text = [f"G {gain_text(g)} at {money(d)} per 1 %" if known(g) else "" for g, d in zip(gains, depths)]
    colour = [colours.runaway if value >= 1 else colours.amplifying if value > 0 else colours.damping for value in gains]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": gains,
        "y": places,
        "width": 0.55,
        "marker": {"color": colour},
        "text": text,
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "skip",
    }
    low, high = _roomy(gains)
    wide = 1.1 * (high - low)
    x_axis = axis(
        "loop gain G",
        colours,
        range=[low - (wide if low < -0.05 * wide else 0), high + (wide if high > 0.05 * wide else 0)],
        zerolinecolor=colours.ink,
    )
    y_axis = axis(
        "",
        colours,
        tickmode="array",
        tickvals=places,
        ticktext=[inert(name, most=18) for name in law],
        autorange="reversed",
        showgrid=False,
        zeroline=False,
    )
    edge = {
        "type": "line",
        "x0": 1,
        "x1": 1,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": colours.runaway, "dash": "dot", "width": 1.5},
    }
    shapes = [edge] if float(np.nanmax(gains)) > 0.3 else []
    return canvas(
        [trace],
        colours,
        shapes=shapes,
        xaxis=x_axis,
        yaxis=y_axis,
        showlegend=False,
        height=110 + 46 * len(law),
        margin={"l": 100, "r": 18, "t": 16, "b": 52},
    )


def data_quality(code: Sequence[str], open_interest_share: Any, masked: Sequence[bool], *, theme: Theme = "light") -> Figure:
    """What share of open interest each reason touches; masked rows are left out of every sum, noted rows are counted.

    Shapes: all (reasons,).  Units: share of open interest as a fraction (drawn in per cent).

    >>> data_quality(["iv_missing"], [0.0093], [True]).data[0].name
    'masked: left out of every sum'
    """
    colours = palette(theme)
    shares, left_out = numbers(open_interest_share), np.array(masked, dtype=bool)
    if not len(code):
        return nothing("Nothing is masked: every listed contract is counted.", colours, height=110)
    places = np.arange(len(code))
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "x": shares[rows] * 100.0,
            "y": places[rows],
            "width": 0.6,
            "marker": {"color": colour},
            "text": [percent(value) for value in shares[rows]],
            "textposition": "outside",
            "cliponaxis": False,
            "hoverinfo": "skip",
        }
        for name, rows, colour in (
            ("masked: left out of every sum", left_out, colours.amplifying),
            ("noted: counted all the same", ~left_out, colours.pale),
        )
        if rows.any()
    ]
    furthest = float(np.nan_to_num(shares).max()) * 100.0
    x_axis = axis("share of open interest, %", colours, range=[0, furthest * 1.25 or 1.0])
    y_axis = axis(
        "",
        colours,
        tickmode="array",
        tickvals=places,
        ticktext=[inert(name).replace("_", " ") for name in code],
        autorange="reversed",
        showgrid=False,
        zeroline=False,
    )
    return canvas(
        traces,
        colours,
        xaxis=x_axis,
        yaxis=y_axis,
        height=110 + 28 * len(code),
        barmode="overlay",
        margin={"l": 130, "r": 18, "t": 36, "b": 52},
    )
