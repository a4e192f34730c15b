"""The picture of many switches against many scenarios: one cell for each pair, blue where harm falls, orange where it grows, its number inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.figures.canvas import canvas, nothing
from tailwag.figures.labels import inert
from tailwag.figures.palette import Palette, Theme, palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from plotly.graph_objects import Figure

FULL = 1.0
"""Share of the base at which a colour is full."""
NOT_HERE = "\N{MIDDLE DOT}"
ROW_PX = 30
COLUMN_POINTS = 1180.0
"""Type size times letters of all columns side by side: 1,000 pixels of a card, in points of 0.61 a letter's width."""
Cells = Sequence[Sequence[Any]]


def shade(less_harm: float | None, effect: str) -> float:
    """Where a cell lies on the diverging scale from -1 (harm doubles, or more) to 1 (harm is gone); 0 unless it helps or harms.

    A root: a tenth of the harm taken away is still a third of the colour.

    >>> shade(0.25, "helps"), shade(-4.0, "harms"), shade(0.01, "nothing"), shade(None, "harms")
    (0.5, -1.0, 0.0, -1.0)
    """
    if effect == "nothing":
        return 0.0
    sign = 1.0 if effect == "helps" else -1.0
    return sign if less_harm is None else sign * min(max((abs(less_harm) / FULL) ** 0.5, 0.15), 1.0)


def effects_map(
    switch: Sequence[str], scenario: Sequence[str], shades: Cells, text: Sequence[Sequence[str]], *, theme: Theme = "light"
) -> Figure:
    """Every switch against every scenario as a page shows it: ``shades`` and ``text`` are (switches, scenarios), None where one does not apply.

    >>> effects_map(["batch"], ["quiet-pin"], [[0.5]], [["-25 %"]]).data[0].z[0][0]
    0.5
    """
    colours = palette(theme)
    if not len(switch) or not len(scenario):
        return nothing("Nothing was compared.", colours)
    columns = [inert(name, most=60).replace("-", "-<br>").replace(" ", "<br>") for name in scenario]
    trace = {
        "type": "heatmap",
        "z": [[None if cell is None else float(cell) for cell in row] for row in shades],
        "x": list(range(len(scenario))),
        "y": list(range(len(switch))),
        "zmin": -1.0,
        "zmax": 1.0,
        "colorscale": [list(stop) for stop in scale_of(colours)],
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "text": [[inert(cell, most=24) for cell in row] for row in text],
        "texttemplate": "%{text}",
        "textfont": {"size": 11},
        "hoverinfo": "skip",
    }
    ticks = {"showgrid": False, "zeroline": False, "fixedrange": True, "tickfont": {"size": 11, "color": colours.ink}}
    return canvas(
        [trace],
        colours,
        height=130 + ROW_PX * len(switch),
        xaxis={**ticks, "side": "top", "tickvals": list(range(len(scenario))), "ticktext": columns, "tickangle": 0, "automargin": True},
        yaxis={
            **ticks,
            "autorange": "reversed",
            "tickvals": list(range(len(switch))),
            "ticktext": [inert(name, most=60) for name in switch],
            "automargin": True,
        },
    )


def scale_of(colours: Palette) -> list[tuple[float, str]]:
    """Orange over nothing to blue: harm grows, harm falls; the two stay apart under the common colour-vision deficiencies."""
    return colours.diverging


def draw_effects(
    axes: Axes, switch: Sequence[str], columns: Sequence[str], shades: Cells, text: Sequence[Sequence[str]], *, theme: Theme = "light"
) -> None:
    """The same on matplotlib axes: a cell with its number, a dot where the switch does not apply.  Shapes as in :func:`effects_map`."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    colours = palette(theme)
    paint = LinearSegmentedColormap.from_list("effects", [colour for _, colour in scale_of(colours)])
    size = min(9.0, 250.0 / max(len(switch), 1), 145.0 / max(len(columns), 1))
    widest = max((len(line) for column in columns for line in column.split("\n")), default=1)
    head = min(8.2, COLUMN_POINTS / max(len(columns), 1) / max(widest, 1))
    for row, cells in enumerate(shades):
        for place, cell in enumerate(cells):
            said, ink = str(text[row][place]), colours.muted
            if cell is not None:
                axes.add_patch(Rectangle((place + 0.03, row + 0.05), 0.94, 0.9, facecolor=paint(0.5 + 0.5 * float(cell)), linewidth=0))
                ink = colours.surface if abs(cell) > 0.75 else colours.ink if cell else colours.muted
            axes.text(place + 0.5, row + 0.52, said, fontsize=size, color=ink, ha="center", va="center")
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(switch), 0)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, fontsize=head, color=colours.ink)
    axes.set_yticks(np.arange(len(switch)) + 0.5, switch, fontsize=min(9.5, size + 0.8), color=colours.ink)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=3)
    axes.set_facecolor(colours.surface)
    for spine in axes.spines.values():
        spine.set_visible(False)
