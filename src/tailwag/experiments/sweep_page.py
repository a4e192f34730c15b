"""The picture of a sweep as one HTML file: the answer, a phase diagram (or a line over one axis), and every point as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from tailwag.experiments.report_figures import Block, Section
from tailwag.experiments.report_page import page_html, section_html
from tailwag.experiments.report_tables import safe, table
from tailwag.experiments.sweep_sentences import shown_setting
from tailwag.experiments.sweep_slice import SHARES, Slice, cell_text, held_text, places, title_of
from tailwag.figures.canvas import axis, canvas, numbers
from tailwag.figures.choices import phase_diagram
from tailwag.figures.palette import palette

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_TEXTS = 80
MOST_TABLE_POINTS = 2_000
MOST_TICKS = 24


def sweep_html(document: Mapping[str, Any], found: Slice) -> str:
    """One self-contained page of a finished sweep; every text of it is escaped and nothing is loaded from anywhere."""
    return page_html("tailwag sweep", _parts(document, found))


def _parts(document: Mapping[str, Any], found: Slice) -> Iterator[str]:
    from tailwag import __version__

    first, *more = document["headline"]
    yield f"""<header>
<p class="where"><strong>tailwag</strong><span>Sweep of {len(document["points"]):,} points, {len(document["seeds"])} seeds each</span></p>
<div class="card answer plain"><h1>{safe(first, most=400)}</h1>{"".join(f'<p class="more">{safe(line, most=600)}</p>' for line in more)}</div>
</header>"""
    yield section_html(
        Section(
            "phase",
            sentence_of(title_of(found.value)),
            (Block("phase", sentence_of(caption(found)), _reading(found), sweep_figure(found)),),
        )
    )
    yield f'<section id="points"><h2>Every point</h2><div class="grid"><div class="card block span-12">{_table(document)}</div></div></section>'
    versions = ", ".join(f"{name} {version[:12]}" for name, version in document["versions"].items())
    yield f"<footer><p>tailwag {escape(__version__)}, schema {safe(document['schema'])}; {safe(versions, most=300)}</p></footer>"


def sentence_of(words: str) -> str:
    """Words with a capital in front and the rest as it is.

    >>> sentence_of("pnl, USD")
    'Pnl, USD'
    """
    return words[:1].upper() + words[1:]


def caption(found: Slice) -> str:
    """What the picture shows, over what, and at what the rest is held."""
    over = title_of(found.x) + (f" and {title_of(found.y)}" if found.y else "")
    return f"{title_of(found.value)}, over {over}" + (f"; {held_text(found.held)}" if found.held else "")


def _reading(found: Slice) -> str:
    if found.y is None:
        return "Bars are two standard errors."
    runaway = (
        " Where more than 5 % of the paths run away, their share stands instead: those that finish are no fair sample."
        if any(found.ran_away(row, column) for row in range(len(found.y_values)) for column in range(len(found.x_values)))
        else ""
    )
    return f"Orange is above {_threshold(found)}, blue below; a line is drawn where the cells cross it.{runaway}"


def _threshold(found: Slice) -> str:
    return f"{found.threshold:.3g}"


def sweep_figure(found: Slice) -> Figure:
    """A phase diagram over two axes, or a line with its errors over one."""
    return _diagram(found) if found.y is not None else _line(found)


def _diagram(found: Slice) -> Figure:
    colours = palette("light")
    (across, across_labels), (up, up_labels) = places(found.x_values), places(found.y_values)
    rows, columns = range(len(up)), range(len(across))
    special = [(row, column) for row in rows for column in columns if found.ran_away(row, column) or found.refused[row][column]]
    values = [[None if (row, column) in special else found.values[row][column] for column in columns] for row in rows]
    across_title, up_title = title_of(found.x), title_of(found.y or "")
    figure = phase_diagram(
        across, up, values, across_title=across_title, up_title=up_title, value_title=title_of(found.value), threshold=found.threshold
    )
    if figure.data:
        figure.data[0].colorbar.tickformat = _tick_format(found)
    else:  # every cell ran away or is refused: the cells say so
        figure = canvas([], colours, height=430)
    half = [0.5 * (positions[1] - positions[0]) if len(positions) > 1 else 0.5 for positions in (across, up)]
    for row, column in special:
        box = {"x0": across[column] - half[0], "x1": across[column] + half[0], "y0": up[row] - half[1], "y1": up[row] + half[1]}
        tint = colours.grid if found.refused[row][column] else colours.runaway_tint
        figure.add_shape(type="rect", **box, fillcolor=tint, line={"width": 0}, layer="below")
    texts = [(row, column) for row in rows for column in columns] if len(up) * len(across) <= MOST_TEXTS else []
    figure.layout.annotations = [_words(found, (row, column), (across[column], up[row])) for row, column in texts]
    for name, positions, labels, extent, title in (
        ("xaxis", across, across_labels, half[0], across_title),
        ("yaxis", up, up_labels, half[1], up_title),
    ):
        ends = sorted((positions[0], positions[-1]))
        ticks = _ticks(positions, [f"{place:.4g}" for place in positions] if labels is None else labels)
        shared = {"range": [ends[0] - abs(extent), ends[1] + abs(extent)], "zeroline": False, "showgrid": False}
        figure.update_layout({name: axis(title, colours, **shared, **ticks)})
    return figure


def _words(found: Slice, cell: tuple[int, int], at: tuple[float, float]) -> dict[str, Any]:
    """What stands in a cell, at its middle."""
    colours = palette("light")
    plain = not (found.ran_away(*cell) or found.refused[cell[0]][cell[1]])
    words = cell_text(found, *cell).replace(" run away", "<br>run away")
    font = {"size": 11.5, "color": colours.ink if plain else colours.runaway}
    return {"x": at[0], "y": at[1], "text": words, "showarrow": False, "font": font}


def _tick_format(found: Slice) -> str:
    return "$~s" if found.value.endswith(("_usd", "_usd_per_day")) else ".0%" if found.value in SHARES else "~g"


def _ticks(positions: Sequence[float], labels: Sequence[str]) -> dict[str, Any]:
    every = -(-len(labels) // MOST_TICKS)
    shown = [label if len(label) <= 24 else f"{label[:23]}…" for label in labels[::every]]
    return {"tickvals": list(positions[::every]), "ticktext": [escape(label) for label in shown]}


def _line(found: Slice) -> Figure:
    colours = palette("light")
    across, labels = places(found.x_values)
    shown = [None if found.ran_away(0, column) else value for column, value in enumerate(found.values[0])]
    bars = {
        "type": "data",
        "array": [2.0 * (error or 0.0) for error in found.errors[0]],
        "color": colours.ink,
        "thickness": 1.1,
        "width": 4,
    }
    trace = {"type": "scatter", "mode": "lines+markers", "x": across, "y": numbers(shown), "error_y": bars, "line": {"color": colours.ink}}
    x_axis = axis(title_of(found.x), colours, **({} if labels is None else _ticks(across, labels)))
    hover = "%{x}: <b>%{y:.4~f}</b><extra></extra>"
    figure = canvas(
        [{**trace, "hovertemplate": hover}],
        colours,
        height=430,
        xaxis=x_axis,
        yaxis=axis(title_of(found.value), colours, tickformat=_tick_format(found)),
    )
    for column, place in enumerate(across):
        if found.ran_away(0, column) or found.refused[0][column]:
            words = cell_text(found, 0, column).replace(" run away", "<br>run away")
            figure.add_annotation(x=place, y=0.04, yref="paper", text=words, showarrow=False, font={"size": 11, "color": colours.runaway})
    return figure


def _table(document: Mapping[str, Any]) -> str:
    names = [axis_["name"] for axis_ in document["axes"]]
    head = [*names, "paths", "run away", "amplification", "realised vol, % a year", "refused"]
    points = document["points"]
    caption_ = (
        "Every point"
        if len(points) <= MOST_TABLE_POINTS
        else f"The first {MOST_TABLE_POINTS:,} of {len(points):,} points; sweep.parquet has all"
    )
    return table(caption_, head, [_row(point, names) for point in points[:MOST_TABLE_POINTS]])


def _row(point: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    from tailwag.sim.metrics_sentences import with_error

    def figure(name: str, scale: float = 1.0) -> str:
        found = point["figures"][name]
        if found["value"] is None:
            return "n/a"
        return with_error(scale * found["value"], scale * found["standard_error"] if found["standard_error"] else None)

    settings = [shown_setting(point["settings"][name]) for name in names]
    return [
        *settings,
        f"{point['paths']:,}",
        f"{point['runaway_paths']:,}",
        figure("amplification"),
        figure("realised_vol", 100.0),
        point["refused"] or "",
    ]
