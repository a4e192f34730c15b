"""The figures of a run's report, in the order in which a desk head asks, each with one line on how to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag import figures
from tailwag.experiments import run_report_tables as tables
from tailwag.experiments.report_figures import Block, Section
from tailwag.experiments.report_view import Document, column, part, records
from tailwag.experiments.run_report_view import metrics_of, outcome_count, stopped
from tailwag.figures.numbers import known
from tailwag.sim.metrics_sentences import part_words, span
from tailwag.sim.run_figures import histogram_for

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from tailwag.experiments.run_examples import AtExpiry, RunExamples

MOST_EXPIRIES = 3
MOST_MARKS = 6


def run_sections(document: Document, examples: RunExamples | None = None) -> Iterator[Section]:
    """Every section with a figure; missing parts give a figure that says so.

    >>> [section.name for section in run_sections({})]
    ['price', 'vol', 'pins', 'runaways', 'flows', 'accounts']
    """
    yield Section("price", "Where may the price go?", (_fan(document),))
    yield Section("vol", "How much vol do hedgers add?", (_signature(document),))
    yield Section("pins", "Where does price pin?", tuple(_pins(document, examples)), table_html=tables.pin_table(document))
    yield Section("runaways", "When does it run away?", (_stopped(document, examples),))
    yield Section("flows", "When do hedgers trade?", (_flows(document),))
    yield Section("accounts", "Who earns and pays what?", (_accounts(document),))


def _series(rows: list[Mapping[str, Any]], *path: str) -> list[Any]:
    """One number of every row, None where unknown."""
    return [part(row, *path[:-1]).get(path[-1]) for row in rows]


def _fan(document: Document) -> Block:
    fan = part(document, "metrics", "fan")
    figure = figures.fan_chart(
        fan.get("hours") or [],
        fan.get("quantiles") or [],
        fan.get("hedged_usd") or [],
        fan.get("fundamental_usd") or [],
        spot_usd=metrics_of(document).get("spot_usd"),
    )
    marked = _mark_events(figure, document)
    reading = "Wider than the dashes: hedging amplifies; inside them: it damps. Both are the same shocks, with and without hedging."
    return Block("fan", "Price with and without hedging", f"{reading}{marked}", figure)


def _mark_events(figure: Figure, document: Document) -> str:
    """A line at each expiry inside the run, and the words that explain it."""
    hours = sorted({row["hours"] for row in records(document, "events") if row.get("event") == "expiry" and known(row.get("hours"))})
    if not figure.data or not hours:
        return ""
    for at in hours[:MOST_MARKS]:
        figure.add_shape(type="line", x0=at, x1=at, y0=0, y1=1, yref="paper", line={"color": "#0072b2", "width": 1.4, "dash": "dot"})
    return " Dotted: options expire, and what hedged them is unwound."


def _signature(document: Document) -> Block:
    rows = records(document, "metrics", "horizons")
    figure = figures.vol_signature(
        [row.get("hours") for row in rows],
        _series(rows, "vol", "hedged", "value"),
        _series(rows, "vol", "fundamental", "value"),
        hedged_error=_series(rows, "vol", "hedged", "standard_error"),
        fundamental_error=_series(rows, "vol", "fundamental", "standard_error"),
    )
    reading = (
        "Falling: moves turn back after hedges are done. Rising: they run on. Level: what hedging does stays. Bars: two standard errors."
    )
    return Block(
        "vol-signature",
        "Vol by the horizon it is measured over",
        reading,
        figure,
        12,
        tables.horizon_table(document) + tables.moves_table(document),
    )


def _pins(document: Document, examples: RunExamples | None) -> Iterator[Block]:
    metrics, final = metrics_of(document), part(document, "metrics", "final_price")
    expiries = examples.expiries[:MOST_EXPIRIES] if examples else ()
    ends = metrics.get("hours")
    for rank, expiry in enumerate(expiries):
        # where the run ends with this expiry all paths show it, below
        if not (known(ends) and abs(expiry.hours - ends) < 1e-6):
            yield _at_expiry(rank, expiry, examples.paths if examples else 0, 12 if len(expiries) == 2 else 6)
    pins = records(document, "metrics", "pins")
    drawn = histogram_for(
        final.get("edges_usd") or [0.0, 1.0],
        final.get("hedged_share") or [np.nan],
        final.get("fundamental_share") or [np.nan],
        paths=int(metrics.get("paths") or 1),
    )
    strikes = sorted({row["strike_usd"] for row in pins if known(row.get("strike_usd"))})
    figure = figures.pin_histogram(*drawn, strikes_usd=strikes, spot_usd=metrics.get("spot_usd"))
    later = "Watched strikes marked; options that expired before no longer hold the price." if expiries else "Watched strikes marked."
    title = f"At the end, after {span(ends)}" if known(ends) else "At the end"
    yield Block("final-price", title, f"All paths. {later}{_outside(final)}", figure, 6 if expiries and len(expiries) != 2 else 12)


def _outside(final: Mapping[str, Any]) -> str:
    """How many paths the picture leaves out."""
    kept = np.nansum(column([{"x": value} for value in final.get("hedged_share") or []], "x"))
    return f" {100 * (1 - kept):.2g} % of paths end outside the picture." if 0.0 < kept < 0.998 else ""


def _at_expiry(rank: int, expiry: AtExpiry, paths: int, span_columns: int) -> Block:
    drawn = histogram_for(expiry.edges_usd.tolist(), expiry.hedged_share.tolist(), expiry.fundamental_share.tolist(), paths=paths)
    figure = figures.pin_histogram(*drawn, strikes_usd=expiry.strikes_usd)
    reading = f"The first {paths:,} paths. A heap at a strike: hedgers long gamma hold price there. A gap: short gamma pushes it off."
    figure.update_xaxes(title_text="price at the expiry")
    return Block(f"expiry-{rank}", f"When options expire, after {span(expiry.hours)}", reading, figure, span_columns)


def _stopped(document: Document, examples: RunExamples | None) -> Block:
    count, paths = stopped(document), metrics_of(document).get("paths")
    shown = 0 if examples is None else len(examples.endings)
    if examples is None or not shown:
        figure = figures.runaway_paths([], [], [])
        words = f"{count:,} of {paths:,} paths were stopped" if count else "Every path reached the horizon."
        if count and examples is not None:
            words += f", none of them among the first {examples.paths:,}, which are the ones drawn again."
            figure.update_layout(annotations=[{**figure.layout.annotations[0].to_plotly_json(), "text": "No example to draw."}])
        title = "Paths that were stopped" if count else "No path was stopped"
        return Block("runaway-paths", title, words, figure, 12, tables.outcome_table(document))
    figure = figures.runaway_paths(
        examples.hours, examples.price_usd, examples.fundamental_usd, stopped_hours=examples.stopped_hours, most=shown
    )
    first = (
        f"{shown} of the {count:,} stopped paths"
        if shown < count
        else f"All {count:,} stopped paths"
        if count > 1
        else "The one stopped path"
    )
    when = (
        f"{span(float(examples.stopped_hours.min()))} to {span(float(examples.stopped_hours.max()))}"
        if shown > 1
        else span(float(examples.stopped_hours[0]))
    )
    reading = (
        f"{first}, each over the same shocks with nobody hedging. Stopped after {when}: from there on no price cleared the market, or the "
        "scenario's bound was met. The cross says where the run gave up, not where price would stand."
    )
    others = count - outcome_count(document, "runaway")
    return Block(
        "runaway-paths",
        "Paths that ran away" if not others else "Paths that were stopped",
        reading,
        figure,
        12,
        tables.outcome_table(document),
    )


def _flows(document: Document) -> Block:
    rows = records(document, "metrics", "flow_by_hour")
    figure = figures.flow_by_hour(
        [row.get("hour_utc") for row in rows],
        _series(rows, "absolute_usd", "value"),
        _series(rows, "signed_usd", "value"),
        absolute_error=_series(rows, "absolute_usd", "standard_error"),
        signed_error=_series(rows, "signed_usd", "standard_error"),
    )
    unknown = "" if part(document, "assumptions").get("start") else " The scenario states no start: hour 0 is the start."
    reading = f"Bar: size of the net flow of all hedgers. Dot: which way it goes on average; what has no way is noise, what has one is decay or expiry.{unknown}"
    return Block("flow-by-hour", "Hedging flow by hour of the day", reading, figure, 12, tables.flow_table(document))


def _accounts(document: Document) -> Block:
    agents, split = records(document, "pnl"), str(document.get("pnl_split"))
    names = list(part(agents[0], "parts_usd")) if agents else []
    figure = figures.pnl_parts(
        [str(agent.get("agent")) for agent in agents],
        [part_words(name, split) for name in names],
        [[part(agent, "parts_usd", name).get("value") for name in names] for agent in agents],
        error_usd=[[part(agent, "parts_usd", name).get("standard_error") for name in names] for agent in agents],
        total_error_usd=[part(agent, "total_usd").get("standard_error") for agent in agents],
    )
    reading = "Mean over paths, from start to end; own impact, on paper: what the moves that trades cause did to fills and holdings, no money until they are closed. Bars: two standard errors."
    whose = f" of {agents[0].get('agent')}" if len(agents) == 1 else ""
    numbers = tables.parts_table(document) + tables.account_table(document)
    return Block("accounts-parts", f"Profit and loss{whose} by part", reading, figure, 12, numbers)
