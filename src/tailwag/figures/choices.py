"""What to choose: the frontier of hedging policies, and the map of where feedback turns dangerous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import axis, canvas, nothing, numbers
from tailwag.figures.labels import inert
from tailwag.figures.numbers import known, money_scale
from tailwag.figures.palette import Palette, Theme, palette
from tailwag.kernels.arrays import FloatArray

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

ALONE, TOGETHER = "hedging moves no price", "everybody's hedging moves the price"


def policy_frontier(
    policy: Sequence[str],
    alone_cost_usd: Any,
    alone_risk_usd: Any,
    together_cost_usd: Any = None,
    together_risk_usd: Any = None,
    *,
    alone_error_usd: Any = None,
    together_error_usd: Any = None,
    theme: Theme = "light",
) -> Figure:
    """What each hedging policy costs against the risk it leaves: without feedback, and with it, a line from one to the other.

    Shapes: costs and risks (policies,); errors (policies, 2) of cost and risk, drawn as two standard errors.  Units: USD; costs are paid.

    >>> figure = policy_frontier(["band", "every step"], [1e6, 3e6], [5e6, 2e6], [2e6, 4e6], [6e6, 3e6])
    >>> [trace.name for trace in figure.data if trace.name]
    ['hedging moves no price', "everybody's hedging moves the price"]
    """
    colours = palette(theme)
    count = len(policy)
    unknown = np.full(count, np.nan)
    alone = np.stack([numbers(alone_cost_usd), numbers(alone_risk_usd)])
    together = np.stack([unknown if values is None else numbers(values) for values in (together_cost_usd, together_risk_usd)])
    if not np.isfinite(alone).any() and not np.isfinite(together).any():
        return nothing("No policy was compared.", colours)
    scales = [money_scale(alone[row], together[row]) for row in (0, 1)]
    divisors = np.array([scale[0] for scale in scales])
    traces: list[Any] = [_joint(alone[:, k] / divisors, together[:, k] / divisors, colours) for k in range(count)]
    for points, errors, colour, name, symbol in (
        (alone, alone_error_usd, colours.ink, ALONE, "circle-open"),
        (together, together_error_usd, colours.amplifying, TOGETHER, "circle"),
    ):
        if np.isfinite(points).all(axis=0).any():
            traces.append(_points(points / divisors[:, None], errors, divisors, colour, name, symbol, policy))
    labelled = np.where(np.isfinite(together), together, alone) / divisors[:, None]
    layout = {
        "xaxis": axis(f"cost of hedging, {scales[0][1]}", colours, rangemode="tozero", nticks=8),
        "yaxis": axis(f"risk left (standard deviation of P&L), {scales[1][1]}", colours, rangemode="tozero", nticks=8),
        "annotations": _policy_labels(policy, labelled, colours),
    }
    return canvas(traces, colours, height=460, **layout)


def _joint(start: FloatArray, end: FloatArray, colours: Palette) -> dict[str, Any]:
    line = {"color": colours.zero, "width": 1.3}
    shared = {"type": "scatter", "mode": "lines", "x": [start[0], end[0]], "y": [start[1], end[1]]}
    return {**shared, "line": line, "showlegend": False, "hoverinfo": "skip"}


def _points(
    points: FloatArray, errors: Any, divisors: FloatArray, colour: str, name: str, symbol: str, policy: Sequence[str]
) -> dict[str, Any]:
    bars = {}
    if errors is not None:
        table = np.array([numbers(row) for row in errors]).T / divisors[:, None]
        for key, row in (("error_x", table[0]), ("error_y", table[1])):
            bars[key] = {"type": "data", "array": 2.0 * np.nan_to_num(row), "color": colour, "thickness": 1.1, "width": 3}
    marks = {"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2, "color": colour}}
    shared = {"type": "scatter", "mode": "markers", "name": name, "x": points[0], "y": points[1], "marker": marks, **bars}
    return {**shared, "text": [inert(one) for one in policy], "hovertemplate": "%{text}<br>cost %{x:.4~f}, risk %{y:.4~f}<extra></extra>"}


def _policy_labels(policy: Sequence[str], points: FloatArray, colours: Palette) -> list[dict[str, Any]]:
    """The policies' names beside their points, each on the first side where it covers no other name and no point."""
    named = [k for k in range(len(policy)) if np.isfinite(points[:, k]).all()]
    scaled = points / np.nanmax(points, axis=1, initial=0.0, where=np.isfinite(points)).clip(min=1e-300)[:, None]
    taken = [(x - 0.012, x + 0.012, y - 0.014, y + 0.014) for x, y in scaled[:, named].T]
    labels = []
    for k in named:
        text = inert(policy[k], most=26)
        boxes = {side: _label_box(scaled[:, k], side, 0.0125 * len(text)) for side in _SIDES}
        side = min(_SIDES, key=lambda one: sum(_overlap(boxes[one], other) for other in taken))
        taken.append(boxes[side])
        right, above = side
        place = {"xanchor": "left" if right else "right", "xshift": 10 if right else -10, "yshift": 11 if above else -11}
        shown = {"text": text, "showarrow": False, "font": {"size": 12, "color": colours.ink}}
        labels.append({"x": float(points[0, k]), "y": float(points[1, k]), **shown, **place})
    return labels


