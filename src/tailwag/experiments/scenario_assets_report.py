"""A played scenario over several assets as one HTML file that opens anywhere, offline: what hedging does, through which link, what switches change."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np

from tailwag.experiments.report_figures import Block, Section
from tailwag.experiments.report_page import cards_html, page_html, section_html
from tailwag.experiments.report_tables import safe, table
from tailwag.experiments.scenario_assets_terminal import difference_cells, outcome_cells
from tailwag.experiments.scenario_assets_view import (
    answer_of,
    correlation_changes,
    crossing,
    gain_grid,
    pushes,
    shown_switch,
    switched,
    told_switches,
    vol_changes,
)
from tailwag.experiments.scenario_terminal import DIFFERENCE_HEADS
from tailwag.experiments.scenario_view import ENDS
from tailwag.figures.before_after import before_and_after, moves_through
from tailwag.figures.effects import effects_map
from tailwag.figures.numbers import money, price
from tailwag.figures.stories import switch_differences
from tailwag.sim.metrics_sentences import span
from tailwag.sim.state import Outcome

Document = dict[str, Any]


def assets_html(document: Document) -> str:
    """One self-contained page of a scenario over several assets (schema ``tailwag.scenario-assets/1``), about 5 MB; it loads nothing."""
    return page_html(f"Scenario: {document['scenario']['name']}", _parts(document), styles=("report.css", "run_report.css"))


def _parts(document: Document) -> Iterator[str]:
    yield _header(document)
    yield section_html(Section("changed", "What does hedging do to each market?", tuple(_changes(document))))
    yield section_html(Section("links", "Through which link?", tuple(_links(document))))
    if document["comparisons"]:
        yield section_html(Section("switches", "What does each switch change?", tuple(_switches(document))))
        yield cards_html("switches-numbers", "Every switch, every outcome", "".join(_difference_tables(document)), folded=True)
    yield cards_html("outcomes", "In numbers", table("Mean over paths", ["outcome", "mean"], outcome_cells(document)))
    yield _assumed(document)
    yield f"<footer><p>{_fine_print(document)}</p></footer>"


def _header(document: Document) -> str:
    told = document["scenario"]
    asked = [
        ("What happens?", [f"{told['sentence']}."]),
        ("Through which link?", [crossing(document)]),
        ("How far is price pushed?", [pushes(document)]),
    ]
    if document["comparisons"]:
        asked.append(("What does each switch change?", list(told_switches(document))))
    answers = "".join(
        f"<div><dt>{safe(question)}</dt><dd>{''.join(f'<p>{safe(line, most=1200)}</p>' for line in lines)}</dd></div>"
        for question, lines in asked
    )
    return f"""<header>
