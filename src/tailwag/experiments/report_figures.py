"""The figures of a report, in the order in which a trader asks: each with a title and one line on how to read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tailwag import figures
from tailwag.experiments import report_tables as tables
from tailwag.experiments.report_view import Document, column, forward_labels, known_laws, part, records, released_usd, texts
from tailwag.figures.labels import short_dates
from tailwag.figures.numbers import known, money, price

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


MOST_EXPIRIES = 18
MOST_STEPS = 16


@dataclass(frozen=True, slots=True)
class Block:
    """One figure with its words; ``span`` is the share of the page's width in twelfths; ``table_html`` is already escaped."""

    name: str
    title: str
    reading: str
    figure: Figure
    span: int = 12
    table_html: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks that belong together, with what stands before them; ``folded`` sections open on a click."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    intro: str = ""
    folded: bool = False
    table_html: str = ""


def sections(document: Document) -> Iterator[Section]:
    """Every section of the report; missing parts give a figure that says so.

    >>> [section.name for section in sections({})]
    ['profile', 'flows', 'who', 'where', 'when', 'vol', 'quality']
    """
    yield Section("profile", "At which price does it change?", (_profile(document),))
    yield Section(
        "flows", "What must hedgers trade?", tuple(_flow_maps(document)), _flows_intro(document), table_html=tables.flows_table(document)
    )
    yield Section("who", "Who is short, and how deep is the market?", (_rules(document), _laws(document)))
    yield Section("where", "Where does the gamma sit?", (_strikes(document), _expiries(document)))
    yield Section("when", "What goes away, and when?", (_calendar(document), _forward(document)))
    yield Section("vol", "Which vols and forwards is this built on?", (_term(document),))
    yield from _smiles(document)
    notes = [*map(str, document.get("notes") or [])]
    yield Section("quality", "What could not be counted?", (_quality(document),), " ".join(notes))


def _profile(document: Document) -> Block:
    rows = records(document, "profile")
    flips = [row.get("spot_usd") for row in records(document, "levels", "flips")]
    zones = part(document, "gain").get("runaway_zones_usd") or []
    figure = figures.gex_profile(
        [row.get("spot_usd") for row in rows],
        column(rows, "gex_usd_per_pct"),
        column(rows, "gain"),
        spot_usd=document.get("spot_usd"),
        flips_usd=flips,
        runaway_zones_usd=[zone for zone in zones if isinstance(zone, list | tuple) and len(zone) == 2],
    )
    reading = "Above zero dealers are long gamma and lean against moves; below zero they chase them. Each dashed line is a flip. Double-click for the whole range."
    return Block("gex-profile", "Exposure and gain at every price", reading, figure)


def _flows_intro(document: Document) -> str:
    rules = part(document, "assumptions").get("rules") or ["the first rule"]
    return (
        f"Dealers of {rules[0]}, by full repricing; vol moves are parallel and come on top of the smile's own. + they buy, − they sell, USD at the current spot. "
        "Blue buys, orange sells."
    )


def _flow_maps(document: Document) -> Iterator[Block]:
    rows = records(document, "flows")
    hours = sorted({float(row["hours"]) for row in rows if known(row.get("hours"))}) or [0.0]
    sizes = np.abs(column(rows, "buy_usd"))
    largest = float(sizes[np.isfinite(sizes)].max(initial=0.0)) or None
    for rank, horizon in enumerate(hours):
        chosen = [row for row in rows if row.get("hours") == horizon]
        figure = figures.hedge_flow_map(
            column(chosen, "spot_move_pct"), column(chosen, "vol_move_volpt"), column(chosen, "buy_usd"), largest_usd=largest
        )
        title = "Now" if horizon == 0 else f"After {horizon:g} h"
        released = released_usd(document, horizon)
        freed = f" {money(released, signed=True)} of it as options expire." if released else ""
        reading = "At once." if horizon == 0 else f"The move, and {horizon:g} h of ageing.{freed}"
        yield Block(f"flow-map-{rank}", title, reading, figure, 4 if len(hours) >= 3 else 6)


