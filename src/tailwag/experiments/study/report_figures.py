"""The pictures of a study's page: intervals row by row with their predictions, and a true figure among its placebos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.experiments.study.report_view import Document, Interval, between, number
from tailwag.figures.canvas import axis, canvas, marker_line, nothing
from tailwag.figures.labels import inert
from tailwag.figures.palette import Palette, Theme, palette

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

ROW_PX = 80
LONGEST_NAME = 90
MOST_REACH = 4.0
BINS = 41
ROBUST, BOOTSTRAP, PREDICTED = "95 %, jackknife", "95 %, bootstrap", "predicted"
REJECTED, NOT_REJECTED, DESCRIBED = "0 rejected", "not rejected", "descriptive"


def reach_of(rows: Sequence[Interval]) -> float:
    """How far a picture of intervals goes either side of 0: all of them, but no further than four, or a third beyond the farthest estimate.

    >>> reach_of([Interval("a", 0.5, -9.0, 9.0, 5.0)])
    4.0
    """
    if not rows:
        return 1.5
    ends = [abs(end) for row in rows for end in (row.low, row.high, row.predicted or 0.0, *(row.block or ()))]
    most = max(MOST_REACH, 1.3 * max(abs(row.value) for row in rows))
    return float(np.clip(1.06 * max(ends), 1e-9, most))


def shown_text(row: Interval) -> str:
    """A row's figure with its interval."""
    return f"{number(row.value)} ({between(row.low, row.high)})"


def interval_rows(rows: Sequence[Interval], *, axis_title: str, theme: Theme = "light") -> Figure:
    """A row for each estimate: its two intervals, the sizes too small to be seen in four of five samples in grey, the prediction as a diamond.

    Full dots: 0 rejected; hollow: not; grey: descriptive.  An arrow at the edge: the interval goes on.

    >>> interval_rows([Interval("reversal", 0.9, 0.8, 1.0, 0.1, rejected=True)], axis_title="share").layout.annotations[0].text
    '<b>reversal</b><br>0.900 (0.800 to 1.00)'
    """
    colours = palette(theme)
    if not rows:
        return nothing("Nothing could be estimated.", colours)
    reach = reach_of(rows)
    words = [f"<b>{inert(row.name, most=LONGEST_NAME)}</b><br>{shown_text(row)}" for row in rows]
    return canvas(
        [*_spans(rows, reach, colours), *_ends(rows, reach, colours), *_dots(rows, reach, colours)],
        colours,
        height=120 + ROW_PX * len(rows),
        shapes=[_unseen(row, place, reach, colours) for place, row in enumerate(rows)],
        annotations=[_above(text, place, colours) for place, text in enumerate(words)],
        margin={"l": 14, "r": 14, "t": 30, "b": 62},
        xaxis=axis(axis_title, colours, zerolinecolor=colours.ink, nticks=7, range=[-1.04 * reach, 1.04 * reach]),
        yaxis=axis("", colours, showticklabels=False, range=[len(rows) - 0.55, -0.75], showgrid=False, zeroline=False),
    )


def _above(text: str, place: int, colours: Palette) -> dict[str, Any]:
    """Words over a row, where they have the whole width of a phone."""
    return {
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "y": place - 0.15,
        "yanchor": "bottom",
        "align": "left",
        "text": text,
        "showarrow": False,
        "bgcolor": colours.surface,
        "borderpad": 1,
        "font": {"size": 12, "color": colours.ink},
    }


def _unseen(row: Interval, place: int, reach: float, colours: Palette) -> dict[str, Any]:
    edge = min(row.seen_at, reach)
    return {
        "type": "rect",
        "layer": "below",
        "x0": -edge,
        "x1": edge,
        "y0": place - 0.12,
        "y1": place + 0.27,
        "fillcolor": colours.grid,
        "line": {"width": 0},
    }


def _spans(rows: Sequence[Interval], reach: float, colours: Palette) -> list[dict[str, Any]]:
    """Both kinds of interval, as lines that are broken between rows."""
    made = []
    for name, lift, width, colour in ((ROBUST, 0.04, 4.5, colours.ink), (BOOTSTRAP, 0.2, 2.0, colours.call)):
        x: list[float | None] = []
        y: list[float | None] = []
        for place, row in enumerate(rows):
            ends = (row.low, row.high) if name == ROBUST else row.block
            if ends is not None and ends[0] < reach and ends[1] > -reach:
                x += [max(ends[0], -reach), min(ends[1], reach), None]
                y += [place + lift, place + lift, None]
        made.append(_trace(name, "lines", x, y) | {"line": {"color": colour, "width": width}})
    return [one for one in made if one["x"]]