<p class="where"><strong>tailwag</strong><span>scenario {safe(told["name"])}</span><span>{document["paths"]:,} paths, seed {document["seed"]}</span></p>
<div class="card answer plain"><p class="meaning">{safe(told["question"], most=400)}</p><h1>{safe(answer_of(document), most=600)}</h1></div>
<div class="card"><dl class="questions">{answers}</dl></div>
</header>"""


def _changes(document: Document) -> Iterator[Block]:
    vols, pairs = vol_changes(document), correlation_changes(document)
    reading = "Hollow: the same shocks with nobody hedging. Full: with everybody's hedges. Mean over paths."
    figure = before_and_after(vols.labels, vols.before, vols.after, vols.text, axis_title="realised vol a year, %")
    yield Block("vols", "Realised vol", reading, figure, 6 if pairs.labels else 12)
    if pairs.labels:
        figure = before_and_after(pairs.labels, pairs.before, pairs.after, pairs.text, axis_title="correlation of one-step moves")
        yield Block(
            "correlations", "Correlation", "What two markets share, without and with the hedges that cross between them.", figure, 6
        )


def _links(document: Document) -> Iterator[Block]:
    grid = gain_grid(document)
    reading = "How far hedges move a price, in %, at once and alone, after a move of 1 %. Orange adds to the move, blue leans against it."
    yield Block("gains", "Whose hedge moves which price", reading, effects_map(grid.rows, grid.columns, grid.shades, grid.text), 12)
    for path in document["shown_paths"]:
        yield _path(path)


def _path(path: Document) -> Block:
    moves, alone = (
        {one["asset"]: 100.0 * (np.array(one[key]) / one[key][0] - 1.0) for one in path["assets"]}
        for key in ("price_usd", "fundamental_usd")
    )
    bought = {f"{desk}: {asset}": values for desk, held in path["bought_usd"].items() for asset, values in held.items()}
    ended = ENDS.get(Outcome(path["outcome"]))
    end = "" if ended is None else f", which {ended} after {span(path['hours'][-1])}"
    title = f"The {path['which']} path by distance from fundamental (path {path['path'] + 1:,}){end}"
    reading = "Above: each price, dotted with nobody hedging. Below: what each desk has bought of what; falling lines sell."
    return Block(f"path-{path['which']}", title, reading, moves_through(path["hours"], moves, alone, bought), 12)


def _switches(document: Document) -> Iterator[Block]:
    reading = "Mean difference on the same shocks, bars two standard errors. Blue lowers, yellow raises, grey is not clear."
    found = switched(document)
    for place, one in enumerate(found):
        labels = [f"{label}: {said}" for label, said in zip(one.labels, one.text)]
        figure = switch_differences(labels, one.values, one.errors, one.verdicts, axis_title=one.axis)
        yield Block(f"switches-{place}", one.title, reading, figure, 6 if place + 1 < len(found) or place % 2 else 12)


def _difference_tables(document: Document) -> Iterator[str]:
    for row in document["comparisons"]:
        yield table(
            f"{shown_switch(row['switch'])}: {row['sentence']}", DIFFERENCE_HEADS, [difference_cells(one) for one in row["outcomes"]]
        )


def _assumed(document: Document) -> str:
    notes = [*(f"{row['figure']}: {row['said']}" for row in document["scenario"]["sources"]), *document["notes"]]
    listed = "".join(f"<li>{safe(note, most=600)}</li>" for note in notes)
    desks = table(
        "Desks", ["desk", "dollar gamma per 1 % of", "hedged in", "late by"], [_desk_cells(document, desk) for desk in document["desks"]]
    )
    names, market = document["assets"], document["market"]
    spread = [
        [name, price(market["spot_usd"][row]), f"{100.0 * market['vol'][row]:.1f} %", *_impact_cells(market, row)]
        for row, name in enumerate(names)
    ]
    head = ["asset", "start", "vol of the shocks", *(f"moved 1 % by buying of {name}" for name in names)]
    pairs = [[name, *(f"{value:.3f}" for value in row)] for name, row in zip(names, market["correlation"])]
    return (
        '<section id="assumptions"><h2>What was assumed?</h2><div class="grid">'
        f'<div class="card block span-12"><ul class="notes">{listed}</ul>{desks}</div>'
        f'<div class="card block span-12">{table("Markets", head, spread)}{table("Correlation of the shocks", ["", *names], pairs)}</div></div></section>'
    )


def _desk_cells(document: Document, desk: Document) -> list[str]:
    names, gamma, ratio = document["assets"], np.array(desk["gamma_usd"]), np.array(desk["hedge_ratio"])
    held = [f"{names[row]} {money(gamma[row, row] / 100.0, signed=True)}" for row in range(len(names)) if gamma[row, row]]
    crossed = [
        f"{names[a]} with {names[b]} {money(gamma[a, b] / 100.0, signed=True)}" for a in range(len(names)) for b in range(a) if gamma[a, b]
    ]
    used = [
        f"{names[row]} ({ratio[row, column]:.3g} USD for each of {names[column]})"
        for column in range(len(names))
        if gamma[column].any()
        for row in range(len(names))
        if ratio[row, column]
    ]
    late = desk["delay_steps"]
    return [desk["name"], ", ".join([*held, *crossed]), ", ".join(used), f"{late} step{'s' if late != 1 else ''}" if late else "nothing"]


def _impact_cells(market: Document, row: int) -> list[str]:
    return [money(0.01 / value, signed=value < 0.0) if value else "never" for value in market["impact_per_usd"][row]]


def _fine_print(document: Document) -> str:
    from tailwag import __version__

    return (
        f"tailwag {escape(__version__)}, schema {safe(document['schema'])}, seed {document['seed']}. Without hedging means the same shocks; switches run on them "
        "too, and differences and their errors are paired, path by path. Errors say how well a run knows its own model, not how well the model knows the market: "
        "who is short, who hedges with what, and how deep each market is are assumptions named above. Not investment advice."
    )