def _rules(document: Document) -> Block:
    rows = records(document, "gain", "by_rule")
    figure = figures.who_is_short(texts(rows, "rule"), column(rows, "gex_usd_per_pct"), column(rows, "value"))
    signs = {np.sign(value) for value in column(rows, "gex_usd_per_pct") if np.isfinite(value) and value}
    reading = (
        "The rules disagree on the sign: nobody outside knows who is short here."
        if len(signs) > 1
        else "Nobody publishes who is short: each bar is one named assumption."
    )
    return Block("who-is-short", "The rules compared", reading, figure, 6, tables.gain_table(document))


def _laws(document: Document) -> Block:
    rows = known_laws(document)
    figure = figures.gain_by_law(texts(rows, "law"), column(rows, "value"), column(rows, "depth_usd_per_pct"))
    even, gex = part(document, "gain").get("break_even_depth_usd_per_pct"), part(document, "exposure").get("gex_usd_per_pct")
    edge = (
        f" It reaches 1, the edge of running away, where {money(even)} moves the price 1 %."
        if known(even) and known(gex) and gex < 0
        else ""
    )
    reading = f"Gain is flow over depth: + amplifies, − damps.{edge}"
    return Block("gain-by-law", "Laws of liquidity", reading, figure, 6, tables.law_table(document) + tables.ratio_table(document))


def _strikes(document: Document) -> Block:
    rows = records(document, "exposure", "by_strike")
    figure = figures.exposure_by_strike(
        column(rows, "strike_usd"),
        column(rows, "call_gex_usd_per_pct"),
        column(rows, "put_gex_usd_per_pct"),
        spot_usd=document.get("spot_usd"),
    )
    levels = part(document, "levels")
    reading = f"Call wall {price(levels.get('call_wall_usd'))}, put wall {price(levels.get('put_wall_usd'))}: the strikes with most unsigned gamma. Signed by the first rule."
    return Block("by-strike", "Exposure by strike", reading, figure, 12, tables.strike_table(document))


def _expiries(document: Document) -> Block:
    listed = records(document, "exposure", "by_expiry")
    rows = [listed[row] for row in figures.largest_in_order(column(listed, "gross_gex_usd_per_pct"), most=MOST_EXPIRIES)]
    figure = figures.exposure_by_expiry(texts(rows, "expiry"), column(rows, "gex_usd_per_pct"), column(rows, "gross_gex_usd_per_pct"))
    cut = f" The {len(rows)} largest of {len(listed)} expiries." if len(rows) < len(listed) else ""
    reading = f"Grey is what could act if one side held everything; colour is what the first rule says.{cut}"
    return Block("by-expiry", "Exposure by expiry", reading, figure, 12, tables.expiry_table(document))


def _calendar(document: Document) -> Block:
    rows = records(document, "calendar")
    figure = figures.flow_calendar(
        texts(rows, "at"),
        texts(rows, "event"),
        column(rows, "gross_gex_removed_usd_per_pct"),
        as_of=str(document.get("as_of")),
        gross_usd_per_pct=part(document, "exposure").get("gross_gex_usd_per_pct"),
        most=MOST_STEPS,
    )
    keys = ("at", "event", "gross_gex_removed_usd_per_pct", "gex_removed_usd_per_pct", "open_interest_removed_coin")
    drawable = int(np.isfinite(column(rows, "gross_gex_removed_usd_per_pct")).sum())
    cut = f" The next and the {MOST_STEPS - 1} largest of {drawable}." if drawable > MOST_STEPS else ""
    table = tables.rows_table("Calendar", rows, currency=document.get("currency"), keys=keys)
    return Block(
        "calendar", "Flow calendar", f"Each bar is the gross exposure that ends with that expiry, whoever is short.{cut}", figure, 6, table
    )


