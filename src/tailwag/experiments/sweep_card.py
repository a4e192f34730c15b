"""The picture of a sweep for chat: one PNG with the answer on top, the phase diagram below, and what it was made of."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.experiments.sweep_page import MOST_TEXTS, MOST_TICKS, caption
from tailwag.experiments.sweep_slice import Slice, cell_text, figure_text, places, title_of
from tailwag.figures.canvas import numbers
from tailwag.figures.cards import LEFT, drawable, picture_png
from tailwag.figures.choices import _around
from tailwag.figures.palette import Palette, palette
from tailwag.kernels.arrays import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

WIDTH_PX, HEIGHT_PX = 1200, 760
LINE_WIDTH, HEAD_LINES = 118, 5


def sweep_card(document: Mapping[str, Any], found: Slice) -> bytes:
    """A 1200 x 760 PNG of one sweep."""
    size, style = (WIDTH_PX, HEIGHT_PX), {"hatch.linewidth": 0.6}
    return picture_png(lambda figure: _draw(figure, document, found), size_px=size, style=style, metadata={"Software": None})


def _draw(figure: Figure, document: Mapping[str, Any], found: Slice) -> None:
    colours = palette("light")
    top = _head(figure, document, found, colours)
    axes = figure.add_axes((0.10, 0.115, 0.785 if found.y is not None else 0.87, top - 0.115))
    if found.y is None:
        _draw_line(axes, found, colours)
    else:
        _draw_cells(figure, axes, found, colours)
    _dress(axes, found, colours)
    _foot(figure, document, colours)


def _head(figure: Figure, document: Mapping[str, Any], found: Slice, colours: Palette) -> float:
    """The sentences and the caption; where the picture may begin."""
    lines = [(line, 12.5 if place == 0 else 11) for place, sentence in enumerate(document["headline"]) for line in _wrapped(sentence)]
    height = 0.955
    for line, size in lines[:HEAD_LINES]:
        figure.text(LEFT, height, line, fontsize=size, weight="bold" if size > 12 else "normal", color=colours.ink, va="center")
        height -= 0.037
    for line in _wrapped(caption(found))[:2]:
        figure.text(LEFT, height - 0.012, line, fontsize=10.5, color=colours.muted, va="center")
        height -= 0.032
    return height - 0.035


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(drawable(text, most=600), width=LINE_WIDTH)


def _edges(positions: Sequence[float]) -> FloatArray:
    """The borders of cells around evenly spaced positions."""
    half = 0.5 * (positions[1] - positions[0]) if len(positions) > 1 else 0.5
    return np.array([positions[0] - half, *(position + half for position in positions)])


def _draw_cells(figure: Figure, axes: Axes, found: Slice, colours: Palette) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    across, up = places(found.x_values)[0], places(found.y_values)[0]
    values = np.array([numbers(row) for row in found.values])
    special = [
        (row, column)
        for row in range(len(up))
        for column in range(len(across))
        if found.ran_away(row, column) or found.refused[row][column]
    ]
    for place in special:
        values[place] = np.nan
    known = values[np.isfinite(values)]
    low, high = (
        min(float(known.min(initial=found.threshold)), found.threshold),
        max(float(known.max(initial=found.threshold)), found.threshold),
    )
    high = high if high > low else low + 1.0
    scale = LinearSegmentedColormap.from_list("around", _distinct(_around(found.threshold, low, high, colours)))
    mesh = axes.pcolormesh(_edges(across), _edges(up), np.ma.masked_invalid(values), cmap=scale, vmin=low, vmax=high, linewidth=0)
    for row, column in special:
        _special_cell(axes, (_edges(across)[column : column + 2], _edges(up)[row : row + 2]), found.refused[row][column], colours)
    if min(values.shape) > 1 and known.size and known.min() < found.threshold < known.max():
        axes.contour(across, up, np.ma.masked_invalid(values), levels=[found.threshold], colors=[colours.ink], linewidths=1.8)
    if values.size <= MOST_TEXTS:
        _cell_words(axes, found, mesh, special)
    bar = figure.colorbar(mesh, ax=None, cax=figure.add_axes((0.905, 0.115, 0.014, axes.get_position().height)))
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_formatter(lambda value, _: figure_text(found.value, value))
    bar.ax.tick_params(labelsize=9, colors=colours.muted, length=0)
    bar.set_label(title_of(found.value), fontsize=9.5, color=colours.muted)


def _distinct(stops: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """A scale from 0 to 1 whose ends are both there."""
    first = [] if stops[0][0] == 0.0 else [(0.0, stops[0][1])]
    last = [] if stops[-1][0] == 1.0 else [(1.0, stops[-1][1])]
    return [*first, *stops, *last]


def _special_cell(axes: Axes, edges: tuple[FloatArray, FloatArray], refused: bool, colours: Palette) -> None:
    (left, right), (bottom, top) = edges
    tint, alpha, hatch = (colours.grid, 1.0, "...") if refused else (colours.runaway, 0.13, "")
    axes.fill_between([left, right], bottom, top, color=tint, alpha=alpha, linewidth=0, hatch=hatch or None)


def _cell_words(axes: Axes, found: Slice, mesh: QuadMesh, special: Sequence[tuple[int, int]]) -> None:
    colours = palette("light")
    across, up = places(found.x_values)[0], places(found.y_values)[0]
    size = 10.5 if len(across) <= 10 else 8.5
    for row, height in enumerate(up):
        for column, place in enumerate(across):
            words = cell_text(found, row, column).replace(" run away", "\nrun away")
            value = found.values[row][column]
            colour = (
                colours.runaway
                if (row, column) in special
                else colours.ink
                if value is None
                else _readable(mesh.to_rgba(np.array([value]))[0], colours)
            )
            axes.text(place, height, words, ha="center", va="center", fontsize=size, color=colour)


def _readable(ground: Any, colours: Palette) -> str:
    """Ink, or the surface's colour where the ground is dark (relative luminance of sRGB)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in ground[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return colours.surface if luminance < 0.2 else colours.ink


