"""Side by side: the rules that say who is short, the laws that say how deep the market is, and what the data left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, nothing, numbers
from tailwag.figures.labels import inert
from tailwag.figures.numbers import gain_text, known, money, money_scale, percent
from tailwag.figures.palette import Palette, Theme, palette

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def who_is_short(rule: Sequence[str], gex_usd_per_pct: Any, gain: Any = None, *, theme: Theme = "light") -> Figure:
    """What each positioning rule says: net exposure left, loop gain right; the colour is the verdict.

    Shapes: all (rules,).  Units: USD per 1 % move; gain without unit.  Sign: GEX + damps, gain + amplifies.

    >>> who_is_short(["short-all"], [-4e7], [0.5]).layout.annotations[0].text
    '<b>short-all</b><br>amplifies: −$40.0m, G +0.50'
    """
    colours = palette(theme)
    gex, gains = numbers(gex_usd_per_pct), numbers([None] * len(rule) if gain is None else gain)
    if not np.isfinite(gex).any():
        return nothing("No rule gives a known exposure.", colours)
    with_gain = bool(np.isfinite(gains).any())
    divisor, unit = money_scale(gex)
    verdict = [colours.damping if value >= 0 else colours.amplifying for value in gex]
    places = list(range(len(rule)))
    bars = {**_BARS, "y": places, "marker": {"color": verdict, "line": {"width": 0}}}
    traces = [{**bars, "x": gex / divisor}]
    layout: dict[str, Any] = {
        "xaxis": axis(f"net GEX, {unit} per 1 %", colours, domain=[0, 0.6 if with_gain else 1], nticks=5, zerolinecolor=colours.ink),
        "yaxis": _named_rows(len(rule), colours),
    }
    if with_gain:
        traces.append({**bars, "x": gains, "xaxis": "x2"})
        layout["xaxis2"] = axis("loop gain G", colours, domain=[0.68, 1], nticks=4, zerolinecolor=colours.ink, anchor="y")
    names = [
        f"<b>{inert(name, most=34)}</b><br>{_verdict(value)}: {money(value, signed=True)}" + (f", G {gain_text(g)}" if known(g) else "")
        for name, value, g in zip(rule, gex, gains)
    ]
    return canvas(
        traces, colours, annotations=_row_words(names, colours), height=96 + 80 * len(rule), margin=_ROW_MARGIN, showlegend=False, **layout
    )


_BARS: dict[str, Any] = {"type": "bar", "orientation": "h", "width": 0.42, "hoverinfo": "skip"}
_ROW_MARGIN = {"l": 14, "r": 14, "t": 10, "b": 52}


def _named_rows(count: int, colours: Palette) -> dict[str, Any]:
    """A category axis without its own labels: the words stand above each bar, where they have the whole width."""
    return axis("", colours, showticklabels=False, range=[count - 0.6, -0.85], showgrid=False, zeroline=False)


def _row_words(words: Sequence[str], colours: Palette) -> list[dict[str, Any]]:
    font = {"size": 12.5, "color": colours.ink}
    shared = {
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "align": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": font,
        "bgcolor": colours.surface,
        "borderpad": 1,
    }
    return [{**shared, "y": place - 0.27, "text": text} for place, text in enumerate(words)]


def _verdict(gex: float) -> str:
    if not known(gex):
        return "unknown"
    return "damps" if gex > 0 else "amplifies" if gex < 0 else "no exposure"


def gain_by_law(law: Sequence[str], gain: Any, depth_usd_per_pct: Any, *, theme: Theme = "light") -> Figure:
    """Loop gain under each law of liquidity; a gain of 1 is where hedging runs away.

    Shapes: all (laws,).  Units: gain without unit; depth in USD per 1 %.  Sign: + amplifies.

    >>> gain_by_law(["square-root"], [0.18], [7.8e7]).layout.annotations[0].text
    '<b>square-root</b>: G +0.18, $78.0m per 1 %'
    """
    colours = palette(theme)
    gains, depths = numbers(gain), numbers(depth_usd_per_pct)
    if not np.isfinite(gains).any():
        return nothing("No liquidity is known, so there is no gain to compare.", colours)
    words = [
        f"<b>{inert(name, most=24)}</b>: " + (f"G {gain_text(g)}, {money(d)} per 1 %" if known(g) else "not known")
        for name, g, d in zip(law, gains, depths)
    ]
    colour = [colours.runaway if value >= 1 else colours.amplifying if value > 0 else colours.damping for value in gains]
    trace = {**_BARS, "x": gains, "y": list(range(len(law))), "marker": {"color": colour, "line": {"width": 0}}}
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
    x_axis = axis("loop gain G (1 runs away)", colours, nticks=6, zerolinecolor=colours.ink)
    height = 90 + 62 * len(law)
    return canvas(
        [trace],
        colours,
        shapes=shapes,
        annotations=_row_words(words, colours),
        xaxis=x_axis,
        yaxis=_named_rows(len(law), colours),
        height=height,
        margin=_ROW_MARGIN,
        showlegend=False,
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
            "marker": {"color": colour, "line": {"width": 0}},
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