def _ends(rows: Sequence[Interval], reach: float, colours: Palette) -> list[dict[str, Any]]:
    """Arrows where an interval goes on beyond the picture."""
    beyond = [(side * reach, place + 0.04, side) for place, row in enumerate(rows) for side in (-1, 1) if _beyond(row, side, reach)]
    if not beyond:
        return []
    symbols = ["triangle-right" if side > 0 else "triangle-left" for _, _, side in beyond]
    trace = _trace("goes on", "markers", [x for x, _, _ in beyond], [y for _, y, _ in beyond])
    return [trace | {"marker": {"symbol": symbols, "size": 11, "color": colours.ink}, "showlegend": False}]


def _beyond(row: Interval, side: int, reach: float) -> bool:
    return row.high > reach if side > 0 else row.low < -reach


def _dots(rows: Sequence[Interval], reach: float, colours: Palette) -> list[dict[str, Any]]:
    made = []
    for name, ruled in ((REJECTED, True), (NOT_REJECTED, False), (DESCRIBED, None)):
        chosen = [(row.value, place + 0.04) for place, row in enumerate(rows) if row.rejected is ruled]
        inside, edge = dot_colours(ruled, colours)
        line = {"color": edge, "width": 2}
        made.append(
            _trace(name, "markers", [x for x, _ in chosen], [y for _, y in chosen])
            | {"marker": {"symbol": "circle", "size": 13, "color": inside, "line": line}}
        )
    marked = [(row.predicted, place + 0.04) for place, row in enumerate(rows) if row.predicted is not None and abs(row.predicted) <= reach]
    diamonds = _trace(PREDICTED, "markers", [x for x, _ in marked], [y for _, y in marked])
    made.append(diamonds | {"marker": {"symbol": "diamond-open", "size": 15, "color": colours.runaway, "line": {"width": 2}}})
    return [one for one in made if one["x"]]


def dot_colours(rejected: bool | None, colours: Palette) -> tuple[str, str]:
    """Inside and edge of a dot: full where 0 is rejected, hollow where not, grey where nothing is decided."""
    if rejected is None:
        return colours.zero, colours.ink
    return (colours.amplifying, colours.amplifying) if rejected else (colours.surface, colours.ink)


def _trace(name: str, mode: str, x: Sequence[Any], y: Sequence[Any]) -> dict[str, Any]:
    return {"type": "scatter", "mode": mode, "name": name, "x": list(x), "y": list(y), "hoverinfo": "skip"}


def placebo_histogram(placebo: Document, *, axis_title: str, theme: Theme = "light") -> Figure:
    """The placebos' figures as a histogram, the true one as a line, and as far out on the other side a dashed one.

    >>> told = {"name": "signs", "true": 2.0, "values": [-1.0, 0.0, 1.0], "placebos": 3, "share_as_far": 0.25}
    >>> sum(placebo_histogram(told, axis_title="x").data[0].y)
    3
    """
    colours, values = palette(theme), np.asarray(placebo["values"], dtype=np.float64)
    true = float(placebo["true"])
    reach = 1.08 * max(float(np.abs(values).max(initial=0.0)), abs(true), 1e-12)
    edges = np.linspace(-reach, reach, BINS + 1)
    counts = np.histogram(values, edges)[0]
    middles = 0.5 * (edges[1:] + edges[:-1])
    far = np.abs(middles) >= abs(true)
    bars = {
        "type": "bar",
        "x": middles.tolist(),
        "y": counts.tolist(),
        "width": float(edges[1] - edges[0]) * 0.92,
        "marker": {"color": [colours.put if one else colours.pale for one in far], "line": {"width": 0}},
        "hovertemplate": "%{y} at %{x:.3g}<extra></extra>",
    }
    line, label = marker_line(true, colours, text=f"true {number(true)}", colour=colours.amplifying)
    label |= {"yshift": 22, "xanchor": "right" if true > 0.0 else "left"}
    other, _ = marker_line(-true, colours, text="", colour=colours.muted, dash="dot")
    return canvas(
        [bars],
        colours,
        height=280,
        bargap=0.0,
        shapes=[line, other],
        annotations=[label],
        showlegend=False,
        xaxis=axis(axis_title, colours, nticks=7, range=[-reach, reach]),
        yaxis=axis("placebos", colours, rangemode="tozero", **({"dtick": 1} if counts.max(initial=0) <= 5 else {"nticks": 5})),
    )