def _draw_line(axes: Axes, found: Slice, colours: Palette) -> None:
    across = places(found.x_values)[0]
    shown = numbers(None if found.ran_away(0, column) else value for column, value in enumerate(found.values[0]))
    bars = 2.0 * np.nan_to_num(numbers(found.errors[0]))
    axes.errorbar(across, shown, yerr=bars, color=colours.ink, linewidth=1.8, marker="o", markersize=5, capsize=3)
    axes.yaxis.set_major_formatter(lambda value, _: figure_text(found.value, value))
    axes.grid(color=colours.grid, linewidth=0.8)
    for column, place in enumerate(across):
        if found.ran_away(0, column) or found.refused[0][column]:
            words = cell_text(found, 0, column).replace(" run away", "\nrun away")
            axes.text(place, 0.03, words, transform=axes.get_xaxis_transform(), ha="center", fontsize=9.5, color=colours.runaway)


def _dress(axes: Axes, found: Slice, colours: Palette) -> None:
    axes.set_xlabel(drawable(title_of(found.x), most=80), fontsize=10.5, color=colours.muted)
    axes.set_ylabel(drawable(title_of(found.y or found.value), most=60), fontsize=10.5, color=colours.muted)
    axes.set_facecolor(colours.surface)
    axes.tick_params(labelsize=10, colors=colours.muted, length=0)
    for values, set_ticks in ((found.x_values, axes.set_xticks), (found.y_values if found.y else (), axes.set_yticks)):
        positions, labels = places(values) if values else ([], None)
        if labels is not None:
            every = -(-len(labels) // MOST_TICKS)
            set_ticks(positions[::every], [drawable(label, most=18) for label in labels[::every]])
        elif 1 < len(positions) <= 15:
            set_ticks(positions, [f"{value:.4g}" for value in positions])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _foot(figure: Figure, document: Mapping[str, Any], colours: Palette) -> None:
    paths = {point["paths"] for point in document["points"] if point["refused"] is None}
    each = f"{max(paths):,} paths" if len(paths) == 1 else f"up to {max(paths, default=0):,} paths"
    words = f"tailwag sweep: {len(document['points']):,} points, {len(document['seeds'])} seeds, {each} a point; numbers with errors in sweep.json"
    figure.text(LEFT, 0.025, words, fontsize=9.5, color=colours.muted, va="center")
