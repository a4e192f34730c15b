"""One picture of a run in four panels: the fan of prices, vol by horizon, where price ends, and the agents' accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag import figures
from tailwag.figures.palette import Palette, Theme, palette
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.metrics_sentences import part_words

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from tailwag.sim.metrics import Metrics
    from tailwag.sim.run import Run

HEIGHT = 860
PANELS = ((0.0, 0.46, 0.59, 0.93), (0.55, 1.0, 0.59, 0.93), (0.0, 0.46, 0.0, 0.35), (0.62, 1.0, 0.0, 0.35))
"""Left, right, bottom and top of each panel in shares of the picture."""


def run_figure(run: Run, *, theme: Theme = "light") -> Figure:
    """The four figures that answer first, on one canvas."""
    found = run.metrics
    named = (
        ("Where price may go", _fan(found, theme)),
        ("Vol by horizon", _signature(found, theme)),
        ("Where price ends", _ends(found, theme)),
        ("Who earns and pays what", _accounts(found, run.pnl_split, theme)),
    )
    return _panelled(named, theme)


def histogram_for(edges_usd: Sequence[float], *shares: Sequence[float], paths: int) -> tuple[FloatArray, ...]:
    """Neighbouring bins put together until noise no longer makes the outline: about 3.5 paths^(1/3) bins (Freedman and Diaconis 1981, halved).

    Gives edges (bins + 1,), then each histogram (bins,).

    >>> [part.size for part in histogram_for(range(121), [1 / 120] * 120, paths=1_000)]
    [31, 30]
    """
    edges = np.asarray(edges_usd, dtype=np.float64)
    together = -(-(len(edges) - 1) // max(round(3.5 * paths ** (1 / 3)), 2))
    starts = np.arange(0, len(edges) - 1, together)
    return np.append(edges[starts], edges[-1]), *(np.add.reduceat(np.asarray(share, dtype=np.float64), starts) for share in shares)


def _fan(found: Metrics, theme: Theme) -> Figure:
    fan = found.fan
    figure = figures.fan_chart(fan.hours, fan.quantiles, fan.hedged_usd, fan.fundamental_usd, spot_usd=found.spot_usd, theme=theme)
    # a small panel's legend names the outer shade alone
    for trace in list(figure.data)[1:]:
        trace.showlegend = trace.showlegend if trace.fill is None else False
    return figure


def _signature(found: Metrics, theme: Theme) -> Figure:
    rows = found.horizons
    return figures.vol_signature(
        [row.hours for row in rows],
        [row.vol.hedged.value for row in rows],
        [row.vol.fundamental.value for row in rows],
        hedged_error=[row.vol.hedged.standard_error for row in rows],
        fundamental_error=[row.vol.fundamental.standard_error for row in rows],
        theme=theme,
    )


def _ends(found: Metrics, theme: Theme) -> Figure:
    final, strikes = found.final_price, sorted({pin.strike_usd for pin in found.pins})
    drawn = histogram_for(final.edges_usd, final.hedged_share, final.fundamental_share, paths=found.paths)
    return figures.pin_histogram(*drawn, strikes_usd=strikes, spot_usd=found.spot_usd, theme=theme)


def _accounts(found: Metrics, split: str, theme: Theme) -> Figure:
    agents = found.agents
    parts = list(agents[0].pnl_parts_usd) if agents else []
    return figures.pnl_parts(
        [agent.name for agent in agents],
        [part_words(part, split) for part in parts],
        [[agent.pnl_parts_usd[part].value for part in parts] for agent in agents],
        error_usd=[[agent.pnl_parts_usd[part].standard_error for part in parts] for agent in agents],
        total_error_usd=[agent.pnl_usd.standard_error for agent in agents],
        theme=theme,
    )


def _panelled(named: tuple[tuple[str, Figure], ...], theme: Theme) -> Figure:
    """Put figures side by side: each keeps its axes, its marks and its own legend."""
    from plotly.graph_objects import Figure

    colours = palette(theme)
    shared: dict[str, Any] = {key: named[0][1].layout[key] for key in ("font", "hoverlabel", "hovermode")}
    shared |= {"paper_bgcolor": colours.surface, "plot_bgcolor": colours.surface, "template": None}
    drawn = Figure(layout={**shared, "height": HEIGHT, "barmode": "overlay", "bargap": 0, "margin": {"l": 60, "r": 20, "t": 30, "b": 50}})
    for place, (title, figure) in enumerate(named):
        _add(drawn, figure, place, title, colours)
    return drawn


def _add(drawn: Figure, figure: Figure, place: int, title: str, colours: Palette) -> None:
    number = str(place + 1) if place else ""
    left, right, bottom, top = PANELS[place]
    for trace in figure.data:
        named = {"name": _short(trace.name), "showlegend": trace.showlegend is not False and trace.name is not None}
        axes = {"xaxis": f"x{number}", "yaxis": f"y{number}", "legend": f"legend{number}"}
        drawn.add_trace({**trace.to_plotly_json(), **axes, **named})
    legend = {"orientation": "h", "x": left, "xanchor": "left", "y": top, "yanchor": "bottom", "font": {"size": 11}}
    drawn.update_layout(
        {
            f"xaxis{number}": {**figure.layout.xaxis.to_plotly_json(), "domain": [left, right], "anchor": f"y{number}"},
            f"yaxis{number}": {**figure.layout.yaxis.to_plotly_json(), "domain": [bottom, top], "anchor": f"x{number}"},
            f"legend{number}": legend,
            "shapes": [*drawn.layout.shapes, *(_moved(shape, number) for shape in figure.layout.shapes)],
            "annotations": [
                *drawn.layout.annotations,
                *(_moved(note, number) for note in figure.layout.annotations),
                _title(title, left, top, colours.ink),
            ],
        }
    )


def _short(name: str | None) -> str:
    """A name that leaves room for its neighbours' in the legend of a small panel.

    >>> _short("everybody hedges: 5 to 95 % of paths")
    'hedged: 5 to 95 %'
    """
    said = str(name or "")
    return said.replace("everybody hedges", "hedged").replace("nobody hedges", "not hedged").replace(" of paths", "")


def _moved(mark: Any, number: str) -> dict[str, Any]:
    """A shape or a note on another panel's axes; shares of the picture become shares of the panel."""
    found: dict[str, Any] = mark.to_plotly_json()
    for axis in ("x", "y"):
        whole = found.get(f"{axis}ref") == "paper"
        found[f"{axis}ref"] = f"{axis}{number} domain" if whole else f"{axis}{number}"
    return found


def _title(text: str, left: float, top: float, colour: str) -> dict[str, Any]:
    font = {"size": 15, "color": colour}
    place = {"x": left, "y": top, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "yshift": 34}
    return {"text": f"<b>{text}</b>", "showarrow": False, "font": font, **place}