_SIDES = ((True, True), (False, True), (True, False), (False, False))


def _label_box(point: FloatArray, side: tuple[bool, bool], width: float) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a label in shares of the picture; what leaves the picture counts as covered from the start."""
    left = float(point[0]) + 0.015 if side[0] else float(point[0]) - 0.015 - width
    bottom = float(point[1]) + (0.008 if side[1] else -0.053)
    return left, left + width, bottom, bottom + 0.045


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    outside = 1.0 if one[0] < 0.0 or one[1] > 1.08 else 0.0
    across = min(one[1], other[1]) - max(one[0], other[0])
    up = min(one[3], other[3]) - max(one[2], other[2])
    return outside + (1.0 if across > 0.0 and up > 0.0 else 0.0)


def phase_diagram(
    across: Any,
    up: Any,
    values: Any,
    *,
    across_title: str,
    up_title: str,
    value_title: str,
    threshold: float = 1.0,
    theme: Theme = "light",
) -> Figure:
    """A quantity over two settings, its threshold drawn as a line: above it orange, below it blue.

    Shapes: ``across`` (columns,), ``up`` (rows,), ``values`` (rows, columns); unknown cells stay blank.  Units: as the titles say.

    >>> figure = phase_diagram([0, 1], [1, 2], [[0.5, 1.5], [0.7, 2.5]], across_title="gain", up_title="delay, steps", value_title="times")
    >>> figure.data[1].contours.start
    1.0
    """
    colours = palette(theme)
    columns, rows = numbers(across), numbers(up)
    cells = np.array([numbers(row) for row in values], dtype=np.float64)
    if cells.size == 0 or not np.isfinite(cells).any():
        return nothing("No cell of the sweep is known.", colours)
    low, high = min(float(np.nanmin(cells)), threshold), max(float(np.nanmax(cells)), threshold)
    high = high if high > low else low + 1.0
    heat = {
        "type": "heatmap",
        "x": columns,
        "y": rows,
        "z": cells,
        "colorscale": _around(threshold, low, high, colours),
        "zmin": low,
        "zmax": high,
        "hoverongaps": False,
        "colorbar": _colour_bar(value_title, colours),
        "hovertemplate": f"{inert(across_title)} %{{x}}, {inert(up_title)} %{{y}}<br><b>%{{z:.4~f}}</b><extra></extra>",
    }
    traces: list[Any] = [heat]
    if min(cells.shape) > 1 and np.nanmin(cells) < threshold < np.nanmax(cells):
        traces.append(
            {
                "type": "contour",
                "x": columns,
                "y": rows,
                "z": cells,
                "contours": {"start": threshold, "end": threshold, "size": 1, "coloring": "none", "showlabels": True},
                "line": {"color": colours.ink, "width": 2.2},
                "showscale": False,
                "hoverinfo": "skip",
            }
        )
    x_axis = axis(across_title, colours, zeroline=False, showgrid=False)
    y_axis = axis(up_title, colours, zeroline=False, showgrid=False)
    texts = _cell_texts(columns, rows, cells, colours) if cells.size <= 80 else []
    return canvas(traces, colours, height=430, xaxis=x_axis, yaxis=y_axis, annotations=texts, margin={"l": 70, "r": 18, "t": 16, "b": 56})


def _around(threshold: float, low: float, high: float, colours: Palette) -> list[tuple[float, str]]:
    """A colour scale from ``low`` to ``high`` that is neutral at the threshold; the side that reaches less far stays paler."""
    middle, reach = (threshold - low) / (high - low), max(threshold - low, high - threshold)
    under = [colours.buy, colours.buy_soft] if threshold - low > 0.6 * reach else [colours.buy_soft]
    over = [colours.sell_soft, colours.sell] if high - threshold > 0.6 * reach else [colours.sell_soft]
    stops = [(middle * k / len(under), colour) for k, colour in enumerate(under)] if middle > 0.0 else []
    stops.append((middle, colours.neutral))
    return stops + ([(middle + (1.0 - middle) * (k + 1) / len(over), colour) for k, colour in enumerate(over)] if middle < 1.0 else [])


def _colour_bar(title: str, colours: Palette) -> dict[str, Any]:
    words = {"text": inert(title, most=60), "side": "right", "font": {"size": 12.5, "color": colours.muted}}
    return {"title": words, "thickness": 14, "outlinewidth": 0, "tickfont": {"color": colours.muted, "size": 12}}


def _cell_texts(columns: FloatArray, rows: FloatArray, cells: FloatArray, colours: Palette) -> list[dict[str, Any]]:
    font = {"size": 11.5, "color": colours.ink}
    return [
        {"x": float(columns[k]), "y": float(rows[j]), "text": f"{cells[j, k]:.3g}", "showarrow": False, "font": font}
        for j in range(rows.size)
        for k in range(columns.size)
        if known(cells[j, k])
    ]