def _forward(document: Document) -> Block:
    rows = records(document, "forward")
    now = {
        "gex_usd_per_pct": part(document, "exposure").get("gex_usd_per_pct"),
        "gain": part(document, "gain").get("value"),
        "event": "now",
    }
    steps = [now, *sorted(rows, key=lambda row: row["hours"] if known(row.get("hours")) else 0.0)]
    labels = forward_labels(steps)
    change = np.nan_to_num(np.abs(np.diff(column(steps, "gex_usd_per_pct"), prepend=np.nan)))
    hours_only = np.array([not label.startswith("after") for label in labels])
    drawn = figures.largest_in_order(np.where(hours_only, np.inf, change), most=MOST_STEPS)
    shown = [steps[row] for row in drawn]
    figure = figures.forward_view([labels[row] for row in drawn], column(shown, "gex_usd_per_pct"), column(shown, "gain"))
    cells = [
        [label, tables.quantity("gex_usd_per_pct", row.get("gex_usd_per_pct")), tables.quantity("gain", row.get("gain")), _flips_text(row)]
        for label, row in zip(labels, steps, strict=True)
    ]
    table = tables.table("Forward view", ["time", "net GEX", "gain G", "flips"], cells[1:])
    cut = f" The {len(shown) - 1} steps that change most." if len(shown) < len(steps) else ""
    reading = f"Net exposure, and loop gain where known, at today's spot and vols as options age and expire.{cut}"
    return Block("forward", "Forward view", reading, figure, 6, table)


def _flips_text(row: object) -> str:
    flips = row.get("flips_usd") if isinstance(row, dict) else None
    return ", ".join(price(level) for level in flips[:4]) if flips else "none"


def _term(document: Document) -> Block:
    smiles, rows = records(document, "surface", "smiles"), records(document, "exposure", "by_expiry")
    years = {str(row.get("expiry")): row.get("years") for row in smiles}
    ages = [years.get(str(row.get("expiry"))) for row in rows]
    days = [365.0 * age if known(age) else None for age in ages]
    figure = figures.term_structure(days, column(rows, "atm_iv"), column(rows, "forward_usd"), spot_usd=document.get("spot_usd"))
    table = tables.rows_table("Forwards", records(document, "surface", "forwards"))
    violations = records(document, "surface", "calendar_violations")
    table += tables.rows_table("Calendar arbitrage between smiles", violations) if violations else ""
    return Block("term-structure", "Term structure", "Vol at the money, and the basis of each forward over spot.", figure, 12, table)


def _smiles(document: Document) -> Iterator[Section]:
    rows = records(document, "surface", "smiles")
    venues = list(dict.fromkeys(texts(rows, "venue")))
    for rank, venue in enumerate(venues):
        chosen = [(number, row) for number, row in enumerate(rows) if str(row.get("venue")) == venue]
        days = short_dates(texts([row for _, row in chosen], "expiry"))
        blocks = tuple(_smile(number, row, day) for (number, row), day in zip(chosen, days, strict=True))
        yield Section(
            f"smiles-{rank}", f"Smiles on {venue}", blocks, "Bar: bid to ask. Dot: the venue's mark. Line: the fit.", folded=rank > 0
        )


def _smile(number: int, row: Document, day: str) -> Block:
    points, curve = records(row, "points"), records(row, "curve")
    figure = figures.smile_fit(
        column(points, "strike_usd"),
        column(points, "bid_iv"),
        column(points, "ask_iv"),
        column(points, "mark_iv"),
        curve_strike_usd=column(curve, "strike_usd"),
        curve_iv=column(curve, "iv"),
        forward_usd=row.get("forward_usd"),
        height=250,
    )
    figure.update_layout(margin={"l": 52, "r": 8, "t": 10, "b": 40}, showlegend=False)
    miss = row.get("rmse_volpt")
    words = [
        str(row.get("model") or "no fit"),
        f"misses by {miss:.2f} vol points" if known(miss) else "",
        *map(str, row.get("notes") or []),
    ]
    return Block(f"smile-{number}", day, "; ".join(filter(None, words)), figure, 4)


def _quality(document: Document) -> Block:
    masked, noted = records(document, "chain", "masked"), records(document, "chain", "warnings")
    rows = [*masked, *noted]
    figure = figures.data_quality(texts(rows, "code"), column(rows, "open_interest_share"), [True] * len(masked) + [False] * len(noted))
    chain = part(document, "chain")
    count, total = chain.get("instruments"), chain.get("open_interest_coin")
    reading = f"{tables.quantity('instruments', count)} instruments, {tables.quantity('open_interest_coin', total, currency=document.get('currency'))} of open interest; nothing is dropped, what is masked is named."
    return Block("data-quality", "Data quality", reading, figure, 12, tables.rows_table("Reasons", rows))
